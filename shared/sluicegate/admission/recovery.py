"""Gives counters their first value from the ledger, and puts lost holds back."""

import asyncio
import logging
import secrets
from collections import deque

from sluicegate.admission.counters import Counter, CounterSet, revocation_field
from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.ports import AdmissionUpkeep, RevocationReader, SpendReader
from sluicegate.admission.replies import Unseeded
from sluicegate.admission.state import TenantState
from sluicegate.admission.types import Grant
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import DependencyUnavailableError

_LOG = logging.getLogger(__name__)

NO_GENERATION = "none"
"""The generation of a grant that holds nothing; no counters ever live under it."""

_FOREVER_S = 86_400.0
_TRIES = 5
# The share of a recovery that is left for putting holds back when counters get their values; until then
# the ledger takes what is in the outbox. Less than what `begin` leaves while events wait there.
_PUTTING_BACK = 0.25
_AT_ONCE = 64
# Events of the newest settlements, kept for a store that loses its outbox; some 2 MB at most.
_RECENT = 2_048


class Recovery:
    """Rebuilds what the store lost (or never had) from the ledger and from this instance's open grants."""

    def __init__(
        self,
        upkeep: AdmissionUpkeep,
        spend: SpendReader | None,
        revocations: RevocationReader | None,
        clock: Clock,
        recovery_s: float,
    ) -> None:
        self._upkeep = upkeep
        self._spend = spend
        self._revocations = revocations
        self._clock = clock
        self._recovery_s = recovery_s
        self._recent: deque[tuple[str, bytes]] = deque(maxlen=_RECENT)

    def told(self, tenant: str, event: bytes) -> None:
        """The store took `event`; remember it for a while, in case the store loses it."""
        if event:
            self._recent.append((tenant, event))

    async def seed(self, state: TenantState, counters: CounterSet, unseeded: Unseeded) -> float:
        """Give first values to what `unseeded` names; seconds to wait before trying again."""
        amounts = counters.amounts
        wanted = [amounts[index] for index in unseeded.missing] if unseeded.missing else amounts
        spent = await asyncio.gather(*(self._fill(state, counter) for counter in wanted))
        return 0.0 if unseeded.missing else await self._begin(state, known=any(spent))

    async def adopt(self, state: TenantState, generation: str) -> None:
        """Take note of the counters' generation; when it is a new one, put this instance's holds back."""
        before = state.generation
        if generation == before:
            return
        state.generation = generation
        state.enlisted = False
        try:
            if before:
                _LOG.warning("counters of %s were lost; %d holds are put back", state.tenant, len(state.open))
                await self._tell_again(state, generation)
            grants = list(state.open.values())
            for first in range(0, len(grants), _AT_ONCE):
                await asyncio.gather(
                    *(self._restore(state, grant, generation) for grant in grants[first : first + _AT_ONCE])
                )
        except BaseException:
            # Whoever meets this generation next begins again; putting back twice does no harm.
            state.generation = before
            raise

    async def _tell_again(self, state: TenantState, generation: str) -> None:
        """Append this instance's newest events to an outbox that lost them, for whoever reads it."""
        if state.told == generation:
            return
        state.told = generation
        try:
            events = [event for tenant, event in self._recent if tenant == state.tenant]
            await self._upkeep.append(state.tenant, events)
            await self._upkeep.enlist(state.tenant)
        except BaseException:
            state.told = ""
            raise

    async def _restore(self, state: TenantState, grant: Grant, generation: str) -> None:
        counters = grant.counters
        if grant.generation in {generation, NO_GENERATION} or not isinstance(counters, CounterSet):
            return
        for _ in range(_TRIES):
            if grant.hold_id not in state.open:
                return
            held = (grant.held_nano, grant.held_tokens)
            unseeded = await self._upkeep.restore(counters, grant.hold_id, *held, grant.at)
            if unseeded is None:
                grant.generation = generation
                return
            amounts = counters.amounts
            await asyncio.gather(*(self._fill(state, amounts[index]) for index in unseeded.missing))

    async def rebuild(self, state: TenantState) -> None:
        """Begin a new generation after a loss that a heartbeat found, and put this instance's holds back."""
        await self._begin(state, known=True)

    async def spent(self, tenant: str, counter: Counter) -> int:
        """What the ledger knows as settled for `counter`, in the counter's unit."""
        if self._spend is None:
            return 0
        until = counter.instance.end or self._clock.now() + _FOREVER_S
        nano, tokens = await self._spend.spent(
            tenant, counter.scope, counter.name, counter.instance.start, until
        )
        return nano if counter.unit == "n" else tokens

    async def _begin(self, state: TenantState, *, known: bool) -> float:
        """Have a generation in force, or at least in recovery; seconds until it admits."""
        async with state.beginning:
            # A tenant that never spent and that we never served is new: nobody has a hold to put back.
            recovery_s = self._recovery_s if known or state.generation else 0.0
            generation, wait = await self._name_generation(state, recovery_s)
            await self.adopt(state, generation)
        return wait

    async def _name_generation(self, state: TenantState, recovery_s: float) -> tuple[str, float]:
        marks: list[bytes] = []
        if self._revocations is not None:
            try:
                revoked = await self._revocations.revoked(state.tenant)
            except DependencyUnavailableError as error:
                raise _ledger_away(error) from error
            marks = [revocation_field(key) for key in revoked]
        return await self._upkeep.begin(state.tenant, marks, secrets.token_hex(8), recovery_s)

    async def _await_ledger(self, state: TenantState) -> None:
        """Wait, as long as a recovery may take, until the ledger has what instances told the outbox again."""
        margin_s = self._recovery_s * _PUTTING_BACK
        while True:
            generation, left_s = await self._name_generation(state, self._recovery_s)
            if state.generation:
                await self._tell_again(state, generation)
            if left_s <= margin_s:
                return
            await asyncio.sleep(left_s - margin_s)

    async def _fill(self, state: TenantState, counter: Counter) -> int:
        """Have a first value for `counter`; what was settled before. Many that ask at once read once."""
        task = state.filling.get(counter.committed)
        if task is None:
            task = asyncio.get_running_loop().create_task(self._fill_from_ledger(state, counter))
            state.filling[counter.committed] = task
            task.add_done_callback(lambda done: _filled(state, counter, done))
        return await asyncio.shield(task)

    async def _fill_from_ledger(self, state: TenantState, counter: Counter) -> int:
        tenant = state.tenant
        (value,) = await self._upkeep.read(tenant, (counter,))
        if value is not None:
            return value[1]
        try:
            spent = await self.spent(tenant, counter)
            if (spent or state.generation) and not (await self._upkeep.renew(tenant, (), 0)).generation:
                # A loss: all instances tell the outbox again what it may have lost; that counts too.
                await self._await_ledger(state)
                spent = await self.spent(tenant, counter)
        except DependencyUnavailableError as error:
            raise _ledger_away(error) from error
        await self._upkeep.seed(tenant, ((counter, spent),))
        return spent


def _filled(state: TenantState, counter: Counter, task: "asyncio.Task[int]") -> None:
    state.filling.pop(counter.committed, None)
    if not task.cancelled():
        # Those who waited may all be gone; then nobody else looks at a failure, and asyncio complains.
        task.exception()


def _ledger_away(error: DependencyUnavailableError) -> StoreUnavailable:
    """Counters that cannot be filled are counters that cannot be asked: policy decides, as for the store."""
    return StoreUnavailable(error.message, maybe_applied=False, retry_after=error.retry_after or 1.0)
