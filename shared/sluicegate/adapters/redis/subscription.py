"""Pub/sub on a connection of its own, which is made again whenever it breaks."""

import asyncio
import random
from collections.abc import Callable
from typing import Any

from sluicegate.adapters.redis.address import RedisAddress
from sluicegate.adapters.redis.command import pack
from sluicegate.adapters.redis.connection import Connection
from sluicegate.adapters.redis.connector import connect
from sluicegate.adapters.redis.errors import RedisUnavailable

Message = Callable[[bytes], None]
Gap = Callable[[], None]

# A subscriber mostly waits, so a silent peer is asked for a sign of life.
_PING_EVERY_S = 10.0
_FIRST_BACKOFF_S = 0.05
_LONGEST_BACKOFF_S = 2.0
_PING = pack(("PING",))


class Subscriber:
    """Keeps the subscriptions of one client alive.

    Args:
        address: the server.
        connect_timeout_s: seconds for one attempt to connect, and for a sign of life.
    """

    def __init__(
        self, address: RedisAddress, connect_timeout_s: float, *, ping_every_s: float = _PING_EVERY_S
    ) -> None:
        self._address = address
        self._connect_timeout_s = connect_timeout_s
        self._ping_every_s = ping_every_s
        self._channels: dict[bytes, list[tuple[Message, Gap]]] = {}
        self._confirmed: set[bytes] = set()
        self._late: set[bytes] = set()
        self._attempts = 0
        self._wakers: set[asyncio.Future[None]] = set()
        self._connection: Connection | None = None
        self._lost = asyncio.Event()
        self._heard = False
        self._task: asyncio.Task[None] | None = None

    async def add(self, channel: bytes, callback: Message, on_gap: Gap) -> None:
        """Subscribe; returns once it is confirmed, or once an attempt to connect has failed."""
        self._channels.setdefault(channel, []).append((callback, on_gap))
        attempts = self._attempts
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        elif self._connection is not None and channel not in self._confirmed:
            self._connection.write(pack(("SUBSCRIBE", channel)))
        while channel not in self._confirmed and self._attempts == attempts:
            waker = asyncio.get_running_loop().create_future()
            self._wakers.add(waker)
            await waker
        if channel not in self._confirmed:
            self._late.add(channel)

    async def close(self) -> None:
        """End all subscriptions."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._attempts += 1
        self._wake()

    async def _run(self) -> None:
        failures = 0
        while True:
            try:
                await self._serve()
                failures = 0
            except RedisUnavailable:
                failures += 1
            self._attempts += 1
            self._late.update(self._channels)
            self._confirmed.clear()
            self._wake()
            backoff = min(_LONGEST_BACKOFF_S, _FIRST_BACKOFF_S * 2 ** min(failures, 16))
            await asyncio.sleep(
                backoff * random.uniform(0.5, 1.0)  # noqa: S311 - spreads reconnects, keeps no secret
            )

    async def _serve(self) -> None:
        """Connect, subscribe, and stay until the connection breaks."""
        self._lost.clear()
        connection = await connect(
            self._address, self._connect_timeout_s, self._connect_timeout_s, lambda *_: self._lost.set()
        )
        try:
            connection.listen(self._on_reply)
            self._connection = connection
            if self._channels:
                connection.write(pack(("SUBSCRIBE", *self._channels)))
            await self._stay(connection)
        finally:
            self._connection = None
            connection.abort("the subscription ended")
            await connection.closed()

    async def _stay(self, connection: Connection) -> None:
        patience = self._connect_timeout_s
        while not self._lost.is_set():
            self._heard = False
            connection.write(_PING)
            await self._wait_lost(patience)
            if not self._heard:
                return
            await self._wait_lost(self._ping_every_s)

    async def _wait_lost(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._lost.wait()
        except TimeoutError:
            return

    def _on_reply(self, reply: Any) -> None:
        self._heard = True
        if not isinstance(reply, list) or len(reply) != 3:
            return
        kind, channel, payload = reply
        if kind == b"message":
            for callback, _ in self._channels.get(channel, ()):
                self._guarded(callback, payload)
        elif kind == b"subscribe":
            self._confirmed.add(channel)
            if channel in self._late:
                self._late.discard(channel)
                for _, on_gap in self._channels.get(channel, ()):
                    self._guarded(on_gap)
            self._wake()

    def _guarded(self, call: Callable[..., None], *args: bytes) -> None:
        try:
            call(*args)
        except Exception as error:  # noqa: BLE001 - one listener's fault is reported and must not deafen the others
            asyncio.get_running_loop().call_exception_handler(
                {
                    "message": f"a listener on {self._address} failed",
                    "exception": error,
                }
            )

    def _wake(self) -> None:
        wakers, self._wakers = self._wakers, set()
        for waker in wakers:
            if not waker.done():
                waker.set_result(None)
