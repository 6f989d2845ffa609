"""The scripted model as an HTTP upstream, to rehearse with a network in between.

`POST /v1/chat/completions`, `/v1/messages`, `/v1/messages/count_tokens`, `/v1/embeddings`;
`GET /v1/models`, `/healthz`; `GET /produced` tells what was really produced and `DELETE /produced`
sets it back to nothing.

An asyncio protocol of its own rather than an ASGI app, because the account has to be exact: a token
counts when its bytes go to a transport that is open in that very moment, and a half-closed connection
stops the answer at once while everything counted is still delivered. No ASGI server tells its app.
"""

import asyncio
import hmac
from collections import deque
from dataclasses import dataclass
from typing import cast

import httptools
import orjson

from sluicegate.adapters.providers.scripted.engine import JSON_TYPE, MODELS, Performance, ScriptedEngine
from sluicegate.adapters.providers.scripted.production import Production
from sluicegate.adapters.providers.scripted.script import Figures
from sluicegate.adapters.providers.scripted.steps import After, Step
from sluicegate.completions.types import Headers
from sluicegate.kernel.models import Dialect

MAX_BODY_BYTES = 64 << 20
MAX_HEAD_BYTES = 64 << 10
MAX_WAITING_REQUESTS = 16
STALL_S = 600.0

_REASONS = {
    200: b"OK", 400: b"Bad Request", 401: b"Unauthorized", 404: b"Not Found", 405: b"Method Not Allowed",
    413: b"Content Too Large", 429: b"Too Many Requests", 500: b"Internal Server Error",
    502: b"Bad Gateway", 503: b"Service Unavailable", 504: b"Gateway Timeout",
}  # fmt: skip
_COUNTING = b"/v1/messages/count_tokens"
_DIALECTS = {
    b"/v1/chat/completions": Dialect.OPENAI_CHAT,
    b"/v1/messages": Dialect.ANTHROPIC_MESSAGES,
    _COUNTING: Dialect.ANTHROPIC_MESSAGES,
    b"/v1/embeddings": Dialect.OPENAI_EMBEDDINGS,
}


@dataclass(slots=True)
class _Request:
    method: bytes
    path: bytes
    body: bytes
    credential: bytes
    keep_alive: bool


class ScriptedServer:
    """A running upstream.

    Args:
        key: the API key that callers must present, as bearer token or `x-api-key`; None: anybody.
    """

    def __init__(self, *, key: str | None = None, engine: ScriptedEngine | None = None) -> None:
        self.engine = engine or ScriptedEngine()
        self._key = None if key is None else key.encode()
        self._server: asyncio.Server | None = None
        self._connections: set[_Connection] = set()

    @property
    def production(self) -> Production:
        """What was really produced so far."""
        return self.engine.production

    @property
    def connections(self) -> int:
        """Connections open now."""
        return len(self._connections)

    async def start(self, host: str = "127.0.0.1", port: int = 0, *, backlog: int = 4_096) -> str:
        """Listen; returns the URL. Port 0 takes a free one."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), host, port, backlog=backlog)
        bound = self._server.sockets[0].getsockname()[1]
        return f"http://{host}:{bound}"

    async def close(self) -> None:
        """Stop listening and break what is under way."""
        if self._server is not None:
            self._server.close()
        for connection in list(self._connections):
            connection.abort()
        if self._server is not None:
            await self._server.wait_closed()

    def joined(self, connection: "_Connection") -> None:
        self._connections.add(connection)

    def left(self, connection: "_Connection") -> None:
        self._connections.discard(connection)

    def answer(self, request: _Request) -> Performance:
        """The performance for any request, errors included."""
        path = request.path.partition(b"?")[0].rstrip(b"/")
        if path == b"/healthz":
            return self._json(b'{"status":"ok"}')
        if path == b"/produced" and request.method in {b"GET", b"DELETE"}:
            if request.method == b"DELETE":
                self.production.clear()
            return self._json(orjson.dumps(self.production.as_json()))
        dialect = _DIALECTS.get(path, Dialect.OPENAI_CHAT)
        if self._key is not None and not hmac.compare_digest(request.credential, self._key):
            return self.engine.refusal(dialect, 401, "this key is not the scripted model's")
        if path == b"/v1/models" and request.method == b"GET":
            models = [
                {"id": name, "object": "model", "created": 0, "owned_by": "sluicegate"} for name in MODELS
            ]
            return self._json(orjson.dumps({"object": "list", "data": models}))
        if path not in _DIALECTS:
            return self.engine.refusal(dialect, 404, "no such path here")
        if request.method != b"POST":
            return self.engine.refusal(dialect, 405, "use POST")
        if path == _COUNTING:
            return self.engine.count(request.body)
        return self.engine.perform(dialect, request.body)

    @staticmethod
    def _json(body: bytes) -> Performance:
        # Its own production, so that looking at the totals does not change them.
        steps = iter((Step(0.0, body, 0),))
        return Performance(200, [JSON_TYPE], 0.0, len(body), steps, "", Figures(0, 0, 0, 0, 0), Production())


class _Connection(asyncio.Protocol):
    """One client. Answers requests in order; an answer is driven by callbacks, without a task."""

    def __init__(self, server: ScriptedServer) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpRequestParser | None = httptools.HttpRequestParser(self)
        self._waiting: deque[_Request] = deque()
        self._performance: Performance | None = None
        self._keep_alive = True
        self._chunked = False
        self._writable = True
        self._step: Step | None = None
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._begin_request()

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._server.joined(self)

    def data_received(self, data: bytes) -> None:
        if self._parser is None:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400, "no upgrades here")
        except httptools.HttpParserError:
            self._refuse(400, "this is not HTTP/1.1")

    def eof_received(self) -> bool:
        # A caller that half-closes has lost interest: stop, deliver what is written, close.
        self._stop()
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - why it went changes nothing
        self._stop()
        self._parser = None
        self._server.left(self)

    def pause_writing(self) -> None:
        self._writable = False

    def resume_writing(self) -> None:
        self._writable = True
        if self._performance is not None and self._timer is None:
            self._perform()

    # What the parser calls.

    def on_message_begin(self) -> None:
        self._begin_request()

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._grown(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grown(len(name) + len(value))
        match name.lower():
            case b"authorization":
                scheme, _, token = value.partition(b" ")
                if scheme.lower() == b"bearer":
                    self._credential = token.strip()
            case b"x-api-key":
                self._credential = value.strip()
            case b"expect" if value.lower() == b"100-continue" and self._transport is not None:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        if self._parser is None:
            return
        self._size += len(body)
        if self._size > MAX_BODY_BYTES:
            self._refuse(413, f"the body is larger than {MAX_BODY_BYTES} bytes")
            return
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._parser is None:
            return
        request = _Request(
            self._parser.get_method(),
            self._url,
            b"".join(self._body),
            self._credential,
            self._parser.should_keep_alive(),
        )
        self._begin_request()
        if self._performance is not None:
            self._waiting.append(request)
            if len(self._waiting) > MAX_WAITING_REQUESTS:
                self.abort()
            return
        self._start(request)

    def _begin_request(self) -> None:
        self._url = b""
        self._credential = b""
        self._body: list[bytes] = []
        self._size = 0
        self._head_size = 0

    def _grown(self, size: int) -> None:
        self._head_size += size
        if self._parser is not None and self._head_size > MAX_HEAD_BYTES:
            self._refuse(400, f"the head is larger than {MAX_HEAD_BYTES} bytes")

    # The answer.

    def _refuse(self, status: int, message: str) -> None:
        """Answer what could not be read, then close; nothing more is read."""
        self._parser = None
        if self._performance is None:
            self._keep_alive = False
            self._play(self._server.engine.refusal(Dialect.OPENAI_CHAT, status, message))
        else:
            self.abort()

    def _start(self, request: _Request) -> None:
        self._keep_alive = request.keep_alive
        self._play(self._server.answer(request))

    def _play(self, performance: Performance) -> None:
        self._performance = performance
        self._step = next(performance.steps, None)
        wait_s = performance.wait_s
        if self._step is not None and performance.length is not None:
            # A whole answer's head comes with its body.
            wait_s += self._step.wait_s
            self._step = self._step._replace(wait_s=0.0)
        if self._step is not None and self._step.after is After.STALL and not self._step.data:
            self._timer = self._loop.call_later(STALL_S, self.abort)
        elif wait_s:
            self._timer = self._loop.call_later(wait_s, self._begin)
        else:
            self._begin()

    def _begin(self) -> None:
        self._timer = None
        performance, transport = self._performance, self._transport
        if performance is None or transport is None or transport.is_closing():
            return
        performance.begun()
        self._chunked = performance.length is None
        head = _head(performance.status, performance.headers, performance.length, keep_alive=self._keep_alive)
        if self._step is not None and not self._step.wait_s:
            self._perform(head)
        else:
            transport.write(head)
            self._perform()

    def _perform(self, head: bytes = b"") -> None:
        """Write the steps that are due. Called again when a wait is over or the client has caught up."""
        self._timer = None
        performance, transport = self._performance, self._transport
        if performance is None or transport is None or transport.is_closing():
            return
        if not (self._writable or head):
            return
        step = self._step
        if step is None:
            transport.write(head + (b"0\r\n\r\n" if self._chunked else b""))
            self._finish(performance)
            return
        if step.wait_s:
            self._step = step._replace(wait_s=0.0)
            self._timer = self._loop.call_later(step.wait_s, self._perform)
            return
        data = step.data
        if data and self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if step.after is After.NEXT:
            self._step = next(performance.steps, None)
            if self._step is None and self._chunked:
                data += b"0\r\n\r\n"
        if head or data:
            transport.write(head + data)
        performance.wrote(step.tokens)
        if step.after is After.CUT:
            # Closing delivers what was written; the body's end is missing, so it is seen as broken.
            self._stop()
            transport.close()
        elif step.after is After.STALL:
            self._timer = self._loop.call_later(STALL_S, self.abort)
        elif self._step is None:
            self._finish(performance)
        elif self._step.wait_s:
            wait_s = self._step.wait_s
            self._step = self._step._replace(wait_s=0.0)
            self._timer = self._loop.call_later(wait_s, self._perform)
        elif self._writable:
            self._timer = self._loop.call_soon(self._perform)

    def _finish(self, performance: Performance) -> None:
        performance.ended(complete=True)
        self._performance = None
        if not self._keep_alive and self._transport is not None:
            self._transport.close()
        elif self._waiting:
            self._start(self._waiting.popleft())

    def _stop(self) -> None:
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._performance is not None:
            self._performance.ended(complete=False)
            self._performance = None

    def abort(self) -> None:
        """Break the connection off."""
        self._stop()
        if self._transport is not None:
            self._transport.abort()


def _head(status: int, headers: Headers, length: int | None, *, keep_alive: bool) -> bytes:
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, _REASONS.get(status, b"Status"))]
    lines += [name + b": " + value + b"\r\n" for name, value in headers]
    lines.append(b"transfer-encoding: chunked\r\n" if length is None else b"content-length: %d\r\n" % length)
    lines.append(b"\r\n" if keep_alive else b"connection: close\r\n\r\n")
    return b"".join(lines)
