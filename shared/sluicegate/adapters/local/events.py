"""Events, and those that could not be applied, in the local database."""

import json
import sqlite3
from collections.abc import Sequence

from sluicegate.adapters.local.sqlite import Database
from sluicegate.kernel.events import Event
from sluicegate.ledger.ports import DeadEvent

_RECORD = (
    "INSERT INTO events (source, id, tenant, type, at, subject, data) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (source, id) DO NOTHING"
)
_SET_ASIDE = (
    "INSERT INTO dead_events (tenant, id, at, reason, body) VALUES (?, ?, ?, ?, ?) "
    "ON CONFLICT (tenant, id) DO NOTHING"
)


class SqliteEventStore:
    """`ledger.ports.EventStore` on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def record(self, events: Sequence[Event]) -> int:
        values = [(e.source, e.id, e.tenant, e.type, e.time, e.subject, json.dumps(e.data)) for e in events]

        def change(connection: sqlite3.Connection) -> int:
            before = connection.total_changes
            connection.executemany(_RECORD, values)
            return connection.total_changes - before

        return await self._database.write(change)

    async def events(self, tenant: str, kind: str | None = None, limit: int = 100) -> Sequence[Event]:
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT * FROM events WHERE tenant = :tenant AND (:kind IS NULL OR type = :kind) "
                "ORDER BY at DESC, rowid DESC LIMIT :limit",
                {"tenant": tenant, "kind": kind, "limit": limit},
            ).fetchall()
        )
        return [
            Event(
                id=row["id"],
                source=row["source"],
                type=row["type"],
                time=row["at"],
                tenant=row["tenant"],
                subject=row["subject"],
                data=json.loads(row["data"]),
            )
            for row in rows
        ]

    async def set_aside(self, dead: DeadEvent) -> None:
        values = (dead.tenant, dead.id, dead.at, dead.reason, dead.body)
        await self._database.write(lambda connection: connection.execute(_SET_ASIDE, values))

    async def dead(self, tenant: str, limit: int = 100) -> Sequence[DeadEvent]:
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT tenant, id, at, reason, body FROM dead_events WHERE tenant = ? "
                "ORDER BY at, rowid LIMIT ?",
                (tenant, limit),
            ).fetchall()
        )
        return [DeadEvent(**dict(row)) for row in rows]
