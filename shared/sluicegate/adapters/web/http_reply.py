"""An upstream's answer: its head, and its body as it arrives."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Protocol, Self

from sluicegate.adapters.web.http_limits import ClientLimits
from sluicegate.completions.types import UpstreamFailure


class Source(Protocol):
    """The connection that an answer comes from, as far as the answer may steer it."""

    def resume(self) -> None:
        """Read on; a no-op unless reading was stopped."""
        ...

    def linger(self, seconds: float) -> None:
        """Tell the server that no more is wanted, and read on for at most `seconds`."""
        ...

    def abandon(self) -> None:
        """Drop the connection and whatever is still to come."""
        ...


class HttpReply:
    """An answer whose head has been read. Implements `completions.types.UpstreamReply`.

    A cancelled `read` or step of `chunks` leaves the answer open, so that its owner may still `cancel`
    it and learn what was produced; the total deadline ends it in any case.
    """

    __slots__ = (
        "_collecting",
        "_ended",
        "_failure",
        "_limit",
        "_loop",
        "_pieces",
        "_room",
        "_size",
        "_source",
        "_waiter",
        "headers",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, source: Source, limits: ClientLimits) -> None:
        self.status = 0
        self.headers: Mapping[bytes, bytes] = {}
        self._loop = loop
        self._source: Source | None = source
        self._limit = limits.body
        self._room = limits.stream_buffer
        self._pieces: list[bytes] = []
        self._size = 0
        self._collecting = False
        self._ended = False
        self._failure: UpstreamFailure | None = None
        self._waiter: asyncio.Future[None] | None = None

    # The connection's side

    def begin(self, status: int, headers: Mapping[bytes, bytes]) -> None:
        """Take the head."""
        self.status = status
        self.headers = headers

    def feed(self, data: bytes) -> None:
        """Take a piece of the body."""
        self._pieces.append(data)
        self._size += len(data)

    def flush(self) -> bool:
        """Wake the reader if it has something to do. True: it is behind, stop reading for now."""
        if not self._collecting:
            self._wake()
            return self._size > self._room
        if self._size > self._limit:
            self._wake()
            return True
        return False

    def end(self, failure: UpstreamFailure | None) -> None:
        """No more will come: the body is whole, or broke off for the reason given."""
        self._ended = True
        self._failure = failure
        self._source = None
        self._wake()

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    # The reader's side

    async def head(self) -> None:
        """Wait for the head. Cancelled or failed, the connection is gone and nothing need be closed."""
        try:
            while not self.status:
                if self._failure is not None:
                    raise self._failure
                await self._wait()
        except asyncio.CancelledError:
            self.close()
            raise

    async def read(self) -> bytes:
        """The whole body.

        Raises:
            UpstreamFailure: it broke off, ran into a deadline, or is larger than the limit.
        """
        if not self._ended:
            await self._collect()
        if not self._ended or self._size > self._limit:
            self.close()
            raise UpstreamFailure("body", f"the answer is larger than {self._limit} bytes", sent=True)
        if self._failure is not None:
            raise self._failure
        return self._take()

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives, in pieces of any size, never empty.

        Raises, from a step: UpstreamFailure, after everything that did arrive has been given out.
        """
        return self

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        while not self._size:
            if self._ended:
                if self._failure is not None:
                    raise self._failure
                raise StopAsyncIteration
            await self._wait()
        data = self._take()
        if self._source is not None:
            self._source.resume()
        return data

    async def cancel(self, linger_s: float) -> bytes:
        """Stop a body under way and return what had been produced but not yet read.

        The sending side of a plain connection is closed at once, so that a server that watches for it
        stops; then reading goes on until the server ends the answer, `linger_s` seconds pass, or the
        limit on a body is reached. TLS has no such half-close: there it only lingers. Never raises
        for what the server does meanwhile.
        """
        source = self._source
        try:
            if source is not None and linger_s > 0:
                source.linger(linger_s)
                await self._collect()
        finally:
            self.close()
        return self._take()

    def close(self) -> None:
        """Let go of the answer. One that is still under way takes its connection with it."""
        source, self._source = self._source, None
        if source is not None:
            source.abandon()
            self._ended = True
            if self._failure is None:
                self._failure = UpstreamFailure("body", "the answer was closed before its end", sent=True)
            self._wake()

    async def _collect(self) -> None:
        self._collecting = True
        too_large = int(self.headers.get(b"content-length", 0)) > self._limit
        if self._source is not None:
            self._source.resume()
        while not (self._ended or too_large or self._size > self._limit):
            await self._wait()

    def _take(self) -> bytes:
        pieces = self._pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._pieces = []
        self._size = 0
        return data
