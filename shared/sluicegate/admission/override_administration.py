"""Setting budgets at run time, each told to the transparency log."""

from sluicegate.admission.overrides import BudgetOverride
from sluicegate.admission.ports import OverrideStore
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.events import EventPublisher
from sluicegate.kernel.governed import BUDGET_CLEARED, BUDGET_SET, Actor, governed_action, told_first
from sluicegate.kernel.money import usd

SOURCE = "/sluicegate/admission/overrides"


class OverrideAdministration:
    """What operators do with limits. A limit changes only once the log has been told.

    Args:
        events: where the log hears of it.
    """

    def __init__(self, store: OverrideStore, clock: Clock, events: EventPublisher) -> None:
        self._store = store
        self._clock = clock
        self._events = events

    async def set(self, tenant: str, override: BudgetOverride, *, by: Actor) -> None:
        """Put `override` in the place of the policy's limit, or take it back where its limit is None.

        Raises:
            DependencyUnavailableError: the store or the log's bus is away; nothing changed.
        """
        place = (override.scope, override.name, override.period)
        before = {(each.scope, each.name, each.period): each for each in await self._store.overrides(tenant)}
        old, new = before.get(place), override.limit_nano
        event = governed_action(
            tenant,
            BUDGET_CLEARED if new is None else BUDGET_SET,
            source=SOURCE,
            at=self._clock.now(),
            user=by.user,
            workspace=override.name if override.scope == "workspace" and override.name != "*" else None,
            payload={
                "scope": override.scope,
                "name": override.name,
                "period": override.period,
                # None: the policy's.
                "old_usd": None if old is None or old.limit_nano is None else usd(old.limit_nano),
                "new_usd": None if new is None else usd(new),
            },
            ip=by.ip,
            user_agent=by.user_agent,
            subject=override.name if override.scope == "user" and override.name != "*" else None,
        )
        async with told_first(self._events, event):
            await self._store.set_override(tenant, override)
