"""Watching the stream of an OpenAI response go by."""

from sluicegate.completions.bounds import delta_tokens
from sluicegate.completions.openai_responses.errors import event_failure, response_failure, stream_error
from sluicegate.completions.openai_responses.usage import decode_usage
from sluicegate.completions.provider_errors import may_pass
from sluicegate.completions.sse import EventSplitter, fields, is_text, json_object, string_length
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.errors import SluicegateError, UpstreamError
from sluicegate.kernel.models import Usage

EVENT_LIMIT = 16 << 20
"""Bytes of one event. The last one has the whole answer in it, pictures included."""

_NAMED = b"event: response."
# In JSON text a quote inside a string is escaped, so `"delta":` can only be a key.
_DELTA_KEY = b'"delta":'
_ENDINGS = frozenset({
    b"response.completed",
    b"response.incomplete",
    b"response.failed",
    b"response.cancelled",
    b"error",
})  # fmt: skip


class ResponseMeter:
    """The `StreamMeter` of OpenAI responses.

    Deltas are looked at as bytes; of the events only the last one, which has the figures, is parsed. A
    provider's error event, and a failed response, are forwarded as they came, unless they tell of the
    gateway's account.
    """

    __slots__ = ("_events", "failed", "finished", "produced_tokens", "usage")

    def __init__(self, facts: RequestFacts) -> None:  # noqa: ARG002 - every codec's meter takes the facts
        self.produced_tokens = 0
        self.usage: Usage | None = None
        self.finished = False
        self.failed: SluicegateError | None = None
        self._events = EventSplitter(EVENT_LIMIT)

    def feed(self, data: bytes) -> bytes:
        if self.finished or self.failed is not None:
            return b""
        done = self._events.feed(data)
        if not done:
            return self._overflowed() if self._events.overflow else b""
        taken = 0
        for event in done.split(b"\n\n"):
            if not is_text(event):
                self.failed = UpstreamError("The provider sent bytes that are no text; the answer was cut.")
                return done[:taken] + stream_error(self.failed)
            if event:
                self._note(event)
            if self.failed is not None and not may_pass(event, self.failed):
                return done[:taken] + stream_error(self.failed)
            taken += len(event) + 2
            if self.finished or self.failed is not None:
                return done[:taken]  # nothing belongs after the last event
        return done

    def close(self) -> bytes:
        """The last event, if the provider left out only the blank line after it."""
        rest = self._events.rest()
        if not rest or json_object(fields(rest)[1]) is None:
            return b""
        return self.feed(rest + b"\n\n")

    def _note(self, event: bytes) -> None:
        if event.startswith(_NAMED):
            name = event[7 : event.find(b"\n")]
            if name.endswith(b".delta"):
                self._count(event)
                return
            if name not in _ENDINGS:
                return
            content = json_object(fields(event)[1])
        else:
            # An event without a name first: its data tells what it is.
            content = json_object(fields(event)[1])
            name = b"" if content is None else str(content.get("type")).encode()
            if name.endswith(b".delta"):
                self._count(event)
        if content is not None and name in _ENDINGS:
            self._end(name, content)

    def _end(self, name: bytes, content: Json) -> None:
        if name == b"error":
            self.failed = event_failure(content)
            return
        response = content.get("response")
        usage = decode_usage(response.get("usage")) if isinstance(response, dict) else None
        if usage is not None:
            self.usage = usage
            self.produced_tokens = usage.output_tokens
        if name in (b"response.completed", b"response.incomplete"):
            self.finished = True
        else:
            self.failed = response_failure(response)

    def _count(self, event: bytes) -> None:
        at = event.find(_DELTA_KEY)
        if at < 0:
            return
        start = at + len(_DELTA_KEY)
        if event.startswith(b" ", start):
            start += 1
        if event.startswith(b'"', start):
            length = string_length(event, start)
            if length > 0:
                self.produced_tokens += delta_tokens(length)

    def _overflowed(self) -> bytes:
        self.failed = UpstreamError("The provider sent an event that is too long; the answer was cut off.")
        return stream_error(self.failed)
