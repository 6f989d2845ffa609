"""Wrapped data keys in Firestore: `data_keys/tenant` and `person_keys/{digest}` below `tenants/{tenant}`.

What is destroyed is gone for whoever reads the database. Its versions of before can be restored for as long
as point-in-time recovery and backups go back: that is when an erasure is final (docs/ledger.md).
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.gcp.firestore.documents import (
    Change,
    Create,
    Document,
    Path,
    Query,
    Remove,
    Write,
    digest_id,
    tenant_path,
)
from sluicegate.adapters.gcp.firestore.session import MOST_ALTERNATIVES, MOST_WRITES, Session
from sluicegate.audit.ports import StoredKey

TENANT_KEYS = "data_keys"
PERSON_KEYS = "person_keys"

_QUERIES_AT_ONCE = 8


class FirestoreDataKeys:
    """`audit.ports.DataKeyStore` on Firestore."""

    def __init__(self, firestore: Firestore) -> None:
        self._firestore = firestore

    async def tenant_key(self, tenant: str) -> StoredKey | None:
        async def work(session: Session) -> StoredKey | None:
            (found,) = await session.get([_tenant_key(tenant)])
            return None if found is None else StoredKey(found.fields["wrapped"], found.fields["erased_ms"])

        return await self._firestore.run(work)

    async def add_tenant_key(self, tenant: str, wrapped: bytes) -> None:
        async def work(session: Session) -> None:
            path = _tenant_key(tenant)
            (found,) = await session.get([path])
            if found is None:
                await session.commit([Create(path, {"wrapped": wrapped, "erased_ms": None})])
            elif found.fields["wrapped"] is None:
                await session.commit([Change(path, {"wrapped": wrapped}, found.version)])

        await self._firestore.run(work)

    async def person_keys(self, tenant: str, references: Collection[bytes]) -> Sequence[StoredKey]:
        paths = [_person_key(tenant, each) for each in dict.fromkeys(references)]
        found = await self._firestore.run(lambda session: session.get(paths))
        return [_stored(each) for each in found if each is not None]

    async def person_keys_by_id(self, tenant: str, ids: Collection[bytes]) -> Sequence[StoredKey]:
        wanted = list(dict.fromkeys(ids))
        parts = [wanted[at : at + MOST_ALTERNATIVES] for at in range(0, len(wanted), MOST_ALTERNATIVES)]
        found: list[StoredKey] = []
        for at in range(0, len(parts), _QUERIES_AT_ONCE):
            asked = (self._by_id(tenant, part) for part in parts[at : at + _QUERIES_AT_ONCE])
            for some in await asyncio.gather(*asked):
                found += some
        return found

    async def add_person_keys(self, tenant: str, keys: Sequence[StoredKey]) -> None:
        by_path = {_person_key(tenant, key.reference): key for key in reversed(keys)}
        paths = list(by_path)
        for at in range(0, len(paths), MOST_WRITES):
            some = paths[at : at + MOST_WRITES]

            async def work(session: Session, some: Sequence[Path] = some) -> None:
                writes: list[Write] = []
                for path, there in zip(some, await session.get(some), strict=True):
                    key = by_path[path]
                    fields = {"id": key.id, "wrapped": key.wrapped}
                    if there is None:
                        whole = {**fields, "reference": key.reference, "erased_ms": None}
                        writes.append(Create(path, whole))
                    elif there.fields["wrapped"] is None:
                        writes.append(Change(path, fields, there.version))
                await session.commit(writes)

            await self._firestore.run(work)

    async def destroy_person_key(self, tenant: str, reference: bytes, at_ms: int) -> bool:
        left = {"id": None, "wrapped": None, "erased_ms": at_ms}
        return await self._destroy(_person_key(tenant, reference), left, {**left, "reference": reference})

    async def destroy_tenant_key(self, tenant: str, at_ms: int) -> bool:
        left = {"wrapped": None, "erased_ms": at_ms}
        # Without this one nothing can be read any more; those of the people follow.
        there = await self._destroy(_tenant_key(tenant), left, left)
        asked = Query(tenant_path(tenant, PERSON_KEYS), limit=MOST_WRITES, select=["erased_ms"])
        while found := await self._firestore.run(lambda session: session.find(asked)):
            writes = [Remove(each.path) for each in found]

            async def work(session: Session, writes: Sequence[Write] = writes) -> None:
                await session.commit(writes)

            await self._firestore.run(work)
        return there

    async def close(self) -> None:
        """The client is not this store's to close."""

    async def _destroy(self, path: Path, left: dict[str, Any], whole: dict[str, Any]) -> bool:
        seen = False

        async def work(session: Session) -> None:
            nonlocal seen
            (found,) = await session.get([path])
            if found is None:
                await session.commit([Create(path, whole)])
                return
            # Remembered over attempts: the answer to the commit that did it may have been lost.
            seen = seen or found.fields["wrapped"] is not None
            await session.commit([Change(path, left, found.version)])

        await self._firestore.run(work)
        return seen

    async def _by_id(self, tenant: str, ids: Sequence[bytes]) -> list[StoredKey]:
        asked = Query(tenant_path(tenant, PERSON_KEYS), [("id", "in", list(ids))])
        found = await self._firestore.run(lambda session: session.find(asked))
        return [_stored(each) for each in found]


def _tenant_key(tenant: str) -> Path:
    return tenant_path(tenant, TENANT_KEYS, "tenant")


def _person_key(tenant: str, reference: bytes) -> Path:
    return tenant_path(tenant, PERSON_KEYS, digest_id(reference.hex()))


def _stored(document: Document) -> StoredKey:
    fields = document.fields
    return StoredKey(fields["wrapped"], fields["erased_ms"], fields["id"], fields["reference"])
