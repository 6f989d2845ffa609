"""Admission without a trip: slices of limits and budgets that this instance is lent for a moment.

The store stays the only judge. What is lent is held there, and so never spent twice; near a limit nothing
is lent, and whoever is refused for what is lent out waits until it is back. A request admitted from a lease
is settled before its answer goes out, like any other, but together with the others of that moment.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable, Iterable

from sluicegate.admission.counters import CounterSet
from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.grants import Attempt, token_status
from sluicegate.admission.lease import Lease, Lending
from sluicegate.admission.policy import LeasePolicy
from sluicegate.admission.ports import LeaseStore
from sluicegate.admission.replies import Amounts, Loan, NotLent
from sluicegate.admission.settlements import SettlementQueue
from sluicegate.admission.shares import Shares
from sluicegate.admission.state import TenantState
from sluicegate.admission.types import Grant
from sluicegate.kernel.clock import Clock

_LOG = logging.getLogger(__name__)

# So many requests of one subject within so many seconds are worth a lease.
_PACE = 4
_PACE_S = 0.02
_FIRST_SIZE = 8
# After a no to the smallest: a limit is near, and will be for a while.
_PAUSE_S = 0.25
_ARRIVES_WITHIN_S = 1.5
_NO_LOAN = Loan("", 0.0, 0, None, None, 0, None)


class Leases:
    """Takes leases where the pace is worth it, admits from them, and gives them back.

    Args:
        store: lends and books.
        queue: takes settlements of shares whose lease was lost.
        policy: how much, and for how long.
        booked: told of each grant and event that the store took.
        clock: the wall clock.
    """

    def __init__(
        self,
        store: LeaseStore,
        queue: SettlementQueue,
        policy: LeasePolicy,
        booked: Callable[[Grant, bytes], None],
        clock: Clock,
    ) -> None:
        self.shares = Shares(store, queue, booked)
        self._store = store
        self._policy = policy
        self._least = min(_FIRST_SIZE, policy.most)
        self._clock = clock
        self._stopping = False
        self._asking: set[asyncio.Task[None]] = set()
        self._unknown: dict[Lease, asyncio.TimerHandle] = {}

    def admit(self, attempt: Attempt, counters: CounterSet) -> Grant | None:
        """A grant from what this instance was lent; None: ask the store."""
        if not self._policy.most:
            return None
        now = asyncio.get_running_loop().time()
        lending: Lending | None = counters.lending
        if lending is None:
            lending = counters.lending = Lending(self._least, self._policy.most)
        lease, want, opened = lending.lease, attempt.want, attempt.state.open
        if lease is None:
            self._pace(lending, attempt, counters, now)
            return None
        if now >= lease.expires or lease.generation != attempt.state.generation:
            return None
        taken = lease.take(want)
        if lending.asking is None and (
            not taken
            or now >= lease.renew_at
            or lease.requests * 4 < lending.size
            or lease.nano < 4 * want[0]
        ):
            if now < lease.renew_at:
                # Used up before half its time: the next slice is to serve more.
                lending.size = min(lending.size * 2, lending.most)
            self._ask(lending, attempt, counters)
        if not taken:
            return None
        loan = lease.loan
        grant = Grant(
            request_id=attempt.ask.request_id,
            subject=attempt.ask.subject,
            held_nano=want[0],
            held_tokens=want[1],
            remaining_nano=lease.money_left(),
            generation=lease.generation,
            requests=lease.rate_status(),
            tokens=token_status(counters, loan.token_index, loan.tokens_left + lease.tokens, attempt.at),
            counters=counters,
            hold_id=attempt.hold_id,
            at=attempt.at,
            lease=lease,
        )
        opened[attempt.hold_id] = grant
        return grant

    def grow(self, lease: Lease, nano: int, tokens: int) -> bool:
        """Take more for a running request from what is lent already; False: ask the store."""
        now = asyncio.get_running_loop().time()
        if lease.closed or now >= lease.expires or nano > lease.nano or tokens > lease.tokens:
            return False
        lease.nano -= nano
        lease.tokens -= tokens
        return True

    async def detach(self, grant: Grant, lease: Lease) -> None:
        """Make the share a hold of its own.

        Raises:
            StoreUnavailable: the store is away.
        """
        amounts, detached = Amounts(grant.held_nano, grant.held_tokens), False
        try:
            detached = await self._store.detach(lease.counters, lease.id, grant.hold_id, amounts, grant.at)
        finally:
            generation = grant.generation
            # Where nobody knows whether it happened, the share is settled as one of an unknown life: charged
            # once either way, and the lease returns what it holds for it.
            self.shares.give_up(grant, lease)
            if detached:
                grant.generation = generation

    def recall(self, state: TenantState, key: str | None = None) -> None:
        """Give back what this instance was lent for the tenant (for one API key, where named)."""
        state.recalls += 1  # what is on its way goes back when it comes
        for lease in list(state.leases.values()):
            if key is None or lease.counters.subject.key == key:
                self._close(lease)

    async def close(self, states: Iterable[TenantState], timeout_s: float) -> int:
        """Give everything back, for at most `timeout_s`; how many settlements are left untold."""
        self._stopping = True
        if self._asking:
            _, left = await asyncio.wait(list(self._asking), timeout=timeout_s)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        for state in states:
            self.recall(state)
        for lease, later in self._unknown.items():
            later.cancel()
            self.shares.work(lease)
        await self.shares.finish(timeout_s)
        return self.shares.untold

    def _pace(self, lending: Lending, attempt: Attempt, counters: CounterSet, now: float) -> None:
        if now - lending.since > _PACE_S:
            lending.since = now
            lending.count = 0
        lending.count += 1
        if lending.count >= _PACE and lending.asking is None:
            self._ask(lending, attempt, counters)

    def _ask(self, lending: Lending, attempt: Attempt, counters: CounterSet) -> None:
        loop = asyncio.get_running_loop()
        ends = self._clock.now() >= counters.valid_until - self._policy.window_ms / 1000
        unknown = not attempt.state.generation  # no counters yet, or not met: nothing to lend of
        if self._stopping or ends or unknown or loop.time() < lending.not_before:
            return
        task = lending.asking = loop.create_task(self._lend(lending, attempt.state, attempt.want, counters))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _lend(
        self, lending: Lending, state: TenantState, want: tuple[int, int], counters: CounterSet
    ) -> None:
        loop = asyncio.get_running_loop()
        size, lease = lending.size, lending.lease
        asked, recalls = loop.time(), state.recalls
        lease_id = f"lease-{secrets.token_hex(8)}" if lease is None else lease.id
        whole = Amounts(size * want[0], size * want[1], size, size)
        amounts = whole
        if lease is not None:
            amounts = lease.lacks(size, want)
            lease.asked = True
        lost = False
        try:
            loan = await self._store.lend(
                counters,
                lease_id,
                amounts,
                existing=lease is not None,
                margin=self._policy.margin,
                window_ms=self._policy.window_ms,
            )
        except StoreUnavailable as error:
            loan, lost = NotLent.NO, error.maybe_applied
        except Exception:  # noqa: BLE001 - nobody waits for it: requests are admitted one by one
            _LOG.exception("lending to %s failed", state.tenant)
            loan, lost = NotLent.NO, True
        finally:
            lending.asking = None
            if lease is not None:
                lease.asked = False
        if isinstance(loan, NotLent):
            if lost and lease is None:
                self._disown(Lease(lease_id, state, counters, "", _NO_LOAN, 0.0, 0.0))
            if loan is NotLent.NO:
                lending.size = lending.most = max(self._least, size // 2)
                if size <= self._least:
                    lending.not_before = loop.time() + _PAUSE_S
            if lease is not None and (lost or lease.closed or loan is NotLent.GONE):
                # With its end, all that the store holds for it is free.
                lease.retire()
                self.shares.work(lease)
            return
        # Halved with a no, and tried again little by little.
        lending.most = min(lending.most + 1 + lending.most // 8, self._policy.most)
        expires, renew_at = asked + loan.window_s, asked + loan.window_s / 2
        if lease is None:
            lease = Lease(lease_id, state, counters, loan.generation, loan, expires, renew_at)
            lease.add(amounts, loan, expires, renew_at)
            state.leases[lease_id] = lease
            if state.generation == loan.generation and state.recalls == recalls and not self._stopping:
                lending.lease = lease
                loop.call_at(expires, self._expire, lease)
            else:
                self._close(lease)
            return
        lease.add(amounts, loan, expires, renew_at)
        if lease.closed:
            # Closed while more was asked for: that goes back with the rest.
            self.shares.work(lease)

    def _disown(self, lease: Lease) -> None:
        """Give back what may have been lent although nobody heard so."""
        lease.closed = True
        # What was sent may still be on its way; its end waits for it to arrive.
        loop = asyncio.get_running_loop()
        self._unknown[lease] = loop.call_later(_ARRIVES_WITHIN_S, self._end_unknown, lease)

    def _end_unknown(self, lease: Lease) -> None:
        del self._unknown[lease]
        self.shares.work(lease)

    def _expire(self, lease: Lease) -> None:
        loop = asyncio.get_running_loop()
        if lease.closed:
            return
        if loop.time() < lease.expires:
            loop.call_at(lease.expires, self._expire, lease)
        else:
            self._close(lease)

    def _close(self, lease: Lease) -> None:
        if not lease.closed:
            lease.retire()
            self.shares.work(lease)


def forsake(state: TenantState) -> None:
    """Forget closed leases whose last requests nobody settles any more; their deadlines end them."""
    alive = {id(grant.lease) for grant in state.open.values() if grant.lease is not None}
    for lease in list(state.leases.values()):
        if lease.closed and lease.working is None and id(lease) not in alive:
            del state.leases[lease.id]
