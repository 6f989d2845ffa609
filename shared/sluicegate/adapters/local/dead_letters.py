"""Dead letters in the local bus's file."""

import json
import sqlite3
from collections.abc import Sequence

from sluicegate.adapters.local import bus_batches as batches
from sluicegate.adapters.local.sqlite import Database
from sluicegate.events.ports import DeadLetter, Message
from sluicegate.kernel.clock import Clock

BURY = (
    "INSERT INTO dead_letters (grp, tenant, reason, attempts, first_at, last_at, body) "
    "VALUES (?, ?, ?, ?, ?, ?, ?)"
)
_COLUMNS = "CAST(id AS TEXT) AS id, grp AS 'group', tenant, reason, attempts, first_at, last_at, body"


class SqliteDeadLetterStore:
    """`events.ports.DeadLetterStore` on the bus's SQLite file."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database = database
        self._clock = clock

    async def list(
        self, *, group: str | None, tenant: str | None, limit: int, after: str | None
    ) -> Sequence[DeadLetter]:
        sql = (
            f"SELECT {_COLUMNS} FROM dead_letters WHERE id > :after AND (:grp IS NULL OR grp = :grp) "  # noqa: S608 - a constant
            "AND (:tenant IS NULL OR tenant = :tenant) ORDER BY dead_letters.id LIMIT :limit"
        )
        values = {"grp": group, "tenant": tenant, "limit": limit, "after": _number(after) or 0}
        rows = await self._database.read(lambda connection: connection.execute(sql, values).fetchall())
        return [DeadLetter(**dict(row)) for row in rows]

    async def get(self, letter: str) -> DeadLetter | None:
        sql = f"SELECT {_COLUMNS} FROM dead_letters WHERE id = ?"  # noqa: S608 - a constant
        values = (_number(letter),)
        row = await self._database.read(lambda connection: connection.execute(sql, values).fetchone())
        return None if row is None else DeadLetter(**dict(row))

    async def replay(self, letters: Sequence[str]) -> int:
        numbers = json.dumps([_number(letter) for letter in letters])
        now = self._clock.now()

        def change(connection: sqlite3.Connection) -> int:
            rows = connection.execute(
                "DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?)) "
                "RETURNING grp, tenant, body",
                (numbers,),
            ).fetchall()
            by_group: dict[str, list[Message]] = {}
            for row in rows:
                by_group.setdefault(row["grp"], []).append(Message(row["tenant"], row["body"]))
            for group, messages in by_group.items():
                connection.execute("INSERT OR IGNORE INTO groups (name) VALUES (?)", (group,))
                batches.add(connection, messages, [group], now)
            return len(rows)

        return await self._database.write(change)

    async def drop(self, letters: Sequence[str]) -> int:
        numbers = json.dumps([_number(letter) for letter in letters])
        sql = "DELETE FROM dead_letters WHERE id IN (SELECT value FROM json_each(?))"
        return await self._database.write(lambda connection: connection.execute(sql, (numbers,)).rowcount)

    async def adopt(self, database: Database, group: str) -> int:
        """Take over what a release without a bus had set aside in `database` (`dead_events`); how many.

        Should this process end half way, some come twice; they can be looked at and dropped twice.
        """
        rows = await database.read(
            lambda connection: connection.execute(
                "SELECT tenant, id, at, reason, body FROM dead_events LIMIT 1000"
            ).fetchall()
        )
        if not rows:
            return 0
        letters = [
            (group, row["tenant"], row["reason"], 1, row["at"], row["at"], row["body"]) for row in rows
        ]
        await self._database.write(lambda connection: connection.executemany(BURY, letters))
        gone = [(row["tenant"], row["id"]) for row in rows]
        await database.write(
            lambda connection: connection.executemany(
                "DELETE FROM dead_events WHERE tenant = ? AND id = ?", gone
            )
        )
        return len(rows) + await self.adopt(database, group)


def _number(letter: str | None) -> int | None:
    """The row that the id names; None where it can name none."""
    return (
        int(letter)
        if letter is not None and letter.isascii() and letter.isdigit() and len(letter) < 19
        else None
    )
