"""From the canonical form to a response."""

import orjson

from sluicegate.completions.canonical import Part, Refusal, Response, Stop, Text, Thinking, ToolCall
from sluicegate.completions.openai_responses.envelope import envelope, suffix
from sluicegate.completions.openai_responses.events import empty_part, part_text, with_text
from sluicegate.completions.openai_responses.reasoning import reasoning_item, wants_summary
from sluicegate.completions.openai_responses.usage import encode_usage
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Usage


def encode_response(response: Response, requested_model: str, created: int, request: Json) -> Json:
    """`response` as the response to the client's `request`; of several choices the first."""
    ending = suffix(response.id)
    answer = envelope(request, ending, requested_model, created)
    choice = response.choices[0] if response.choices else None
    parts = choice.parts if choice is not None else []
    stop = choice.stop if choice is not None else Stop.END
    output = _output(parts, ending, summary=wants_summary(request))
    if stop is Stop.LENGTH and output:
        _cut(output[-1], parts[-1])
    refused = any(isinstance(part, Refusal) for part in parts)
    return finished(answer, output, stop, response.usage or Usage(), refused=refused)


def finished(answer: Json, output: list[Json], stop: Stop, usage: Usage, *, refused: bool) -> Json:
    """The response `answer` at its end. `refused`: the model said in words that it declines."""
    reason = None
    if stop is Stop.LENGTH:
        reason = "max_output_tokens"
    elif stop is Stop.REFUSAL and not refused:
        reason = "content_filter"
    return {
        **answer,
        "status": "completed" if reason is None else "incomplete",
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": output,
        "usage": encode_usage(usage),
    }


def _output(parts: list[Part], ending: str, *, summary: bool) -> list[Json]:
    """The items of `parts`: text and refusals that follow each other are one message."""
    output: list[Json] = []
    for part in parts:
        if isinstance(part, Text):
            _say(output, ending, "output_text", part.text)
        elif isinstance(part, Refusal):
            _say(output, ending, "refusal", part.text)
        elif isinstance(part, Thinking):
            output.append(reasoning_item(item_id("rs", ending, len(output)), part, summary=summary))
        elif isinstance(part, ToolCall):
            output.append(call_item(part, ending, len(output)))
    return output


def _say(output: list[Json], ending: str, kind: str, text: str) -> None:
    if not output or output[-1]["type"] != "message":
        output.append(message_item(ending, len(output)))
    content = output[-1]["content"]
    if content and content[-1]["type"] == kind:
        content[-1] = with_text(content[-1], (part_text(content[-1]) or "") + text)
    else:
        content.append(with_text(empty_part(kind), text))


def item_id(kind: str, ending: str, index: int) -> str:
    """The id of the item at `index` of the output."""
    return f"{kind}_{ending}{index:02x}"


def message_item(ending: str, index: int, status: str = "completed") -> Json:
    """A message without content."""
    return {
        "id": item_id("msg", ending, index),
        "type": "message",
        "role": "assistant",
        "status": status,
        "content": [],
    }


def call_item(call: ToolCall, ending: str, index: int, status: str = "completed") -> Json:
    """A tool call; one without arguments is called with an empty object."""
    kind, prefix, field = ("function_call", "fc", "arguments")
    text = call.arguments
    if call.custom:
        kind, prefix, field = ("custom_tool_call", "ctc", "input")
    elif not text.strip() and status == "completed":
        text = "{}"
    return {
        "id": item_id(prefix, ending, index),
        "type": kind,
        "status": status,
        "call_id": call.id,
        "name": call.name,
        field: text,
    }


def is_json(text: str) -> bool:
    """Whether `text` is JSON, so that nothing of a call's arguments is missing."""
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _cut(item: Json, part: Part) -> None:
    """Say of the last item, made of `part`, that its end is missing; a call with all its JSON is whole."""
    if item["type"] == "function_call" and isinstance(part, ToolCall):
        item["arguments"] = part.arguments
        if is_json(part.arguments):
            return
    if "status" in item:
        item["status"] = "incomplete"
