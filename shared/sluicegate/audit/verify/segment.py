"""A run of bundles with all that belongs to it: entries, tiles, sealed parts, the checkpoints within.

It is verified on its own, in any process; what has to be put together afterwards is in its result.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import sha256
from typing import Any

from sluicegate.audit.cosignature import CosignatureVerifier
from sluicegate.audit.errors import CorruptLogError, CorruptTileError
from sluicegate.audit.keys import Ed25519Verifier
from sluicegate.audit.merkle import HASH_SIZE, CompactRange, fold, leaf_hash
from sluicegate.audit.packs import decode_pack, pack_name
from sluicegate.audit.ports import PackRow
from sluicegate.audit.retention import ACTION as EXPIRED
from sluicegate.audit.tiles import TILE_WIDTH, Bundle, Tile, unpack_entries
from sluicegate.audit.verify.checkpoints import Checkpoints
from sluicegate.audit.verify.findings import Findings
from sluicegate.audit.verify.leaf import CheckedLeaf, FaultyLeafError, LeafCheck
from sluicegate.audit.verify.source import LogSource

Place = tuple[str, str]
"""A tenant and a day."""


@dataclass(frozen=True, slots=True)
class Segment:
    """What to verify: bundles `[first, end)` of a log of `size` entries.

    Attributes:
        superseded: widths of the partial files that are there, by bundle: of tiles, of bundles.
        sizes: tree sizes within whose roots are wanted.
        checkpoints: sizes within of which a checkpoint is kept.
        packs: those whose first entry is within, in order of it.
        keys: the log's, the witnesses', and those that sign entries.
        entries: whether there are entries to read; else only hashes.
    """

    source: LogSource
    first: int
    end: int
    size: int
    superseded: tuple[Mapping[int, Sequence[int]], Mapping[int, Sequence[int]]]
    sizes: tuple[int, ...]
    checkpoints: tuple[int, ...]
    packs: tuple[PackRow, ...]
    keys: "SegmentKeys"
    entries: bool = True


@dataclass(frozen=True, slots=True)
class SegmentKeys:
    """The keys that a segment is verified with."""

    log: Ed25519Verifier
    witnesses: tuple[CosignatureVerifier, ...]
    entries: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class Sealed:
    """A sealed part as it lies in a pack."""

    pack: PackRow
    digest: bytes


@dataclass(slots=True)
class Verified:
    """What came of a segment.

    Attributes:
        hashes: the root over each bundle's leaf hashes, in order; the last one may be of a partial bundle.
        parts: for each of the sizes and checkpoints, the root over the leaves of its bundle below it.
        claims: by size, the roots that the checkpoints claim, with the file that says so.
        cosignatures: how many hold.
        ids: each entry's id and index (8 bytes).
        unmet: by tenant and day, index and digest of sealed parts that are in no pack of this segment.
        left: sealed parts of entries beyond this segment, by index.
        deletions: index, tenant and payload of entries that say what was deleted.
        leaves: entries whose form and signature hold.
        sealed: sealed parts that match their entry.
    """

    findings: Findings = field(default_factory=Findings)
    hashes: list[bytes] = field(default_factory=list)
    parts: dict[int, bytes] = field(default_factory=dict)
    claims: dict[int, list[tuple[str, bytes]]] = field(default_factory=dict)
    cosignatures: int = 0
    ids: list[tuple[bytes, int]] = field(default_factory=list)
    unmet: dict[Place, list[tuple[int, bytes]]] = field(default_factory=lambda: defaultdict(list))
    left: dict[int, Sealed] = field(default_factory=dict)
    deletions: list[tuple[int, str, Any]] = field(default_factory=list)
    leaves: int = 0
    sealed: int = 0


def verify_segment(segment: Segment) -> Verified:
    """Verify a segment.

    Raises:
        UnreadableSourceError: as the source.
    """
    return _Work(segment).run()


@lru_cache(maxsize=1)
def _checker(keys: tuple[bytes, ...]) -> LeafCheck:
    return LeafCheck(keys)


class _Work:
    def __init__(self, segment: Segment) -> None:
        self._segment = segment
        self._result = Verified()
        self._findings = self._result.findings
        self._sizes = iter(sorted({*segment.sizes, *segment.checkpoints}))
        self._next_size = next(self._sizes, None)
        self._packs = iter(segment.packs)
        self._next_pack = next(self._packs, None)
        self._check = _checker(segment.keys.entries)

    def run(self) -> Verified:
        self._checkpoints()
        for number in range(self._segment.first, self._segment.end):
            start = number * TILE_WIDTH
            width = min(TILE_WIDTH, self._segment.size - start)
            self._load_packs(start + width)
            leaves = self._bundle(Bundle(number, width)) if self._segment.entries else None
            tile = self._tile(Tile(0, number, width))
            if leaves is None:
                hashes = tile or b""
            else:
                hashes = b"".join(map(leaf_hash, leaves))
                self._compare(Tile(0, number, width), tile, hashes)
                for index, leaf in enumerate(leaves, start):
                    self._leaf(Bundle(number, width), index, leaf)
            self._result.hashes.append(fold(hashes) or bytes(HASH_SIZE))
            self._add_parts(start, width, hashes)
        return self._result

    def _checkpoints(self) -> None:
        keys = self._segment.keys
        checkpoints = Checkpoints(self._segment.source, keys.log, keys.witnesses, self._findings)
        for size in self._segment.checkpoints:
            checkpoints.kept(size)
        self._result.claims = checkpoints.claims
        self._result.cosignatures = checkpoints.cosigned

    def _bundle(self, bundle: Bundle) -> list[bytes] | None:
        full = Bundle(bundle.index)
        content = self._segment.source.read(bundle.path)
        place = bundle
        if content is None and bundle != full:
            content, place = self._segment.source.read(full.path), full
        if content is None:
            self._findings.add(bundle.path, "is missing", bundle.index * TILE_WIDTH)
            return None
        self._superseded(1, place, bundle, content)
        try:
            return unpack_entries(place, content)[: bundle.width]
        except CorruptTileError as error:
            self._findings.add(place.path, error.message, bundle.index * TILE_WIDTH)
            return None

    def _tile(self, tile: Tile) -> bytes | None:
        full = Tile(tile.level, tile.index)
        content = self._segment.source.read(tile.path)
        place = tile
        if content is None and tile != full:
            content, place = self._segment.source.read(full.path), full
        if content is None:
            self._findings.add(tile.path, "is missing")
            return None
        if len(content) != place.size:
            self._findings.add(place.path, f"has {len(content)} bytes instead of {place.size}")
            return None
        self._superseded(0, place, tile, content)
        return content[: tile.size]

    def _superseded(self, kind: int, place: Tile | Bundle, wanted: Tile | Bundle, content: bytes) -> None:
        """Partial files of former sizes: each is the beginning of what came after it."""
        for width in self._segment.superseded[kind].get(wanted.index, ()):
            former: Tile | Bundle
            former = (
                Bundle(wanted.index, width) if isinstance(wanted, Bundle) else Tile(0, wanted.index, width)
            )
            if former == place or width > wanted.width:
                continue
            kept = self._segment.source.read(former.path)
            if kept is None:
                continue  # tidied up meanwhile
            whole = _has_entries(former, kept) if isinstance(former, Bundle) else len(kept) == former.size
            if not whole or not content.startswith(kept):
                self._findings.add(former.path, f"is not the beginning of {place.path}")

    def _compare(self, place: Tile, tile: bytes | None, hashes: bytes) -> None:
        if tile is None or tile == hashes:
            return
        for at in range(0, len(hashes), HASH_SIZE):
            if tile[at : at + HASH_SIZE] != hashes[at : at + HASH_SIZE]:
                index = place.index * TILE_WIDTH + at // HASH_SIZE
                self._findings.add(place.path, "is not the hash of this entry", index)

    def _leaf(self, bundle: Bundle, index: int, leaf: bytes) -> None:
        result = self._result
        try:
            checked = self._check.check(leaf)
        except FaultyLeafError as error:
            self._findings.add(bundle.path, str(error), index)
            result.left.pop(index, None)
            return
        result.leaves += 1
        result.ids.append((checked.id, index))
        if checked.action == EXPIRED:
            result.deletions.append((index, checked.tenant, checked.shown))
        self._sealed(index, checked)

    def _sealed(self, index: int, leaf: CheckedLeaf) -> None:
        part = self._result.left.pop(index, None)
        if part is None:
            if leaf.sealed is not None:
                self._result.unmet[leaf.tenant, leaf.day].append((index, leaf.sealed))
        elif part.digest != leaf.sealed or (part.pack.tenant, part.pack.day) != (leaf.tenant, leaf.day):
            self._findings.add(pack_name(part.pack), "what is sealed here is not this entry's", index)
        else:
            self._result.sealed += 1

    def _load_packs(self, end: int) -> None:
        while self._next_pack is not None and self._next_pack.first < end:
            pack, self._next_pack = self._next_pack, next(self._packs, None)
            for index, digest in self._parts(pack):
                if index in self._result.left:
                    self._findings.add(
                        pack_name(pack), "this entry has a sealed part in another pack, too", index
                    )
                else:
                    self._result.left[index] = Sealed(pack, digest)

    def _parts(self, pack: PackRow) -> Iterator[tuple[int, bytes]]:
        name = pack_name(pack)
        content = self._segment.source.read(name)
        if content is None:
            return  # deleted meanwhile: whether it may be shows when all is accounted for
        try:
            for index, sealed in decode_pack(name, content):
                yield index, sha256(sealed).digest()
        except CorruptLogError as error:
            self._findings.add(name, error.message, pack.first)

    def _add_parts(self, start: int, width: int, hashes: bytes) -> None:
        if self._next_size is None or self._next_size > start + width:
            return
        tree = CompactRange()
        while self._next_size is not None and self._next_size <= start + width:
            part = hashes[tree.size * HASH_SIZE : (self._next_size - start) * HASH_SIZE]
            tree.extend(part[at : at + HASH_SIZE] for at in range(0, len(part), HASH_SIZE))
            self._result.parts[self._next_size] = tree.root()
            self._next_size = next(self._sizes, None)


def _has_entries(bundle: Bundle, content: bytes) -> bool:
    try:
        unpack_entries(bundle, content)
    except CorruptTileError:
        return False
    return True
