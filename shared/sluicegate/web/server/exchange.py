"""One request on one of this server's connections, and its answer."""

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from sluicegate.kernel.errors import PayloadTooLargeError
from sluicegate.web.exchange import ClientGoneError, Headers
from sluicegate.web.server.heads import declared_length, header_lines

if TYPE_CHECKING:
    from sluicegate.web.server.connection import Connection

NEW: Final = 0
STARTED: Final = 1
FINISHED: Final = 2

# From this size on a piece is handed to the kernel as it is rather than copied behind its head.
_COPY_BELOW = 65_536
_FLUSH_FROM = 16_384
_NEVER = 1 << 62


class ServerExchange:
    """An `Exchange`, and `read` and `disconnected` for those who stream the request too."""

    __slots__ = (
        "_chunked",
        "_connection",
        "_expects_continue",
        "_failure",
        "_gone",
        "_index",
        "_left",
        "_pending",
        "_pieces",
        "_reader",
        "_tell",
        "_wake_at",
        "cancel_when_gone",
        "client",
        "complete",
        "headers",
        "keep_alive",
        "length",
        "method",
        "minor",
        "path",
        "query",
        "received",
        "state",
        "task",
        "unread",
    )

    def __init__(
        self, connection: "Connection", method: str, path: str, query: bytes, headers: Headers, *, minor: int
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        self.client = connection.client
        self.cancel_when_gone = True
        self.minor = minor
        self.length: int | None = 0
        self.keep_alive = True
        self.complete = False
        self.received = 0
        self.unread = 0
        self.state = NEW
        self.task: asyncio.Task[None] | None = None
        self._connection = connection
        self._pieces: list[bytes] = []
        self._index: dict[bytes, bytes] | None = None
        self._reader: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._failure: Exception | None = None
        self._tell: Callable[[], None] | None = None
        self._wake_at = _NEVER
        self._expects_continue = False
        self._chunked = False
        self._left: int | None = None
        self._pending = b""

    # The request.

    def header(self, name: bytes) -> bytes | None:
        index = self._index
        if index is None:
            index = self._index = dict(reversed(self.headers))
        return index.get(name)

    def when_gone(self, tell: Callable[[], None]) -> None:
        """As `Exchange.when_gone`."""
        self.cancel_when_gone = False
        if self._connection.lost:
            tell()
        else:
            self._tell = tell

    async def body(self, limit: int) -> bytes:
        """The whole body; asked for again, the same again.

        Raises:
            PayloadTooLargeError: more than `limit` bytes, declared or sent.
            RequestTimeoutError: it did not arrive in time.
            InvalidRequestError: its chunks are malformed.
        """
        if self.length is not None and self.length > limit:
            raise _too_large(limit)
        while not self.complete and self.received <= limit:
            await self._more(limit)
        if self.received > limit:
            raise _too_large(limit)
        if len(self._pieces) != 1:
            self._pieces = [b"".join(self._pieces)]
        self.unread = 0
        return self._pieces[0]

    async def read(self) -> bytes:
        """The next piece of the body as it arrives, b"" at its end. Errors as `body`, without a limit."""
        while not self._pieces and not self.complete:
            await self._more(self.received)
        piece = b"".join(self._pieces)
        self._pieces.clear()
        self.unread = 0
        return piece

    async def disconnected(self) -> None:
        """Wait until the client has gone or the answer is out."""
        if not self._connection.lost and self.state != FINISHED:
            self._gone = self._connection.loop.create_future()
            await self._gone

    @property
    def greedy(self) -> bool:
        """Whether somebody waits for more of the body."""
        return self._reader is not None

    async def _more(self, enough: int) -> None:
        """Wait until more than `enough` bytes have come in all, or the end, or a failure."""
        if self._failure is not None:
            raise self._failure
        if self._connection.lost:
            raise ClientGoneError("the client has gone")
        if self._expects_continue:
            self._expects_continue = False
            if self.state == NEW:
                self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._wake_at = enough
        self._reader = self._connection.loop.create_future()
        try:
            self._connection.resume_reading()
            await self._reader
        finally:
            self._reader = None
            self._wake_at = _NEVER
        # Set while this task was waiting, which a type checker cannot see.
        failure: Exception | None = self._failure
        if failure is not None:
            raise failure

    # What the connection tells.

    @property
    def awaits_leave(self) -> bool:
        """Whether the client waits for leave to send its body, and nobody has asked for it yet."""
        return self._expects_continue

    def expect_continue(self) -> None:
        """The client waits for leave to send its body."""
        self._expects_continue = True

    def take(self, piece: bytes) -> None:
        """A piece of the body has come."""
        self._expects_continue = False
        self._pieces.append(piece)
        size = len(piece)
        self.received += size
        self.unread += size
        if self.received > self._wake_at:
            self._wake()

    def end(self) -> None:
        """The body is whole."""
        self.complete = True
        if self._reader is not None:
            self._wake()

    def fail(self, failure: Exception) -> None:
        """The rest of the body will never come."""
        self._failure = failure
        self._wake()

    def vanish(self) -> None:
        """The client has gone: cancel the handler, unless its answer is already out or it goes on anyway."""
        if self.state != FINISHED:
            if self.cancel_when_gone and self.task is not None:
                self.task.cancel()
            if self._tell is not None:
                self._tell()
        if self._failure is None and not self.complete:
            self.fail(ClientGoneError("the client has gone"))
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)

    def _wake(self) -> None:
        if self._reader is not None and not self._reader.done():
            self._reader.set_result(None)

    # The answer.

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        self.answer(status, headers, body)

    def answer(self, status: int, headers: Headers, body: bytes) -> None:
        """`respond`, which never waits: a slow client is waited for before its next request."""
        if self._begin_in_vain():
            self.state = FINISHED
            return
        length = len(body)
        if self.method == "HEAD":
            length = length or declared_length(headers) or 0
            body = b""
        framing = b"content-length: %d\r\n" % length
        if status in {204, 304}:
            framing = body = b""
        head = self._head_of(status, headers, framing)
        if len(body) < _COPY_BELOW:
            self._connection.transport.write(head + body)
        else:
            self._connection.transport.writelines((head, body))
        self._finished()

    async def start(self, status: int, headers: Headers) -> None:
        """Begin an answer whose body follows by `write`.

        Chunked on HTTP/1.1, ended by the connection's end on HTTP/1.0; where `headers` declare a
        content-length, that many bytes have to follow.
        """
        if self._begin_in_vain():
            self.state = STARTED
            return
        if self.method == "HEAD" or status in {204, 304}:
            length = declared_length(headers)
            framing = b"" if length is None or status == 204 else b"content-length: %d\r\n" % length
            self._left = 0
        else:
            self._left = declared_length(headers)
            if self._left is not None:
                framing = b"content-length: %d\r\n" % self._left
            elif self.minor:
                self._chunked = True
                framing = b"transfer-encoding: chunked\r\n"
            else:
                self.keep_alive = False
                framing = b""
        # The head waits for the first piece of the body, but not beyond this turn of the event loop.
        self._hold(self._head_of(status, headers, framing))
        self.state = STARTED

    async def write(self, chunk: bytes) -> None:
        """Send one piece of the body. Waits while the client is slower than we are.

        Raises:
            ClientGoneError: the client has gone.
            ValueError: more than the declared content-length.
        """
        if self.state != STARTED:
            raise RuntimeError("write comes after start and before finish")
        connection = self._connection
        if connection.lost:
            raise ClientGoneError("the client has gone")
        if not chunk or self.method == "HEAD":
            return
        size = len(chunk)
        if self._left is not None:
            if size > self._left:
                raise ValueError("the body is longer than its content-length")
            self._left -= size
        if size < _FLUSH_FROM:
            self._hold(b"%x\r\n%b\r\n" % (size, chunk) if self._chunked else chunk)
        else:
            pending, self._pending = self._pending, b""
            if self._chunked:
                connection.transport.writelines((b"%b%x\r\n" % (pending, size), chunk, b"\r\n"))
            else:
                connection.transport.writelines((pending, chunk))
        if connection.write_paused:
            await connection.writable()

    async def finish(self) -> None:
        """End a body begun with `start`; a second time, nothing.

        Raises:
            ValueError: less than the declared content-length.
        """
        if self.state == FINISHED:
            return
        if self.state == NEW:
            raise RuntimeError("finish comes after start")
        if self._connection.lost:
            self.state = FINISHED
            return
        if self._left:
            raise ValueError("the body is shorter than its content-length")
        tail = self._pending + b"0\r\n\r\n" if self._chunked else self._pending
        self._pending = b""
        if tail:
            self._connection.transport.write(tail)
        self._finished()

    def probe(self) -> bytes:
        """Bytes that mean nothing to a client that is there and draw a reset from one that is not.

        Before the answer an interim response (RFC 9110, section 15.2); within a chunked one a leading
        zero of the next chunk's size (RFC 9112, section 7.1). Empty where there is no such thing.
        """
        if self.state == NEW:
            return b"HTTP/1.1 102 Processing\r\n\r\n" if self.minor else b""
        return b"0" if self._chunked and not self._pending else b""

    def _finished(self) -> None:
        self.state = FINISHED
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        self._connection.answered(self)

    def _begin_in_vain(self) -> bool:
        """Whether the answer that begins now has nobody to go to."""
        if self.state != NEW:
            raise RuntimeError("a request is answered once")
        return self._connection.lost

    def _head_of(self, status: int, headers: Headers, framing: bytes) -> bytes:
        if not (self.keep_alive and self.complete) or self._connection.server.draining:
            self.keep_alive = False
            framing += b"connection: close\r\n"
        elif not self.minor:
            framing += b"connection: keep-alive\r\n"
        line = self._connection.server.status_lines.line(status)
        return b"%b%b%b\r\n" % (line, header_lines(headers), framing)

    def _hold(self, data: bytes) -> None:
        """Send `data` with what else comes in this turn of the event loop: one system call for a burst."""
        if not self._pending:
            self._connection.loop.call_soon(self._flush)
        self._pending += data
        if len(self._pending) >= _FLUSH_FROM:
            self._flush()

    def _flush(self) -> None:
        pending, self._pending = self._pending, b""
        if pending and not self._connection.lost:
            self._connection.transport.write(pending)


def _too_large(limit: int) -> PayloadTooLargeError:
    facts: dict[str, Any] = {"limit_bytes": limit}
    return PayloadTooLargeError(f"The request body is larger than {limit} bytes.", details=facts)
