"""Budget overrides in the local database."""

from collections.abc import Sequence

from sluicegate.adapters.local.sqlite import Database
from sluicegate.admission.ports import BudgetOverride

_SET = (
    "INSERT INTO budget_overrides (tenant, scope, name, period, limit_nano) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (tenant, scope, name, period) DO UPDATE SET limit_nano = excluded.limit_nano"
)
_TAKE_BACK = "DELETE FROM budget_overrides WHERE tenant = ? AND scope = ? AND name = ? AND period = ?"


class SqliteOverrideStore:
    """`admission.ports.OverrideStore` on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def overrides(self, tenant: str) -> Sequence[BudgetOverride]:
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT scope, name, period, limit_nano FROM budget_overrides "
                "WHERE tenant = ? ORDER BY scope, name, period",
                (tenant,),
            ).fetchall()
        )
        return [BudgetOverride(**dict(row)) for row in rows]

    async def set_override(self, tenant: str, override: BudgetOverride) -> None:
        place = (tenant, override.scope, override.name, override.period)
        if override.limit_nano is None:
            await self._database.write(lambda connection: connection.execute(_TAKE_BACK, place))
        else:
            values = (*place, override.limit_nano)
            await self._database.write(lambda connection: connection.execute(_SET, values))
