"""Watching an Anthropic message stream go by."""

from sluicegate.completions.anthropic.errors import stream_error
from sluicegate.completions.anthropic.usage import RunningUsage
from sluicegate.completions.bounds import delta_tokens
from sluicegate.completions.provider_errors import may_pass, stream_failure
from sluicegate.completions.sse import EventSplitter, fields, is_text, json_object, string_length
from sluicegate.completions.types import RequestFacts
from sluicegate.kernel.errors import SluicegateError, UpstreamError
from sluicegate.kernel.models import Usage

_DELTA = b"event: content_block_delta\n"
# In JSON text a quote inside a string is escaped, so `"text":` can only be a key.
_TEXT_KEYS = (b'"text":', b'"partial_json":', b'"thinking":')


class MessageMeter:
    """The `StreamMeter` of Anthropic messages.

    Deltas are looked at as bytes; only the few events with figures are parsed. `usage` is known from
    the first event on: until the last one its output is the running count, its input is exact. A
    provider's error event is forwarded as it came, unless it tells of the gateway's account.
    """

    __slots__ = ("_events", "_figures", "_said", "failed", "finished", "produced_tokens", "usage")

    def __init__(self, facts: RequestFacts) -> None:  # noqa: ARG002 - every codec's meter takes the facts
        self.produced_tokens = 0
        self.usage: Usage | None = None
        self.finished = False
        self.failed: SluicegateError | None = None
        self._figures = RunningUsage()
        self._said = False
        self._events = EventSplitter()

    def feed(self, data: bytes) -> bytes:
        if self.finished or self.failed is not None:
            return b""
        done = self._events.feed(data)
        if not done:
            return self._overflowed() if self._events.overflow else b""
        for event in done.split(b"\n\n"):
            if not is_text(event):
                self.failed = UpstreamError("The provider sent bytes that are no text; the answer was cut.")
                done = done[: done.index(event)] + stream_error(self.failed, None)
                break
            if event.startswith(_DELTA):
                self._count(event)
            elif event:
                self._note(event)
                if self.finished or self.failed is not None:
                    # Nothing belongs after the last event; an event appears once, as it is the last.
                    if self.failed is not None and not may_pass(event, self.failed):
                        done = done[: done.index(event)] + stream_error(self.failed, None)
                    else:
                        done = done[: done.index(event) + len(event)] + b"\n\n"
                    break
        if self.usage is not None and not self._said:
            self.usage.output_tokens = self.produced_tokens
        return done

    def close(self) -> bytes:
        """The last event, if the provider left out only the blank line after it."""
        rest = self._events.rest()
        if not rest or json_object(fields(rest)[1]) is None:
            return b""
        return self.feed(rest + b"\n\n")

    def _count(self, event: bytes) -> None:
        for key in _TEXT_KEYS:
            at = event.find(key)
            if at < 0:
                continue
            start = at + len(key)
            if event.startswith(b" ", start):
                start += 1
            length = string_length(event, start)
            if length > 0:
                self.produced_tokens += delta_tokens(length)
            return

    def _note(self, event: bytes) -> None:
        name, data = fields(event)
        if name in (b"ping", b"content_block_start", b"content_block_stop"):
            return
        content = json_object(data)
        if content is None:
            return
        kind = content.get("type")
        if kind == "content_block_delta":
            self._count(event)
        elif kind == "message_start":
            message = content.get("message")
            self.usage = self._figures.add(message.get("usage") if isinstance(message, dict) else None)
        elif kind == "message_delta":
            self.usage = self._figures.add(content.get("usage"))
            if self.usage is not None and type(content.get("usage")) is dict:
                self.produced_tokens = self.usage.output_tokens
                self._said = True
        elif kind == "message_stop":
            self.finished = True
        elif kind == "error" or name == b"error":
            self.failed = stream_failure(content)

    def _overflowed(self) -> bytes:
        self.failed = UpstreamError("The provider sent an event that is too long; the answer was cut off.")
        return stream_error(self.failed, None)
