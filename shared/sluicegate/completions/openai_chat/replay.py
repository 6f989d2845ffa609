"""A whole chat completion as a stream, and a stream as a whole chat completion."""

from collections.abc import Iterator
from typing import Any

import orjson

from sluicegate.completions.collector import EventCollector
from sluicegate.completions.openai_chat.usage import encode_usage
from sluicegate.completions.sse import data_event, fields, json_object
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Usage

DONE_EVENT = b"data: [DONE]\n\n"

_PIECE = 256
_SHARED = ("id", "created", "model", "service_tier", "system_fingerprint")
# Fields of a delta that are said once; any other text comes in pieces.
_SAID_ONCE = frozenset({"id", "type", "role", "name", "index"})


def replay(answer: Json, *, include_usage: bool) -> bytes:
    """The events that a provider might have streamed for `answer`, `[DONE]` included."""
    head = {name: answer[name] for name in _SHARED if answer.get(name) is not None}
    head["object"] = "chat.completion.chunk"
    if include_usage:
        head["usage"] = None
    events = [
        data_event({**head, "choices": [piece]})
        for choice in answer.get("choices") or []
        for piece in _pieces(choice)
    ]
    if include_usage:
        events.append(data_event({**head, "choices": [], "usage": answer.get("usage")}))
    events.append(DONE_EVENT)
    return b"".join(events)


def _pieces(choice: Json) -> Iterator[Json]:
    index = choice.get("index", 0)
    message: Json = choice.get("message") or {}
    logprobs = choice.get("logprobs")

    def piece(delta: Json, finish: str | None = None) -> Json:
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}

    first: Json = {"role": message.get("role", "assistant"), "content": ""}
    yield piece(first)
    for name, value in message.items():
        if name in ("role", "tool_calls") or not value:
            continue
        if type(value) is str and logprobs is None:
            for start in range(0, len(value), _PIECE):
                yield piece({name: value[start : start + _PIECE]})
        else:
            yield piece({name: value}) | {"logprobs": logprobs if name == "content" else None}
    for number, call in enumerate(message.get("tool_calls") or []):
        yield piece({"tool_calls": [{"index": number, **call}]})
    yield piece({}, choice.get("finish_reason"))


class ChatAssembler:
    """The `StreamAssembler` of OpenAI chat."""

    __slots__ = ("_collector", "feed")

    def __init__(self, limit: int) -> None:
        self._collector = EventCollector(limit)
        self.feed = self._collector.feed

    def answer(self, usage: Usage | None) -> Json | None:
        head: Json = {}
        choices: dict[int, Json] = {}
        done = False
        for event in self._collector.events():
            data = fields(event)[1]
            chunk = json_object(data)
            if chunk is None:
                done = done or data.strip() == b"[DONE]"
                continue
            if chunk.get("error"):
                return None
            for name in _SHARED:
                if chunk.get(name) is not None:
                    head[name] = chunk[name]
            for piece in chunk.get("choices") or []:
                _add(choices, piece)
        if not done or not choices or any(choice["finish_reason"] is None for choice in choices.values()):
            return None
        for choice in choices.values():
            for call in choice["message"].get("tool_calls", ()):
                call.pop("index")
        answer = {
            **head,
            "object": "chat.completion",
            "choices": [choices[index] for index in sorted(choices)],
        }
        if usage is not None:
            answer["usage"] = encode_usage(usage)
        return answer


def _add(choices: dict[int, Json], piece: Json) -> None:
    index = piece.get("index", 0)
    choice = choices.get(index)
    if choice is None:
        choice = choices[index] = {
            "index": index,
            "message": {"role": "assistant", "content": None, "refusal": None},
            "logprobs": None,
            "finish_reason": None,
        }
    delta = dict(piece.get("delta") or {})
    calls = delta.pop("tool_calls", None) or []
    if delta.get("content") == "" and choice["message"]["content"] is None:
        delta.pop("content")  # the opening chunk's empty text, which answers with tool calls alone have too
    _merge(choice["message"], delta)
    for call in calls:
        kept: list[Json] = choice["message"].setdefault("tool_calls", [])
        number = call.get("index", len(kept))
        found = next((known for known in kept if known["index"] == number), None)
        if found is None:
            found = {"index": number}
            kept.append(found)
        _merge(found, call)
    if piece.get("logprobs"):
        choice["logprobs"] = choice["logprobs"] or {}
        _merge(choice["logprobs"], piece["logprobs"])
    choice["finish_reason"] = piece.get("finish_reason") or choice["finish_reason"]


def _merge(into: Json, more: Json) -> None:
    """Add a delta: text is appended, lists are extended, objects merged, the rest replaced."""
    for name, value in more.items():
        present: Any = into.get(name)
        if value is None:
            into.setdefault(name, None)
        elif type(value) is str and type(present) is str and name not in _SAID_ONCE:
            into[name] = present + value
        elif type(value) is list and type(present) is list:
            present.extend(value)
        elif type(value) is dict and type(present) is dict:
            _merge(present, value)
        elif not (name in _SAID_ONCE and present and not value):
            into[name] = orjson.loads(orjson.dumps(value)) if type(value) in (dict, list) else value
