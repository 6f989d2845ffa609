"""One pipelined connection to Redis: commands leave together, replies come back in order."""

import asyncio
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, cast

import hiredis

from sluicegate.adapters.redis.address import RedisAddress
from sluicegate.adapters.redis.command import Arg, pack
from sluicegate.adapters.redis.errors import NOT_NOW, REDIRECTION, REFUSED, RedisReplyError, RedisUnavailable

# A reply larger than this is not one of ours; the connection is given up rather than the memory.
MAX_REPLY_BYTES = 256 << 20
_SWEEPS_PER_TIMEOUT = 4
_INCOMPLETE = object()


class Connection(asyncio.Protocol):
    """Sends packed commands and hands each its reply; all from one event loop.

    Args:
        timeout_s: a command unanswered for this long (up to a quarter longer) ends the connection, because
            the replies that would follow could no longer be told apart.
        on_lost: called once with (connection, reason) when it can carry no more commands.
        label: the server's address, for messages.
    """

    def __init__(
        self, timeout_s: float, on_lost: Callable[["Connection", str], None], label: str = "redis"
    ) -> None:
        self.pending: deque[asyncio.Future[Any]] = deque()
        self.opened_at = 0.0
        self._loop = asyncio.get_running_loop()
        self._interval = timeout_s / _SWEEPS_PER_TIMEOUT
        self._timeout_s = timeout_s
        self._on_lost = on_lost
        self._label = label
        self._transport: asyncio.Transport | None = None
        self._out: list[bytes] = []
        self._answered = 0
        self._sweeper: asyncio.TimerHandle | None = None
        # How many commands had been sent at each of the last sweeps: a deadline free of charge.
        self._marks: deque[int] = deque(maxlen=_SWEEPS_PER_TIMEOUT)
        self._lost = ""
        self._listener: Callable[[Any], None] | None = None
        self._closed = self._loop.create_future()
        self._reader = hiredis.Reader(replyError=RedisReplyError, notEnoughData=_INCOMPLETE)

    @property
    def usable(self) -> bool:
        """Whether commands may be sent."""
        return self._transport is not None and not self._lost

    def send(self, packed: bytes) -> asyncio.Future[Any]:
        """Queue one packed command; it leaves at the end of this turn of the loop. Await the reply.

        Cancelling the future does not take the command back; its reply is dropped when it comes.

        Raises (through the future):
            RedisReplyError: the server answered with an error.
            RedisUnavailable: no reply came; `maybe_applied` says whether the command may have run.
        """
        future = self._loop.create_future()
        if self._lost or self._transport is None:
            future.set_exception(RedisUnavailable(f"{self._label}: {self._lost or 'not connected'}"))
            return future
        if not self._out:
            self._loop.call_soon(self._flush)
        self._out.append(packed)
        self.pending.append(future)
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(self._interval, self._sweep)
        return future

    def listen(self, listener: Callable[[Any], None]) -> None:
        """From now on every reply is handed to `listener`: the connection serves pub/sub only."""
        self._listener = listener

    def write(self, packed: bytes) -> None:
        """Write a command that expects no reply of its own; for pub/sub."""
        if self._transport is not None and not self._lost:
            self._transport.write(packed)

    async def open(self, address: RedisAddress) -> None:
        """Log in, choose the protocol and the database, and make sure that the server answers.

        Raises:
            RedisReplyError, RedisUnavailable: as for any command.
        """
        commands: list[tuple[Arg, ...]] = []
        if address.protocol == 3:
            login = ("AUTH", address.username or "default", address.password) if address.password else ()
            commands.append(("HELLO", 3, *login))
        elif address.password:
            commands.append(("AUTH", address.username or "default", address.password))
        if address.db:
            commands.append(("SELECT", address.db))
        commands.append(("PING",))
        for reply in [self.send(pack(command)) for command in commands]:
            await reply
        self.opened_at = self._loop.time()

    def abort(self, reason: str) -> None:
        """Give the connection up at once; every command under way fails with `reason`."""
        self._fail(reason)
        if self._transport is not None:
            self._transport.abort()

    async def closed(self) -> None:
        """Wait until the transport is gone."""
        await asyncio.shield(self._closed)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        raw: socket.socket | None = transport.get_extra_info("socket")
        if raw is not None and raw.family != getattr(socket, "AF_UNIX", None):
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(f"connection lost: {exc}" if exc else "the server closed the connection")
        if not self._closed.done():
            self._closed.set_result(None)

    def data_received(self, data: bytes) -> None:
        reader, pending = self._reader, self.pending
        try:
            reader.feed(data)
            reply = reader.gets()
            while reply is not _INCOMPLETE:
                if self._listener is not None:
                    self._listener(reply)
                elif pending and type(reply) is not hiredis.PushNotification:
                    self._answered += 1
                    future = pending.popleft()
                    if not future.done():
                        if type(reply) is RedisReplyError:
                            future.set_exception(self._explained(reply))
                        else:
                            future.set_result(reply)
                elif type(reply) is not hiredis.PushNotification:
                    self.abort("the server sent a reply that no command asked for")
                if self._lost:
                    return
                reply = reader.gets()
        except (hiredis.HiredisError, ValueError, MemoryError, RecursionError) as error:
            self.abort(f"the server does not speak RESP: {error}")
            return
        if reader.len() > MAX_REPLY_BYTES:
            self.abort(f"a reply is larger than {MAX_REPLY_BYTES} bytes")

    # inside

    def _flush(self) -> None:
        out, self._out = self._out, []
        if out and self._transport is not None:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _sweep(self) -> None:
        self._sweeper = None
        if self._lost:
            return
        if not self.pending:
            # Idle again; the next command starts the clock anew.
            self._marks.clear()
            return
        marks = self._marks
        if len(marks) == marks.maxlen and marks[0] > self._answered:
            self.abort(f"no reply within {self._timeout_s:g} s")
            return
        marks.append(self._answered + len(self.pending))
        self._sweeper = self._loop.call_later(self._interval, self._sweep)

    def _explained(self, error: RedisReplyError) -> Exception:
        """The error to raise for an error reply; it may end the connection."""
        where = f"{self._label}: {error.reply}"
        if error.prefix == "READONLY":
            # A failover: this peer is now a replica. The address leads to the new primary, or soon will.
            self._loop.call_soon(self.abort, "the server became a read-only replica")
        if error.prefix in NOT_NOW:
            return RedisUnavailable(where)
        if error.prefix in REFUSED:
            return RedisUnavailable(f"{where}: check the user and password in REDIS_URL")
        if error.prefix in REDIRECTION:
            return RedisUnavailable(f"{where}: this is a cluster; point REDIS_URL at a single primary")
        return error

    def _fail(self, reason: str) -> None:
        if self._lost:
            return
        self._lost = reason
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        pending, self.pending = self.pending, deque()
        sent = len(pending) - len(self._out)
        self._out.clear()
        for index, future in enumerate(pending):
            if not future.done():
                future.set_exception(RedisUnavailable(f"{self._label}: {reason}", maybe_applied=index < sent))
        self._on_lost(self, reason)
