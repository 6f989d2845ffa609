"""Keeps this instance's health and the shared board in step, in the background.

The hot path never waits for the board: changes are queued, and lost when the queue is full or the board is
away. Health is then local, which is safe: each instance opens its own breakers.
"""

import asyncio
import logging
from collections import deque

from sluicegate.routing.model_health import ModelHealth
from sluicegate.routing.ports import BoardUnavailable, HealthBoard, HealthChange

_log = logging.getLogger(__name__)

_MAX_QUEUED = 256


class HealthSharing:
    """Publishes what `health` decides and tells it what others decided.

    Args:
        health: this instance's view; its `on_change` is taken.
        board: where instances meet.
        retry_s: seconds to wait when the board is away.
    """

    def __init__(self, health: ModelHealth, board: HealthBoard, *, retry_s: float = 5.0) -> None:
        self._health = health
        self._board = board
        self._retry_s = retry_s
        self._queue: deque[HealthChange] = deque(maxlen=_MAX_QUEUED)
        self._wake = asyncio.Event()
        self._stale = True
        self._watching = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin in the background; never fails, whatever the board's state."""
        self._health.on_change = self._changed
        self._wake.set()
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop and close the board."""
        self._health.on_change = None
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        await self._board.close()

    def _changed(self, change: HealthChange) -> None:
        self._queue.append(change)
        self._wake.set()

    def _gap(self) -> None:
        self._stale = True
        self._wake.set()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._catch_up()
            except BoardUnavailable as error:
                _log.warning("model health is local to this instance: %s", error)
                await asyncio.sleep(self._retry_s)
                self._wake.set()

    async def _catch_up(self) -> None:
        if not self._watching:
            await self._board.watch(self._health.hear, self._gap)
            self._watching = True
        if self._stale:
            self._stale = False
            try:
                kept = await self._board.snapshot()
            except BoardUnavailable:
                self._stale = True
                raise
            for change in kept:
                self._health.hear(change)
        while self._queue:
            await self._board.publish(self._queue[0])
            self._queue.popleft()
