"""Reads the log's tiles, leaves and sealed parts."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence

from sluicegate.audit.batches import index_rows
from sluicegate.audit.errors import CorruptLogError, CorruptTileError, MalformedError, MissingTileError
from sluicegate.audit.packs import FOLDER, parse_pack_name
from sluicegate.audit.ports import BlobStore, EntryIndex, PackRow
from sluicegate.audit.proof import Proof, ProofPlan
from sluicegate.audit.tiles import TILE_WIDTH, Bundle, Tile, take, unpack_entries

_AT_ONCE = 16
_HASH = 32


async def read_tiles(blobs: BlobStore, tiles: Iterable[Tile]) -> dict[Tile, bytes]:
    """These tiles. A partial one that is gone is cut from the full one (tlog-tiles, "Partial Tiles").

    Raises:
        MissingTileError: one is not there.
        CorruptTileError: one has a wrong length.
    """
    wanted = list(tiles)
    found: dict[Tile, bytes] = {}
    for at in range(0, len(wanted), _AT_ONCE):
        some = wanted[at : at + _AT_ONCE]
        contents = await asyncio.gather(*(_read_tile(blobs, tile) for tile in some))
        found.update(zip(some, contents, strict=True))
    for tile in found:
        take(found, tile)
    return found


async def read_proof(blobs: BlobStore, plan: ProofPlan) -> Proof:
    """The proof that a plan is for.

    Raises:
        MissingTileError, CorruptTileError: as `read_tiles`.
    """
    return plan.fold(await read_tiles(blobs, plan.tiles))


async def read_bundle(blobs: BlobStore, bundle: Bundle) -> list[bytes]:
    """The leaves of a bundle.

    Raises:
        MissingTileError, CorruptTileError: as `read_tiles`.
    """
    blob = await blobs.read(bundle.path)
    if blob is not None:
        return unpack_entries(bundle, blob.content)
    full = Bundle(bundle.index)
    blob = None if full == bundle else await blobs.read(full.path)
    if blob is None:
        raise MissingTileError(f"{bundle.path} is missing.", details={"path": bundle.path})
    return unpack_entries(full, blob.content)[: bundle.width]


async def read_leaf_set(blobs: BlobStore, indexes: Iterable[int], size: int) -> dict[int, bytes]:
    """Some leaves of a log of `size` entries, by index; each bundle is read once.

    Raises:
        MissingTileError, CorruptTileError: as `read_tiles`.
    """
    places: dict[int, list[int]] = {}
    for index in indexes:
        places.setdefault(index // TILE_WIDTH, []).append(index)
    numbers = list(places)
    found: dict[int, bytes] = {}
    for at in range(0, len(numbers), _AT_ONCE):
        some = numbers[at : at + _AT_ONCE]
        bundles = [Bundle(number, min(TILE_WIDTH, size - number * TILE_WIDTH)) for number in some]
        for number, leaves in zip(
            some, await asyncio.gather(*(read_bundle(blobs, bundle) for bundle in bundles)), strict=True
        ):
            found.update({index: leaves[index % TILE_WIDTH] for index in places[number]})
    return found


async def read_leaves(blobs: BlobStore, first: int, size: int) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Leaves `[first, size)`, a bundle's at a time, each time with the index of the first of them.

    Raises:
        MissingTileError, CorruptTileError: as `read_tiles`.
    """
    for number in range(first // TILE_WIDTH, -(-size // TILE_WIDTH)):
        start = number * TILE_WIDTH
        leaves = await read_bundle(blobs, Bundle(number, min(TILE_WIDTH, size - start)))
        skipped = max(0, first - start)
        yield start + skipped, leaves[skipped:]


async def list_packs(blobs: BlobStore, tenant: str | None = None) -> list[PackRow]:
    """All packs that are kept, or those of one tenant.

    Raises:
        CorruptLogError: something else lies among them.
    """
    try:
        return [
            parse_pack_name(name)
            for name in await blobs.list(FOLDER if tenant is None else f"{FOLDER}{tenant}/")
        ]
    except MalformedError as error:
        raise CorruptLogError("Something that is not a pack lies among the packs.") from error


async def fill_index(blobs: BlobStore, index: EntryIndex, size: int, *, chunk: int = 4_096) -> int:
    """Add to the index what it lacks of a log of `size` entries; how many entries that were.

    Raises:
        MissingTileError, CorruptTileError, CorruptLogError: the log cannot be read.
    """
    first = await index.size()
    if first >= size:
        return 0
    packs = [pack for pack in await list_packs(blobs) if pack.count and first <= pack.first < size]
    start: int | None = None
    waiting: list[bytes] = []
    async for at, leaves in read_leaves(blobs, first, size):
        start = at if start is None else start
        waiting += leaves
        if len(waiting) >= chunk:
            await _add(index, start, waiting, ())
            start, waiting = None, []
    await _add(index, size - len(waiting), waiting, packs)
    return size - first


async def _add(index: EntryIndex, first: int, leaves: Sequence[bytes], packs: Sequence[PackRow]) -> None:
    try:
        rows = index_rows(first, leaves)
    except MalformedError as error:
        raise CorruptLogError("An entry of the log is not a leaf.", details={"index": first}) from error
    await index.add(first, rows, packs)


async def _read_tile(blobs: BlobStore, tile: Tile) -> bytes:
    blob = await blobs.read(tile.path)
    if blob is not None:
        return blob.content
    full = Tile(tile.level, tile.index)
    blob = None if full == tile else await blobs.read(full.path)
    if blob is None:
        raise MissingTileError(f"{tile.path} is missing.", details={"path": tile.path})
    if len(blob.content) != full.size:
        raise CorruptTileError(f"{full.path} has a wrong length.", details={"path": full.path})
    return blob.content[: tile.width * _HASH]
