"""Reasoning in OpenAI responses: text in the open, and what only its provider can read, sealed.

Another provider's proof of its reasoning (a signature) and what it redacted travel to the client and back
in `encrypted_content`, marked as ours, so that they are told apart from what OpenAI itself encrypted.
"""

from sluicegate.completions.canonical import Thinking
from sluicegate.completions.types import Json

_SIGNED = "sluicegate.signed:"
_REDACTED = "sluicegate.redacted:"
_PAIRED = frozenset({"message", "function_call", "custom_tool_call"})


def seal(thought: Thinking) -> str | None:
    """The `encrypted_content` of `thought`; None if it needs none."""
    if thought.redacted is not None:
        return _REDACTED + thought.redacted
    return None if thought.signature is None else _SIGNED + thought.signature


def sealed_here(item: Json) -> bool:
    """Whether the reasoning `item` is sealed, and by the gateway: OpenAI could not open it."""
    sealed = item.get("encrypted_content")
    return type(sealed) is str and sealed.startswith((_SIGNED, _REDACTED))


def without_kept_reasoning(body: Json) -> Json:
    """`body`, its input without reasoning that only names what the provider keeps.

    Reasoning that is enclosed, encrypted or in the open, stays. Where some is left out the ids of messages
    and calls are too, since OpenAI asks for the reasoning that belongs to an id; both stand without one.
    """
    items = body["input"]
    if all(item.get("type") != "reasoning" or item.get("encrypted_content") for item in items):
        return body
    kept: list[Json] = []
    for index, item in enumerate(items):
        if item.get("type") == "reasoning" and not item.get("encrypted_content"):
            if item.get("content"):
                kept.append({**item, "id": f"rs_{index}"})
        elif item.get("type") in _PAIRED:
            kept.append({name: value for name, value in item.items() if name != "id"})
        else:
            kept.append(item)
    return {**body, "input": kept}


def decode_reasoning(item: Json) -> Thinking:
    """The reasoning in `item`, from its `content` or else its `summary`. Odd parts are read as empty."""
    sealed = item.get("encrypted_content")
    if type(sealed) is str and sealed.startswith(_REDACTED):
        return Thinking(redacted=sealed.removeprefix(_REDACTED))
    signature = None
    if type(sealed) is str and sealed.startswith(_SIGNED):
        signature = sealed.removeprefix(_SIGNED)
    return Thinking(_text(item.get("content")) or _text(item.get("summary")), signature)


def _text(parts: object) -> str:
    if not isinstance(parts, list):
        return ""
    texts = (part.get("text") for part in parts if isinstance(part, dict))
    return "".join(text for text in texts if isinstance(text, str))


def wants_summary(body: Json) -> bool:
    """Whether the request asks to see its reasoning as a summary."""
    reasoning = body.get("reasoning")
    if not isinstance(reasoning, dict):
        return False
    return reasoning.get("summary") is not None or reasoning.get("generate_summary") is not None


def part_type(*, summary: bool) -> str:
    """The type of the parts that reasoning is shown in."""
    return "summary_text" if summary else "reasoning_text"


def reasoning_item(item_id: str, thought: Thinking, *, summary: bool) -> Json:
    """`thought` as an item, its text as a summary or as it is."""
    item: Json = {"id": item_id, "type": "reasoning", "summary": []}
    if thought.text:
        item["summary" if summary else "content"] = [
            {"type": part_type(summary=summary), "text": thought.text}
        ]
    sealed = seal(thought)
    if sealed is not None:
        item["encrypted_content"] = sealed
    return item
