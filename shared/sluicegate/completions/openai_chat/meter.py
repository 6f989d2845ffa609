"""Watching an OpenAI chat stream go by."""

import orjson

from sluicegate.completions.bounds import delta_tokens
from sluicegate.completions.openai_chat.errors import stream_error
from sluicegate.completions.openai_chat.usage import decode_usage
from sluicegate.completions.provider_errors import may_pass, stream_failure
from sluicegate.completions.sse import EventSplitter, fields, is_text, json_object, string_length
from sluicegate.completions.types import RequestFacts
from sluicegate.kernel.errors import SluicegateError, UpstreamError
from sluicegate.kernel.models import Usage

_DONE = b"[DONE]"
# In JSON text a quote inside a string is escaped, so `"content":` can only be a key.
_TEXT_KEYS = (b'"content":', b'"arguments":', b'"reasoning_content":', b'"reasoning":', b'"refusal":')


class ChatMeter:
    """The `StreamMeter` of OpenAI chat.

    Chunks are looked at as bytes; only those with usage figures or an error in them are parsed. The
    chunk that has nothing but usage is kept back from a client that did not ask for it, since the
    gateway asked for it; likewise figures in every chunk. A provider's error event is forwarded as it came,
    unless it tells of the gateway's account.
    """

    __slots__ = (
        "_bare", "_events", "_garbled", "_hide", "_include_usage", "_several",
        "failed", "finished", "produced_tokens", "usage",
    )  # fmt: skip

    def __init__(self, facts: RequestFacts) -> None:
        self.produced_tokens = 0
        self.usage: Usage | None = None
        self.finished = False
        self.failed: SluicegateError | None = None
        self._include_usage = facts.include_usage
        self._hide = facts.hide_running_usage
        self._bare = b""
        self._several = facts.choices > 1
        self._events = EventSplitter()
        self._garbled = b""

    def feed(self, data: bytes) -> bytes:
        if self.finished or self.failed is not None:
            return b""
        done = self._events.feed(data)
        if not done:
            return self._overflowed() if self._events.overflow else b""
        if done.find(b"\n\n") == len(done) - 2:  # one event to a read is by far the most frequent
            return (self._bare or done) if self._forwards(done) else self._garbled
        events = done.split(b"\n\n")
        kept = [(event and self._bare) or event for event in events if not event or self._forwards(event)]
        if len(kept) == len(events) and not self._hide:
            return done
        return b"\n\n".join(kept) + self._garbled

    def close(self) -> bytes:
        """The last event, if the provider left out only the blank line after it."""
        rest = self._events.rest()
        if not rest or self.finished or self.failed is not None:
            return b""
        data = fields(rest)[1]
        if data.strip() != _DONE and json_object(data) is None:
            return b""
        return rest + b"\n\n" if self._forwards(rest) else b""

    def _forwards(self, event: bytes) -> bool:
        """Take note of one event; whether the client gets it, as `_bare` where that is not empty."""
        self._bare = b""
        if self.finished or self.failed is not None:
            return False
        if not is_text(event):
            self.failed = UpstreamError("The provider sent bytes that are no text; the answer was cut.")
            self._garbled = stream_error(self.failed)
            return False
        for key in _TEXT_KEYS:
            at = event.find(key)
            if at >= 0 and self._count(event, key, at):
                break
        else:
            if _DONE in event and fields(event)[1].strip() == _DONE:
                self.finished = True
                return True
        if b'"error"' in event:
            answer = json_object(fields(event)[1])
            if answer is not None and answer.get("error"):
                self.failed = stream_failure(answer)
                if may_pass(event, self.failed):
                    return True
                self._garbled = stream_error(self.failed)
                return False
        at = event.find(b'"usage"')
        if at >= 0 and not event.startswith((b":null", b": null"), at + 7):
            return self._figures(event)
        return True

    def _count(self, event: bytes, key: bytes, at: int) -> bool:
        """Count the text after `key` at `at`, and with several choices after every further `key`."""
        counted = False
        while at >= 0:
            start = at + len(key)
            if event.startswith(b" ", start):
                start += 1
            if event.startswith(b'"', start):
                length = string_length(event, start)
                if length > 0:
                    self.produced_tokens += delta_tokens(length)
                    if not self._several:
                        return True
                    counted = True
            at = event.find(key, start)
        return counted

    def _figures(self, event: bytes) -> bool:
        chunk = json_object(fields(event)[1])
        if chunk is None:
            return True
        usage = decode_usage(chunk.get("usage"))
        if usage is None:
            return True
        self.usage = usage
        self.produced_tokens = usage.output_tokens
        if self._hide and chunk.get("choices"):
            del chunk["usage"]
            self._bare = b"data: " + orjson.dumps(chunk) + event[len(event.rstrip(b"\n")) :]
            return True
        return self._include_usage or bool(chunk.get("choices"))

    def _overflowed(self) -> bytes:
        self.failed = UpstreamError("The provider sent an event that is too long; the answer was cut off.")
        return stream_error(self.failed)
