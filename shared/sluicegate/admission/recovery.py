"""Gives counters their first value from the ledger, and puts lost holds back."""

import asyncio
import logging
import secrets
from collections.abc import Iterable, Sequence

from sluicegate.admission.counters import Counter, CounterSet
from sluicegate.admission.ports import AdmissionUpkeep, RevocationReader, SpendReader
from sluicegate.admission.replies import Unseeded
from sluicegate.admission.state import TenantState
from sluicegate.kernel.clock import Clock

_LOG = logging.getLogger(__name__)

NO_GENERATION = "none"
"""The generation of a grant that holds nothing; no counters ever live under it."""

_FOREVER_S = 86_400.0
_TRIES = 5


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

    async def seed(self, state: TenantState, counters: CounterSet, unseeded: Unseeded) -> float:
        """Seed what `unseeded` names; seconds to wait before trying again.

        One task of this instance seeds a tenant at a time; those that waited for it try again at once.
        """
        seeds = state.seeds
        async with state.seeding:
            if state.seeds != seeds:
                return 0.0
            amounts = counters.amounts
            wanted = [amounts[index] for index in unseeded.missing] if unseeded.missing else amounts
            wait = await self._seed(state, wanted, whole=not unseeded.missing)
            state.seeds += 1
        return wait

    async def adopt(self, state: TenantState, generation: str) -> None:
        """Take note of the counters' generation; when it is a new one, put this instance's holds back."""
        if generation == state.generation:
            return
        if state.generation:
            _LOG.warning("counters of %s were lost; %d holds are put back", state.tenant, len(state.open))
        state.generation = generation
        for hold_id, grant in list(state.open.items()):
            counters = grant.counters
            if grant.generation in {generation, NO_GENERATION} or not isinstance(counters, CounterSet):
                continue
            for _ in range(_TRIES):
                if hold_id not in state.open:
                    break
                unseeded = await self._upkeep.restore(counters, hold_id, grant.held_nano, grant.held_tokens)
                if unseeded is None:
                    grant.generation = generation
                    break
                amounts = counters.amounts
                await self._upkeep.seed(
                    state.tenant, await self._spent([amounts[i] for i in unseeded.missing]), (), generation, 0.0
                )

    async def rebuild(self, state: TenantState) -> None:
        """Begin a new generation after a loss that a heartbeat found, and put this instance's holds back."""
        async with state.seeding:
            await self._seed(state, (), whole=True)

    async def _seed(self, state: TenantState, wanted: Sequence[Counter], *, whole: bool) -> float:
        amounts = await self._spent(wanted, state.tenant)
        marks: list[bytes] = []
        recovery_s = 0.0
        if whole:
            if self._revocations is not None:
                marks = [b"revoked|" + each.encode() for each in await self._revocations.revoked(state.tenant)]
            # A tenant that never spent and that we never served is new: nobody has a hold to put back.
            if state.generation or any(amount for _, amount in amounts):
                recovery_s = self._recovery_s
        generation, wait = await self._upkeep.seed(
            state.tenant, amounts, marks, secrets.token_hex(8), recovery_s
        )
        await self._upkeep.enlist(state.tenant)
        await self.adopt(state, generation)
        return wait
