"""Keeps the compiled counters of recent subjects, and the overrides they were compiled with."""

import asyncio
import logging

from sluicegate.admission.counters import CounterSet, compile_counters
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.ports import OverrideStore
from sluicegate.admission.state import TenantState
from sluicegate.admission.types import Subject
from sluicegate.kernel.clock import Clock

_LOG = logging.getLogger(__name__)

# Overrides older than the first are read anew beside the requests; older than the second, before them.
_REFRESH_AFTER_S = 2.5
_STALE_AFTER_S = 5.0
_SUBJECTS_PER_TENANT = 4_096


class CounterCatalog:
    """Finds or compiles the counters of a subject. `find` never waits; `load` may read overrides."""

    def __init__(
        self, budgets: BudgetPolicy, limits: LimitPolicy, overrides: OverrideStore | None, clock: Clock
    ) -> None:
        self._budgets = budgets
        self._limits = limits
        self._overrides = overrides
        self._clock = clock
        self._refreshing: dict[str, asyncio.Task[None]] = {}

    def find(self, state: TenantState, subject: Subject) -> CounterSet | None:
        """The counters in force for `subject`; None when they must be loaded."""
        counters = state.compiled.get(subject)
        if counters is None or self._clock.now() >= counters.valid_until:
            return None
        if self._overrides is not None:
            age = self._clock.monotonic() - state.overrides_at
            if age >= _STALE_AFTER_S:
                return None
            if age >= _REFRESH_AFTER_S and state.tenant not in self._refreshing:
                self._refresh(state)
        return counters

    async def load(self, state: TenantState, subject: Subject) -> CounterSet:
        """The counters in force for `subject`, compiled anew where needed.

        Raises:
            Exception: what the override store raises, when no overrides of the tenant are known yet.
        """
        now = self._clock.monotonic()
        if self._overrides is not None and (
            state.overrides is None or now - state.overrides_at >= _STALE_AFTER_S
        ):
            await self._read(state)
        counters = state.compiled.get(subject)
        if counters is None or self._clock.now() >= counters.valid_until:
            counters = compile_counters(
                subject, self._budgets, self._limits, state.overrides or (), self._clock.now()
            )
            if len(state.compiled) >= _SUBJECTS_PER_TENANT:
                # The one compiled first goes; it comes back, at the cost of compiling, if it is still in use.
                state.compiled.pop(next(iter(state.compiled)))
            state.compiled.pop(subject, None)
            state.compiled[subject] = counters
        return counters

    async def close(self) -> None:
        """End refreshes under way."""
        tasks = list(self._refreshing.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _refresh(self, state: TenantState) -> None:
        async def read() -> None:
            try:
                await self._read(state)
            finally:
                self._refreshing.pop(state.tenant, None)

        self._refreshing[state.tenant] = asyncio.get_running_loop().create_task(read())

    async def _read(self, state: TenantState) -> None:
        assert self._overrides is not None  # noqa: S101 - callers checked
        try:
            fresh = tuple(await self._overrides.overrides(state.tenant))
        except Exception:
            if state.overrides is None:
                raise
            _LOG.warning(
                "overrides of %s cannot be read; keeping the last known", state.tenant, exc_info=True
            )
            fresh = state.overrides
        if fresh != state.overrides:
            state.overrides = fresh
            state.compiled.clear()
        state.overrides_at = self._clock.monotonic()
