"""One client's connection: requests answered in order, back-pressure both ways, an end to everything."""

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Final, cast

from sluicegate.kernel.errors import RequestTimeoutError
from sluicegate.kernel.ids import request_id
from sluicegate.web.exchange import ClientGoneError
from sluicegate.web.server.exchange import FINISHED, NEW, ServerExchange
from sluicegate.web.server.heads import header_lines
from sluicegate.web.server.problems import PROBLEM_HEADERS, RefusedError, escaped, problem
from sluicegate.web.server.reader import BODY, HEAD, IDLE, RequestReader

if TYPE_CHECKING:
    from sluicegate.web.server.server import Server

_log = logging.getLogger(__name__)

_NEVER: Final = float("inf")
# Go's client gives up at the sixth interim response, so there are never more than five.
_PROBES_S: Final = (0.05, 0.5, 2.0, 8.0)
# Beyond the limit so many connections get an answer, which takes a moment; the rest do not.
_REFUSED_AT_ONCE: Final = 256
_CUT_SHORT: Final = problem(503, "overloaded", "The server is shutting down; try again.")


class Connection(asyncio.Protocol):
    """The protocol of one accepted socket.

    A client that ends its sending side after a whole request still gets its answer: a half-closed
    connection is legitimate (RFC 9112, section 9.6). Whether it has instead gone for good only shows
    when something is sent to it, so from then on the server sends a few bytes without meaning
    (`ServerExchange.probe`); a reset cancels the handler. A client that ends or resets the connection
    before its request is whole has gone.
    """

    __slots__ = (
        "_closing",
        "_current",
        "_drained",
        "_eof",
        "_mark",
        "_paused",
        "_probe_timer",
        "_queue",
        "_reader",
        "_refusal",
        "_stalled_at",
        "_unsent",
        "client",
        "deadline",
        "loop",
        "lost",
        "server",
        "transport",
        "write_paused",
    )

    transport: asyncio.Transport

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.loop = server.loop
        self.client = ""
        self.deadline = server.now + server.limits.idle_s
        self.lost = False
        self.write_paused = False
        self._closing = False
        self._eof = False
        self._paused = False
        self._mark = 0
        self._unsent = 0
        self._stalled_at = _NEVER
        self._current: ServerExchange | None = None
        self._queue: deque[ServerExchange] | None = None
        self._refusal: RefusedError | None = None
        self._drained: list[asyncio.Future[None]] | None = None
        self._probe_timer: asyncio.TimerHandle | None = None
        self._reader = RequestReader(self, server.limits)

    # The socket.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.client = peer[0]
        server = self.server
        server.connections.add(self)
        excess = len(server.connections) - server.limits.connections
        if excess > _REFUSED_AT_ONCE:
            self.transport.abort()
        elif excess > 0:
            self.refuse(RefusedError(503, "overloaded", "The server has too many connections; try again."))
        elif server.draining:
            self._close()

    def data_received(self, data: bytes) -> None:
        if self._closing:
            return
        self._reader.feed(data)
        if not self._paused and self.full and not self._closing:
            self._paused = True
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        self._eof = True
        waiting = self._current is not None or self._queue or self.write_paused
        if self._closing or not waiting or self._reader.phase == BODY:
            return False
        self._probe(0)
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - the protocol's signature
        self.lost = True
        self.server.connections.discard(self)
        self._reader.close()
        if self._probe_timer is not None:
            self._probe_timer.cancel()
        current, self._current = self._current, None
        if current is not None:
            current.vanish()
            if current.task is not None and not current.task.done():
                # A task cancelled before its first step never reaches its own clean-up.
                current.task.add_done_callback(self.server.tasks.discard)
        self._queue = None
        self._release_writers()

    def pause_writing(self) -> None:
        self.write_paused = True
        self._stalled_at = self.server.now + self.server.limits.send_s
        self._unsent = self.transport.get_write_buffer_size()

    def resume_writing(self) -> None:
        self.write_paused = False
        self._stalled_at = _NEVER
        self._release_writers()
        if self._current is None and not self._closing:
            self._advance()

    def _release_writers(self) -> None:
        waiting, self._drained = self._drained, None
        for waiter in waiting or ():
            if not waiter.done():
                waiter.set_result(None)

    async def writable(self) -> None:
        """Wait until the client has taken most of what was sent.

        Raises:
            ClientGoneError: it has gone instead.
        """
        waiter = self.loop.create_future()
        if self._drained is None:
            self._drained = []
        self._drained.append(waiter)
        await waiter
        if self.lost:
            raise ClientGoneError("the client has gone")

    # Requests, as the reader finds them.

    @property
    def full(self) -> bool:
        """Whether reading on would pile up requests or body that nobody has asked for yet."""
        receiving = self._reader.receiving
        if receiving is not None and receiving.unread > self.server.limits.unread_bytes:
            return not receiving.greedy
        return self._queue is not None and len(self._queue) >= self.server.limits.pipelined

    def resume_reading(self) -> None:
        """Read on, if there is room again."""
        if not self._paused or self._closing or self.full:
            return
        self._reader.feed_backlog()
        if self.full or self._closing:
            return
        self._paused = False
        limits, reader = self.server.limits, self._reader
        if reader.phase != IDLE:
            self.expect_by(limits.body_s if reader.phase == BODY else limits.header_s)
        self.transport.resume_reading()

    def expect_by(self, seconds: float) -> None:
        """Something has to come from the client within so many seconds."""
        self.deadline = self.server.now + seconds
        receiving = self._reader.receiving
        self._mark = 0 if receiving is None else receiving.received

    def accept(self, exchange: ServerExchange) -> None:
        """A request's headers are there."""
        if self._current is None and not self.write_paused:
            self._begin(exchange)
        else:
            if self._queue is None:
                self._queue = deque()
            self._queue.append(exchange)

    def received(self) -> None:
        """A request is whole; from now on it is the handler's time that passes."""
        self.deadline = _NEVER

    def refuse(self, refusal: RefusedError) -> None:
        """Answer with `refusal` after the requests before it, then close."""
        self._refusal = refusal
        self.deadline = _NEVER
        if self._current is None and not self._queue:
            self._advance()

    # Handlers.

    def _begin(self, exchange: ServerExchange) -> None:
        self._current = exchange
        task = self.loop.create_task(self._run(exchange))
        exchange.task = task
        self.server.tasks.add(task)

    async def _run(self, exchange: ServerExchange) -> None:
        try:
            await self.server.handler(exchange)
            if exchange.state != FINISHED and not self.lost:
                raise RuntimeError("the handler returned without a whole answer")  # noqa: TRY301 - as any other
        except asyncio.CancelledError:
            if not self.lost and exchange.state != FINISHED:
                self._abandon(exchange, 503, _CUT_SHORT)
            raise
        except Exception as error:  # noqa: BLE001 - whatever a handler raises, its client gets an answer
            self._failed(exchange, error)
        finally:
            task = exchange.task
            exchange.task = None
            if task is not None:
                self.server.tasks.discard(task)

    def _failed(self, exchange: ServerExchange, error: Exception) -> None:
        if self.lost and isinstance(error, ClientGoneError):
            return
        status, body = escaped(error)
        level = logging.ERROR if status >= 500 else logging.INFO
        _log.log(level, "handler failed: %s %s", exchange.method, exchange.path, exc_info=error)
        if not self.lost and exchange.state != FINISHED:
            self._abandon(exchange, status, body)

    def _abandon(self, exchange: ServerExchange, status: int, body: bytes) -> None:
        """Answer in the handler's stead; where its answer had begun, cut it so that it shows as cut."""
        if exchange.state == NEW:
            exchange.keep_alive = False
            exchange.answer(status, PROBLEM_HEADERS, body)
        else:
            exchange.state = FINISHED
            self.transport.abort()

    # After an answer.

    def answered(self, exchange: ServerExchange) -> None:
        """The answer is out, as far as this server is concerned."""
        self._current = None
        if exchange.keep_alive and exchange.complete and not self.server.draining:
            if self._queue or self._refusal or self._eof or self._paused:
                self._advance()
            elif self._reader.phase == IDLE:
                self.deadline = self.server.now + self.server.limits.idle_s
        else:
            self._close(linger=True)

    def _advance(self) -> None:
        """Go on to whatever waits behind the last answer."""
        if self._closing or self.lost or self.write_paused:
            return
        if self._queue:
            self._begin(self._queue.popleft())
        elif self._refusal is not None:
            self._send_refusal(self._refusal)
            return
        elif self._eof:
            self._close()
            return
        elif self._reader.phase == IDLE and self.deadline == _NEVER:
            self.deadline = self.server.now + self.server.limits.idle_s
        self.resume_reading()

    def _send_refusal(self, refusal: RefusedError) -> None:
        body = problem(refusal.status, refusal.code, refusal.detail)
        self.transport.write(
            b"%b%bx-sluicegate-request-id: %b\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
            % (
                self.server.status_lines.line(refusal.status),
                header_lines(PROBLEM_HEADERS),
                request_id().encode(),
                len(body),
                body,
            )
        )
        self._close(linger=True)

    def _close(self, *, linger: bool = False) -> None:
        """End the connection once what was written is out.

        With `linger` only the sending side ends at first: closing while the client still sends would
        reset the connection, and the answer could be lost with it.
        """
        self._closing = True
        self._queue = None
        self._unsent = 1 << 62
        reader = self._reader
        reader.deaf = True
        if reader.receiving is not None:
            reader.receiving.fail(ClientGoneError("the connection is closing"))
            reader.receiving = None
        limits = self.server.limits
        if linger and not self._eof and self.transport.can_write_eof():
            self.deadline = self.server.now + limits.linger_s
            self.transport.write_eof()
            if self._paused:
                self._paused = False
                self.transport.resume_reading()
        else:
            self.deadline = self.server.now + limits.send_s
            self.transport.close()

    # Time.

    def look_at_clock(self, now: float) -> None:
        """Act on a deadline that has passed. The server calls this for each connection at each tick."""
        if self._stalled_at < now:
            if self._sending():
                self._stalled_at = now + self.server.limits.send_s
            else:
                self.transport.abort()
        elif self.deadline < now:
            self.deadline = _NEVER
            self._late()

    def _sending(self) -> bool:
        """Whether the client has taken anything since this was last asked."""
        before, self._unsent = self._unsent, self.transport.get_write_buffer_size()
        return 0 < self._unsent < before

    def _late(self) -> None:
        reader, limits = self._reader, self.server.limits
        if self._closing:
            if self._sending():
                self.deadline = self.server.now + limits.send_s
            else:
                self.transport.abort()
        elif reader.phase == HEAD:
            if self._paused:
                return  # The server itself does not read; the time starts anew when it does.
            reader.deaf = True
            self.refuse(RefusedError(408, "request_timeout", "The headers did not arrive in time."))
        elif reader.receiving is not None:
            if self._paused:
                return  # As above.
            exchange = reader.receiving
            if exchange.awaits_leave or exchange.received - self._mark >= limits.body_progress_bytes:
                self._mark = exchange.received
                self.deadline = self.server.now + limits.body_s
                return
            reader.deaf = True
            reader.receiving = None
            exchange.fail(RequestTimeoutError("The request body did not arrive in time."))
        elif self._current is None and not self.write_paused:
            self._close()

    def drain(self) -> None:
        """Close at once if nothing is under way; otherwise the answer under way is the last."""
        if self._current is None and not self._queue and not self._closing and self._reader.phase == IDLE:
            self._close()

    def abort(self) -> None:
        """End the connection now, whatever is under way."""
        self.transport.abort()

    def _probe(self, tried: int) -> None:
        self._probe_timer = None
        exchange = self._current
        if exchange is None or self.lost:
            return
        meaningless = exchange.probe()
        if meaningless:
            self.transport.write(meaningless)
        if tried < len(_PROBES_S):
            self._probe_timer = self.loop.call_later(_PROBES_S[tried], self._probe, tried + 1)
