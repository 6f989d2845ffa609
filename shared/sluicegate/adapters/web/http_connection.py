"""One HTTP/1.1 connection to an upstream: writes a request, parses its answer, watches the deadlines."""

import asyncio
import socket
from typing import Protocol, cast

import httptools

from sluicegate.adapters.web.http_limits import ClientLimits
from sluicegate.adapters.web.http_reply import HttpReply
from sluicegate.completions.types import UpstreamFailure

_NEVER = float("inf")
_BODILESS = frozenset({204, 304})
_JOIN_BELOW = 64 * 1024


class ConnectionOwner(Protocol):
    """The pool, as a connection sees it."""

    def release(self, connection: "HttpConnection") -> None:
        """The answer is complete and the connection clean: it may serve another request."""
        ...

    def forget(self, connection: "HttpConnection") -> None:
        """The connection is gone. Called once."""
        ...


class StaleConnectionError(UpstreamFailure):
    """The server closed the connection at once, before any byte of an answer."""


class _FramingError(Exception):
    """The answer breaks a rule that the parser does not know."""


class HttpConnection(asyncio.Protocol):
    """A connection with at most one request under way; used by its pool only.

    `served` counts the answers it has completed. It never pipelines. It is reused only if the answer
    was framed by a length or by chunks, ended exactly where its framing said, and both sides may keep
    the connection; anything else closes it.

    One timer serves all deadlines: it is set to the earliest one ever asked for and, when it goes off,
    looks at what the deadline is by then. So a request costs no timer, as deadlines mostly move on.
    """

    __slots__ = (
        "_body_begun",
        "_chunk_overhead",
        "_close_delimited",
        "_closed",
        "_complete",
        "_deadline",
        "_fields",
        "_head_only",
        "_head_size",
        "_idle_s",
        "_keep",
        "_limits",
        "_lingering",
        "_loop",
        "_owner",
        "_parser",
        "_paused",
        "_received",
        "_reply",
        "_started",
        "_timer",
        "_timer_at",
        "_total_at",
        "_transport",
        "_writing",
        "served",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: ConnectionOwner, limits: ClientLimits) -> None:
        self._loop = loop
        self._owner = owner
        self._limits = limits
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._reply: HttpReply | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._deadline = _NEVER
        self._started = self._total_at = self._idle_s = 0.0
        self._head_only = False
        self._closed = False
        self._writing = False
        self._paused = False
        self._lingering = False
        self.served = 0
        self._reset()

    def _reset(self) -> None:
        self._fields: dict[bytes, bytes] = {}
        self._head_size = 0
        self._chunk_overhead = 0
        self._received = False
        self._body_begun = False
        self._complete = False
        self._close_delimited = False
        self._keep = False

    # What the pool asks for

    def start(
        self,
        request: bytes,
        body: bytes,
        *,
        head_only: bool,
        first_byte_s: float,
        idle_s: float,
        total_at: float,
    ) -> HttpReply:
        """Send a request; the answer returned has no head yet (await its `head`).

        `request` is the complete head, `total_at` the loop's time at which all must be over.
        """
        transport = self._transport
        if transport is None or self._closed or self._reply is not None:
            raise RuntimeError("the connection is not free")
        self._reset()
        reply = self._reply = HttpReply(self._loop, self, self._limits)
        self._head_only = head_only
        self._started = now = self._loop.time()
        self._idle_s = idle_s
        self._total_at = total_at
        self._watch(min(now + first_byte_s, total_at))
        if len(body) < _JOIN_BELOW:
            transport.write(request + body)
        else:
            transport.write(request)
            transport.write(body)
        return reply

    @property
    def usable(self) -> bool:
        """Open, with no request under way."""
        return not self._closed and self._transport is not None and self._reply is None

    def shut(self) -> None:
        """Close at once; an answer under way fails."""
        self._fail("the client was closed")

    # What the answer asks for (http_reply.Source)

    def resume(self) -> None:
        if self._paused and self._transport is not None and not self._closed:
            self._paused = False
            self._transport.resume_reading()
            if not self._lingering:
                self._watch(min(self._loop.time() + self._idle_s, self._total_at))

    def linger(self, seconds: float) -> None:
        transport = self._transport
        if transport is None or self._closed:
            return
        self._lingering = True
        self._watch(self._loop.time() + seconds)
        if transport.can_write_eof():
            transport.write_eof()

    def abandon(self) -> None:
        self._reply = None
        self._drop()

    # What the event loop tells

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        # Unsent bytes are then reported by pause_writing, so that `_writing` is right. At a mark of 0 the
        # TLS transport would call it with nothing unsent.
        encrypted = transport.get_extra_info("sslcontext") is not None
        self._transport.set_write_buffer_limits(high=1 if encrypted else 0)
        self._parser = httptools.HttpResponseParser(self)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def pause_writing(self) -> None:
        self._writing = True

    def resume_writing(self) -> None:
        self._writing = False

    def data_received(self, data: bytes) -> None:
        reply = self._reply
        parser = self._parser
        if reply is None or parser is None:
            # Bytes that nobody asked for: whatever follows could be taken for another's answer.
            self._drop()
            return
        self._received = True
        self._chunk_overhead += len(data)
        try:
            parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._complete:
                self._fail(f"the answer breaks HTTP: {_cause(error)}")
                return
            self._keep = False
        if self._complete:
            self._finish(reply)
        elif self._chunk_overhead > self._limits.head:
            self._fail(f"more than {self._limits.head} bytes of head, trailers or chunk framing")
        else:
            self._progress(reply)

    def eof_received(self) -> None:
        # Answered at once rather than by closing, which would first wait for unsent bytes to drain,
        # and so that an idle connection is not handed out between now and connection_lost.
        self._ended_by_peer(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended_by_peer(exc)
        self._transport = None

    # What the parser finds

    def on_message_begin(self) -> None:
        if self._complete:
            raise _FramingError("bytes after the end of the answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        reply = self._reply
        if reply is None or reply.status:
            return  # a trailer
        self._head_size += len(name) + len(value) + 4
        if self._head_size > self._limits.head:
            raise _FramingError(f"a head larger than {self._limits.head} bytes")
        name = name.lower()
        fields = self._fields
        fields[name] = fields[name] + b", " + value if name in fields else value

    def on_headers_complete(self) -> None:
        parser, reply = self._parser, self._reply
        if parser is None or reply is None:
            return
        status = parser.get_status_code()
        if status < 200:
            self._fields = {}
            if status == 101:
                raise _FramingError("an upgrade that was not asked for")
            return
        fields = self._fields
        encoding = fields.get(b"transfer-encoding")
        if encoding is None:
            self._close_delimited = b"content-length" not in fields and status not in _BODILESS
        elif encoding.lower() != b"chunked" or parser.get_http_version() != "1.1":
            raise _FramingError("a transfer-encoding other than chunked")
        self._keep = parser.should_keep_alive()
        reply.begin(status, fields)
        if self._head_only:
            # The parser cannot know that the length announced is not sent.
            self._keep = False
            self._complete = True

    def on_body(self, data: bytes) -> None:
        if self._reply is not None and not self._head_only:
            self._chunk_overhead = 0
            self._body_begun = True
            self._reply.feed(data)

    def on_message_complete(self) -> None:
        if self._reply is not None and self._reply.status:
            self._complete = True

    # Transitions

    def _progress(self, reply: HttpReply) -> None:
        if not reply.status:
            return
        behind = reply.flush()
        if behind and not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()
        if self._lingering:
            return
        if self._paused:
            self._watch(self._total_at)  # it is our reader that is slow, not the server
        elif self._body_begun:
            self._watch(min(self._loop.time() + self._idle_s, self._total_at))

    def _finish(self, reply: HttpReply) -> None:
        self._reply = None
        if self._keep and not self._writing and not self._lingering and self._transport is not None:
            if self._paused:
                self._paused = False
                self._transport.resume_reading()
            self.served += 1
            self._watch(self._loop.time() + self._limits.idle_expiry_s)
            self._owner.release(self)
        else:
            self._drop()
        reply.end(None)

    def _ended_by_peer(self, error: Exception | None) -> None:
        reply = self._reply
        if reply is not None and reply.status and self._close_delimited and error is None:
            self._keep = False
            self._finish(reply)
            return
        reason = (
            "the server closed the connection" if error is None else f"the connection broke: {_cause(error)}"
        )
        self._fail(reason, stale=not self._received)

    def _fail(self, reason: str, *, timeout: bool = False, stale: bool = False) -> None:
        reply, self._reply = self._reply, None
        self._drop()
        if reply is None:
            return
        phase = "body" if reply.status else "send" if self._writing else "head"
        kind: type[UpstreamFailure] = UpstreamFailure
        if stale and self._loop.time() - self._started < self._limits.stale_s:
            kind = StaleConnectionError
        reply.end(kind(phase, reason, sent=True, timeout=timeout))

    def _drop(self) -> None:
        if self._closed:
            return
        self._closed = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._parser = None  # it refers back to this object
        if self._transport is not None:
            self._transport.abort()
        self._owner.forget(self)

    # Deadlines

    def _watch(self, deadline: float) -> None:
        self._deadline = deadline
        if deadline < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = deadline
            self._timer = self._loop.call_at(deadline, self._on_timer)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = _NEVER
        now = self._loop.time()
        if now < self._deadline:
            self._watch(self._deadline)
        elif self._reply is None:
            self._drop()
        elif now >= self._total_at:
            self._fail("the total deadline has passed", timeout=True)
        else:
            self._fail("nothing arrived in time", timeout=True)


def _cause(error: BaseException) -> str:
    """What went wrong, in words that hold nothing of what was sent or received."""
    inner = error.__context__ if isinstance(error, httptools.HttpParserCallbackError) else error
    if isinstance(inner, OSError):
        return inner.strerror or type(inner).__name__
    if isinstance(inner, _FramingError | httptools.HttpParserError) and inner.args:
        return str(inner.args[0])
    return type(inner).__name__
