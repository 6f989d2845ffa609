"""The log's index in a SQLite file of its own. It is derived: a lost end of it is filled in from the log."""

import sqlite3
from collections.abc import Sequence
from pathlib import Path

from sluicegate.adapters.local.sqlite import Database
from sluicegate.audit.errors import CorruptLogError
from sluicegate.audit.ports import EntryFilter, IndexRow, PackRow, Position
from sluicegate.kernel.errors import DependencyUnavailableError

# An entry's names are few and repeat: each is kept once, and rows have numbers.
MIGRATIONS: tuple[str, ...] = (
    """
CREATE TABLE names (number INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE entries (
    place INTEGER PRIMARY KEY,
    id BLOB NOT NULL,
    tenant INTEGER NOT NULL,
    at_ms INTEGER NOT NULL,
    user INTEGER NOT NULL,
    workspace INTEGER NOT NULL,
    action INTEGER NOT NULL,
    domain INTEGER NOT NULL,
    result INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX entries_by_id ON entries (id);
CREATE INDEX entries_by_time ON entries (tenant, at_ms);
CREATE INDEX entries_by_user ON entries (tenant, user, at_ms);
CREATE INDEX entries_by_action ON entries (tenant, action, at_ms);
CREATE TABLE packs (
    tenant TEXT NOT NULL,
    day TEXT NOT NULL,
    first INTEGER NOT NULL,
    count INTEGER NOT NULL,
    PRIMARY KEY (tenant, day, first)
) STRICT, WITHOUT ROWID;
CREATE TABLE progress (one INTEGER PRIMARY KEY CHECK (one = 1), size INTEGER NOT NULL) STRICT;
INSERT INTO progress VALUES (1, 0);
""",
)

_ADD = "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_AT_ONCE = 500
# Ids are digests, so that each new one is at another place of its index: that should not mean reading a file.
_CACHE_MIB = 64
_NAMES_REMEMBERED = 50_000
_PACK = "SELECT * FROM packs WHERE tenant = ? AND day = ? AND first <= ? ORDER BY first DESC LIMIT 1"
# Cross joins: entries first, by one of their indexes, in its order; then their names.
_SELECT = (
    "SELECT e.place, e.id, t.name AS tenant, e.at_ms, u.name AS user, w.name AS workspace, a.name AS action, "
    "d.name AS domain, r.name AS result FROM entries e "
    "CROSS JOIN names t ON t.number = e.tenant CROSS JOIN names u ON u.number = e.user "
    "CROSS JOIN names w ON w.number = e.workspace CROSS JOIN names a ON a.number = e.action "
    "CROSS JOIN names d ON d.number = e.domain CROSS JOIN names r ON r.number = e.result "
)


class SqliteEntryIndex:
    """`audit.ports.EntryIndex` on SQLite."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, migrations=MIGRATIONS, synchronous="NORMAL", cache_mib=_CACHE_MIB)
        self._numbers: dict[str, int] = {}

    async def size(self) -> int:
        return await self._database.read(_size)

    async def known(self, ids: Sequence[bytes]) -> tuple[int, set[bytes]]:
        def query(connection: sqlite3.Connection) -> tuple[int, set[bytes]]:
            found: set[bytes] = set()
            for at in range(0, len(ids), _AT_ONCE):
                some = ids[at : at + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = connection.execute(f"SELECT id FROM entries WHERE id IN ({marks})", some)  # noqa: S608 - only marks
                found.update(row[0] for row in rows)
            return _size(connection), found

        return await self._database.read(query)

    async def add(self, first: int, rows: Sequence[IndexRow], packs: Sequence[PackRow]) -> None:
        def change(connection: sqlite3.Connection) -> dict[str, int]:
            size = _size(connection)
            if size < first:
                raise DependencyUnavailableError(
                    f"the index is being made anew: it has {size} entries, {first} cannot be the next",
                    retry_after=1.0,
                )
            present = min(size - first, len(rows))
            if present:
                _compare(connection, rows[:present])
            fresh = rows[present:]
            numbers = self._named(connection, fresh)
            try:
                connection.executemany(_ADD, [_values(row, numbers) for row in fresh])
            except sqlite3.IntegrityError as error:
                raise CorruptLogError("An entry is in the log twice.") from error
            connection.executemany(
                "INSERT OR IGNORE INTO packs VALUES (?, ?, ?, ?)",
                [(pack.tenant, pack.day, pack.first, pack.count) for pack in packs],
            )
            if fresh:
                connection.execute("UPDATE progress SET size = ?", (first + len(rows),))
            return numbers

        # Remembered only now: what was rolled back has no numbers.
        numbers = await self._database.write(change)
        if len(self._numbers) > _NAMES_REMEMBERED:
            self._numbers = {}
        self._numbers.update(numbers)

    async def find(
        self, tenant: str, wanted: EntryFilter, limit: int, *, after: Position | None, newest_first: bool
    ) -> Sequence[IndexRow]:
        def query(connection: sqlite3.Connection) -> list[IndexRow]:
            conditions, values = _conditions(tenant, wanted)
            if after is not None:
                conditions.append(f"(e.at_ms, e.place) {'<' if newest_first else '>'} (?, ?)")
                values += after
            order = "DESC" if newest_first else "ASC"
            where = " AND ".join(conditions)
            sql = f"{_SELECT} WHERE {where} ORDER BY e.at_ms {order}, e.place {order} LIMIT ?"
            rows = connection.execute(sql, [*values, limit])
            return [_row(row) for row in rows]

        return await self._database.read(query)

    async def entry(self, tenant: str, key: bytes | int) -> IndexRow | None:
        column = "e.id" if isinstance(key, bytes) else "e.place"

        def query(connection: sqlite3.Connection) -> IndexRow | None:
            row = connection.execute(f"{_SELECT} WHERE {column} = ? AND t.name = ?", (key, tenant)).fetchone()
            return None if row is None else _row(row)

        return await self._database.read(query)

    async def packs(self, tenant: str, places: Sequence[tuple[str, int]]) -> Sequence[PackRow | None]:
        def query(connection: sqlite3.Connection) -> list[PackRow | None]:
            found: list[PackRow | None] = []
            for day, place in places:
                # Packs of a tenant and a day follow one another: it is the last that begins before it.
                row = connection.execute(_PACK, (tenant, day, place)).fetchone()
                found.append(None if row is None else PackRow(**dict(row)))
            return found

        return await self._database.read(query)

    async def drop_packs(self, packs: Sequence[PackRow]) -> None:
        places = [(pack.tenant, pack.day, pack.first) for pack in packs]
        await self._database.write(
            lambda connection: connection.executemany(
                "DELETE FROM packs WHERE tenant = ? AND day = ? AND first = ?", places
            )
        )

    async def tenants(self) -> Sequence[str]:
        return await self._database.read(
            lambda connection: [
                row[0]
                for row in connection.execute(
                    "SELECT name FROM names n "
                    "WHERE EXISTS (SELECT 1 FROM entries e WHERE e.tenant = n.number) ORDER BY name"
                )
            ]
        )

    async def clear(self) -> None:
        def change(connection: sqlite3.Connection) -> None:
            # Names stay: other processes remember their numbers.
            connection.execute("DELETE FROM entries")
            connection.execute("DELETE FROM packs")
            connection.execute("UPDATE progress SET size = 0")

        await self._database.write(change)

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    def _named(self, connection: sqlite3.Connection, rows: Sequence[IndexRow]) -> dict[str, int]:
        """Numbers of all names in `rows`; new ones are added."""
        numbers: dict[str, int] = {}
        for row in rows:
            for name in (row.tenant, row.user, row.workspace, row.action, row.domain, row.result):
                if name not in numbers:
                    number = self._numbers.get(name)
                    numbers[name] = _number(connection, name) if number is None else number
        return numbers


def _number(connection: sqlite3.Connection, name: str) -> int:
    connection.execute("INSERT OR IGNORE INTO names (name) VALUES (?)", (name,))
    return int(connection.execute("SELECT number FROM names WHERE name = ?", (name,)).fetchone()[0])


def _size(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT size FROM progress").fetchone()[0])


def _compare(connection: sqlite3.Connection, rows: Sequence[IndexRow]) -> None:
    """Rows that are there already must be the same entries."""
    for at in range(0, len(rows), _AT_ONCE):
        some = rows[at : at + _AT_ONCE]
        stored = connection.execute(
            "SELECT id FROM entries WHERE place BETWEEN ? AND ? ORDER BY place",
            (some[0].index, some[-1].index),
        ).fetchall()
        if [row[0] for row in stored] != [row.id for row in some]:
            raise CorruptLogError(f"The index has other entries from {some[0].index} on than the log.")


def _conditions(tenant: str, wanted: EntryFilter) -> tuple[list[str], list[object]]:
    conditions, values = ["e.tenant = (SELECT number FROM names WHERE name = ?)"], [tenant]
    bounds: list[object] = list(values)
    for condition, value in (
        ("e.at_ms >= ?", wanted.since_ms),
        ("e.at_ms < ?", wanted.until_ms),
        ("e.place < ?", wanted.below),
    ):
        if value is not None:
            conditions.append(condition)
            bounds.append(value)
    for column, name in (
        ("user", wanted.user),
        ("workspace", wanted.workspace),
        ("domain", wanted.domain),
        ("result", wanted.result),
    ):
        if name is not None:
            conditions.append(f"e.{column} = (SELECT number FROM names WHERE name = ?)")  # noqa: S608 - ours
            bounds.append(name)
    if wanted.action is not None:
        exact = wanted.action.removesuffix(".*")
        if exact == wanted.action:
            conditions.append("e.action = (SELECT number FROM names WHERE name = ?)")
            bounds.append(exact)
        else:
            conditions.append("(a.name = ? OR substr(a.name, 1, ?) = ?)")
            bounds += (exact, len(exact) + 1, f"{exact}.")
    return conditions, bounds


def _values(row: IndexRow, numbers: dict[str, int]) -> tuple[object, ...]:
    return (
        row.index, row.id, numbers[row.tenant], row.at_ms, numbers[row.user], numbers[row.workspace],
        numbers[row.action], numbers[row.domain], numbers[row.result],
    )  # fmt: skip


def _row(row: sqlite3.Row) -> IndexRow:
    return IndexRow(
        row["place"], row["id"], row["tenant"], row["at_ms"], row["user"], row["workspace"], row["action"],
        row["domain"], row["result"],
    )  # fmt: skip
