"""From OpenAI chat's chunks to canonical stream events."""

from typing import Any

from sluicegate.completions.canonical_stream import (
    CallDelta,
    CallStarted,
    Finished,
    RefusalDelta,
    Started,
    Stopped,
    StreamEvent,
    TextDelta,
    ThinkingDelta,
    UsageSaid,
)
from sluicegate.completions.openai_chat.decode import stop_of
from sluicegate.completions.openai_chat.usage import decode_usage
from sluicegate.completions.sse import fields, json_object
from sluicegate.completions.types import Json

_THOUGHTS = ("reasoning_content", "reasoning")


class ChatStreamDecoder:
    """Reads a stream of one choice. What is missing or odd in a chunk is read as empty."""

    def __init__(self) -> None:
        self._started = False
        self._refused = False
        self._calls: list[tuple[Any, str]] = []

    def decode(self, event: bytes) -> list[StreamEvent]:
        """The canonical events in one server-sent event; none for comments and errors."""
        data = fields(event)[1]
        if data.strip() == b"[DONE]":
            return [Finished()]
        chunk = json_object(data)
        if chunk is None or chunk.get("error"):
            return []
        events: list[StreamEvent] = []
        if not self._started:
            self._started = True
            events.append(Started(str(chunk.get("id") or ""), str(chunk.get("model") or "")))
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else []:
            if isinstance(choice, dict) and not choice.get("index"):
                self._choice(choice, events)
        usage = decode_usage(chunk.get("usage"))
        if usage is not None:
            events.append(UsageSaid(usage))
        return events

    def _choice(self, choice: Json, events: list[StreamEvent]) -> None:
        found = choice.get("delta")
        delta: Json = found if isinstance(found, dict) else {}
        thought = next((delta[name] for name in _THOUGHTS if delta.get(name)), None)
        if isinstance(thought, str):
            events.append(ThinkingDelta(thought))
        if isinstance(delta.get("content"), str) and delta["content"]:
            events.append(TextDelta(delta["content"]))
        if isinstance(delta.get("refusal"), str) and delta["refusal"]:
            self._refused = True
            events.append(RefusalDelta(delta["refusal"]))
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else []:
            if isinstance(call, dict):
                self._call(call, events)
        if choice.get("finish_reason"):
            events.append(Stopped(stop_of(choice, called=bool(self._calls), refused=self._refused)))

    def _call(self, call: Json, events: list[StreamEvent]) -> None:
        found = call.get("function")
        function: Json = found if isinstance(found, dict) else {}
        number = self._number(call)
        if number is None:
            number = len(self._calls)
            call_id = str(call.get("id") or f"call_{number}")
            self._calls.append((call.get("index"), call_id))
            events.append(CallStarted(number, call_id, str(function.get("name") or "")))
        arguments = function.get("arguments")
        if isinstance(arguments, str) and arguments:
            events.append(CallDelta(number, arguments))

    def _number(self, call: Json) -> int | None:
        """Which of the calls begun so far this goes on with.

        By index; a new id makes a new call even so, as some providers give every call the index 0.
        """
        call_id = call.get("id")
        for number in range(len(self._calls) - 1, -1, -1):
            index, known_id = self._calls[number]
            if index == call.get("index"):
                return number if not call_id or call_id == known_id else None
        return None
