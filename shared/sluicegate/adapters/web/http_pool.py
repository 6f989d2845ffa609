"""The connections to one origin: reused last in first out, bounded, waited for in order."""

import asyncio
import ssl
from collections import deque
from collections.abc import Callable

from sluicegate.adapters.web.http_connection import HttpConnection, StaleConnectionError
from sluicegate.adapters.web.http_limits import ClientLimits
from sluicegate.adapters.web.http_reply import HttpReply
from sluicegate.adapters.web.http_url import Url
from sluicegate.completions.types import UpstreamFailure


class OriginPool:
    """Connections to `url`'s origin, and the exchange of one request for one answer on them.

    `tls` gives the TLS context, on first use; it is not called for `http`.
    """

    def __init__(self, url: Url, limits: ClientLimits, tls: Callable[[], ssl.SSLContext]) -> None:
        self._url = url
        self._limits = limits
        self._tls = tls
        self._bound: asyncio.AbstractEventLoop | None = None
        self._all: set[HttpConnection] = set()
        self._idle: deque[HttpConnection] = deque()
        self._waiting: deque[asyncio.Future[HttpConnection | None]] = deque()
        self._connecting = 0
        self._closed = False

    async def exchange(
        self,
        request: bytes,
        body: bytes,
        *,
        head_only: bool = False,
        connect_s: float,
        first_byte_s: float,
        idle_s: float,
        total_s: float,
    ) -> HttpReply:
        """Send a request (its complete head, and its body) and wait for the answer's head.

        A reused connection that turns out to have been closed by the server is replaced once, without
        a word (see `ClientLimits.stale_s`).

        Raises:
            UpstreamFailure: there is no answer.
        """
        loop = self._bound or self._loop
        total_at = loop.time() + total_s
        connection = self._idle.pop() if self._idle else await self._obtain(min(connect_s, total_s))
        reused = connection.served > 0
        while True:
            reply = connection.start(
                request,
                body,
                head_only=head_only,
                first_byte_s=first_byte_s,
                idle_s=idle_s,
                total_at=total_at,
            )
            try:
                await reply.head()
            except StaleConnectionError:
                left = total_at - loop.time()
                if not reused or left <= 0:
                    raise
            else:
                return reply
            # Fresh by preference: what else lies idle was probably closed by the same restart.
            connection = await self._obtain(min(connect_s, left))
            reused = False

    def release(self, connection: HttpConnection) -> None:
        """Take back a clean connection (`http_connection.ConnectionOwner`)."""
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        if self._closed:
            connection.shut()
            return
        self._idle.append(connection)
        if len(self._idle) > self._limits.idle_connections:
            self._idle[0].shut()

    def forget(self, connection: HttpConnection) -> None:
        """Strike out a connection that is gone (`http_connection.ConnectionOwner`)."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)
        self._permit_next()

    def close(self) -> None:
        """Close every connection; whoever uses or awaits one gets an UpstreamFailure."""
        self._closed = True
        for connection in list(self._all):
            connection.shut()
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_exception(_closed())

    @property
    def open_connections(self) -> int:
        """Connections open or being opened."""
        return len(self._all) + self._connecting

    @property
    def idle_connections(self) -> int:
        """Connections open and unused."""
        return len(self._idle)

    @property
    def _loop(self) -> asyncio.AbstractEventLoop:
        """The loop of the first call; a pool serves no other."""
        if self._bound is None:
            self._bound = asyncio.get_running_loop()
        return self._bound

    async def _obtain(self, connect_s: float) -> HttpConnection:
        """A connection for one request: a new one, or, where no more may be opened, the next one free."""
        deadline = self._loop.time() + connect_s
        while not self._closed:
            if self.open_connections < self._limits.connections:
                self._connecting += 1
                return await self._connect(deadline)
            connection = await self._queue(deadline)
            if connection is None:
                return await self._connect(deadline)
            if connection.usable:
                return connection
        raise _closed()

    async def _queue(self, deadline: float) -> HttpConnection | None:
        """Wait for a connection, or (None) for leave to open one, which counts as connecting already."""
        waiter: asyncio.Future[HttpConnection | None] = self._loop.create_future()
        self._waiting.append(waiter)
        try:
            async with asyncio.timeout_at(deadline):
                return await waiter
        except BaseException as error:
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._return(waiter.result())
            elif waiter in self._waiting:
                self._waiting.remove(waiter)
            if isinstance(error, TimeoutError):
                reason = f"all {self._limits.connections} connections are in use"
                raise UpstreamFailure("connect", reason, sent=False, timeout=True) from None
            raise

    def _return(self, granted: HttpConnection | None) -> None:
        if granted is None:
            self._connecting -= 1
            self._permit_next()
        else:
            self.release(granted)

    def _permit_next(self) -> None:
        while self._waiting and self.open_connections < self._limits.connections:
            waiter = self._waiting.popleft()
            if not waiter.done():
                self._connecting += 1
                waiter.set_result(None)

    async def _connect(self, deadline: float) -> HttpConnection:
        """Open a connection in a place that `_connecting` counts already."""
        url = self._url
        try:
            context = self._tls() if url.scheme == "https" else None
            async with asyncio.timeout_at(deadline):
                _, connection = await self._loop.create_connection(
                    lambda: HttpConnection(self._loop, self, self._limits), url.host, url.port, ssl=context
                )
            if connection.usable:
                self._all.add(connection)
        except (OSError, ssl.CertificateError) as error:
            raise self._refused(_why(error), timeout=isinstance(error, TimeoutError)) from None
        finally:
            self._connecting -= 1
            self._permit_next()
        if self._closed:
            connection.shut()
        if not connection.usable:
            raise self._refused("closed at once")
        return connection

    def _refused(self, reason: str, *, timeout: bool = False) -> UpstreamFailure:
        return UpstreamFailure(
            "connect", f"{self._url.host}:{self._url.port}: {reason}", sent=False, timeout=timeout
        )


def _why(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the certificate is not accepted: {error.verify_message}"
    if isinstance(error, TimeoutError):
        return "no connection in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__


def _closed() -> UpstreamFailure:
    return UpstreamFailure("connect", "the client is closed", sent=False)
