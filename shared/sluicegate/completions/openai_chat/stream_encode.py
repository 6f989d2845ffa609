"""From canonical stream events to OpenAI chat's chunks."""

from sluicegate.completions.canonical import Stop, Thinking
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
from sluicegate.completions.openai_chat.encode import FINISH_REASONS, thinking_block
from sluicegate.completions.openai_chat.replay import DONE_EVENT
from sluicegate.completions.openai_chat.usage import encode_usage
from sluicegate.completions.sse import data_event
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Usage


class ChatStreamEncoder:
    """Writes a stream of one choice.

    Args:
        model: the name the client asked for.
        created: epoch seconds.
        include_usage: whether the client asked for usage.
    """

    def __init__(self, model: str, created: int, *, include_usage: bool) -> None:
        self._head: Json = {"id": "", "object": "chat.completion.chunk", "created": created, "model": model}
        if include_usage:
            self._head["usage"] = None
        self._include_usage = include_usage
        self._usage: Usage | None = None
        self._thought = ""
        self._thoughts = 0
        self._without_arguments: set[int] = set()
        self._stopped = False

    def encode(self, event: StreamEvent) -> bytes:
        """The bytes that tell the client of `event`; empty if there is nothing to tell yet."""
        match event:
            case TextDelta():
                return self._chunk({"content": event.text})
            case CallDelta():
                self._without_arguments.discard(event.index)
                return self._call(event.index, {"function": {"arguments": event.arguments}})
            case ThinkingDelta():
                self._thought += event.text
                return self._chunk({"reasoning_content": event.text})
            case Started():
                self._head["id"] = event.id
                return self._chunk({"role": "assistant", "content": ""})
            case CallStarted():
                self._without_arguments.add(event.index)
                function = {"name": event.name, "arguments": ""}
                return self._call(event.index, {"id": event.id, "type": "function", "function": function})
            case ThinkingSigned():
                thought, self._thought = Thinking(self._thought, event.signature), ""
                return self._proof(thought)
            case RedactedThinking():
                return self._proof(Thinking(redacted=event.data))
            case RefusalDelta():
                return self._chunk({"refusal": event.text})
            case UsageSaid():
                self._usage = event.usage
                return b""
            case Stopped():
                return self._stop(event.stop)
            case Finished():
                return self._finish()

    def _chunk(self, delta: Json, finish: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return data_event({**self._head, "choices": [choice]})

    def _call(self, index: int, content: Json) -> bytes:
        return self._chunk({"tool_calls": [{"index": index, **content}]})

    def _proof(self, thought: Thinking) -> bytes:
        index = self._thoughts
        self._thoughts += 1
        return self._chunk({"thinking_blocks": [{"index": index, **thinking_block(thought)}]})

    def _stop(self, stop: Stop) -> bytes:
        self._stopped = True
        # A call without arguments said nothing; its arguments are to be JSON nevertheless.
        empty = [
            self._call(index, {"function": {"arguments": "{}"}}) for index in sorted(self._without_arguments)
        ]
        return b"".join(empty) + self._chunk({}, FINISH_REASONS[stop])

    def _finish(self) -> bytes:
        out = b"" if self._stopped else self._stop(Stop.END)
        if self._include_usage and self._usage is not None:
            out += data_event({**self._head, "choices": [], "usage": encode_usage(self._usage)})
        return out + DONE_EVENT
