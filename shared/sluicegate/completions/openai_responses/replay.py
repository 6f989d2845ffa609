"""A whole response as a stream, and a stream as a whole response."""

from collections.abc import Iterator
from typing import Any

from sluicegate.completions.fields import listed
from sluicegate.completions.openai_responses.events import (
    EventWriter,
    ItemWriter,
    empty_part,
    part_text,
    streamed_field,
)
from sluicegate.completions.openai_responses.usage import encode_usage
from sluicegate.completions.sse import fields, json_object
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Usage

_PIECE = 256
_ENDINGS = {"incomplete": "response.incomplete", "failed": "response.failed"}
_UNKNOWN_YET: Json = {"usage": None, "error": None, "incomplete_details": None, "completed_at": None}
_ITEM_DONE = b"event: response.output_item.done\n"
_LAST_EVENTS = ("response.completed", "response.incomplete")


def replay(answer: Json) -> bytes:
    """The events that a provider might have streamed for `answer`."""
    writer = EventWriter()
    unknown = {name: value for name, value in _UNKNOWN_YET.items() if name in answer}
    opening = {**answer, **unknown, "status": "in_progress", "output": []}
    events = [writer.event(f"response.{step}", {"response": opening}) for step in ("created", "in_progress")]
    for index, item in enumerate(listed(answer.get("output"))):
        events += _item_events(writer.item(index, _id(item)), item)
    ending = _ENDINGS.get(str(answer.get("status")), "response.completed")
    events.append(writer.event(ending, {"response": answer}))
    return b"".join(events)


def _id(item: Any) -> str:
    return str(item.get("id") or "") if isinstance(item, dict) else ""


def _item_events(writer: ItemWriter, item: Any) -> Iterator[bytes]:
    if not isinstance(item, dict):
        return
    kind = str(item.get("type"))
    opening = dict(item)
    if item.get("status") is not None:
        opening["status"] = "in_progress"
    field = streamed_field(item)
    holders = [name for name in ("summary", "content") if type(item.get(name)) is list]
    if field is not None:
        opening[field] = ""
    opening.update((name, []) for name in holders)
    yield writer.added(opening)
    if field is not None:
        for piece in _pieces(str(item.get(field) or "")):
            yield writer.call(kind, piece)
        yield writer.call_done({**item, field: item.get(field) or ""})
    for name in holders:
        for at, part in enumerate(item[name]):
            yield from _part_events(writer, at, part)
    yield writer.done(item)


def _part_events(writer: ItemWriter, at: int, part: Any) -> Iterator[bytes]:
    text = part_text(part) if isinstance(part, dict) else None
    if text is None:
        return
    yield writer.part_added(at, empty_part(part["type"]))
    for piece in _pieces(text):
        yield writer.text(at, part["type"], piece)
    for number, annotation in enumerate(listed(part.get("annotations"))):
        yield writer.annotation(at, number, annotation)
    yield writer.part_done(at, part)


def _pieces(text: str) -> Iterator[str]:
    return (text[at : at + _PIECE] for at in range(0, len(text), _PIECE))


class ResponseAssembler:
    """The `StreamAssembler` of OpenAI responses: the last event has the whole answer in it."""

    __slots__ = ("_items", "_last", "_left")

    def __init__(self, limit: int) -> None:
        self._items = 0
        self._last = b""
        self._left = limit

    def feed(self, events: bytes) -> None:
        if not events:
            return
        self._left -= len(events)
        self._items += events.count(_ITEM_DONE)
        self._last = events if self._left >= 0 else b""

    def answer(self, usage: Usage | None) -> Json | None:
        for event in self._last.split(b"\n\n"):
            content = json_object(fields(event)[1]) if event else None
            if content is None or content.get("type") not in _LAST_EVENTS:
                continue
            response: Any = content.get("response")
            # A compatible server may leave the output out of its last event; then nothing is whole.
            if not isinstance(response, dict) or len(listed(response.get("output"))) < self._items:
                return None
            if usage is not None:
                said = response.get("usage")
                response["usage"] = {**(said if isinstance(said, dict) else {}), **encode_usage(usage)}
            return response
        return None
