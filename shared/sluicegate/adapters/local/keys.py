"""API keys in the local database."""

import json
import sqlite3
from collections.abc import Sequence
from typing import cast

from sluicegate.adapters.local.sqlite import Database
from sluicegate.identity.api_keys import ApiKey, KeySecret
from sluicegate.identity.principal import Plan


class SqliteKeyStore:
    """`identity.ports.KeyStore` on SQLite."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def find_by_prefix(self, prefix: str) -> ApiKey | None:
        return await self._one(
            "SELECT k.* FROM api_keys k JOIN api_key_secrets s ON s.key_id = k.id WHERE s.prefix = ?", prefix
        )

    async def find(self, tenant: str, key_id: str) -> ApiKey | None:
        return await self._one("SELECT * FROM api_keys WHERE tenant = ? AND id = ?", tenant, key_id)

    async def keys(self, tenant: str) -> Sequence[ApiKey]:
        def query(connection: sqlite3.Connection) -> list[ApiKey]:
            rows = connection.execute(
                "SELECT * FROM api_keys WHERE tenant = ? ORDER BY created_at, id", (tenant,)
            ).fetchall()
            return [_key(connection, row) for row in rows]

        return await self._database.read(query)

    async def tenants(self) -> Sequence[str]:
        """Every tenant that has, or had, a key."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT DISTINCT tenant FROM api_keys ORDER BY tenant"
            ).fetchall()
        )
        return [row["tenant"] for row in rows]

    async def revoked(self, tenant: str) -> Sequence[str]:
        """Ids of `tenant`'s revoked keys (`admission.ports.RevocationReader`)."""
        rows = await self._database.read(
            lambda connection: connection.execute(
                "SELECT id FROM api_keys WHERE tenant = ? AND revoked_at IS NOT NULL ORDER BY id", (tenant,)
            ).fetchall()
        )
        return [row["id"] for row in rows]

    async def add(self, key: ApiKey) -> bool:
        def change(connection: sqlite3.Connection) -> bool:
            if connection.execute("SELECT 1 FROM api_keys WHERE id = ?", (key.id,)).fetchone():
                return False
            if any(_owner(connection, secret.prefix) is not None for secret in key.secrets):
                return False
            connection.execute(_INSERT, _values(key))
            _insert_secrets(connection, key)
            return True

        return await self._database.write(change)

    async def replace(self, key: ApiKey) -> bool:
        def change(connection: sqlite3.Connection) -> bool:
            if any(_owner(connection, secret.prefix) not in {None, key.id} for secret in key.secrets):
                return False
            changed = connection.execute(_UPDATE, {**_values(key), "before": key.revision - 1})
            if not changed.rowcount:
                return False
            connection.execute("DELETE FROM api_key_secrets WHERE key_id = ?", (key.id,))
            _insert_secrets(connection, key)
            return True

        return await self._database.write(change)

    async def _one(self, sql: str, *values: str) -> ApiKey | None:
        def query(connection: sqlite3.Connection) -> ApiKey | None:
            row = connection.execute(sql, values).fetchone()
            return None if row is None else _key(connection, row)

        return await self._database.read(query)


_COLUMNS = (
    "id", "tenant", "workspace", "user", "name", "roles", "permissions", "models", "plan", "timezone",
    "created_at", "expires_at", "revoked_at", "revoked_reason", "revision",
)  # fmt: skip
_INSERT = f"INSERT INTO api_keys ({', '.join(_COLUMNS)}) VALUES ({', '.join(':' + c for c in _COLUMNS)})"  # noqa: S608 - our own column names
_UPDATE = (
    f"UPDATE api_keys SET {', '.join(f'{c} = :{c}' for c in _COLUMNS)} "  # noqa: S608 - our own column names
    "WHERE id = :id AND tenant = :tenant AND revision = :before"
)


def _owner(connection: sqlite3.Connection, prefix: str) -> str | None:
    row = connection.execute("SELECT key_id FROM api_key_secrets WHERE prefix = ?", (prefix,)).fetchone()
    return None if row is None else cast("str", row["key_id"])


def _insert_secrets(connection: sqlite3.Connection, key: ApiKey) -> None:
    connection.executemany(
        "INSERT INTO api_key_secrets (prefix, key_id, digest, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        [(s.prefix, key.id, s.digest, s.created_at, s.expires_at) for s in key.secrets],
    )


def _values(key: ApiKey) -> dict[str, object]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "workspace": key.workspace,
        "user": key.user,
        "name": key.name,
        "roles": json.dumps(key.roles),
        "permissions": None if key.permissions is None else json.dumps(key.permissions),
        "models": json.dumps(key.models),
        "plan": key.plan,
        "timezone": key.timezone,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "revoked_reason": key.revoked_reason,
        "revision": key.revision,
    }


def _key(connection: sqlite3.Connection, row: sqlite3.Row) -> ApiKey:
    secrets = connection.execute(
        "SELECT * FROM api_key_secrets WHERE key_id = ? ORDER BY created_at, rowid", (row["id"],)
    ).fetchall()
    return ApiKey(
        id=row["id"],
        tenant=row["tenant"],
        workspace=row["workspace"],
        user=row["user"],
        name=row["name"],
        roles=tuple(json.loads(row["roles"])),
        permissions=None if row["permissions"] is None else tuple(json.loads(row["permissions"])),
        models=tuple(json.loads(row["models"])),
        plan=cast("Plan", row["plan"]),
        timezone=row["timezone"],
        created_at=row["created_at"],
        expires_at=row["expires_at"],
        revoked_at=row["revoked_at"],
        revoked_reason=row["revoked_reason"],
        revision=row["revision"],
        secrets=tuple(KeySecret(s["prefix"], s["digest"], s["created_at"], s["expires_at"]) for s in secrets),
    )
