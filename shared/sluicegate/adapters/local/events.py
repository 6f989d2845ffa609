"""Events other than usage, in the local database."""

import json
import sqlite3
from collections.abc import Sequence

from sluicegate.adapters.local.sqlite import Database
from sluicegate.kernel.events import Event

_RECORD = (
    "INSERT INTO events (source, id, tenant, type, at, subject, data) VALUES (?, ?, ?, ?, ?, ?, ?) "
    "ON CONFLICT (source, id) DO NOTHING"
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

    async def forget_person(self, tenant: str, person: str, pseudonym: str) -> int:  # noqa: ARG002 - a port's
        """Delete the tenant's events that name the person; their number. Budgets of users are named by them.

        When this returns, the file has no trace of the name in events.
        """
        sql = (
            "DELETE FROM events WHERE tenant = :tenant AND ("
            "EXISTS (SELECT 1 FROM json_tree(data) WHERE atom = :name) "
            "OR subject = :name OR instr(subject, '/' || :name || '/') > 0)"
        )
        values = {"tenant": tenant, "name": person}
        count = await self._database.write(lambda connection: connection.execute(sql, values).rowcount)
        await self._database.scrub()
        return count

    async def forget_tenant(self, tenant: str) -> int:
        """Delete all of the tenant's events; their number."""
        sql = "DELETE FROM events WHERE tenant = ?"
        count = await self._database.write(lambda connection: connection.execute(sql, (tenant,)).rowcount)
        await self._database.scrub()
        return count
