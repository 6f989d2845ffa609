"""Settling what was admitted from leases: many shares in one step, each of them once."""

import asyncio
import logging
from collections.abc import Callable, Sequence

from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.lease import Lease, Share
from sluicegate.admission.ports import LeaseStore
from sluicegate.admission.recovery import NO_GENERATION
from sluicegate.admission.replies import Amounts, Booked
from sluicegate.admission.settlements import Settlement, SettlementQueue
from sluicegate.admission.types import Grant

_LOG = logging.getLogger(__name__)

_AT_ONCE = 256
_KEPT = 20_000
_FIRST_BACKOFF_S = 0.02
_LONGEST_BACKOFF_S = 1.0
# The store answers, but not as it should.
_TRIES = 8
_NOTHING = Amounts()


class Shares:
    """Tells the store what shares used, one settlement per lease at a time; what comes meanwhile is the next.

    A settlement whose reply was lost is told again under its number, and so booked once. While the store is
    away shares wait in memory and nobody waits for them.

    Args:
        store: books.
        queue: takes shares whose lease was lost, to be settled by their own ids.
        booked: told of each grant and event that the store took.
    """

    def __init__(
        self, store: LeaseStore, queue: SettlementQueue, booked: Callable[[Grant, bytes], None]
    ) -> None:
        self._store = store
        self._queue = queue
        self._booked = booked
        self._working: set[asyncio.Task[None]] = set()
        self.untold = 0

    async def settle(self, grant: Grant, lease: Lease, nano: int, tokens: int, event: bytes) -> None:
        """End `grant` at what it used; returns once that is booked, or kept to be told later."""
        if self.untold >= _KEPT:
            _LOG.error("settlement of %s (%d nano-dollars) not kept: too many wait", grant.request_id, nano)
            return
        told = None if lease.stuck else asyncio.get_running_loop().create_future()
        grant.lease = None  # settled a second time, it is a hold that has ended
        lease.put_back(grant, nano, tokens)
        lease.waiting.append(Share(grant, nano, tokens, event, told))
        self.untold += 1
        self.work(lease)
        if told is not None:
            await told

    def work(self, lease: Lease) -> None:
        """Tell the store what there is to tell."""
        if lease.working is None and not lease.lost:
            task = lease.working = asyncio.get_running_loop().create_task(self._tell_all(lease))
            self._working.add(task)
            task.add_done_callback(self._working.discard)

    def give_up(self, grant: Grant, lease: Lease) -> None:
        """Take `grant` out of its lease; it is settled by its own id then, and charged once."""
        grant.lease = None
        if grant.generation == lease.generation:
            grant.generation = NO_GENERATION
        lease.under_way -= 1
        if lease.lost:
            self._withdraw(lease)
        elif lease.closed:
            self.work(lease)

    async def finish(self, timeout_s: float) -> None:
        """Wait until all is told, for at most `timeout_s`."""
        if self._working:
            await asyncio.wait(list(self._working), timeout=timeout_s)
        left = list(self._working)
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _tell_all(self, lease: Lease) -> None:
        shares: list[Share] = []
        try:
            while True:
                shares, lease.waiting = lease.waiting[:_AT_ONCE], lease.waiting[_AT_ONCE:]
                back = lease.leftover() if lease.closed else _NOTHING
                last = lease.closed and not (lease.under_way or lease.waiting or lease.asked)
                if not (shares or last or back != _NOTHING):
                    return
                booked = await self._tell(lease, shares, back, last=last)
                for share in shares:
                    self._done(lease, share, booked=booked)
                if not booked:
                    waiting, lease.waiting = lease.waiting, []
                    for share in waiting:
                        self._done(lease, share, booked=False)
                    self._withdraw(lease)
                if last or not booked:
                    lease.state.leases.pop(lease.id, None)
                    return
                if back.nano or back.tokens:
                    lease.state.freed()
        finally:
            lease.working = None
            for share in (*shares, *lease.waiting):
                _tell(share)  # where this is cut short, nobody waits for it any more

    async def _tell(self, lease: Lease, shares: Sequence[Share], back: Amounts, *, last: bool) -> bool:
        """Whether the shares are booked; where not, the lease is lost."""
        lease.number += 1
        used = (sum(each.nano for each in shares), sum(each.tokens for each in shares))
        beyond = (lease.beyond_nano, lease.beyond_tokens)
        lease.beyond_nano = lease.beyond_tokens = 0
        events = [each.event for each in shares if each.event]
        backoff, failures, repeated = _FIRST_BACKOFF_S, 0, False
        while True:
            try:
                outcome, generation = await self._store.settle_shares(
                    lease.counters,
                    lease.id,
                    lease.number,
                    used,
                    beyond,
                    back,
                    lease.loan.at_ms,
                    events,
                    last=last,
                )
            except StoreUnavailable as error:
                repeated = repeated or error.maybe_applied
            except Exception:  # noqa: BLE001 - tried again, and bounded by _TRIES
                _LOG.exception("settlement %d of %s failed; trying again", lease.number, lease.id)
                failures += 1
                if failures >= _TRIES:
                    return self._lose(lease, estimated=True)
            else:
                if outcome in _BOOKED or (
                    # Told before, with the reply lost: the last settlement takes the lease away.
                    outcome is Booked.GONE and repeated and last and generation == lease.generation
                ):
                    lease.stuck = False
                    return True
                return self._lose(lease, estimated=outcome is Booked.REAPED)
            self._let_go(lease, shares)
            await asyncio.sleep(backoff)
            backoff = min(backoff * 2, _LONGEST_BACKOFF_S)

    def _let_go(self, lease: Lease, shares: Sequence[Share]) -> None:
        """The store is away: take no more from the lease, and let no answer wait."""
        lease.stuck = True
        lease.retire()
        for share in (*shares, *lease.waiting):
            _tell(share)

    def _lose(self, lease: Lease, *, estimated: bool) -> bool:
        if lease.waiting or lease.under_way:
            _LOG.warning("the store does not know %s any more; its requests are settled one by one", lease.id)
        lease.lost = True
        lease.estimated = estimated
        lease.retire()
        return False

    def _done(self, lease: Lease, share: Share, *, booked: bool) -> None:
        self.untold -= 1
        grant = share.grant
        if booked:
            self._booked(grant, share.event)
        else:
            grant.lease = None
            if grant.generation == lease.generation:
                grant.generation = NO_GENERATION
            self._queue.put(Settlement(grant, share.nano, share.tokens, share.event))
        _tell(share)

    def _withdraw(self, lease: Lease) -> None:
        """Once a lost lease has no requests left, take back what the store holds or charged for it."""
        if not lease.estimated or lease.under_way:
            return
        lease.estimated = False
        estimate = Grant(
            request_id=lease.id,
            subject=lease.counters.subject,
            held_nano=0,
            held_tokens=0,
            remaining_nano=None,
            generation=NO_GENERATION,
            counters=lease.counters,
            hold_id=lease.id,
        )
        self._queue.put(Settlement(estimate, 0, 0, b""))


_BOOKED = frozenset({Booked.SETTLED, Booked.AGAIN})


def _tell(share: Share) -> None:
    if share.told is not None and not share.told.done():
        share.told.set_result(None)
