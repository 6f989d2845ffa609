"""Admission from the first answer of the store to a grant or a refusal."""

import asyncio
import contextlib
from itertools import count

from sluicegate.admission.counters import CounterSet
from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.grants import Attempt, away, bounds, degraded_grant, rate_status, token_status
from sluicegate.admission.lease import Lease
from sluicegate.admission.leases import Leases
from sluicegate.admission.policy import WaitingPolicy
from sluicegate.admission.ports import AdmissionStore
from sluicegate.admission.recovery import NO_GENERATION, Recovery
from sluicegate.admission.refusals import contended, refusal
from sluicegate.admission.replies import AdmitReply, Held, LentOut, Refused, Unseeded
from sluicegate.admission.settlements import Settlement, SettlementQueue
from sluicegate.admission.state import TenantState
from sluicegate.admission.types import Ask, Grant
from sluicegate.admission.waiting import WaitingLine
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import SluicegateError

# When an admission was cut short its hold may still be on its way; its release waits for it to arrive.
_RELEASE_AFTER_S = 1.5
_SEEDINGS = 20
_BEFORE_END_S = 0.001
# What is lent out is back after the first wait, unless an instance is slow or has died.
_WAITS_FOR_LENT = 3


class Admitter:
    """Asks the store; seeds what it lacks, waits for what is held, refuses what cannot be.

    Args:
        store: decides, atomically.
        recovery: seeds counters that have no value.
        queue: takes releases of holds that may exist although nobody waits for them any more.
        leases: admits from what this instance was lent.
        waiting: how long, and how many, requests wait for what others hold.
        clock: time.
    """

    def __init__(
        self,
        store: AdmissionStore,
        recovery: Recovery,
        queue: SettlementQueue,
        leases: Leases,
        waiting: WaitingPolicy,
        clock: Clock,
    ) -> None:
        self._store = store
        self._recovery = recovery
        self._queue = queue
        self._leases = leases
        self._waiting = waiting
        self._clock = clock
        self._holds = count(1)
        self._adopting: set[asyncio.Task[None]] = set()

    async def close(self) -> None:
        """End what goes on beside the requests."""
        tasks = list(self._adopting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def admit(self, ask: Ask, state: TenantState, counters: CounterSet) -> Grant:
        """A grant for `ask`, or the error of AdmissionService.admit that says why not."""
        want, floor = bounds(ask, counters)
        hold_id = ask.request_id if ask.count else f"{ask.request_id}~{next(self._holds)}"
        known = state.open.get(hold_id)
        if known is not None and known.lease is not None:
            return known  # the store does not know the shares of a lease by name
        # Counters are compiled for the instant they were looked up; later ones may be another period's.
        at = min(self._clock.now(), counters.valid_until - _BEFORE_END_S)
        attempt = Attempt(ask, state, hold_id, want, floor, at)
        try:
            if ask.instead_of is not None:
                # No pushing in: those in line may be waiting for the very hold that is replaced.
                reply = await self._swap(attempt, counters, ask.instead_of)
            elif state.lines and any(each.committed in state.lines for each in counters.amounts):
                return await self._insist(attempt, counters, None)
            else:
                if ask.count:
                    grant = self._leases.admit(attempt, counters)
                    if grant is not None:
                        return grant
                reply = await self._store.admit(counters, hold_id, want, floor, count=ask.count)
            if type(reply) is Held:
                return self._grant(attempt, counters, reply)
            return await self._insist(attempt, counters, reply)
        except StoreUnavailable as error:
            return self._without_store(attempt, counters, error)
        except asyncio.CancelledError:
            self._abandon(attempt, counters)
            raise

    async def _swap(self, attempt: Attempt, counters: CounterSet, old: Grant) -> AdmitReply:
        """Ask the store to replace `old`."""
        if isinstance(old.lease, Lease):
            await self._leases.detach(old, old.lease)
        opened, ask = attempt.state.open, attempt.ask
        known = opened.pop(old.hold_id, None) is not None  # a recovery must not put back what is going
        keep = known
        try:
            reply = await self._store.admit(
                counters,
                attempt.hold_id,
                attempt.want,
                attempt.floor,
                count=ask.count,
                instead_of=old.hold_id,
            )
            keep = known and not (isinstance(reply, Held) and reply.swapped)
        except (StoreUnavailable, asyncio.CancelledError) as error:
            if not isinstance(error, StoreUnavailable) or error.maybe_applied:
                # The old hold may be gone; settled as one of an unknown life, it is charged either way.
                old.generation = NO_GENERATION
            raise
        finally:
            if keep:
                opened[old.hold_id] = old
        return reply

    def _grant(self, attempt: Attempt, counters: CounterSet, held: Held) -> Grant:
        ask, state, hold_id = attempt.ask, attempt.state, attempt.hold_id
        grant = Grant(
            request_id=ask.request_id,
            subject=ask.subject,
            held_nano=held.nano,
            held_tokens=held.tokens,
            remaining_nano=held.money_left,
            generation=held.generation,
            requests=rate_status(counters, held),
            tokens=token_status(counters, held.token_index, held.tokens_left, attempt.at),
            counters=counters,
            hold_id=hold_id,
            at=attempt.at,
        )
        state.open[hold_id] = grant
        if ask.instead_of is not None:
            self._replaced(attempt, ask.instead_of, swapped=held.swapped)
        if held.generation != state.generation:
            self._met(state, held.generation)
        return grant

    def _replaced(self, attempt: Attempt, old: Grant, *, swapped: bool) -> None:
        if not swapped:
            # It was reaped, lost, or never held (degraded): what is left of it is to be released.
            self._queue.put(Settlement(old, 0, 0, b""))
        elif attempt.state.lines:
            attempt.state.freed()

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

    async def _insist(self, attempt: Attempt, counters: CounterSet, reply: AdmitReply | None) -> Grant:
        """Everything but a first yes: seed and try again, stand in line, or refuse.

        `reply` is the first answer; None where a line stands there already, and asking first would be
        pushing in.
        """
        state, floor = attempt.state, attempt.floor
        if isinstance(reply, Unseeded | LentOut):
            reply = await self._try(attempt, counters, reply)
        if isinstance(reply, Held):
            return self._grant(attempt, counters, reply)
        if reply is None:
            field = next(each.committed for each in counters.amounts if each.committed in state.lines)
        else:
            counter = contended(reply, counters, floor)
            if counter is None:
                raise self._refusal(attempt, counters, reply)
            field = counter.committed
        self._leases.recall(state)
        line = state.lines.setdefault(field, WaitingLine())
        deadline = asyncio.get_running_loop().time() + self._waiting.seconds
        try:
            if line.length < self._waiting.length:
                async with line.place(deadline):
                    for look in count():
                        reply = await self._try(attempt, counters)
                        if isinstance(reply, Held):
                            return self._grant(attempt, counters, reply)
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
            return self._grant(attempt, counters, reply)
        raise self._refusal(attempt, counters, reply)

    async def _try(
        self, attempt: Attempt, counters: CounterSet, reply: Unseeded | LentOut | None = None
    ) -> Held | Refused:
        """Ask the store, seeding what it says it lacks, waiting for what it says is lent out."""
        waits = 0
        for _ in range(_SEEDINGS):
            if isinstance(reply, Unseeded):
                await asyncio.sleep(await self._recovery.seed(attempt.state, counters, reply))
            elif isinstance(reply, LentOut):
                self._leases.recall(attempt.state)
                await asyncio.sleep(reply.wait_s)
                waits += 1
            answer = await self._ask_store(attempt, counters)
            if isinstance(answer, LentOut) and waits == _WAITS_FOR_LENT:
                return answer.refused
            if isinstance(answer, Held | Refused):
                return answer
            reply = answer
        raise StoreUnavailable("counters are lost as fast as they are rebuilt", maybe_applied=False)

    async def _ask_store(self, attempt: Attempt, counters: CounterSet) -> AdmitReply:
        if attempt.ask.instead_of is not None:
            return await self._swap(attempt, counters, attempt.ask.instead_of)
        return await self._store.admit(
            counters, attempt.hold_id, attempt.want, attempt.floor, count=attempt.ask.count
        )

    def _refusal(self, attempt: Attempt, counters: CounterSet, refused: Refused) -> SluicegateError:
        return refusal(refused, counters, attempt.want, attempt.floor, self._clock.now())

    def _without_store(self, attempt: Attempt, counters: CounterSet, error: StoreUnavailable) -> Grant:
        self._leases.recall(attempt.state)
        if not counters.open_when_away:
            if error.maybe_applied:
                self._abandon(attempt, counters)
            raise away(error) from error
        grant = degraded_grant(attempt, counters)
        attempt.state.open[grant.hold_id] = grant
        if attempt.ask.instead_of is not None:
            self._replaced(attempt, attempt.ask.instead_of, swapped=False)
        return grant

    def _abandon(self, attempt: Attempt, counters: CounterSet) -> None:
        """Release a hold that may have been taken although nobody will use it."""
        later = asyncio.get_running_loop().time() + _RELEASE_AFTER_S
        self._queue.put(Settlement(degraded_grant(attempt, counters), 0, 0, b"", not_before=later))
