"""The scripted model as a provider in this process: real wire bytes, no network."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Mapping

from sluicegate.adapters.providers.scripted.engine import Performance, ScriptedEngine
from sluicegate.adapters.providers.scripted.production import Production
from sluicegate.adapters.providers.scripted.steps import After, Step
from sluicegate.completions.types import UpstreamCall, UpstreamFailure
from sluicegate.kernel.models import Dialect


class ScriptedProvider:
    """Runs scripts in-process. Keeps the deadlines of a call as a remote provider's client would.

    Args:
        unready: why it may not be used here, such as in production; None where it may.
    """

    kind = "scripted"
    dialects = (Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES, Dialect.OPENAI_EMBEDDINGS)

    def __init__(
        self, name: str = "scripted", engine: ScriptedEngine | None = None, *, unready: str | None = None
    ) -> None:
        self.name = name
        self._unready = unready
        self._engine = engine or ScriptedEngine()

    @property
    def production(self) -> Production:
        """What was really produced so far."""
        return self._engine.production

    def spoken(self, model: str) -> tuple[Dialect, ...]:  # noqa: ARG002 - every model speaks all of them
        """The dialects of `model`, the preferred one first."""
        return self.dialects

    def ready(self) -> str | None:
        return self._unready

    async def send(self, call: UpstreamCall) -> "ScriptedReply":
        """Begin an answer.

        Raises:
            UpstreamFailure: the directives delay the head beyond `first_byte_s` or `total_s`.
        """
        performance = self._engine.perform(call.dialect, call.body)
        deadline = asyncio.get_running_loop().time() + call.total_s
        reply = ScriptedReply(performance, call.idle_s, deadline)
        head_s = min(call.first_byte_s, call.total_s)
        if not call.stream:
            # A whole answer's head comes only when all of it is made.
            await reply.wait(performance.wait_s + reply.first_wait_s(), head_s, "head")
        else:
            await reply.wait(performance.wait_s, head_s, "head")
        if reply.stalls_at_once():
            await reply.wait(call.total_s + 1, head_s, "head")
        performance.begun()
        return reply

    async def count_tokens(self, call: UpstreamCall) -> "ScriptedReply":
        """Count a request's tokens (`completions.types.TokenCounter`)."""
        deadline = asyncio.get_running_loop().time() + call.total_s
        return ScriptedReply(self._engine.count(call.body), call.idle_s, deadline)

    async def check(self) -> None:
        """Always healthy."""

    async def close(self) -> None:
        """Holds nothing open."""


class ScriptedReply:
    """An answer under way. Tokens count as produced when their bytes are handed over."""

    def __init__(self, performance: Performance, idle_s: float, deadline: float) -> None:
        self.status = performance.status
        self.headers: Mapping[bytes, bytes] = dict(performance.headers)
        self._performance = performance
        self._idle_s = idle_s
        self._deadline = deadline
        self._steps: Iterator[Step] = performance.steps
        self._next = next(self._steps, None)
        self._first = True
        self._closed = False

    def first_wait_s(self) -> float:
        """The wait before the first bytes; it is taken over by the caller."""
        step = self._next
        if step is None or not step.wait_s:
            return 0.0
        self._next = step._replace(wait_s=0.0)
        return step.wait_s

    def stalls_at_once(self) -> bool:
        """Whether nothing at all will come."""
        return self._next is not None and self._next.after is After.STALL and not self._next.data

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            UpstreamFailure: it broke off, or stalled beyond the call's deadlines.
        """
        return b"".join([chunk async for chunk in self.chunks()])

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body piece by piece; raises as `read` does."""
        try:
            while self._next is not None and not self._closed:
                step = self._next
                if step.wait_s:
                    await self.wait(step.wait_s, self._idle_s, "body")
                elif not self._first:
                    # Others get a turn between two pieces, as they would with a real network.
                    await asyncio.sleep(0)
                self._first = False
                if self._closed:
                    return
                if step.after is After.NEXT:
                    self._next = next(self._steps, None)
                if step.data:
                    self._performance.wrote(step.tokens)
                    yield step.data
                if step.after is After.CUT:
                    raise UpstreamFailure("body", "the connection broke off", sent=True)
                if step.after is After.STALL:
                    await self.wait(self._idle_s + 1, self._idle_s, "body")
        finally:
            self._end(complete=self._next is None)

    async def wait(self, seconds: float, limit_s: float, phase: str) -> None:
        """Sleep `seconds`, or fail after `limit_s` or at the call's deadline."""
        left = min(limit_s, self._deadline - asyncio.get_running_loop().time())
        if seconds <= left:
            if seconds:
                await asyncio.sleep(seconds)
            return
        await asyncio.sleep(max(0.0, left))
        raise UpstreamFailure(phase, f"nothing came for {max(0.0, left):g} s", sent=True, timeout=True)

    async def cancel(self, linger_s: float) -> bytes:  # noqa: ARG002 - nothing is on its way here
        """Stop. What was not handed over was never produced, so nothing is left to read."""
        self.close()
        return b""

    def close(self) -> None:
        self._closed = True
        self._end(complete=self._next is None)

    def _end(self, *, complete: bool) -> None:
        self._performance.ended(complete=complete)
