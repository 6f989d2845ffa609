"""What admission needs of the outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class BudgetOverride:
    """A limit set by an operator at run time (`sluicegate budget set`); it replaces the policy's.

    `scope` and `name` as in policy (`workspace`, `growth`); `period` one of hour, day, month, total;
    `limit_nano` None takes the override back.
    """

    scope: str
    name: str
    period: str
    limit_nano: int | None


class OverrideStore(Protocol):
    """Keeps budget overrides per tenant."""

    async def overrides(self, tenant: str) -> Sequence[BudgetOverride]: ...

    async def set_override(self, tenant: str, override: BudgetOverride) -> None: ...


class SpendReader(Protocol):
    """The ledger's view of what was spent, to rebuild counters from."""

    async def spent(self, tenant: str, scope: str, name: str, since: float, until: float) -> tuple[int, int]:
        """Nano-dollars and tokens settled for `name` in `scope` within [since, until), epoch seconds."""
        ...
