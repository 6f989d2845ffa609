"""The handlers under any other ASGI server: uvicorn, functions-framework."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from sluicegate.kernel.errors import PayloadTooLargeError, RequestTimeoutError
from sluicegate.web.exchange import ClientGoneError, Headers
from sluicegate.web.server.heads import declared_length, header_lines
from sluicegate.web.server.limits import ServerLimits
from sluicegate.web.server.mount import AsgiApp, Message, Receive, Scope, Send
from sluicegate.web.server.problems import PROBLEM_HEADERS, Handler, escaped

_log = logging.getLogger(__name__)

Hook = Callable[[], Awaitable[object]]

NEW: Final = 0
STARTED: Final = 1
FINISHED: Final = 2


def as_asgi(
    handler: Handler,
    *,
    on_startup: Sequence[Hook] = (),
    on_shutdown: Sequence[Hook] = (),
    limits: ServerLimits | None = None,
) -> AsgiApp:
    """An ASGI 3 application that drives `handler`.

    Args:
        handler: as for `web.server.serve`; it is cancelled when the client disconnects before its answer
            is out.
        on_startup: awaited in order when the server starts; a failure stops it.
        on_shutdown: awaited in order when the server ends, where the server speaks lifespan.
        limits: of these, `body_s` and `unread_bytes` hold here; the rest is the other server's affair.
    """
    bounds = limits or ServerLimits()

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await _serve_one(handler, AsgiExchange(scope, send, bounds), receive)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send, on_startup, on_shutdown)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close", "code": 1003, "reason": "no websockets here"})
        else:
            raise ValueError(f"an ASGI scope of type {scope['type']} is not for this application")

    return app


class AsgiExchange:
    """An Exchange over an ASGI scope and send; `pump` feeds it."""

    def __init__(self, scope: Scope, send: Send, limits: ServerLimits) -> None:
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: bytes = scope["query_string"]
        self.headers: Headers = [(name.lower(), value) for name, value in scope["headers"]]
        self.client: str = scope["client"][0] if scope.get("client") else ""
        self.cancel_when_gone = True
        self.complete = False
        self.gone = False
        self.state = NEW
        self._send = send
        self._limits = limits
        self._pieces: list[bytes] = []
        self._received = 0
        self._unread = 0
        self._wanted = False
        self._changed = asyncio.Event()
        self._room = asyncio.Event()
        self._over = asyncio.Event()
        self._tell: Callable[[], None] | None = None

    def when_gone(self, tell: Callable[[], None]) -> None:
        """As `Exchange.when_gone`."""
        self.cancel_when_gone = False
        if self.gone:
            tell()
        else:
            self._tell = tell

    async def pump(self, receive: Receive) -> None:
        """Take the request's body in as it is asked for; returns when the client has gone."""
        while True:
            while self._unread > self._limits.unread_bytes and not self._wanted:
                self._room.clear()
                await self._room.wait()
            message = await receive()
            if message["type"] == "http.disconnect":
                self._vanish()
                return
            piece = message.get("body", b"")
            self._received += len(piece)
            self._unread += len(piece)
            if piece:
                self._pieces.append(piece)
            self.complete = self.complete or not message.get("more_body", False)
            self._changed.set()

    def header(self, name: bytes) -> bytes | None:
        return next((value for given, value in self.headers if given == name), None)

    async def body(self, limit: int) -> bytes:
        """As `Exchange.body`."""
        declared = declared_length(self.headers)
        if declared is not None and declared > limit:
            raise _too_large(limit)
        while not self.complete and self._received <= limit:
            await self._more()
        if self._received > limit:
            raise _too_large(limit)
        self._pieces = [b"".join(self._pieces)]
        self._unread = 0
        return self._pieces[0]

    async def read(self) -> bytes:
        """The next piece of the body as it arrives, b"" at its end."""
        while not self._pieces and not self.complete:
            await self._more()
        piece = b"".join(self._pieces)
        self._pieces.clear()
        self._unread = 0
        return piece

    async def disconnected(self) -> None:
        """Wait until the client has gone or the answer is out."""
        await self._over.wait()

    async def _more(self) -> None:
        self._check_there()
        self._changed.clear()
        self._wanted = True
        self._room.set()
        try:
            async with asyncio.timeout(self._limits.body_s):
                await self._changed.wait()
        except TimeoutError:
            raise RequestTimeoutError("The request body did not arrive in time.") from None
        finally:
            self._wanted = False

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        self._begin(status, headers)
        if self.gone:
            self.state = FINISHED
            return
        length = len(body)
        if self.method == "HEAD":
            length = length or declared_length(headers) or 0
            body = b""
        kept = [pair for pair in headers if pair[0] != b"content-length"]
        if status in {204, 304}:
            body = b""
        else:
            kept.append((b"content-length", b"%d" % length))
        self._finished()
        await self._out({"type": "http.response.start", "status": status, "headers": kept})
        await self._out({"type": "http.response.body", "body": body})

    async def start(self, status: int, headers: Headers) -> None:
        """As `Exchange.start`."""
        self._begin(status, headers)
        self.state = STARTED
        if self.gone:
            return
        await self._out({"type": "http.response.start", "status": status, "headers": headers})

    async def write(self, chunk: bytes) -> None:
        """As `Exchange.write`; ClientGoneError once the client has gone."""
        if self.state != STARTED:
            raise RuntimeError("write comes after start and before finish")
        self._check_there()
        if chunk and self.method != "HEAD":
            await self._out({"type": "http.response.body", "body": chunk, "more_body": True})
            self._check_there()

    async def finish(self) -> None:
        """As `Exchange.finish`."""
        if self.state == FINISHED:
            return
        if self.state == NEW:
            raise RuntimeError("finish comes after start")
        self._finished()
        if self.gone:
            return
        await self._out({"type": "http.response.body", "body": b""})

    async def _out(self, message: Message) -> None:
        if self.gone:
            return
        try:
            await self._send(message)
        except OSError:
            # How a server says that the client has gone (ASGI HTTP 2.4), maybe before the pump hears of it.
            self._vanish()

    def _vanish(self) -> None:
        """The client has gone, or its answer is out and the server says so."""
        if not self.gone and self.state != FINISHED and self._tell is not None:
            self._tell()
        self.gone = True
        self._changed.set()
        self._over.set()

    def _begin(self, status: int, headers: Headers) -> None:
        if self.state != NEW:
            raise RuntimeError("a request is answered once")
        if not 200 <= status <= 999:
            raise ValueError(f"{status} is not a final HTTP status")
        header_lines(headers)

    def _check_there(self) -> None:
        if self.gone:
            raise ClientGoneError("the client has gone")

    def _finished(self) -> None:
        self.state = FINISHED
        self._over.set()


async def _serve_one(handler: Handler, exchange: AsgiExchange, receive: Receive) -> None:
    """Run `handler` and the pump side by side; the client's going cancels the one, the end the other."""
    work = asyncio.ensure_future(handler(exchange))
    pump = asyncio.ensure_future(exchange.pump(receive))
    try:
        await asyncio.wait({work, pump}, return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            if exchange.gone and exchange.cancel_when_gone and exchange.state != FINISHED:
                work.cancel()
            await asyncio.wait({work})
    finally:
        for task in (work, pump):
            task.cancel()
        await asyncio.wait({work, pump})
    error: BaseException | None = asyncio.CancelledError() if work.cancelled() else work.exception()
    if exchange.gone and isinstance(error, asyncio.CancelledError | ClientGoneError):
        return
    if not pump.cancelled() and pump.exception() is not None:
        raise RuntimeError("the ASGI server failed to deliver the request") from pump.exception()
    if error is None and exchange.state != FINISHED and not exchange.gone:
        error = RuntimeError("the handler returned without a whole answer")
    if error is None:
        return
    if exchange.state == STARTED and not exchange.gone:
        raise error  # The server then cuts the connection, so that the answer shows as cut.
    status, body = escaped(error)
    _log.log(
        logging.ERROR if status >= 500 else logging.INFO,
        "handler failed: %s %s", exchange.method, exchange.path, exc_info=error,
    )  # fmt: skip
    if exchange.state == NEW:
        await exchange.respond(status, PROBLEM_HEADERS, body)


async def _lifespan(
    receive: Receive, send: Send, on_startup: Sequence[Hook], on_shutdown: Sequence[Hook]
) -> None:
    for event, hooks in (("startup", on_startup), ("shutdown", on_shutdown)):
        await receive()
        try:
            for hook in hooks:
                await hook()
        except Exception as error:
            await send({"type": f"lifespan.{event}.failed", "message": str(error)})
            raise
        await send({"type": f"lifespan.{event}.complete"})


def _too_large(limit: int) -> PayloadTooLargeError:
    return PayloadTooLargeError(
        f"The request body is larger than {limit} bytes.", details={"limit_bytes": limit}
    )
