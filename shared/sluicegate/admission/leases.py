"""Admission without a trip: slices of limits and budgets that this instance is lent for a moment.

The store stays the only judge. What is lent is held there, and so never spent twice; near a limit nothing
is lent, and whoever is refused for what is lent out waits until it is back. A request admitted from a lease
is settled before its answer goes out, like any other, but together with the others of that moment.
"""

import asyncio
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

# So many requests of one subject within so many seconds are worth a lease.
_PACE = 4
_PACE_S = 0.02
_FIRST_SIZE = 8
# After a no: a limit is near, and will be for a while.
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
        self._clock = clock
        self._stopping = False
        self._asking: set[asyncio.Task[None]] = set()

    def admit(self, attempt: Attempt, counters: CounterSet) -> Grant | None:
        """A grant from what this instance was lent; None: ask the store."""
        if not self._policy.most:
            return None
        now = asyncio.get_running_loop().time()
        lending: Lending | None = counters.lending
        if lending is None:
            lending = counters.lending = Lending(_FIRST_SIZE)
        lease, want, opened = lending.lease, attempt.want, attempt.state.open
        if lease is None:
            self._pace(lending, attempt, counters, now)
            return None
        if now >= lease.expires or lease.generation != attempt.state.generation:
            return None
        if attempt.hold_id in opened:
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
                lending.size = min(lending.size * 2, self._policy.most)
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
        for lease in list(state.leases.values()):
            if key is None or lease.counters.subject.key == key:
                self._close(lease)

    async def close(self, states: Iterable[TenantState], timeout_s: float) -> int:
        """Give everything back, for at most `timeout_s`; how many settlements are left untold."""
        self._stopping = True
        if self._asking:
            await asyncio.wait(list(self._asking), timeout=timeout_s)
        for state in states:
            self.recall(state)
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
        if self._stopping or ends or loop.time() < lending.not_before:
            return
        task = lending.asking = loop.create_task(self._lend(lending, attempt.state, attempt.want, counters))
        self._asking.add(task)
        task.add_done_callback(self._asking.discard)

    async def _lend(
        self, lending: Lending, state: TenantState, want: tuple[int, int], counters: CounterSet
    ) -> None:
        loop = asyncio.get_running_loop()
        size, lease = lending.size, lending.lease
        asked = loop.time()
        lease_id = f"lease-{secrets.token_hex(8)}" if lease is None else lease.id
        whole = Amounts(size * want[0], size * want[1], size, size)
        amounts = whole if lease is None else lease.lacks(size, want)
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
            loan = NotLent.NO
            if error.maybe_applied:
                self._disown(lease, Lease(lease_id, state, counters, "", _NO_LOAN, 0.0, 0.0))
        finally:
            lending.asking = None
        if isinstance(loan, NotLent):
            lending.size = max(_FIRST_SIZE, size // 4)
            lending.not_before = loop.time() + _PAUSE_S
            if loan is NotLent.GONE and lease is not None:
                self._close(lease)
            return
        expires, renew_at = asked + loan.window_s, asked + loan.window_s / 2
        if lease is None:
            lease = Lease(lease_id, state, counters, loan.generation, loan, expires, renew_at)
            lease.add(amounts, loan, expires, renew_at)
            state.leases[lease_id] = lease
            if state.generation == loan.generation and not self._stopping:
                lending.lease = lease
                loop.call_at(expires, self._expire, lease)
            else:
                self._close(lease)
            return
        lease.add(amounts, loan, expires, renew_at)
        if lease.closed:
            # Closed while more was asked for: that goes back with the rest.
            self.shares.work(lease)

    def _disown(self, lease: Lease | None, unknown: Lease) -> None:
        """Give back what may have been lent although nobody heard so."""
        if lease is not None:
            self._close(lease)  # with its end, all that the store holds for it is free
            return
        unknown.closed = True
        # What was sent may still be on its way; its end waits for it to arrive.
        asyncio.get_running_loop().call_later(_ARRIVES_WITHIN_S, self.shares.work, unknown)

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
