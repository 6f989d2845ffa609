"""The work beside the requests: heartbeats, overdue holds, rebuilding, forgetting."""

import asyncio
import logging
import random
from collections.abc import Sequence

from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.leases import forsake
from sluicegate.admission.policy import HoldPolicy
from sluicegate.admission.ports import AdmissionUpkeep
from sluicegate.admission.recovery import Recovery
from sluicegate.admission.state import TenantState
from sluicegate.kernel.clock import Clock

_LOG = logging.getLogger(__name__)

_RENEWED_AT_ONCE = 500
_REAPED_AT_ONCE = 100
_SWEEP_S = 60.0
_IDLE_AFTER_S = 60.0
_FORGOTTEN_AFTER_S = 900.0
_FIND_EVERY_S = 300.0


class Caretaker:
    """Looks after every tenant this instance knows, about every `reap_s` seconds.

    `reaped` counts holds ended here because their owners were not heard of any more.
    """

    def __init__(
        self,
        states: dict[str, TenantState],
        upkeep: AdmissionUpkeep,
        recovery: Recovery,
        holds: HoldPolicy,
        clock: Clock,
    ) -> None:
        self._states = states
        self._upkeep = upkeep
        self._recovery = recovery
        self._holds = holds
        self._clock = clock
        self._find_at = float("-inf")
        self._reap_from = float("-inf")
        self._rebuilding: dict[str, asyncio.Task[None]] = {}
        self.reaped = 0

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            await self._go_round()
        finally:
            tasks = list(self._rebuilding.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _go_round(self) -> None:
        while True:
            await self._find_tenants()
            await asyncio.sleep(self._holds.reap_s * random.uniform(0.75, 1.25))  # noqa: S311 - spreads instances
            for state in list(self._states.values()):
                try:
                    await self.tend(state)
                except StoreUnavailable:
                    # The others could not be heard either; they speak first, once the store is back.
                    self._reap_from = self._clock.monotonic() + self._holds.heartbeat_s
                    break
                except Exception:  # noqa: BLE001 - one tenant's trouble must not stop the care for the others
                    _LOG.exception("looking after the holds of %s failed; trying again", state.tenant)

    async def tend(self, state: TenantState) -> None:
        """One round for one tenant.

        Raises:
            StoreUnavailable: the store is away; nothing is lost by trying later.
        """
        now = self._clock.monotonic()
        beat_due = now - state.beat_at >= self._holds.heartbeat_s
        forsake(state)
        idle = not state.open and not state.leases and now - state.used_at >= _IDLE_AFTER_S
        if idle and now - state.beat_at < _IDLE_AFTER_S:
            return
        if not state.enlisted:
            # By every instance, and again after a loss: events of a tenant not listed are never fetched.
            await self._upkeep.enlist(state.tenant)
            state.enlisted = True
        overdue, generation = await self._beat(state, [*state.leases, *state.open] if beat_due else [])
        if beat_due:
            state.beat_at = now
        if not generation:
            if state.generation or state.open:
                self._rebuild(state)
        else:
            await self._recovery.adopt(state, generation)
        own = [hold_id for hold_id in overdue if hold_id in state.open or hold_id in state.leases]
        if own:
            # Ours are late because the store was away, not because we are gone.
            await self._upkeep.renew(state.tenant, own, 0)
        for hold_id in overdue if now >= self._reap_from else ():
            if hold_id not in state.open and hold_id not in state.leases:
                await self._reap(state, hold_id)
        if now - state.swept_at >= _SWEEP_S or state.cursors.counters or state.cursors.past:
            state.swept_at = now
            state.cursors = await self._upkeep.sweep(state.tenant, state.cursors)
        if idle and not state.lines and now - state.used_at >= _FORGOTTEN_AFTER_S:
            self._states.pop(state.tenant, None)

    def _rebuild(self, state: TenantState) -> None:
        """Rebuild beside the round: all tenants have lost their counters at once, and each one waits."""
        if state.tenant in self._rebuilding:
            return

        async def rebuild() -> None:
            try:
                await self._recovery.rebuild(state)
            except StoreUnavailable:
                _LOG.info("the counters of %s are rebuilt later: the store is away", state.tenant)
            except Exception:  # noqa: BLE001 - the next round tries again
                _LOG.exception("rebuilding the counters of %s failed; trying again", state.tenant)
            finally:
                self._rebuilding.pop(state.tenant, None)

        self._rebuilding[state.tenant] = asyncio.get_running_loop().create_task(rebuild())

    async def _beat(self, state: TenantState, hold_ids: Sequence[str]) -> tuple[list[str], str]:
        for first in range(_RENEWED_AT_ONCE, len(hold_ids), _RENEWED_AT_ONCE):
            await self._upkeep.renew(state.tenant, hold_ids[first : first + _RENEWED_AT_ONCE], 0)
        beat = await self._upkeep.renew(state.tenant, hold_ids[:_RENEWED_AT_ONCE], _REAPED_AT_ONCE)
        return beat.overdue, beat.generation

    async def _reap(self, state: TenantState, hold_id: str) -> None:
        held = await self._upkeep.reap(state.tenant, hold_id)
        if held is None:
            return
        self.reaped += 1
        state.freed()
        _LOG.warning(
            "hold %s of %s outlived its owner: %d nano-dollars charged as an estimate",
            hold_id,
            state.tenant,
            held,
        )

    async def _find_tenants(self) -> None:
        """Now and then take up tenants whose instances may all be gone."""
        now = self._clock.monotonic()
        if now < self._find_at:
            return
        try:
            found = await self._upkeep.tenants()
        except StoreUnavailable:
            return
        except Exception:  # noqa: BLE001 - without this task no hold of this instance would get a heartbeat
            _LOG.exception("the tenants to look after cannot be listed; trying again")
            return
        # At the start, an owner just gone may have left a hold: looked after closely until that ends.
        # Later, one look in each round is enough for tenants that nobody calls for.
        started = self._find_at == float("-inf")
        used_at = now + self._holds.lifetime_s - _IDLE_AFTER_S if started else float("-inf")
        for tenant in found:
            if tenant not in self._states:
                self._states[tenant] = TenantState(tenant, used_at=used_at)
        self._find_at = now + _FIND_EVERY_S
