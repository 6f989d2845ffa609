"""From canonical stream events to the stream of a response."""

from dataclasses import dataclass, field

from sluicegate.completions.canonical import Stop, Thinking, ToolCall
from sluicegate.completions.canonical_stream import (
    CallDelta,
    CallStarted,
    Finished,
    RedactedThinking,
    RefusalDelta,
    Started,
    Stopped,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    ThinkingSigned,
    UsageSaid,
)
from sluicegate.completions.openai_responses.encode import call_item, finished, is_json, item_id, message_item
from sluicegate.completions.openai_responses.envelope import envelope, suffix
from sluicegate.completions.openai_responses.events import EventWriter, ItemWriter, empty_part, with_text
from sluicegate.completions.openai_responses.reasoning import part_type, reasoning_item, seal, wants_summary
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Usage


@dataclass(slots=True)
class _Open:
    """An item under way. `part` is the type of its part under way, `pieces` what was said of that."""

    item: Json
    writer: ItemWriter
    part: str = ""
    parts: list[Json] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)


class ResponseStreamEncoder:
    """Writes the stream of one response.

    Items come one after the other, but for calls whose pieces take turns: those stay open side by side,
    which the events' indexes allow.

    Args:
        model: the name the client asked for.
        created: epoch seconds.
        request: the client's request, parts of which the response repeats.
    """

    def __init__(self, model: str, created: int, request: Json) -> None:
        self._events = EventWriter()
        self._answer: Json = {}
        self._ending = ""
        self._model = model
        self._created = created
        self._request = request
        self._summary = wants_summary(request)
        self._output: list[Json] = []
        self._said: _Open | None = None
        self._calls: dict[int, _Open] = {}
        self._refused = False
        self._usage = Usage()
        self._stop: Stop | None = None

    def encode(self, event: StreamEvent) -> bytes:
        """The bytes that tell the client of `event`; empty if there is nothing to tell yet."""
        match event:
            case TextDelta():
                return self._say("output_text", event.text)
            case CallDelta():
                return self._arguments(event)
            case ThinkingDelta():
                return self._say(part_type(summary=self._summary), event.text)
            case CallStarted():
                return self._call(event)
            case Started():
                return self._start(event)
            case ThinkingSigned():
                return self._sealed(Thinking(signature=event.signature))
            case RedactedThinking():
                return self._close_said() + self._sealed(Thinking(redacted=event.data))
            case RefusalDelta():
                self._refused = True
                return self._say("refusal", event.text)
            case UsageSaid():
                self._usage = event.usage
                return b""
            case Stopped():
                return self._stopped(event.stop)
            case Finished():
                return self._finish()

    def _start(self, event: Started) -> bytes:
        self._ending = suffix(event.id)
        self._answer = envelope(self._request, self._ending, self._model, self._created)
        content = {"response": self._answer}
        return self._events.event("response.created", content) + self._events.event(
            "response.in_progress", content
        )

    def _say(self, kind: str, text: str) -> bytes:
        """Text for the item under way, if that is of the right type, else for a new one."""
        wanted = "message" if kind in ("output_text", "refusal") else "reasoning"
        out = b""
        said = self._said
        if said is None or said.item["type"] != wanted:
            out, said = self._begin(wanted)
        if said.part != kind:
            out += _end_part(said) + said.writer.part_added(len(said.parts), empty_part(kind))
            said.part = kind
        said.pieces.append(text)
        return out + said.writer.text(len(said.parts), kind, text)

    def _begin(self, kind: str) -> tuple[bytes, _Open]:
        """Open a message, or an item of reasoning, and close what is complete."""
        out = self._close_said() + self._close_calls(Stop.END, complete_only=True)
        index = len(self._output)
        if kind == "message":
            item = message_item(self._ending, index, "in_progress")
        else:
            item = reasoning_item(item_id("rs", self._ending, index), Thinking(), summary=self._summary)
        self._output.append(item)
        self._said = opened = _Open(item, self._events.item(index, item["id"]))
        return out + opened.writer.added({**item}), opened

    def _sealed(self, thought: Thinking) -> bytes:
        """The end of the reasoning under way, or all there is of it, with its seal."""
        out = b""
        said = self._said
        if said is None or said.item["type"] != "reasoning":
            out, said = self._begin("reasoning")
        said.item["encrypted_content"] = seal(thought)
        return out + self._close_said()

    def _call(self, event: CallStarted) -> bytes:
        out = self._close_said() + self._close_calls(Stop.END, complete_only=True)
        index = len(self._output)
        item = call_item(ToolCall(event.id, event.name, ""), self._ending, index, "in_progress")
        self._output.append(item)
        opened = self._calls[event.index] = _Open(item, self._events.item(index, item["id"]))
        return out + opened.writer.added({**item})

    def _arguments(self, event: CallDelta) -> bytes:
        call = self._calls.get(event.index)
        if call is None:
            return b""  # the call was complete, so this can only be white space
        call.pieces.append(event.arguments)
        return call.writer.call(call.item["type"], event.arguments)

    def _close_said(self, status: str = "completed") -> bytes:
        said, self._said = self._said, None
        if said is None:
            return b""
        out = _end_part(said)
        if said.item["type"] == "message":
            said.item["content"] = said.parts
            said.item["status"] = status
        elif said.parts:
            said.item["summary" if self._summary else "content"] = said.parts
        return out + said.writer.done(said.item)

    def _close_calls(self, stop: Stop, *, complete_only: bool) -> bytes:
        """Close calls; of an answer that was cut, those whose arguments are no JSON are incomplete."""
        out = b""
        for index, call in list(self._calls.items()):
            text = "".join(call.pieces)
            complete = is_json(text)
            if complete_only and not complete:
                continue
            del self._calls[index]
            if not text.strip() and stop is not Stop.LENGTH:
                # A call without arguments said nothing; its arguments are to be JSON nevertheless.
                text, complete = "{}", True
                out += call.writer.call(call.item["type"], text)
            cut = stop is Stop.LENGTH and not complete
            call.item.update(arguments=text, status="incomplete" if cut else "completed")
            out += call.writer.call_done(call.item) + call.writer.done(call.item)
        return out

    def _stopped(self, stop: Stop) -> bytes:
        self._stop = stop
        status = "incomplete" if stop is Stop.LENGTH else "completed"
        return self._close_said(status) + self._close_calls(stop, complete_only=False)

    def _finish(self) -> bytes:
        out = b"" if self._stop is not None else self._stopped(Stop.END)
        stop = self._stop or Stop.END
        answer = finished(self._answer, self._output, stop, self._usage, refused=self._refused)
        return out + self._events.event(f"response.{answer['status']}", {"response": answer})


def _end_part(opened: _Open) -> bytes:
    """Close the part under way, if there is one."""
    if not opened.part:
        return b""
    part = with_text(empty_part(opened.part), "".join(opened.pieces))
    out = opened.writer.part_done(len(opened.parts), part)
    opened.parts.append(part)
    opened.pieces.clear()
    opened.part = ""
    return out
