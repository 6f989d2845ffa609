"""From canonical stream events to Anthropic's stream."""

from collections import deque
from dataclasses import dataclass, field

import orjson

from sluicegate.completions.anthropic.encode import STOP_REASONS, safe_id
from sluicegate.completions.anthropic.usage import encode_usage
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
from sluicegate.completions.sse import named_event
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Usage


@dataclass(slots=True)
class _Block:
    """A content block under way. `call` is the tool call's number, None for other kinds."""

    opening: Json
    call: int | None = None
    waiting: list[Json] = field(default_factory=list)
    arguments: str = ""

    def complete(self) -> bool:
        """Whether nothing can follow: text ends when something else begins, a call with its JSON."""
        if self.call is None:
            return True
        try:
            orjson.loads(self.arguments)
        except orjson.JSONDecodeError:
            return False
        return True


class MessageStreamEncoder:
    """Writes one message's stream.

    Blocks of this dialect come one after the other, the deltas of several calls elsewhere may take
    turns: those of a later block wait until the one before is complete.
    """

    def __init__(self, model: str) -> None:
        self._model = model
        self._blocks: deque[_Block] = deque()
        self._index = 0
        self._usage = Usage()
        self._stopped = Stopped(Stop.END)

    def encode(self, event: StreamEvent) -> bytes:
        """The bytes that tell the client of `event`; empty if there is nothing to tell yet."""
        match event:
            case TextDelta() | RefusalDelta():
                return self._add("text", {"type": "text_delta", "text": event.text})
            case CallDelta():
                return self._arguments(event)
            case ThinkingDelta():
                return self._add("thinking", {"type": "thinking_delta", "thinking": event.text})
            case ThinkingSigned():
                return self._add("thinking", {"type": "signature_delta", "signature": event.signature})
            case RedactedThinking():
                return self._begin(_Block({"type": "redacted_thinking", "data": event.data}))
            case CallStarted():
                opening: Json = {"type": "tool_use", "id": safe_id(event.id), "name": event.name, "input": {}}
                return self._begin(_Block(opening, event.index))
            case Started():
                return self._start(event)
            case UsageSaid():
                self._usage = event.usage
                return b""
            case Stopped():
                self._stopped = event
                return self._close()
            case Finished():
                return self._finish()

    def _start(self, event: Started) -> bytes:
        message: Json = {
            "id": event.id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": {"input_tokens": 0, "output_tokens": 0},
        }
        return named_event("message_start", {"type": "message_start", "message": message})

    def _add(self, kind: str, delta: Json) -> bytes:
        """A delta to the last block, if that is of `kind`, else to a new one."""
        if self._blocks and self._blocks[-1].opening["type"] == kind:
            return self._give(self._blocks[-1], delta)
        empty: Json = {"type": "text", "text": ""}
        if kind == "thinking":
            empty = {"type": "thinking", "thinking": "", "signature": ""}
        block = _Block(empty)
        return self._begin(block) + self._give(block, delta)

    def _arguments(self, event: CallDelta) -> bytes:
        block = next((block for block in self._blocks if block.call == event.index), None)
        if block is None:
            return b""  # the call was complete, so this can only be white space
        block.arguments += event.arguments
        out = self._give(block, {"type": "input_json_delta", "partial_json": event.arguments})
        return out + self._advance() if block is self._blocks[0] else out

    def _give(self, block: _Block, delta: Json) -> bytes:
        if block is not self._blocks[0]:
            block.waiting.append(delta)
            return b""
        content = {"type": "content_block_delta", "index": self._index, "delta": delta}
        return named_event("content_block_delta", content)

    def _begin(self, block: _Block) -> bytes:
        self._blocks.append(block)
        return self._open() if len(self._blocks) == 1 else self._advance()

    def _open(self) -> bytes:
        block = self._blocks[0]
        start = {"type": "content_block_start", "index": self._index, "content_block": block.opening}
        return named_event("content_block_start", start) + b"".join(
            self._give(block, delta) for delta in block.waiting
        )

    def _advance(self) -> bytes:
        """Go on to the next block as long as there is one and the first is complete."""
        out = b""
        while len(self._blocks) > 1 and self._blocks[0].complete():
            out += self._end() + self._open()
        return out

    def _end(self) -> bytes:
        self._blocks.popleft()
        stop = {"type": "content_block_stop", "index": self._index}
        self._index += 1
        return named_event("content_block_stop", stop)

    def _close(self) -> bytes:
        """End all blocks, complete or not: nothing more will come."""
        out = b""
        while self._blocks:
            out += self._end()
            if self._blocks:
                out += self._open()
        return out

    def _finish(self) -> bytes:
        usage = encode_usage(self._usage)
        del usage["cache_creation"]  # said at a message's start only, and known at its end
        delta = {
            "stop_reason": STOP_REASONS[self._stopped.stop],
            "stop_sequence": self._stopped.stop_sequence,
        }
        ending = {"type": "message_delta", "delta": delta, "usage": usage}
        return (
            self._close()
            + named_event("message_delta", ending)
            + named_event("message_stop", {"type": "message_stop"})
        )
