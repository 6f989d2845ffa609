"""Wrapped data keys in a SQLite file of their own, which overwrites what it deletes."""

import sqlite3
from collections.abc import Collection, Sequence
from pathlib import Path

from sluicegate.adapters.local.sqlite import Database
from sluicegate.audit.ports import StoredKey

MIGRATIONS: tuple[str, ...] = (
    """
CREATE TABLE tenant_keys (tenant TEXT PRIMARY KEY, wrapped BLOB, erased_ms INTEGER) STRICT, WITHOUT ROWID;
CREATE TABLE person_keys (
    tenant TEXT NOT NULL,
    reference BLOB NOT NULL,
    id BLOB,
    wrapped BLOB,
    erased_ms INTEGER,
    PRIMARY KEY (tenant, reference)
) STRICT, WITHOUT ROWID;
CREATE INDEX person_keys_by_id ON person_keys (tenant, id);
""",
)

_AT_ONCE = 500
_ADD_TENANT = (
    "INSERT INTO tenant_keys (tenant, wrapped) VALUES (?, ?) "
    "ON CONFLICT (tenant) DO UPDATE SET wrapped = coalesce(wrapped, excluded.wrapped)"
)
_ADD_PERSON = (
    "INSERT INTO person_keys (tenant, reference, id, wrapped) VALUES (?, ?, ?, ?) "
    "ON CONFLICT (tenant, reference) "
    "DO UPDATE SET id = coalesce(id, excluded.id), wrapped = coalesce(wrapped, excluded.wrapped)"
)
_DESTROY_PERSON = (
    "INSERT INTO person_keys (tenant, reference, erased_ms) VALUES (?, ?, ?) "
    "ON CONFLICT (tenant, reference) DO UPDATE SET id = NULL, wrapped = NULL, erased_ms = excluded.erased_ms"
)
_DESTROY_TENANT = (
    "INSERT INTO tenant_keys (tenant, erased_ms) VALUES (?, ?) "
    "ON CONFLICT (tenant) DO UPDATE SET wrapped = NULL, erased_ms = excluded.erased_ms"
)


class SqliteDataKeys:
    """`audit.ports.DataKeyStore` on SQLite."""

    def __init__(self, path: Path) -> None:
        self._database = Database(path, migrations=MIGRATIONS, secure_delete=True)

    async def tenant_key(self, tenant: str) -> StoredKey | None:
        row = await self._database.read(
            lambda connection: connection.execute(
                "SELECT wrapped, erased_ms FROM tenant_keys WHERE tenant = ?", (tenant,)
            ).fetchone()
        )
        return None if row is None else StoredKey(*row)

    async def add_tenant_key(self, tenant: str, wrapped: bytes) -> None:
        await self._database.write(lambda connection: connection.execute(_ADD_TENANT, (tenant, wrapped)))

    async def person_keys(self, tenant: str, references: Collection[bytes]) -> Sequence[StoredKey]:
        return await self._keys("reference", tenant, list(references))

    async def person_keys_by_id(self, tenant: str, ids: Collection[bytes]) -> Sequence[StoredKey]:
        return await self._keys("id", tenant, list(ids))

    async def add_person_keys(self, tenant: str, keys: Sequence[StoredKey]) -> None:
        values = [(tenant, key.reference, key.id, key.wrapped) for key in keys]
        await self._database.write(lambda connection: connection.executemany(_ADD_PERSON, values))

    async def _keys(self, column: str, tenant: str, wanted: Sequence[bytes]) -> list[StoredKey]:
        def query(connection: sqlite3.Connection) -> list[StoredKey]:
            found: list[StoredKey] = []
            for at in range(0, len(wanted), _AT_ONCE):
                some = wanted[at : at + _AT_ONCE]
                marks = ",".join("?" * len(some))
                rows = connection.execute(
                    "SELECT wrapped, erased_ms, id, reference FROM person_keys "  # noqa: S608 - ours
                    f"WHERE tenant = ? AND {column} IN ({marks})",
                    (tenant, *some),
                )
                found += [StoredKey(*row) for row in rows]
            return found

        return await self._database.read(query)

    async def destroy_person_key(self, tenant: str, reference: bytes, at_ms: int) -> bool:
        def change(connection: sqlite3.Connection) -> bool:
            there = connection.execute(
                "SELECT 1 FROM person_keys WHERE tenant = ? AND reference = ? AND wrapped IS NOT NULL",
                (tenant, reference),
            ).fetchone()
            connection.execute(_DESTROY_PERSON, (tenant, reference, at_ms))
            return there is not None

        there = await self._database.write(change)
        await self._forget()
        return there

    async def destroy_tenant_key(self, tenant: str, at_ms: int) -> bool:
        def change(connection: sqlite3.Connection) -> bool:
            there = connection.execute(
                "SELECT 1 FROM tenant_keys WHERE tenant = ? AND wrapped IS NOT NULL", (tenant,)
            ).fetchone()
            connection.execute("DELETE FROM person_keys WHERE tenant = ?", (tenant,))
            connection.execute(_DESTROY_TENANT, (tenant, at_ms))
            return there is not None

        there = await self._database.write(change)
        await self._forget()
        return there

    async def close(self) -> None:
        """Close the file."""
        await self._database.close()

    async def _forget(self) -> None:
        """Have the write-ahead log forget, too: it keeps pages as they were before."""
        await self._database.scrub()
