"""The events of a response's stream, numbered, in the words of the API reference."""

from sluicegate.completions.sse import named_event
from sluicegate.completions.types import Json

# Type of a part: the events that frame it, the event of its text, and its field of that text.
_PARTS = {
    "output_text": ("response.content_part", "response.output_text", "text"),
    "refusal": ("response.content_part", "response.refusal", "refusal"),
    "reasoning_text": ("response.content_part", "response.reasoning_text", "text"),
    "summary_text": ("response.reasoning_summary_part", "response.reasoning_summary_text", "text"),
}
# Type of a call: the event of what it is called with, and its field for that.
_CALLS = {
    "function_call": ("response.function_call_arguments", "arguments"),
    "custom_tool_call": ("response.custom_tool_call_input", "input"),
}


def streamed_field(item: Json) -> str | None:
    """The field of a call that is streamed in pieces; None for other items."""
    events = _CALLS.get(str(item.get("type")))
    return events[1] if events is not None else None


def empty_part(kind: str) -> Json:
    """A part of type `kind` before its first piece."""
    if kind == "output_text":
        return {"type": kind, "text": "", "annotations": [], "logprobs": []}
    return {"type": kind, _PARTS[kind][2]: ""}


def part_text(part: Json) -> str | None:
    """The text of `part` that is streamed in pieces; None for kinds not known here."""
    known = _PARTS.get(str(part.get("type")))
    return str(part.get(known[2]) or "") if known is not None else None


def with_text(part: Json, text: str) -> Json:
    """`part` with `text` as its own."""
    return {**part, _PARTS[part["type"]][2]: text}


class EventWriter:
    """Writes events, numbering them from zero."""

    __slots__ = ("_number",)

    def __init__(self) -> None:
        self._number = 0

    def event(self, kind: str, content: Json) -> bytes:
        """The event `kind`."""
        number = self._number
        self._number += 1
        return named_event(kind, {"type": kind, "sequence_number": number, **content})

    def item(self, output_index: int, item_id: str) -> "ItemWriter":
        """A writer of the events of one item of the output."""
        return ItemWriter(self, output_index, item_id)


class ItemWriter:
    """Writes the events of one item of the output."""

    __slots__ = ("_events", "_index", "_place")

    def __init__(self, events: EventWriter, output_index: int, item_id: str) -> None:
        self._events = events
        self._index: Json = {"output_index": output_index}
        self._place: Json = {"item_id": item_id, "output_index": output_index}

    def added(self, item: Json) -> bytes:
        """The item begins; `item` is what there is of it."""
        return self._events.event("response.output_item.added", {**self._index, "item": item})

    def done(self, item: Json) -> bytes:
        """The item is complete."""
        return self._events.event("response.output_item.done", {**self._index, "item": item})

    def part_added(self, at: int, part: Json) -> bytes:
        """Part `at` begins."""
        frame, _, _ = _PARTS[part["type"]]
        return self._events.event(f"{frame}.added", {**self._at(part["type"], at), "part": part})

    def text(self, at: int, kind: str, delta: str) -> bytes:
        """More text of part `at`, which is of type `kind`."""
        content = {**self._at(kind, at), "delta": delta}
        if kind == "output_text":
            content["logprobs"] = []
        return self._events.event(f"{_PARTS[kind][1]}.delta", content)

    def annotation(self, at: int, number: int, annotation: Json) -> bytes:
        """Annotation `number` of part `at`."""
        content = {
            **self._at("output_text", at),
            "annotation_index": number,
            "annotation": annotation,
        }
        return self._events.event("response.output_text.annotation.added", content)

    def part_done(self, at: int, part: Json) -> bytes:
        """Part `at` is complete: first its text, then all of it."""
        frame, event, field = _PARTS[part["type"]]
        place = self._at(part["type"], at)
        said = {**place, field: part.get(field)}
        if part["type"] == "output_text":
            said["logprobs"] = part.get("logprobs") or []
        return self._events.event(f"{event}.done", said) + self._events.event(
            f"{frame}.done", {**place, "part": part}
        )

    def call(self, kind: str, delta: str) -> bytes:
        """More of what a call of type `kind` is called with."""
        return self._events.event(f"{_CALLS[kind][0]}.delta", {**self._place, "delta": delta})

    def call_done(self, item: Json) -> bytes:
        """What the call `item` is called with is complete."""
        event, field = _CALLS[item["type"]]
        content = {**self._place, "name": item.get("name"), field: item.get(field)}
        return self._events.event(f"{event}.done", content)

    def _at(self, kind: str, at: int) -> Json:
        return {**self._place, "summary_index" if kind == "summary_text" else "content_index": at}
