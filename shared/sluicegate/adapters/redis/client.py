"""The Redis client of the hot path: a few pipelined connections, opened on first use.

Commands of one turn of the event loop leave in one write. There is no task, timer or lock per command.
A client belongs to the event loop that first uses it.
"""

import asyncio
import random
from collections.abc import Callable, Sequence
from typing import Any

from sluicegate.adapters.redis.address import RedisAddress
from sluicegate.adapters.redis.command import Arg, pack
from sluicegate.adapters.redis.connection import Connection
from sluicegate.adapters.redis.connector import connect
from sluicegate.adapters.redis.errors import RedisReplyError, RedisUnavailable
from sluicegate.adapters.redis.script import Script
from sluicegate.adapters.redis.subscription import Subscriber

# One connection batches best; another helps only once replies queue up behind each other.
_SPILL_AT = 64
_FIRST_BACKOFF_S = 0.02
_LONGEST_BACKOFF_S = 1.0
# A connection that lived this long was a good one: what ended it says nothing about the server now.
_PROVEN_AFTER_S = 5.0


class RedisClient:
    """Runs commands on one Redis server; any number of callers at once. Opens nothing until used.

    While the server is away, one caller at a time tries to connect, after a growing pause, and every
    other fails at once. No command is ever repeated by the client: `RedisUnavailable.maybe_applied`
    tells the caller whether repeating needs care.

    Two commands that one caller awaits in turn run in that order; two that are awaited together may go
    over different connections.

    Args:
        address: the server.
        connections: at most this many connections for commands; a further one serves subscriptions.
        timeout_s: seconds a command may take before the connection is given up.
        connect_timeout_s: seconds for connecting and logging in.
        max_pending: commands under way, all callers together, above which the next fails at once.
    """

    def __init__(
        self,
        address: RedisAddress,
        *,
        connections: int = 2,
        timeout_s: float = 1.0,
        connect_timeout_s: float = 1.0,
        max_pending: int = 10_000,
    ) -> None:
        self._address = address
        self._connections = connections
        self._timeout_s = timeout_s
        self._connect_timeout_s = connect_timeout_s
        self._max_pending = max_pending
        self._open: list[Connection] = []
        self._first: Connection | None = None
        self._opening: asyncio.Task[None] | None = None
        self._waiting = 0
        self._failures = 0
        self._retry_at = 0.0
        self._reason = ""
        self._closed = False
        self._subscriber: Subscriber | None = None

    @classmethod
    def from_url(
        cls,
        url: str,
        *,
        connections: int = 2,
        timeout_s: float = 1.0,
        connect_timeout_s: float = 1.0,
        max_pending: int = 10_000,
    ) -> "RedisClient":
        """A client for `url` (see `RedisAddress.parse`).

        Raises:
            ConfigurationError: the URL is wrong.
        """
        return cls(
            RedisAddress.parse(url),
            connections=connections,
            timeout_s=timeout_s,
            connect_timeout_s=connect_timeout_s,
            max_pending=max_pending,
        )

    def __repr__(self) -> str:
        return f"RedisClient({self._address})"

    async def execute(self, *args: Arg) -> Any:
        """Run one command; the reply as bytes, int, None, list (and RESP3's types if asked for).

        Raises:
            RedisReplyError: the server refused the command.
            RedisUnavailable: no reply; see its `maybe_applied`.
        """
        packed = pack(args)
        connection = self._first
        if connection is None or len(connection.pending) >= _SPILL_AT:
            connection = await self._acquire()
        return await connection.send(packed)

    async def script(self, script: Script, keys: Sequence[bytes | str], args: Sequence[Arg]) -> Any:
        """Run a script by its digest; sends the source only when the server does not know it.

        A flush of the scripts or a restart between two calls goes unnoticed. Raises as `execute`.
        """
        try:
            return await self.execute(b"EVALSHA", script.sha, len(keys), *keys, *args)
        except RedisReplyError as error:
            # NOSCRIPT is told before anything runs, so the second try cannot apply twice.
            if error.prefix != "NOSCRIPT":
                raise
        return await self.execute(b"EVAL", script.source, len(keys), *keys, *args)

    async def subscribe(
        self, channel: str, callback: Callable[[bytes], None], on_gap: Callable[[], None]
    ) -> None:
        """Call `callback` with every message on `channel` from now on, for the life of the client.

        The subscription outlives connections. `on_gap` is called each time it was made anew after one
        broke, or made late because the server was away: messages may have been missed.

        Returns when subscribed, or when the first attempt failed (it goes on trying); never raises for a
        server that is away. An exception out of `callback` or `on_gap` goes to the loop's exception
        handler and harms nothing else.
        """
        if self._closed:
            raise RedisUnavailable(f"{self._address}: the client is closed")
        if self._subscriber is None:
            self._subscriber = Subscriber(self._address, self._connect_timeout_s)
        await self._subscriber.add(channel.encode(), callback, on_gap)

    async def close(self) -> None:
        """Close every connection; commands under way and later ones fail with RedisUnavailable."""
        self._closed = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        subscriber, self._subscriber = self._subscriber, None
        if subscriber is not None:
            await subscriber.close()
        for connection in list(self._open):
            connection.abort("the client is closed")
            await connection.closed()

    async def _acquire(self) -> Connection:
        """A connection to use when the first is absent or busy.

        Raises:
            RedisUnavailable: there is none and now is not the time to open one, or all are full.
        """
        if self._closed:
            raise RedisUnavailable(f"{self._address}: the client is closed")
        if self._open:
            if len(self._open) < self._connections and self._opening is None and not self._pause():
                self._start_opening()
            if sum(len(each.pending) for each in self._open) >= self._max_pending:
                raise RedisUnavailable(f"{self._address}: {self._max_pending} commands are under way already")
            return min(self._open, key=lambda each: len(each.pending))
        opening = self._opening
        if opening is None:
            if pause := self._pause():
                raise RedisUnavailable(self._reason, retry_after=pause)
            opening = self._start_opening()
        elif self._failures:
            # Someone is trying the server already; it was away a moment ago, so nobody else waits for it.
            raise RedisUnavailable(self._reason)
        if self._waiting >= self._max_pending:
            raise RedisUnavailable(
                f"{self._address}: {self._max_pending} commands wait for a connection already"
            )
        self._waiting += 1
        try:
            await asyncio.shield(opening)
        finally:
            self._waiting -= 1
        if not self._open:
            raise RedisUnavailable(self._reason, retry_after=self._pause() or 1.0)
        return self._open[0]

    def _start_opening(self) -> asyncio.Task[None]:
        self._opening = asyncio.get_running_loop().create_task(self._open_one())
        return self._opening

    async def _open_one(self) -> None:
        """Open one connection; the outcome is in `_open` or in `_reason`."""
        try:
            connection = await connect(
                self._address, self._timeout_s, self._connect_timeout_s, self._connection_lost
            )
        except RedisUnavailable as error:
            self._failed(error.reason.removeprefix(f"{self._address}: "))
            return
        finally:
            self._opening = None
        if self._closed:
            connection.abort("the client is closed")
        elif connection.usable:
            self._open.append(connection)
            self._first = self._open[0]
        else:
            self._failed("the server closed the connection")

    def _connection_lost(self, connection: Connection, reason: str) -> None:
        if connection not in self._open:
            return
        self._open.remove(connection)
        self._first = self._open[0] if self._open else None
        if asyncio.get_running_loop().time() - connection.opened_at >= _PROVEN_AFTER_S:
            self._failures = 0
            self._retry_at = 0.0
        else:
            self._failed(reason)

    def _failed(self, reason: str) -> None:
        self._reason = f"{self._address}: {reason}"
        backoff = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2**self._failures)
        self._failures = min(self._failures + 1, 16)
        spread = random.uniform(0.5, 1.0)  # noqa: S311 - spreads reconnects of many instances, keeps no secret
        self._retry_at = asyncio.get_running_loop().time() + backoff * spread

    def _pause(self) -> float:
        """Seconds before the next attempt to connect; 0 when it may be made now."""
        return max(0.0, self._retry_at - asyncio.get_running_loop().time()) if self._failures else 0.0
