"""The admission service: may this run now, and what did it use."""

import asyncio
import logging

from sluicegate.admission.admitter import Admitter
from sluicegate.admission.caretaker import Caretaker
from sluicegate.admission.catalog import CounterCatalog
from sluicegate.admission.counters import CounterSet
from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.grants import Attempt, away, counters_of, degraded_grant, rate_status
from sluicegate.admission.lease import Lease
from sluicegate.admission.leases import Leases
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.ports import (
    AdmissionStore,
    AdmissionUpkeep,
    LeaseStore,
    OverrideStore,
    RevocationReader,
    SpendReader,
)
from sluicegate.admission.recovery import Recovery
from sluicegate.admission.refusals import refusal
from sluicegate.admission.replies import Grown, Held, LentOut, Refused, Settled, Unseeded
from sluicegate.admission.settlements import Settlement, SettlementQueue
from sluicegate.admission.state import TenantState
from sluicegate.admission.types import Ask, BudgetState, Grant, RateStatus, Subject
from sluicegate.kernel.clock import Clock, SystemClock

_LOG = logging.getLogger(__name__)


class AdmissionService:
    """Admits, grows and settles; every amount is in nano-dollars or tokens.

    Call `start` within the event loop that serves, `stop` before it ends.

    Args:
        store: decides, atomically.
        upkeep: keeps the store's counters whole; usually the same object.
        lender: lends slices of the counters; the same object again.
        budgets: budgets.yaml.
        limits: limits.yaml.
        overrides: limits set at run time; None: there are none.
        spend: the ledger, to rebuild counters from; None: counters start at 0.
        revocations: revoked keys, to mark them anew after a loss; None: they are not.
        clock: time.
    """

    def __init__(
        self,
        store: AdmissionStore,
        upkeep: AdmissionUpkeep,
        lender: LeaseStore,
        budgets: BudgetPolicy,
        limits: LimitPolicy,
        *,
        overrides: OverrideStore | None = None,
        spend: SpendReader | None = None,
        revocations: RevocationReader | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._store = store
        self._upkeep = upkeep
        self._clock = clock or SystemClock()
        self._states: dict[str, TenantState] = {}
        self._catalog = CounterCatalog(budgets, limits, overrides, self._clock)
        self._recovery = Recovery(upkeep, spend, revocations, self._clock, budgets.holds.recovery_s)
        self._caretaker = Caretaker(self._states, upkeep, self._recovery, budgets.holds, self._clock)
        self._queue = SettlementQueue(self._apply)
        self._leases = Leases(lender, self._queue, budgets.leases, self._closed, self._clock)
        self._admitter = Admitter(
            store, self._recovery, self._queue, self._leases, budgets.waiting, self._clock
        )
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        """Begin the background work: heartbeats, reaping, retried settlements."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._caretaker.run()), loop.create_task(self._queue.run())]

    async def stop(self, timeout_s: float = 5.0) -> int:
        """Tell the store what is left to tell, for at most `timeout_s`; how many settlements are left."""
        untold = await self._leases.close(self._states.values(), timeout_s / 2)
        left = await self._queue.drain(timeout_s / 2) if self._tasks else len(self._queue)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []
        await self._admitter.close()
        await self._catalog.close()
        return left + untold

    @property
    def open_grants(self) -> int:
        """Grants of this instance that are not settled yet."""
        return sum(len(state.open) for state in self._states.values())

    @property
    def pending_settlements(self) -> int:
        """Settlements that the store has not taken yet."""
        return len(self._queue) + self._leases.shares.untold

    @property
    def reaped(self) -> int:
        """Holds that this instance ended because their owners were gone."""
        return self._caretaker.reaped

    def forget(self, tenant: str) -> None:
        """Read the tenant's overrides anew before the next request (after `set_override` anywhere)."""
        state = self._states.get(tenant)
        if state is not None:
            state.overrides = None
            state.compiled.clear()
            self._leases.recall(state)

    def forget_key(self, key: str) -> None:
        """Admit nothing more for an API key without asking the store (it may have been revoked)."""
        for state in self._states.values():
            self._leases.recall(state, key)

    def forget_all(self) -> None:
        """Read everyone's overrides anew: announcements may have been missed."""
        for tenant in self._states:
            self.forget(tenant)

    async def admit(self, ask: Ask) -> Grant:
        """Hold money and tokens for `ask` and count it, or refuse and change nothing.

        A second call with the same request id gives the hold that the first took (unless `count` is
        False: then it is another attempt of the same request, with a hold of its own). A grant named by
        `instead_of` has ended when this returns, and is still the caller's to settle when this raises.

        Raises:
            AuthenticationError: the key is revoked.
            BudgetExceededError: a budget cannot pay `floor_nano`.
            BudgetContendedError: it could, but others held it for as long as policy waits.
            RateLimitedError: a rate, token or concurrency limit is reached.
            DependencyUnavailableError: the store is away and policy says closed.
        """
        state, counters = await self._meet(ask.subject)
        return await self._admitter.admit(ask, state, counters)

    async def grow(self, grant: Grant, nano: int, tokens: int = 0) -> bool:
        """Hold more for a running request; False (and nothing changed) when a limit is in the way.

        True without holding anything where the grant is degraded: it is charged when it is settled.

        Raises:
            DependencyUnavailableError: the store is away; whoever called decides whether to go on.
        """
        counters = counters_of(grant)
        limit = counters.request_limit_nano
        if limit is not None and grant.held_nano + nano > limit:
            return False
        if grant.degraded:
            return True
        lease = _lease_of(grant)
        hold_id = grant.hold_id if lease is None else lease.id
        if lease is not None and self._leases.grow(lease, nano, tokens):
            grant.held_nano += nano
            grant.held_tokens += tokens
            return True
        try:
            grown = await self._store.grow(counters, hold_id, nano, tokens)
            if grown is Grown.GONE:
                state = self._state(grant.subject.tenant)
                beat = await self._upkeep.renew(state.tenant, (), 0)
                if beat.generation == grant.generation:
                    return False
                if beat.generation:
                    await self._recovery.adopt(state, beat.generation)
                else:
                    await self._recovery.rebuild(state)
                # Whatever held it before, a recovery puts each request back as a hold of its own.
                grown = await self._store.grow(counters, grant.hold_id, nano, tokens)
        except StoreUnavailable as error:
            raise away(error) from error
        if grown is not Grown.GROWN:
            return False
        grant.held_nano += nano
        grant.held_tokens += tokens
        return True

    async def settle(self, grant: Grant, actual_nano: int, actual_tokens: int, event: bytes) -> None:
        """Book what was really used, give back the rest, append `event` to the outbox; all of it once.

        Never fails for the store's sake: the settlement is kept and retried.
        """
        lease = grant.lease
        if isinstance(lease, Lease):
            if lease.lost or grant.generation != lease.generation:
                self._leases.shares.give_up(grant, lease)
            else:
                await self._leases.shares.settle(grant, lease, actual_nano, actual_tokens, event)
                return
        counters, settlement = counters_of(grant), Settlement(grant, actual_nano, actual_tokens, event)
        try:
            outcome = await self._store.settle(
                counters, grant.hold_id, grant.generation, actual_nano, actual_tokens, event
            )
        except StoreUnavailable:
            self._leases.recall(self._state(grant.subject.tenant))
            self._queue.put(settlement)
        except asyncio.CancelledError:
            self._queue.put(settlement)
            raise
        except Exception:  # noqa: BLE001 - an answer that was paid for must reach its caller; the queue tries again
            _LOG.exception("settlement of %s failed; trying again", grant.request_id)
            self._queue.put(settlement)
        else:
            if outcome is Settled.UNHELD:
                self._queue.put(settlement)
            else:
                self._closed(grant, event)

    async def release(self, grant: Grant, event: bytes | None = None) -> None:
        """Give everything back: nothing was used."""
        await self.settle(grant, 0, 0, event or b"")

    def abandon(self, grant: Grant) -> None:
        """Leave the hold to its deadline: it is charged at its held amount, as an estimate.

        For when nobody can know what was used.
        """
        state = self._states.get(grant.subject.tenant)
        if state is not None:
            state.open.pop(grant.hold_id, None)

    async def pass_through(self, ask: Ask, event: bytes) -> RateStatus | None:
        """Count a request that costs nothing (a cache hit) and append its event, in one trip.

        Raises as `admit`, for rates and revocation only.
        """
        state, counters = await self._meet(ask.subject)
        try:
            reply = await self._store.pass_through(counters, event)
            if isinstance(reply, LentOut):
                self._leases.recall(state)
                await asyncio.sleep(reply.wait_s)
                reply = await self._store.pass_through(counters, event)
                reply = reply.refused if isinstance(reply, LentOut) else reply
        except StoreUnavailable as error:
            if not counters.open_when_away:
                raise away(error) from error
            attempt = Attempt(ask, state, f"{ask.request_id}~hit", (0, 0), (0, 0), self._clock.now())
            self._queue.put(Settlement(degraded_grant(attempt, counters), 0, 0, event))
            return None
        if isinstance(reply, Held):
            self._recovery.told(ask.subject.tenant, event)
            return rate_status(counters, reply)
        if isinstance(reply, Refused):
            raise refusal(reply, counters, (0, 0), (0, 0), self._clock.now())
        raise AssertionError("passing through asks no counter that needs seeding")

    async def overview(self, subject: Subject) -> list[BudgetState]:
        """How the budgets and token limits that `subject` falls under stand now.

        Leave out (empty text or None) what should not be asked. Amounts of a counter that nobody used yet
        come from the ledger.

        Raises:
            DependencyUnavailableError: the store is away.
        """
        counters = await self._catalog.load(self._state(subject.tenant), subject)
        try:
            values = await self._upkeep.read(subject.tenant, counters.amounts)
        except StoreUnavailable as error:
            raise away(error) from error
        states = []
        for counter, value in zip(counters.amounts, values, strict=True):
            if value is None:
                spent = await self._recovery.spent(subject.tenant, counter)
                value = (spent, spent)  # noqa: PLW2901 - the default of an absent value
            states.append(
                BudgetState(
                    scope=counter.scope,
                    name=counter.name,
                    period=str(counter.period),
                    instance=counter.instance.label,
                    unit="nano_usd" if counter.unit == "n" else "tokens",
                    limit=counter.limit,
                    settled=value[1],
                    held=value[0] - value[1],
                    period_end=counter.instance.end or None,
                )
            )
        return states

    def _state(self, tenant: str) -> TenantState:
        return self._states.setdefault(tenant, TenantState(tenant))

    async def _meet(self, subject: Subject) -> tuple[TenantState, CounterSet]:
        """What this instance knows of the subject's tenant, and the counters in force for it."""
        state = self._states.get(subject.tenant) or self._state(subject.tenant)
        state.used_at = self._clock.monotonic()
        return state, self._catalog.find(state, subject) or await self._catalog.load(state, subject)

    async def _apply(self, settlement: Settlement) -> None:
        """Settle what could not be settled at once."""
        grant = settlement.grant
        counters, state = counters_of(grant), self._state(grant.subject.tenant)
        used = (settlement.nano, settlement.tokens, settlement.event)
        outcome = await self._store.settle(counters, grant.hold_id, grant.generation, *used)
        if outcome is Settled.UNHELD:
            charged = await self._store.charge(counters, grant.hold_id, *used)
            if isinstance(charged, Unseeded):
                await self._recovery.seed(state, counters, charged)
                raise StoreUnavailable("the counters are being rebuilt", maybe_applied=False)
        self._closed(grant, settlement.event)

    def _closed(self, grant: Grant, event: bytes) -> None:
        self._recovery.told(grant.subject.tenant, event)
        state = self._states.get(grant.subject.tenant)
        if state is not None:
            state.open.pop(grant.hold_id, None)
            if state.lines:
                state.freed()


def _lease_of(grant: Grant) -> Lease | None:
    """The lease that holds what `grant` may spend; None: a hold of its own."""
    lease = grant.lease
    if isinstance(lease, Lease) and not lease.lost and grant.generation == lease.generation:
        return lease
    return None
