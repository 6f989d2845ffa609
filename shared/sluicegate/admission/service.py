"""The admission service: may this run now, and what did it use."""

import asyncio
import contextlib
from dataclasses import dataclass
from itertools import count

from sluicegate.admission import rates
from sluicegate.admission.caretaker import Caretaker
from sluicegate.admission.catalog import CounterCatalog
from sluicegate.admission.counters import CounterSet
from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.ports import (
    AdmissionStore,
    AdmissionUpkeep,
    OverrideStore,
    RevocationReader,
    SpendReader,
)
from sluicegate.admission.recovery import NO_GENERATION, Recovery
from sluicegate.admission.refusals import contended, over_request_limit, refusal
from sluicegate.admission.replies import AdmitReply, Grown, Held, Refused, Settled, Unseeded
from sluicegate.admission.settlements import Settlement, SettlementQueue
from sluicegate.admission.state import TenantState
from sluicegate.admission.types import Ask, BudgetState, Grant, RateStatus, Subject
from sluicegate.admission.waiting import WaitingLine
from sluicegate.kernel.clock import Clock, SystemClock
from sluicegate.kernel.errors import DependencyUnavailableError, SluicegateError

# When an admission was cut short its hold may still be on its way; its release waits for it to arrive.
_RELEASE_AFTER_S = 1.5
_SEEDINGS = 20


class AdmissionService:
    """Admits, grows and settles; every amount is in nano-dollars or tokens.

    Call `start` within the event loop that serves, `stop` before it ends.

    Args:
        store: decides, atomically.
        upkeep: keeps the store's counters whole; usually the same object.
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
        self._waiting = budgets.waiting
        self._states: dict[str, TenantState] = {}
        self._catalog = CounterCatalog(budgets, limits, overrides, self._clock)
        self._recovery = Recovery(upkeep, spend, revocations, self._clock, budgets.holds.recovery_s)
        self._caretaker = Caretaker(self._states, upkeep, self._recovery, budgets.holds, self._clock)
        self._queue = SettlementQueue(self._apply)
        self._holds = count(1)
        self._tasks: list[asyncio.Task[None]] = []
        self._adopting: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Begin the background work: heartbeats, reaping, retried settlements."""
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._caretaker.run()), loop.create_task(self._queue.run())]

    async def stop(self, timeout_s: float = 5.0) -> int:
        """Tell the store what is left to tell, for at most `timeout_s`; how many settlements are left."""
        left = await self._queue.drain(timeout_s) if self._tasks else len(self._queue)
        tasks = [*self._tasks, *self._adopting]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._tasks = []
        await self._catalog.close()
        return left

    @property
    def open_grants(self) -> int:
        """Grants of this instance that are not settled yet."""
        return sum(len(state.open) for state in self._states.values())

    @property
    def pending_settlements(self) -> int:
        """Settlements that the store has not taken yet."""
        return len(self._queue)

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

    def forget_all(self) -> None:
        """Read everyone's overrides anew: announcements may have been missed."""
        for tenant in self._states:
            self.forget(tenant)

    async def admit(self, ask: Ask) -> Grant:
        """Hold money and tokens for `ask` and count it, or refuse and change nothing.

        A second call with the same request id gives the hold that the first took (unless `count` is
        False: then it is another attempt of the same request, with a hold of its own).

        Raises:
            AuthenticationError: the key is revoked.
            BudgetExceededError: a budget cannot pay `floor_nano`.
            BudgetContendedError: it could, but others held it for as long as policy waits.
            RateLimitedError: a rate, token or concurrency limit is reached.
            DependencyUnavailableError: the store is away and policy says closed.
        """
        subject = ask.subject
        state = self._states.get(subject.tenant) or self._state(subject.tenant)
        state.used_at = self._clock.monotonic()
        counters = self._catalog.find(state, subject) or await self._catalog.load(state, subject)
        want, floor = _bounds(ask, counters)
        hold_id = ask.request_id if ask.count else f"{ask.request_id}~{next(self._holds)}"
        attempt = _Attempt(ask, state, hold_id, want, floor)
        try:
            if state.lines and any(each.committed in state.lines for each in counters.amounts):
                return await self._insist(attempt, counters, None)
            reply = await self._store.admit(counters, hold_id, want, floor, count=ask.count)
            if type(reply) is Held:
                return self._grant(ask, state, counters, hold_id, reply)
            return await self._insist(attempt, counters, reply)
        except StoreUnavailable as error:
            return self._without_store(attempt, counters, error)
        except asyncio.CancelledError:
            self._abandon(attempt, counters)
            raise

    async def grow(self, grant: Grant, nano: int, tokens: int = 0) -> bool:
        """Hold more for a running request; False (and nothing changed) when a limit is in the way.

        True without holding anything where the grant is degraded: it is charged when it is settled.

        Raises:
            DependencyUnavailableError: the store is away; whoever called decides whether to go on.
        """
        counters = _counters(grant)
        limit = counters.request_limit_nano
        if limit is not None and grant.held_nano + nano > limit:
            return False
        if grant.degraded:
            return True
        try:
            grown = await self._store.grow(counters, grant.hold_id, nano, tokens)
            if grown is Grown.GONE:
                state = self._state(grant.subject.tenant)
                beat = await self._upkeep.renew(state.tenant, (), 0)
                if beat.generation == grant.generation:
                    return False
                if beat.generation:
                    await self._recovery.adopt(state, beat.generation)
                else:
                    await self._recovery.rebuild(state)
                grown = await self._store.grow(counters, grant.hold_id, nano, tokens)
        except StoreUnavailable as error:
            raise _away(error) from error
        if grown is not Grown.GROWN:
            return False
        grant.held_nano += nano
        grant.held_tokens += tokens
        return True

    async def settle(self, grant: Grant, actual_nano: int, actual_tokens: int, event: bytes) -> None:
        """Book what was really used, give back the rest, append `event` to the outbox; all of it once.

        Never fails for a store that is away: the settlement is kept and retried.
        """
        settlement = Settlement(grant, actual_nano, actual_tokens, event)
        try:
            outcome = await self._store.settle(
                _counters(grant), grant.hold_id, grant.generation, actual_nano, actual_tokens, event
            )
        except StoreUnavailable:
            self._queue.put(settlement)
        except asyncio.CancelledError:
            self._queue.put(settlement)
            raise
        else:
            if outcome is Settled.UNHELD:
                self._queue.put(settlement)
            else:
                self._closed(grant)

    async def release(self, grant: Grant, event: bytes | None = None) -> None:
        """Give everything back: nothing was used."""
        await self.settle(grant, 0, 0, event or b"")

    async def pass_through(self, ask: Ask, event: bytes) -> RateStatus | None:
        """Count a request that costs nothing (a cache hit) and append its event, in one trip.

        Raises as `admit`, for rates and revocation only.
        """
        subject = ask.subject
        state = self._states.get(subject.tenant) or self._state(subject.tenant)
        state.used_at = self._clock.monotonic()
        counters = self._catalog.find(state, subject) or await self._catalog.load(state, subject)
        try:
            reply = await self._store.pass_through(counters, event)
        except StoreUnavailable as error:
            if not counters.open_when_away:
                raise _away(error) from error
            attempt = _Attempt(ask, state, f"{ask.request_id}~hit", (0, 0), (0, 0))
            self._queue.put(Settlement(_degraded(attempt, counters), 0, 0, event))
            return None
        if isinstance(reply, Held):
            return _rate_status(counters, reply)
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
            raise _away(error) from error
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

    def _grant(self, ask: Ask, state: TenantState, counters: CounterSet, hold_id: str, held: Held) -> Grant:
        tokens = None
        if held.token_index is not None:
            counter = counters.tokens[held.token_index]
            reset = counter.instance.retry_after(self._clock.now()) or 0.0
            tokens = RateStatus(counter.limit, held.tokens_left, reset)
        grant = Grant(
            request_id=ask.request_id,
            subject=ask.subject,
            held_nano=held.nano,
            held_tokens=held.tokens,
            remaining_nano=held.money_left,
            generation=held.generation,
            requests=_rate_status(counters, held),
            tokens=tokens,
            counters=counters,
            hold_id=hold_id,
        )
        state.open[hold_id] = grant
        if held.generation != state.generation:
            self._met(state, held.generation)
        return grant

    def _met(self, state: TenantState, generation: str) -> None:
        """Another generation answers: whoever flushed the store took our other holds with it."""
        if not state.generation and len(state.open) == 1:
            state.generation = generation
            return

        async def adopt() -> None:
            with contextlib.suppress(StoreUnavailable):  # the next heartbeat finds it again
                await self._recovery.adopt(state, generation)

        task = asyncio.get_running_loop().create_task(adopt())
        self._adopting.add(task)
        task.add_done_callback(self._adopting.discard)

    async def _insist(self, attempt: "_Attempt", counters: CounterSet, reply: AdmitReply | None) -> Grant:
        """Everything but a first yes: seed and try again, stand in line, or refuse.

        `reply` is the first answer; None where a line stands there already, and asking first would be
        pushing in.
        """
        state, floor = attempt.state, attempt.floor
        if isinstance(reply, Unseeded):
            reply = await self._try(attempt, counters, reply)
        if isinstance(reply, Held):
            return self._grant(attempt.ask, state, counters, attempt.hold_id, reply)
        if reply is None:
            field = next(each.committed for each in counters.amounts if each.committed in state.lines)
        else:
            counter = contended(reply, counters, floor)
            if counter is None:
                raise self._refusal(attempt, counters, reply)
            field = counter.committed
        line = state.lines.setdefault(field, WaitingLine())
        deadline = asyncio.get_running_loop().time() + self._waiting.seconds
        try:
            if line.length < self._waiting.length:
                async with line.place(deadline):
                    for look in count():
                        reply = await self._try(attempt, counters)
                        if isinstance(reply, Held):
                            return self._grant(attempt.ask, state, counters, attempt.hold_id, reply)
                        if contended(reply, counters, floor) is None:
                            break
                        if not await line.look_again(look, deadline):
                            break
        except TimeoutError:
            pass  # the refusal below says what it stood in line for
        finally:
            if not line.length and state.lines.get(field) is line:
                del state.lines[field]
        reply = await self._try(attempt, counters) if reply is None else reply
        if isinstance(reply, Held):
            return self._grant(attempt.ask, state, counters, attempt.hold_id, reply)
        raise self._refusal(attempt, counters, reply)

    async def _try(
        self, attempt: "_Attempt", counters: CounterSet, reply: Unseeded | None = None
    ) -> Held | Refused:
        """Ask the store, seeding what it says it lacks."""
        for _ in range(_SEEDINGS):
            if reply is not None:
                await asyncio.sleep(await self._recovery.seed(attempt.state, counters, reply))
            answer = await self._store.admit(
                counters, attempt.hold_id, attempt.want, attempt.floor, count=attempt.ask.count
            )
            if not isinstance(answer, Unseeded):
                return answer
            reply = answer
        raise StoreUnavailable("counters are lost as fast as they are rebuilt", maybe_applied=False)

    def _refusal(self, attempt: "_Attempt", counters: CounterSet, refused: Refused) -> SluicegateError:
        return refusal(refused, counters, attempt.want, attempt.floor, self._clock.now())

    def _without_store(self, attempt: "_Attempt", counters: CounterSet, error: StoreUnavailable) -> Grant:
        if not counters.open_when_away:
            if error.maybe_applied:
                self._abandon(attempt, counters)
            raise _away(error) from error
        grant = _degraded(attempt, counters)
        attempt.state.open[grant.hold_id] = grant
        return grant

    def _abandon(self, attempt: "_Attempt", counters: CounterSet) -> None:
        """Release a hold that may have been taken although nobody will use it."""
        later = asyncio.get_running_loop().time() + _RELEASE_AFTER_S
        self._queue.put(Settlement(_degraded(attempt, counters), 0, 0, b"", not_before=later))

    async def _apply(self, settlement: Settlement) -> None:
        """Settle what could not be settled at once."""
        grant = settlement.grant
        counters, state = _counters(grant), self._state(grant.subject.tenant)
        used = (settlement.nano, settlement.tokens, settlement.event)
        outcome = await self._store.settle(counters, grant.hold_id, grant.generation, *used)
        if outcome is Settled.UNHELD:
            charged = await self._store.charge(counters, grant.hold_id, *used)
            if isinstance(charged, Unseeded):
                await self._recovery.seed(state, counters, charged)
                raise StoreUnavailable("the counters are being rebuilt", maybe_applied=False)
        self._closed(grant)

    def _closed(self, grant: Grant) -> None:
        state = self._states.get(grant.subject.tenant)
        if state is not None:
            state.open.pop(grant.hold_id, None)
            if state.lines:
                state.freed()


@dataclass(slots=True)
class _Attempt:
    """One admission under way. `want` and `floor` are (nano-dollars, tokens)."""

    ask: Ask
    state: TenantState
    hold_id: str
    want: tuple[int, int]
    floor: tuple[int, int]


def _bounds(ask: Ask, counters: CounterSet) -> tuple[tuple[int, int], tuple[int, int]]:
    """What is wanted and what is least, each (nano, tokens), after the limits on a single request."""
    want = ask.want_nano
    for limit, whose in ((counters.request_limit_nano, "policy"), (ask.max_cost_nano, "caller")):
        if limit is not None and limit < want:
            if limit < ask.floor_nano:
                raise over_request_limit(limit, ask.floor_nano, whose)
            want = limit
    least = ask.tokens if ask.floor_tokens is None else ask.floor_tokens
    return (want, ask.tokens), (ask.floor_nano, least)


def _counters(grant: Grant) -> CounterSet:
    counters = grant.counters
    if not isinstance(counters, CounterSet):
        raise TypeError("the grant was not given by this service")
    return counters


def _degraded(attempt: _Attempt, counters: CounterSet) -> Grant:
    return Grant(
        request_id=attempt.ask.request_id,
        subject=attempt.ask.subject,
        held_nano=attempt.want[0],
        held_tokens=attempt.want[1],
        remaining_nano=None,
        generation=NO_GENERATION,
        degraded=True,
        counters=counters,
        hold_id=attempt.hold_id,
    )


def _rate_status(counters: CounterSet, held: Held) -> RateStatus | None:
    if held.rate is None:
        return None
    index, requests, before, elapsed = held.rate
    rate = counters.rates[index]
    return rates.status(rate.limit, rate.period_ms, requests, before, elapsed)


def _away(error: StoreUnavailable) -> DependencyUnavailableError:
    return DependencyUnavailableError(
        "budgets cannot be checked just now, and policy says to wait; try again shortly",
        retry_after=error.retry_after,
    )
