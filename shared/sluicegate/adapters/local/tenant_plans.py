"""Tenants' plans, as their API keys tell them."""

from sluicegate.adapters.local.sqlite import Database

# The longest retention that any key of the tenant was sold with: what was promised once is kept.
_RANKS = "CASE plan WHEN 'enterprise' THEN 3 WHEN 'studio' THEN 2 WHEN 'pro' THEN 1 ELSE 0 END"
_PLANS = "SELECT plan FROM api_keys WHERE tenant = ? AND revoked_at IS NULL"


class KeyPlans:
    """`audit.ports.Plans` from the keys that are not revoked: the highest plan among them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def plan(self, tenant: str) -> str | None:
        sql = f"{_PLANS} ORDER BY {_RANKS} DESC LIMIT 1"
        row = await self._database.read(lambda connection: connection.execute(sql, (tenant,)).fetchone())
        return None if row is None else str(row[0])
