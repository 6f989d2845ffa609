"""The log's index in Firestore: `tenants/{tenant}/entries/{entry id}`, and how far it goes in one document.

An entry's id is a digest: documents are spread evenly. Lists go by `shard` and time, as usage rows do. An
entry is looked up by its place through `place`, a digest of it, for places grow and would be written at one
end.
"""

import asyncio
from collections.abc import Collection, Sequence
from typing import Any

from sluicegate.adapters.gcp.firestore.client import Firestore
from sluicegate.adapters.gcp.firestore.documents import (
    TENANTS,
    Change,
    Create,
    Document,
    Operator,
    Path,
    Put,
    Query,
    Remove,
    Write,
    digest_id,
    tenant_path,
)
from sluicegate.adapters.gcp.firestore.layout import ALL_SHARDS, ENTRIES, PACKS, SHARDS
from sluicegate.adapters.gcp.firestore.session import (
    MOST_ALTERNATIVES,
    MOST_WRITES,
    ConflictError,
    Session,
)
from sluicegate.audit.errors import CorruptLogError
from sluicegate.audit.ports import EntryFilter, IndexRow, PackRow, Position
from sluicegate.kernel.errors import DependencyUnavailableError

PROGRESS: Path = ("audit_index", "progress")
"""How far the index goes: written once per batch of the log's one writer."""

# Room in a commit for the tenants, the packs and the progress.
_ROWS_AT_ONCE = 300
_QUERIES_AT_ONCE = 8
_LONG_S = 60.0


class FirestoreEntryIndex:
    """`audit.ports.EntryIndex` on Firestore."""

    def __init__(self, firestore: Firestore) -> None:
        self._firestore = firestore
        # Tenants known to be marked as having entries: each batch would write the same document again.
        self._marked: set[str] = set()
        self._reached = 0

    async def size(self) -> int:
        return await self._firestore.run(_size)

    async def known(self, ids: Sequence[bytes]) -> tuple[int, set[bytes]]:
        parts = [ids[at : at + MOST_ALTERNATIVES] for at in range(0, len(ids), MOST_ALTERNATIVES)]
        while True:
            # An entry that comes meanwhile may be among the known: it is in the log. None may be missing.
            size = await self.size()
            found: set[bytes] = set()
            for at in range(0, len(parts), _QUERIES_AT_ONCE):
                for some in await asyncio.gather(*map(self._ids, parts[at : at + _QUERIES_AT_ONCE])):
                    found |= some
            if await self.size() >= size:
                return size, found

    async def add(self, first: int, rows: Sequence[IndexRow], packs: Sequence[PackRow]) -> None:
        if len({row.id for row in rows}) < len(rows):
            raise CorruptLogError("An entry is in the log twice.")
        kept = [Put(_pack_path(pack), _pack_fields(pack)) for pack in packs]
        for at in range(0, len(kept), MOST_WRITES - _ROWS_AT_ONCE):
            await self._commit(kept[at : at + MOST_WRITES - _ROWS_AT_ONCE])
        compared = 0
        while True:
            size = await self._firestore.run(_size)
            if size < first:
                raise DependencyUnavailableError(
                    f"the index is being made anew: it has {size} entries, {first} cannot be the next",
                    retry_after=1.0,
                )
            present = min(size - first, len(rows))
            if compared == 0:
                await self._compare(rows[:present])
            compared = present
            if present == len(rows):
                return
            some = rows[present : present + _ROWS_AT_ONCE]

            if size < self._reached:  # somebody emptied it
                self._marked.clear()
            self._reached = size
            unmarked = {row.tenant for row in some} - self._marked

            async def work(
                session: Session,
                some: Sequence[IndexRow] = some,
                size: int = size,
                unmarked: Collection[str] = unmarked,
            ) -> bool:
                return await _append(session, some, size, unmarked)

            if await self._firestore.run(work):
                self._marked |= unmarked

    async def find(
        self, tenant: str, wanted: EntryFilter, limit: int, *, after: Position | None, newest_first: bool
    ) -> Sequence[IndexRow]:
        found: list[IndexRow] = []
        while len(found) < limit:
            asked = Query(
                tenant_path(tenant, ENTRIES),
                _conditions(wanted),
                order=[("at_ms", newest_first), ("index", newest_first)],
                after=after,
                limit=limit,
            )
            rows = [_row(tenant, each) for each in await self._found(asked)]
            # What is beyond a checkpoint is little: it is passed over here, without an index of its own.
            found += [row for row in rows if wanted.below is None or row.index < wanted.below]
            if len(rows) < limit:
                break
            after = rows[-1].at_ms, rows[-1].index
        return found[:limit]

    async def entry(self, tenant: str, key: bytes | int) -> IndexRow | None:
        async def work(session: Session) -> IndexRow | None:
            if isinstance(key, bytes):
                (found,) = await session.get([tenant_path(tenant, ENTRIES, key.hex())])
                return None if found is None else _row(tenant, found)
            asked = Query(tenant_path(tenant, ENTRIES), [("place", "==", _place(key))], limit=1)
            rows = await session.find(asked)
            return _row(tenant, rows[0]) if rows else None

        return await self._firestore.run(work)

    async def packs(self, tenant: str, places: Sequence[tuple[str, int]]) -> Sequence[PackRow | None]:
        found: dict[tuple[str, int], PackRow | None] = {}
        last: tuple[str, int, PackRow | None] | None = None
        for day, place in sorted(set(places), reverse=True):
            # Packs of a tenant and a day follow one another: it is the last that begins before it.
            if last is None or last[0] != day or (last[2] is not None and place < last[2].first):
                last = (day, place, await self._pack(tenant, day, place))
            found[day, place] = last[2]
        return [found[each] for each in places]

    async def drop_packs(self, packs: Sequence[PackRow]) -> None:
        paths = sorted({_pack_path(pack) for pack in packs})
        for at in range(0, len(paths), MOST_WRITES):
            await self._commit([Remove(path) for path in paths[at : at + MOST_WRITES]])

    async def tenants(self) -> Sequence[str]:
        asked = Query((TENANTS,), [("has_entries", "==", True)])
        found = await self._found(asked)
        return sorted(each.fields["name"] for each in found)

    async def clear(self) -> None:
        # First of all nothing counts as indexed: who asks meanwhile may find too little, and is told so.
        await self._commit([Put(PROGRESS, {"size": 0})])
        for tenant in await self.tenants():
            for collection in (ENTRIES, PACKS):
                await self._empty(tenant_path(tenant, collection))
            await self._commit([Put(tenant_path(tenant), {"has_entries": False}, merge=True)])

    async def close(self) -> None:
        """The client is not this store's to close."""

    async def _ids(self, ids: Sequence[bytes]) -> set[bytes]:
        asked = Query((ENTRIES,), [("id", "in", list(ids))], select=["id"], group=True)
        found = await self._found(asked)
        return {each.fields["id"] for each in found}

    async def _compare(self, rows: Sequence[IndexRow]) -> None:
        """Rows that are there already must be the same entries."""
        for at in range(0, len(rows), MOST_ALTERNATIVES):
            some = {_place(row.index): row.id for row in rows[at : at + MOST_ALTERNATIVES]}
            asked = Query((ENTRIES,), [("place", "in", list(some))], select=["id", "place"], group=True)
            found = await self._found(asked)
            if {each.fields["place"]: each.fields["id"] for each in found} != some:
                raise CorruptLogError(f"The index has other entries from {rows[at].index} on than the log.")

    async def _pack(self, tenant: str, day: str, place: int) -> PackRow | None:
        asked = Query(
            tenant_path(tenant, PACKS),
            [("day", "==", day), ("first", "<=", place)],
            order=[("first", True)],
            limit=1,
        )
        found = await self._found(asked)
        return PackRow(tenant, day, found[0].fields["first"], found[0].fields["count"]) if found else None

    async def _empty(self, collection: Path) -> None:
        asked = Query(collection, limit=MOST_WRITES, select=["shard"])
        while found := await self._firestore.run(lambda session: session.find(asked), attempt_s=_LONG_S):
            await self._commit([Remove(each.path) for each in found])

    async def _found(self, asked: Query) -> list[Document]:
        return await self._firestore.run(lambda session: session.find(asked))

    async def _commit(self, writes: Sequence[Write]) -> None:
        async def work(session: Session) -> None:
            await session.commit(writes)

        await self._firestore.run(work)


async def _size(session: Session) -> int:
    (progress,) = await session.get([PROGRESS])
    return 0 if progress is None else int(progress.fields["size"])


async def _append(session: Session, rows: Sequence[IndexRow], size: int, unmarked: Collection[str]) -> bool:
    """Add rows that follow the first `size`; False where somebody else went on meanwhile."""
    (progress,) = await session.get([PROGRESS])
    if (0 if progress is None else progress.fields["size"]) != size:
        return False
    after = {"size": size + len(rows)}
    further: list[Write] = [
        Create(PROGRESS, after) if progress is None else Change(PROGRESS, after, progress.version),
        *(
            Put(tenant_path(tenant), {"name": tenant, "has_entries": True}, merge=True)
            for tenant in sorted(unmarked)
        ),
    ]
    try:
        await session.commit([*(Create(_path(row), _fields(row)) for row in rows), *further])
    except ConflictError:
        (now,) = await session.get([PROGRESS])
        if now is not None and (progress is None or now.version != progress.version):
            raise
        stored = await session.get([_path(row) for row in rows])
        if any(
            each is not None and each.fields["index"] != row.index
            for each, row in zip(stored, rows, strict=True)
        ):
            raise CorruptLogError("An entry is in the log twice.") from None
        # Left from an index that was emptied, and not to the end.
        await session.commit([*(Put(_path(row), _fields(row)) for row in rows), *further])
    return True


def _conditions(wanted: EntryFilter) -> list[tuple[str, Operator, Any]]:
    conditions: list[tuple[str, Operator, Any]] = [("shard", "in", list(ALL_SHARDS))]
    if wanted.since_ms is not None:
        conditions.append(("at_ms", ">=", wanted.since_ms))
    if wanted.until_ms is not None:
        conditions.append(("at_ms", "<", wanted.until_ms))
    for name in ("user", "workspace", "domain", "result"):
        value = getattr(wanted, name)
        if value is not None:
            conditions.append((name, "==", value))
    if wanted.action is not None:
        exact = wanted.action.removesuffix(".*")
        sought = f"={exact}" if exact == wanted.action else exact
        conditions.append(("actions", "array_contains", sought))
    return conditions


def _path(row: IndexRow) -> Path:
    return tenant_path(row.tenant, ENTRIES, row.id.hex())


def _place(index: int) -> str:
    return digest_id(str(index))[:16]


def _fields(row: IndexRow) -> dict[str, Any]:
    parts = row.action.split(".")
    return {
        "index": row.index,
        "place": _place(row.index),
        "id": row.id,
        "at_ms": row.at_ms,
        "user": row.user,
        "workspace": row.workspace,
        "action": row.action,
        # The name itself, and all that it is below of: one index answers both questions.
        "actions": [f"={row.action}", *(".".join(parts[:count]) for count in range(1, len(parts) + 1))],
        "domain": row.domain,
        "result": row.result,
        "shard": row.id[-1] % SHARDS,
    }


def _row(tenant: str, document: Document) -> IndexRow:
    fields = document.fields
    return IndexRow(
        fields["index"], fields["id"], tenant, fields["at_ms"], fields["user"], fields["workspace"],
        fields["action"], fields["domain"], fields["result"],
    )  # fmt: skip


def _pack_path(pack: PackRow) -> Path:
    return tenant_path(pack.tenant, PACKS, digest_id(pack.day, str(pack.first)))


def _pack_fields(pack: PackRow) -> dict[str, Any]:
    return {"day": pack.day, "first": pack.first, "count": pack.count}
