"""Reading the log: entries with what may be shown of them, proofs, checkpoints. One tenant's at a time.

Another tenant's entry is not found, as one that does not exist is not.
"""

import asyncio
import logging
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from binascii import Error as Base64Error
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from hashlib import sha256

from sluicegate.audit.checkpoint import Checkpoint
from sluicegate.audit.entry import Entry, Leaf, timestamp
from sluicegate.audit.errors import CorruptLogError, UnreadableError
from sluicegate.audit.keyring import Keyring
from sluicegate.audit.log_reader import read_leaf_set, read_proof, read_tiles
from sluicegate.audit.merkle import leaf_hash
from sluicegate.audit.packs import decode_pack, pack_name
from sluicegate.audit.ports import BlobStore, EntryFilter, EntryIndex, IndexRow, PackRow, Position
from sluicegate.audit.proof import Proof, plan_consistency, plan_inclusion
from sluicegate.audit.publishing import CheckpointPublisher
from sluicegate.audit.sealing import Private, commitment, key_ids, unseal
from sluicegate.kernel.errors import InvalidRequestError, NotFoundError

_log = logging.getLogger(__name__)

MAX_PAGE = 1_000
_AT_ONCE = 8


class Privacy(StrEnum):
    """What became of an entry's private part."""

    OPEN = "open"
    SEALED = "sealed"
    """It was not asked for."""
    ERASED = "erased"
    """Its key is destroyed, or there was none any more when the entry came."""
    EXPIRED = "expired"
    """Retention deleted it."""
    DAMAGED = "damaged"
    """It is not what the leaf says it is; the log has more on it."""


@dataclass(frozen=True, slots=True)
class Record:
    """An entry as it was read.

    Attributes:
        index: its place in the log.
        leaf: the leaf's bytes.
        private: the private part's bytes; None unless `privacy` is open.
    """

    index: int
    leaf: bytes
    privacy: Privacy
    private: bytes | None
    entry: Entry


@dataclass(frozen=True, slots=True)
class Page:
    """Some records, and where the next ones begin: None after the last."""

    records: Sequence[Record]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class InclusionProof:
    """That a leaf is in a tree (RFC 6962, section 2.1.1)."""

    index: int
    size: int
    leaf_hash: bytes
    proof: Proof


class AuditQueries:
    """Reads one log."""

    def __init__(
        self, blobs: BlobStore, index: EntryIndex, keyring: Keyring, publisher: CheckpointPublisher
    ) -> None:
        self._blobs = blobs
        self._index = index
        self._keyring = keyring
        self._publisher = publisher

    async def entries(
        self,
        tenant: str,
        wanted: EntryFilter | None = None,
        *,
        cursor: str | None = None,
        limit: int = 100,
        newest_first: bool = True,
        reveal: bool = False,
    ) -> Page:
        """A page of `tenant`'s entries by time, of those that the latest checkpoint covers.

        Args:
            tenant: whose entries.
            wanted: which; `user` is a name, or a pseudonym as leaves show it.
            cursor: that of the page before.
            limit: 1 to `MAX_PAGE`.
            newest_first: the order.
            reveal: open the private parts that can be opened.

        Raises:
            InvalidRequestError: the cursor or the limit is none.
        """
        if not 1 <= limit <= MAX_PAGE:
            raise InvalidRequestError(f"limit must be from 1 to {MAX_PAGE}", param="limit")
        after = None if cursor is None else _position(cursor)
        size = (await self._publisher.latest())[0].size
        narrowed = await self._narrowed(tenant, wanted or EntryFilter(), size)
        if narrowed is None:
            return Page((), None)
        rows = await self._index.find(tenant, narrowed, limit + 1, after=after, newest_first=newest_first)
        shown = rows[:limit]
        more = _cursor((shown[-1].at_ms, shown[-1].index)) if len(rows) > limit else None
        return Page(await self._records(tenant, shown, size, reveal=reveal), more)

    async def entry(self, tenant: str, key: str | int, *, reveal: bool = False) -> Record:
        """One entry of `tenant` by id or index.

        Raises:
            NotFoundError: there is none, or it is another tenant's.
        """
        size = (await self._publisher.latest())[0].size
        row = await self._row(tenant, key, size)
        return (await self._records(tenant, [row], size, reveal=reveal))[0]

    async def places(
        self, tenant: str, wanted: EntryFilter, size: int, *, chunk: int = 5_000
    ) -> AsyncIterator[Sequence[int]]:
        """Indexes of all of `tenant`'s entries below `size` that match, by time, `chunk` at a time."""
        narrowed = await self._narrowed(tenant, wanted, size)
        after: Position | None = None
        while narrowed is not None:
            rows = await self._index.find(tenant, narrowed, chunk, after=after, newest_first=False)
            if rows:
                after = rows[-1].at_ms, rows[-1].index
                yield [row.index for row in rows]
            if len(rows) < chunk:
                return

    async def at(
        self, tenant: str, indexes: Sequence[int], size: int, *, reveal: bool = False
    ) -> list[Record]:
        """Entries of `tenant` at these places of the log of `size` entries, in this order.

        Raises:
            NotFoundError: one is another tenant's.
        """
        leaves = await read_leaf_set(self._blobs, indexes, size)
        parsed = {index: Leaf.parse(leaf) for index, leaf in leaves.items()}
        if any(leaf.tenant != tenant for leaf in parsed.values()):
            raise NotFoundError("no such entry")
        opened = await self._open(tenant, parsed) if reveal else {}
        sealed = (Privacy.SEALED, None)
        return [_record(index, leaves[index], parsed[index], *opened.get(index, sealed)) for index in indexes]

    async def inclusion(self, tenant: str, key: str | int, size: int | None = None) -> InclusionProof:
        """The proof that one entry of `tenant` is in the log.

        Args:
            tenant: whose entry.
            key: id or index.
            size: the tree that the proof is for; the latest checkpoint's if not given.

        Raises:
            NotFoundError: there is no such entry, or it is another tenant's.
            OutOfTreeError: no tree of that size is published, or the entry is not in it.
        """
        stored = (await self._publisher.latest())[0].size
        row = await self._row(tenant, key, stored)
        wanted = stored if size is None else size
        plan = plan_inclusion(row.index, wanted, stored_size=stored)
        leaves = await read_leaf_set(self._blobs, [row.index], stored)
        proof = await read_proof(self._blobs, plan)
        return InclusionProof(row.index, wanted, leaf_hash(leaves[row.index]), proof)

    async def inclusions(self, indexes: Sequence[int], size: int) -> list[Proof]:
        """Proofs for many leaves of a published size, of whatever tenant; each tile is read once.

        Raises:
            OutOfTreeError: as `inclusion`.
        """
        stored = (await self._publisher.latest())[0].size
        plans = [plan_inclusion(index, size, stored_size=stored) for index in indexes]
        tiles = await read_tiles(self._blobs, {tile for plan in plans for tile in plan.tiles})
        return [plan.fold(tiles) for plan in plans]

    async def consistency(self, first: int, second: int | None = None) -> Proof:
        """The proof that the log of `first` entries is the start of that of `second` (RFC 6962, 2.1.2).

        Raises:
            OutOfTreeError: the sizes are not published ones, or in the wrong order.
        """
        stored = (await self._publisher.latest())[0].size
        plan = plan_consistency(first, stored if second is None else second, stored_size=stored)
        return await read_proof(self._blobs, plan)

    async def checkpoint(self) -> tuple[Checkpoint, bytes]:
        """The latest checkpoint, and the signed note.

        Raises:
            NotFoundError: nothing is published yet.
        """
        return await self._publisher.latest()

    async def _row(self, tenant: str, key: str | int, size: int) -> IndexRow:
        row = None
        place = key if isinstance(key, int) else _entry_id(key)
        if place is not None and (isinstance(place, bytes) or 0 <= place < size):
            row = await self._index.entry(tenant, place)
        if row is None or row.index >= size:
            raise NotFoundError("no such entry")
        return row

    async def _narrowed(self, tenant: str, wanted: EntryFilter, size: int) -> EntryFilter | None:
        """The filter in the index's terms, None where nothing can match."""
        below = size if wanted.below is None else min(size, wanted.below)
        user = wanted.user
        if user is not None and not user.startswith("u:"):
            people, _ = await self._keyring.people(tenant, [user])
            person = people.get(user)
            if person is None or person.key is None:
                return None
            user = person.key.pseudonym
        return replace(wanted, user=user, below=below)

    async def _records(
        self, tenant: str, rows: Sequence[IndexRow], size: int, *, reveal: bool
    ) -> list[Record]:
        leaves = await read_leaf_set(self._blobs, [row.index for row in rows], size)
        opened: Mapping[int, tuple[Privacy, bytes | None]] = {}
        parsed = {index: Leaf.parse(leaf) for index, leaf in leaves.items()}
        if any(parsed[row.index].id != row.id for row in rows):
            raise CorruptLogError("The index has other entries than the log: run `sluicegate audit reindex`.")
        if reveal:
            opened = await self._open(tenant, parsed)
        return [
            _record(
                row.index,
                leaves[row.index],
                parsed[row.index],
                *opened.get(row.index, (Privacy.SEALED, None)),
            )
            for row in rows
        ]

    async def _open(self, tenant: str, leaves: Mapping[int, Leaf]) -> dict[int, tuple[Privacy, bytes | None]]:
        found = await self._sealed(tenant, leaves)
        ids = {each for sealed in found.values() for each in key_ids(sealed)}
        keys = await self._keyring.keys(tenant, ids) if ids else {}
        opened: dict[int, tuple[Privacy, bytes | None]] = {}
        for index, leaf in leaves.items():
            sealed = found.get(index)
            if leaf.sealed is None:
                opened[index] = Privacy.ERASED, None
            elif sealed is None:
                opened[index] = Privacy.EXPIRED, None
            else:
                opened[index] = _opened(leaf, sealed, keys)
            if opened[index][0] is Privacy.DAMAGED:
                _log.error("the sealed part of entry %d is not the one that its leaf names", index)
        return opened

    async def _sealed(self, tenant: str, leaves: Mapping[int, Leaf]) -> dict[int, bytes]:
        """The sealed parts that are kept."""
        places = [(leaf.day, index) for index, leaf in leaves.items() if leaf.sealed is not None]
        packs = {pack for pack in await self._index.packs(tenant, places) if pack is not None}
        found: dict[int, bytes] = {}
        for content in await _gather_packs(self._blobs, sorted(packs, key=lambda pack: pack.first)):
            found.update(content)
        return {index: found[index] for index in leaves if index in found}


def _opened(leaf: Leaf, sealed: bytes, keys: Mapping[bytes, bytes]) -> tuple[Privacy, bytes | None]:
    if sha256(sealed).digest() != leaf.sealed:
        return Privacy.DAMAGED, None
    try:
        private = unseal(sealed, leaf.tenant, leaf.id, keys)
        if private is None:
            return Privacy.ERASED, None
        if commitment(private, Private.parse(private).salt) == leaf.commitment:
            return Privacy.OPEN, private
    except UnreadableError:
        pass
    return Privacy.DAMAGED, None


def _record(index: int, data: bytes, leaf: Leaf, privacy: Privacy, private: bytes | None) -> Record:
    shown = None if private is None else Private.parse(private)
    entry = Entry(
        id=leaf.id.hex(),
        timestamp=timestamp(leaf.at_ms),
        userId=leaf.user if shown is None else shown.user,
        workspaceId=leaf.workspace,
        action=leaf.action,
        domain=leaf.domain,
        payload=leaf.shown if shown is None else shown.payload,
        result=leaf.result,
        reason=None if shown is None else shown.reason,
        ipAddress=None if shown is None else shown.ip,
        userAgent=None if shown is None else shown.user_agent,
        signature=b64encode(leaf.signature).decode(),
    )
    return Record(index, data, privacy, private, entry)


async def _gather_packs(blobs: BlobStore, packs: Sequence[PackRow]) -> list[dict[int, bytes]]:
    found: list[dict[int, bytes]] = []
    for at in range(0, len(packs), _AT_ONCE):
        names = [pack_name(pack) for pack in packs[at : at + _AT_ONCE]]
        read = await asyncio.gather(*(blobs.read(name) for name in names))
        # One that is missing was deleted since the index was asked.
        found += [
            dict(decode_pack(name, blob.content))
            for name, blob in zip(names, read, strict=True)
            if blob is not None
        ]
    return found


def _entry_id(text: str) -> bytes | None:
    try:
        return bytes.fromhex(text) if len(text) == 32 else None
    except ValueError:
        return None


def _cursor(position: Position) -> str:
    return urlsafe_b64encode(b"%d.%d" % position).rstrip(b"=").decode()


def _position(cursor: str) -> Position:
    try:
        at_ms, _, index = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).partition(b".")
        position = int(at_ms), int(index)
    except (Base64Error, ValueError):
        position = -1, -1
    if min(position) < 0 or max(position) >= 1 << 63 or _cursor(position) != cursor:
        raise InvalidRequestError("not a cursor of this list", param="cursor")
    return position
