"""From Anthropic's stream to canonical stream events."""

import orjson

from sluicegate.completions.anthropic.decode import STOPS, refusal_text
from sluicegate.completions.anthropic.usage import RunningUsage
from sluicegate.completions.canonical import Stop
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
from sluicegate.completions.sse import fields, json_object
from sluicegate.completions.types import Json


class MessageStreamDecoder:
    """Reads one message's stream. What is missing or odd in an event is read as empty."""

    def __init__(self) -> None:
        self._figures = RunningUsage()
        self._calls: dict[object, int] = {}
        self._signatures: dict[object, str] = {}

    def decode(self, event: bytes) -> list[StreamEvent]:
        """The canonical events in one server-sent event; none for pings and errors."""
        content = json_object(fields(event)[1])
        if content is None:
            return []
        match content.get("type"):
            case "content_block_delta":
                return self._delta(_index(content), _inner(content, "delta"))
            case "content_block_start":
                return self._block(_index(content), _inner(content, "content_block"))
            case "content_block_stop":
                signature = self._signatures.pop(_index(content), None)
                return [] if signature is None else [ThinkingSigned(signature)]
            case "message_start":
                message = _inner(content, "message")
                started = Started(str(message.get("id") or ""), str(message.get("model") or ""))
                return [started, *self._usage(message)]
            case "message_delta":
                return [*self._ending(_inner(content, "delta")), *self._usage(content)]
            case "message_stop":
                return [Finished()]
        return []

    def _usage(self, holder: Json) -> list[StreamEvent]:
        usage = self._figures.add(holder.get("usage"))
        return [] if usage is None else [UsageSaid(usage)]

    def _block(self, index: object, block: Json) -> list[StreamEvent]:
        kind = block.get("type")
        if kind == "tool_use":
            number = self._calls[index] = len(self._calls)
            events: list[StreamEvent] = [
                CallStarted(number, str(block.get("id") or ""), str(block.get("name") or ""))
            ]
            if block.get("input"):
                events.append(CallDelta(number, orjson.dumps(block["input"]).decode()))
            return events
        if kind == "redacted_thinking":
            return [RedactedThinking(str(block.get("data") or ""))]
        if kind == "thinking":
            if block.get("signature"):
                self._signatures[index] = str(block["signature"])
            return [ThinkingDelta(str(block["thinking"]))] if block.get("thinking") else []
        if kind == "text" and block.get("text"):
            return [TextDelta(str(block["text"]))]
        return []

    def _delta(self, index: object, delta: Json) -> list[StreamEvent]:
        match delta:
            case {"type": "text_delta", "text": str(text)} if text:
                return [TextDelta(text)]
            case {"type": "input_json_delta", "partial_json": str(text)} if text and index in self._calls:
                return [CallDelta(self._calls[index], text)]
            case {"type": "thinking_delta", "thinking": str(text)} if text:
                return [ThinkingDelta(text)]
            case {"type": "signature_delta", "signature": str(text)}:
                self._signatures[index] = text
        return []

    def _ending(self, delta: Json) -> list[StreamEvent]:
        if delta.get("stop_reason") is None:
            return []
        events: list[StreamEvent] = []
        explanation = refusal_text(delta)
        if explanation:
            events.append(RefusalDelta(explanation))
        sequence = delta.get("stop_sequence")
        stop = STOPS.get(str(delta["stop_reason"]), Stop.END)
        events.append(Stopped(stop, sequence if isinstance(sequence, str) else None))
        return events


def _index(content: Json) -> object:
    index = content.get("index")
    return index if isinstance(index, int) else None


def _inner(content: Json, name: str) -> Json:
    inner = content.get(name)
    return inner if isinstance(inner, dict) else {}
