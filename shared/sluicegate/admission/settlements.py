"""Settlements that could not be told to the store yet."""

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.types import Grant

_LOG = logging.getLogger(__name__)

_BATCH = 64
_LONGEST_BACKOFF_S = 2.0
# The store answers, but not as it should: after so many tries the hold's deadline has to end it.
_TRIES = 8


@dataclass(slots=True, eq=False)
class Settlement:
    """What a grant really used, and the event that says so. `not_before` is on the loop's clock."""

    grant: Grant
    nano: int
    tokens: int
    event: bytes
    not_before: float = 0.0
    failures: int = 0


class SettlementQueue:
    """Keeps settlements in memory and retries them until the store takes them; order does not matter.

    Each is idempotent by hold id. When `limit` is reached the newest is refused with an error in the log:
    its hold then ends at its deadline, at the held amount.

    Args:
        apply: tells the store; raises StoreUnavailable to be called again.
        limit: how many settlements are kept at most.
        first_backoff_s: seconds before the first retry; each further one waits twice as long.
    """

    def __init__(
        self,
        apply: Callable[[Settlement], Awaitable[None]],
        limit: int = 20_000,
        first_backoff_s: float = 0.05,
    ) -> None:
        self._apply = apply
        self._first_backoff_s = first_backoff_s
        self._limit = limit
        self._pending: deque[Settlement] = deque()
        self._active = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def __len__(self) -> int:
        return len(self._pending) + self._active

    def put(self, settlement: Settlement) -> None:
        """Take over `settlement`; never waits, never raises."""
        if len(self._pending) >= self._limit:
            _LOG.error(
                "settlement of %s (%d nano-dollars) not kept: %d are waiting; its hold ends at its deadline",
                settlement.grant.request_id,
                settlement.nano,
                len(self._pending),
            )
            return
        self._pending.append(settlement)
        self._idle.clear()
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled."""
        backoff = self._first_backoff_s
        while True:
            await self._wake.wait()
            now = asyncio.get_running_loop().time()
            batch = [each for each in self._pending if each.not_before <= now][:_BATCH]
            for each in batch:
                self._pending.remove(each)
            self._active = len(batch)
            try:
                done = await asyncio.gather(*(self._attempt(each) for each in batch))
            except asyncio.CancelledError:
                self._pending.extendleft(batch)
                raise
            finally:
                self._active = 0
            self._pending.extend(each for each, ok in zip(batch, done, strict=True) if not ok)
            if not self._pending:
                self._wake.clear()
                self._idle.set()
            elif not all(done):
                await asyncio.sleep(backoff * random.uniform(0.5, 1.0))  # noqa: S311 - spreads load, guards nothing
                backoff = min(backoff * 2, _LONGEST_BACKOFF_S)
                continue
            elif not batch:
                await asyncio.sleep(self._first_backoff_s)
            backoff = self._first_backoff_s

    async def drain(self, timeout_s: float) -> int:
        """Wait until all are settled or `timeout_s` is over; how many are left."""
        for each in self._pending:
            each.not_before = 0.0
        try:
            async with asyncio.timeout(timeout_s):
                await self._idle.wait()
        except TimeoutError:
            _LOG.error("%d settlements are left untold; their holds end at their deadlines", len(self))
        return len(self)

    async def _attempt(self, settlement: Settlement) -> bool:
        try:
            await self._apply(settlement)
        except StoreUnavailable:
            return False
        except Exception:  # noqa: BLE001 - logged, retried, and bounded by _TRIES
            settlement.failures += 1
            _LOG.exception("settlement of %s failed", settlement.grant.request_id)
            return settlement.failures >= _TRIES
        return True
