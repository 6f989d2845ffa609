"""Usage rows and spend sums in the local database."""

import json
import sqlite3
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from sluicegate.adapters.local.sqlite import Database
from sluicegate.ledger.spending import PERIODS, GroupBy, SpendLine, SpendQuery, SpendReport, SpendSums
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
    GroupBy.HOUR: "strftime('%Y-%m-%dT%H:00Z', at, 'unixepoch')",
    GroupBy.DAY: "strftime('%Y-%m-%d', at, 'unixepoch')",
    GroupBy.MONTH: "strftime('%Y-%m', at, 'unixepoch')",
    GroupBy.TOOL: "tool.value",
}
_SUMS = (
    "COUNT(*), COALESCE(SUM(outcome = 'failure'), 0), COALESCE(SUM(input_tokens), 0), "
    "COALESCE(SUM(cached_input_tokens), 0), COALESCE(SUM(cache_write_tokens), 0), "
    "COALESCE(SUM(output_tokens), 0), COALESCE(SUM(reasoning_tokens), 0), COALESCE(SUM(cost_nano), 0), "
    "COALESCE(SUM(estimated * cost_nano), 0), COALESCE(SUM(held_nano), 0), COALESCE(AVG(latency_ms), 0.0)"
)
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

    async def report(self, tenant: str, query: SpendQuery) -> SpendReport:
        conditions, values = ["tenant = ?", "at >= ?", "at < ?"], [tenant, query.since, query.until]
        for dimension, value in query.where.items():
            conditions.append(_condition(dimension, value))
            if value is not None:
                values.append(value)
        where = " AND ".join(conditions)
        total = f"SELECT {_SUMS} FROM usage_rows WHERE {where}"  # noqa: S608 - names from an enumeration
        lines = _grouped(query, where)

        def ask(connection: sqlite3.Connection) -> tuple[Sequence[Any], list[Sequence[Any]]]:
            found = connection.execute(lines, (*values, query.limit + 1)).fetchall() if query.by else []
            return connection.execute(total, values).fetchone(), found

        sums, found = await self._database.read(ask)
        by = len(query.by)
        return SpendReport(
            tenant,
            query,
            SpendSums(*sums),
            tuple(SpendLine(tuple(row[:by]), SpendSums(*row[by:])) for row in found[: query.limit]),
            truncated=len(found) > query.limit,
        )

    async def forget_person(self, tenant: str, person: str, pseudonym: str) -> int:
        """Put the pseudonym in the place of the user's name in every row; the number of rows changed.

        When this returns, the file has no trace of the name in usage rows.
        """
        sql = "UPDATE usage_rows SET user = ? WHERE tenant = ? AND user = ?"
        values = (pseudonym, tenant, person)
        count = await self._database.write(lambda connection: connection.execute(sql, values).rowcount)
        await self._database.scrub()
        return count

    async def forget_tenant(self, tenant: str) -> int:
        """Put one word in the place of all users' names of the tenant; the number of rows changed."""
        sql = "UPDATE usage_rows SET user = 'erased' WHERE tenant = ? AND user != 'erased'"
        count = await self._database.write(lambda connection: connection.execute(sql, (tenant,)).rowcount)
        await self._database.scrub()
        return count


def _condition(dimension: GroupBy, value: str | None) -> str:
    if dimension is GroupBy.TOOL:
        uses = "EXISTS (SELECT 1 FROM json_each(usage_rows.tools)"
        return f"NOT {uses})" if value is None else f"{uses} WHERE value = ?)"
    # Qualified: json_each has columns of its own, `key` among them.
    column = f"usage_rows.{dimension.value}"
    return f"{column} IS NULL" if value is None else f"{column} = ?"


def _grouped(query: SpendQuery, where: str) -> str:
    # A left join keeps requests without any tool, as the group without a name.
    tools = "LEFT JOIN json_each(usage_rows.tools) AS tool" if query.overlaps else ""
    groups = ", ".join(_GROUPS.get(each, f"usage_rows.{each.value}") for each in query.by)
    cost = len(query.by) + 8
    names = [str(number) for number, _ in enumerate(query.by, 1)]
    periods = [name for name, each in zip(names, query.by, strict=True) if each in PERIODS]
    order = ", ".join([*periods, f"{cost} DESC", *names])
    return (
        f"SELECT {groups}, {_SUMS} FROM usage_rows {tools} WHERE {where} "  # noqa: S608 - names from an enumeration
        f"GROUP BY {', '.join(names)} ORDER BY {order} LIMIT ?"
    )


def _values(row: UsageRow) -> tuple[object, ...]:
    return tuple(json.dumps(row.tools) if column == "tools" else getattr(row, column) for column in _COLUMNS)
