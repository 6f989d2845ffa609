"""ASGI applications beside the handlers: any Starlette app can be served by this server."""

import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol, cast
from urllib.parse import quote

from sluicegate.kernel.errors import PayloadTooLargeError, SluicegateError
from sluicegate.web.exchange import ClientGoneError, Exchange, Headers
from sluicegate.web.server.problems import PROBLEM_HEADERS, Handler, escaped

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_log = logging.getLogger(__name__)


class StreamedExchange(Exchange, Protocol):
    """What a mounted application needs beyond an Exchange. Both drivers have it."""

    @property
    def complete(self) -> bool:
        """Whether the whole body has arrived."""
        ...

    async def read(self) -> bytes:
        """The next piece of the body as it arrives, b"" at its end."""
        ...

    async def disconnected(self) -> None:
        """Wait until the client has gone or the answer is out."""
        ...


def asgi_handler(
    app: AsgiApp, *, body_limit: int = 16 << 20, scheme: str = "https", root_path: str = ""
) -> Handler:
    """A handler that serves `app`: HTTP only, streaming both ways. Its lifespan is not run here.

    A body that is too large, malformed or late is refused here, and the application is told of a
    disconnect.

    Args:
        app: an ASGI 3 application.
        body_limit: the largest request body in bytes; beyond it 413.
        scheme: what the application takes for the scheme of its own URLs.
        root_path: the path it is mounted at, as ASGI's scope has it.
    """

    async def handle(exchange: Exchange) -> None:
        mounted = _Mounted(cast("StreamedExchange", exchange), body_limit)
        try:
            await app(mounted.scope(scheme, root_path), mounted.receive, mounted.send)
        except Exception:
            if not mounted.refused:
                raise
            _log.debug("application stopped after its request was refused", exc_info=True)

    return handle


class _Mounted:
    """One request's scope, receive and send."""

    def __init__(self, exchange: StreamedExchange, body_limit: int) -> None:
        self.refused = False
        self._body_limit = body_limit
        self._received = 0
        self._exchange = exchange
        self._asked = False
        self._start: tuple[int, Headers] | None = None
        self._streaming = False

    def scope(self, scheme: str, root_path: str) -> Scope:
        exchange = self._exchange
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": exchange.method,
            "scheme": scheme,
            "path": exchange.path,
            "raw_path": quote(exchange.path, safe="/!$&'()*+,;=:@-._~").encode(),
            "query_string": exchange.query,
            "root_path": root_path,
            "headers": exchange.headers,
            "client": (exchange.client, 0) if exchange.client else None,
            "server": None,
            "state": {},
            "extensions": {},
        }

    async def receive(self) -> Message:
        exchange = self._exchange
        if self.refused:
            return {"type": "http.disconnect"}
        if self._asked and exchange.complete:
            await exchange.disconnected()
            return {"type": "http.disconnect"}
        try:
            piece = await exchange.read()
            self._received += len(piece)
            if self._received > self._body_limit:
                raise PayloadTooLargeError(
                    f"The request body is larger than {self._body_limit} bytes.",
                    details={"limit_bytes": self._body_limit},
                )
        except ClientGoneError:
            return {"type": "http.disconnect"}
        except SluicegateError as error:
            await self._refuse(error)
            return {"type": "http.disconnect"}
        self._asked = exchange.complete
        return {"type": "http.request", "body": piece, "more_body": not exchange.complete}

    async def _refuse(self, error: SluicegateError) -> None:
        self.refused = True
        if self._start is not None:
            raise error
        status, body = escaped(error)
        await self._exchange.respond(status, PROBLEM_HEADERS, body)

    async def send(self, message: Message) -> None:
        if self.refused:
            return
        exchange = self._exchange
        if message["type"] == "http.response.start":
            self._start = message["status"], [(name.lower(), value) for name, value in message["headers"]]
            return
        if message["type"] != "http.response.body":
            raise ValueError(f"an ASGI message of type {message['type']} is not for this server")
        if self._start is None:
            raise RuntimeError("http.response.start comes before http.response.body")
        body, more = message.get("body", b""), message.get("more_body", False)
        if not self._streaming:
            if not more:
                await exchange.respond(*self._start, body)
                return
            self._streaming = True
            await exchange.start(*self._start)
        await exchange.write(body)
        if not more:
            await exchange.finish()
