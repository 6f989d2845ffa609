"""API keys in Firestore.

`tenants/{tenant}/api_keys/{id}` is the key. `key_ids/{id}` and `key_prefixes/{prefix}` say whose it is: they
are outside of tenants because a caller is nobody's before its prefix is looked up. All are written in one
commit, each on the condition that it is not there, or is as it was read.
"""

import secrets
from collections.abc import Sequence
from typing import Any, cast

from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.gcp.firestore.documents import (
    TENANTS,
    Change,
    Create,
    Document,
    Put,
    Query,
    Remove,
    Write,
    segment,
    tenant_path,
)
from sluicegate.adapters.gcp.firestore.layout import API_KEYS
from sluicegate.adapters.gcp.firestore.session import ConflictError, Session
from sluicegate.identity.api_keys import ApiKey, KeySecret
from sluicegate.identity.principal import Plan

PREFIXES = "key_prefixes"
IDS = "key_ids"

LOOK_UP_S = 4.0
"""Seconds that a caller waits for its key to be found, at most."""


class FirestoreKeyStore:
    """`identity.ports.KeyStore` on Firestore."""

    def __init__(self, firestore: Firestore) -> None:
        self._firestore = firestore

    async def find_by_prefix(self, prefix: str) -> ApiKey | None:
        async def work(session: Session) -> ApiKey | None:
            (owner,) = await session.get([(PREFIXES, segment(prefix))])
            if owner is None:
                return None
            found = await _read(session, owner.fields["tenant"], owner.fields["key"])
            # It may have been rotated away between the two.
            return found if found is not None and found.secret(prefix) is not None else None

        return await self._firestore.run(work, deadline_s=LOOK_UP_S)

    async def find(self, tenant: str, key_id: str) -> ApiKey | None:
        return await self._firestore.run(lambda session: _read(session, tenant, key_id), deadline_s=LOOK_UP_S)

    async def keys(self, tenant: str) -> Sequence[ApiKey]:
        found = await self._firestore.run(lambda session: session.find(Query(tenant_path(tenant, API_KEYS))))
        return sorted(map(_key, found), key=lambda key: (key.created_at, key.id))

    async def tenants(self) -> Sequence[str]:
        """Every tenant that has, or had, a key."""
        asked = Query((TENANTS,), where=[("has_keys", "==", True)])
        found = await self._firestore.run(lambda session: session.find(asked))
        return sorted(each.fields["name"] for each in found)

    async def revoked(self, tenant: str) -> Sequence[str]:
        """Ids of `tenant`'s revoked keys (`admission.ports.RevocationReader`)."""
        asked = Query(tenant_path(tenant, API_KEYS), where=[("revoked", "==", True)], select=["id"])
        found = await self._firestore.run(lambda session: session.find(asked))
        return sorted(each.fields["id"] for each in found)

    async def add(self, key: ApiKey) -> bool:
        mark = secrets.token_hex(8)

        async def work(session: Session) -> bool:
            owner = {"tenant": key.tenant, "key": key.id}
            writes: list[Write] = [
                Create(_path(key), _fields(key, mark)),
                Create((IDS, segment(key.id)), owner),
                *(Create((PREFIXES, segment(each.prefix)), owner) for each in key.secrets),
                Put(tenant_path(key.tenant), {"name": key.tenant, "has_keys": True}, merge=True),
            ]
            try:
                await session.commit(writes)
            except ConflictError:
                return await _written_by(session, key, mark)
            return True

        return await self._firestore.run(work)

    async def replace(self, key: ApiKey) -> bool:
        mark = secrets.token_hex(8)

        async def work(session: Session) -> bool:
            (stored,) = await session.get([_path(key)])
            if stored is None:
                return False
            if stored.fields["revision"] != key.revision - 1:
                return bool(stored.fields["mark"] == mark)
            before, after = _prefixes(_key(stored)), _prefixes(key)
            owner = {"tenant": key.tenant, "key": key.id}
            writes: list[Write] = [
                Change(_path(key), _fields(key, mark), stored.version),
                *(Create((PREFIXES, segment(each)), owner) for each in sorted(after - before)),
                *(Remove((PREFIXES, segment(each))) for each in sorted(before - after)),
            ]
            try:
                await session.commit(writes)
            except ConflictError:
                if await _written_by(session, key, mark):
                    return True
                (now,) = await session.get([_path(key)])
                if now is not None and now.version == stored.version:
                    return False  # it is a prefix that is taken
                raise
            return True

        return await self._firestore.run(work)


async def _read(session: Session, tenant: str, key_id: str) -> ApiKey | None:
    (found,) = await session.get([tenant_path(tenant, API_KEYS, segment(key_id))])
    return None if found is None else _key(found)


async def _written_by(session: Session, key: ApiKey, mark: str) -> bool:
    """Whether what is stored came from this very call: the answer to its commit was lost."""
    (stored,) = await session.get([_path(key)])
    return stored is not None and stored.fields["mark"] == mark


def _path(key: ApiKey) -> tuple[str, ...]:
    return tenant_path(key.tenant, API_KEYS, segment(key.id))


def _prefixes(key: ApiKey) -> set[str]:
    return {secret.prefix for secret in key.secrets}


def _fields(key: ApiKey, mark: str) -> dict[str, Any]:
    return {
        "id": key.id,
        "tenant": key.tenant,
        "workspace": key.workspace,
        "user": key.user,
        "name": key.name,
        "roles": list(key.roles),
        "permissions": None if key.permissions is None else list(key.permissions),
        "models": list(key.models),
        "plan": key.plan,
        "timezone": key.timezone,
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked": key.revoked_at is not None,
        "revoked_at": key.revoked_at,
        "revoked_reason": key.revoked_reason,
        "revision": key.revision,
        "mark": mark,
        "secrets": [
            {
                "prefix": each.prefix,
                "digest": each.digest,
                "created_at": each.created_at,
                "expires_at": each.expires_at,
            }
            for each in key.secrets
        ],
    }


def _key(document: Document) -> ApiKey:
    fields = document.fields
    permissions = fields["permissions"]
    return ApiKey(
        id=fields["id"],
        tenant=fields["tenant"],
        workspace=fields["workspace"],
        user=fields["user"],
        name=fields["name"],
        roles=tuple(fields["roles"]),
        permissions=None if permissions is None else tuple(permissions),
        models=tuple(fields["models"]),
        plan=cast("Plan", fields["plan"]),
        timezone=fields["timezone"],
        created_at=fields["created_at"],
        expires_at=fields["expires_at"],
        revoked_at=fields["revoked_at"],
        revoked_reason=fields["revoked_reason"],
        revision=fields["revision"],
        secrets=tuple(
            KeySecret(each["prefix"], each["digest"], each["created_at"], each["expires_at"])
            for each in fields["secrets"]
        ),
    )
