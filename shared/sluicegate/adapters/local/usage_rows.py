"""Usage rows and spend sums in the local database."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import fields

from sluicegate.adapters.local.sqlite import Database
from sluicegate.ledger.ports import GroupBy, SpendLine
from sluicegate.ledger.usage import UsageRow

_COLUMNS = tuple(field.name for field in fields(UsageRow))
_INSERT = (
    f"INSERT INTO usage_rows ({', '.join(_COLUMNS)}) VALUES ({', '.join('?' * len(_COLUMNS))}) "  # noqa: S608 - our own column names
    "ON CONFLICT (tenant, request_id) DO UPDATE SET "
    + ", ".join(f"{column} = excluded.{column}" for column in _COLUMNS)
    # The owner's own row, or an estimate that is withdrawn.
    + " WHERE usage_rows.reaped AND (NOT excluded.reaped OR excluded.cost_nano = 0)"
)
_SCOPES = frozenset({"tenant", "workspace", "user", "key", "agent", "mission", "model", "provider"})
_GROUPS = {
    GroupBy.DAY: "strftime('%Y-%m-%d', at, 'unixepoch')",
    GroupBy.HOUR: "strftime('%Y-%m-%dT%H:00Z', at, 'unixepoch')",
    GroupBy.TOOL: "tool.value",
}
_USES_TOOL = "EXISTS (SELECT 1 FROM json_each(usage_rows.tools) WHERE value = :name)"


class SqliteUsageStore:
    """`ledger.ports.UsageStore`, and `admission.ports.SpendReader` over it, on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def append(self, rows: Sequence[UsageRow]) -> int:
        values = [_values(row) for row in rows]

        def change(connection: sqlite3.Connection) -> int:
            before = connection.total_changes
            connection.executemany(_INSERT, values)
            return connection.total_changes - before

        return await self._database.write(change)

    async def spent(self, tenant: str, scope: str, name: str, since: float, until: float) -> tuple[int, int]:
        if scope == "tool":
            matches = _USES_TOOL
        elif scope in _SCOPES:
            matches = f"{scope} = :name"
        else:
            raise ValueError(f"unknown scope {scope!r}: there are {', '.join(sorted(_SCOPES))} and tool")
        sql = (
            "SELECT COALESCE(SUM(cost_nano), 0), COALESCE(SUM("  # noqa: S608 - a checked column name
            "(input_tokens + cached_input_tokens + cache_write_tokens + output_tokens) "
            "* (cache NOT IN ('l1', 'l2', 'l3', 'coalesced'))), 0) FROM usage_rows "
            f"WHERE tenant = :tenant AND at >= :since AND at < :until AND {matches}"
        )
        values = {"tenant": tenant, "name": name, "since": since, "until": until}
        nano, tokens = await self._database.read(
            lambda connection: tuple(connection.execute(sql, values).fetchone())
        )
        return nano, tokens

    async def report(self, tenant: str, by: GroupBy, since: float, until: float) -> Sequence[SpendLine]:
        by = GroupBy(by)
        # A left join keeps requests without any tool, as the group without a name.
        tools = "LEFT JOIN json_each(usage_rows.tools) AS tool" if by is GroupBy.TOOL else ""
        order = "1" if by in {GroupBy.DAY, GroupBy.HOUR} else "8 DESC, 1"
        sql = (
            f"SELECT {_GROUPS.get(by, by.value)}, COUNT(*), "  # noqa: S608 - names from an enumeration
            "SUM(outcome = 'failure'), SUM(input_tokens), SUM(cached_input_tokens), SUM(cache_write_tokens), "
            "SUM(output_tokens), SUM(cost_nano), SUM(estimated * cost_nano) "
            f"FROM usage_rows {tools} WHERE tenant = ? AND at >= ? AND at < ? GROUP BY 1 ORDER BY {order}"
        )
        rows = await self._database.read(
            lambda connection: connection.execute(sql, (tenant, since, until)).fetchall()
        )
        return [SpendLine(*row) for row in rows]


def _values(row: UsageRow) -> tuple[object, ...]:
    return tuple(json.dumps(row.tools) if column == "tools" else getattr(row, column) for column in _COLUMNS)
