"""Coalescing: identical requests under way at once share one upstream call, within this process.

The first to ask leads, the others follow and wait. A leader that succeeds answers all of them. One that
fails or is cancelled hands the lead to the follower that has waited longest, so they try one by one and
a failing upstream is not stormed. Every answer shared is whole; a stream is replayed to followers.
"""

import asyncio
from collections import deque
from types import TracebackType
from typing import Self

from sluicegate.caching.types import CachedAnswer, CacheHit, CacheSlot

COALESCED = "coalesced"

_Waiter = asyncio.Future["CacheHit | Lead"]


class Lead:
    """The duty to ask upstream for others too. Use as a context manager, or end it by one method.

    Leaving the context without `share` or `dissolve` gives the lead up.
    """

    __slots__ = ("_flights", "_slot")

    def __init__(self, flights: "Flights | None", slot: CacheSlot) -> None:
        self._flights = flights
        self._slot = slot

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.give_up()

    @property
    def followers(self) -> int:
        """How many wait for this answer now; keeping it for them pays only when there are any."""
        return self._flights.waiting(self._slot) if self._flights is not None else 0

    def share(self, answer: CachedAnswer) -> None:
        """Give `answer` to all followers."""
        flights, self._flights = self._flights, None
        if flights is not None:
            flights.land(self._slot, answer)

    def give_up(self) -> None:
        """Hand the lead to the follower that has waited longest."""
        flights, self._flights = self._flights, None
        if flights is not None:
            flights.hand_over(self._slot)

    def dissolve(self) -> None:
        """Send every follower its own way: the answer is good, but not one to share."""
        flights, self._flights = self._flights, None
        if flights is not None:
            flights.land(self._slot, None)


class Flights:
    """The requests under way, by slot.

    Args:
        wait_s: seconds a follower waits before it runs by itself.
        most: followers of one leader; further requests run by themselves.
    """

    def __init__(self, wait_s: float, most: int) -> None:
        self._wait_s = wait_s
        self._most = most
        self._flights: dict[CacheSlot, deque[_Waiter]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    async def join(self, slot: CacheSlot) -> "CacheHit | Lead":
        """Lead, or follow until there is an answer, or a lead to take over."""
        waiters = self._flights.get(slot)
        if waiters is None:
            self._flights[slot] = deque()
            return Lead(self, slot)
        if len(waiters) >= self._most:
            return Lead(None, slot)
        loop = asyncio.get_running_loop()
        waiter: _Waiter = loop.create_future()
        waiters.append(waiter)
        timer = loop.call_later(self._wait_s, self._leave, slot, waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                result = waiter.result()
                if isinstance(result, Lead):
                    # The lead arrived together with the cancellation: it must not get lost.
                    result.give_up()
            else:
                self._forget(slot, waiter)
            raise
        finally:
            timer.cancel()

    def waiting(self, slot: CacheSlot) -> int:
        return len(self._flights.get(slot, ()))

    def land(self, slot: CacheSlot, answer: CachedAnswer | None) -> None:
        for waiter in self._flights.pop(slot, ()):
            if not waiter.done():
                waiter.set_result(Lead(None, slot) if answer is None else CacheHit(answer, COALESCED))

    def hand_over(self, slot: CacheSlot) -> None:
        waiters = self._flights.get(slot)
        while waiters:
            waiter = waiters.popleft()
            if not waiter.done():
                waiter.set_result(Lead(self, slot))
                return
        self._flights.pop(slot, None)

    def _leave(self, slot: CacheSlot, waiter: _Waiter) -> None:
        if not waiter.done():
            self._forget(slot, waiter)
            waiter.set_result(Lead(None, slot))

    def _forget(self, slot: CacheSlot, waiter: _Waiter) -> None:
        waiters = self._flights.get(slot)
        if waiters is not None and waiter in waiters:
            waiters.remove(waiter)
