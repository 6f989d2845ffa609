"""Where a log's hashes and entries lie: the tiles and bundles of C2SP tlog-tiles, with their paths.

A tile holds up to 256 consecutive hashes of one level; level 0 has the leaf hashes, and each hash of a higher
level is the root of one full tile below. A bundle holds the entries of one level 0 tile.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sluicegate.audit.errors import CorruptTileError, MalformedError, MissingTileError
from sluicegate.audit.merkle import HASH_SIZE, MAX_SIZE

TILE_WIDTH = 256
TILE_HEIGHT = 8
MAX_LEVEL = 63
MAX_ENTRY_SIZE = 2**16 - 1

_PATH = re.compile(
    r"tile/(?P<level>entries|0|[1-9][0-9]?)/(?P<index>(?:x[0-9]{3}/)*[0-9]{3})(?:\.p/(?P<width>[1-9][0-9]{0,2}))?"
)


@dataclass(frozen=True, slots=True, order=True)
class Tile:
    """A tile's coordinates: level (0 to 63), index within the level, width in hashes (1 to 256)."""

    level: int
    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """`tile/<L>/<N>[.p/<W>]` (tlog-tiles, "Merkle Tree")."""
        return _path(str(self.level), self.index, self.width)

    @property
    def size(self) -> int:
        """Bytes that the tile has."""
        return self.width * HASH_SIZE


@dataclass(frozen=True, slots=True, order=True)
class Bundle:
    """An entry bundle's coordinates: index, and width in entries (1 to 256)."""

    index: int
    width: int = TILE_WIDTH

    @property
    def path(self) -> str:
        """`tile/entries/<N>[.p/<W>]` (tlog-tiles, "Log entries")."""
        return _path("entries", self.index, self.width)


Tiles = Mapping[Tile, bytes]
"""Tiles that were read: coordinates to content."""


def parse_path(path: str) -> Tile | Bundle:
    """The tile or bundle that lies at `path`, relative to the log's prefix (tlog-tiles, "APIs").

    Raises:
        MalformedError: any other spelling of a path, however close.
    """
    match = _PATH.fullmatch(path) if len(path) < 80 else None
    if match is None:
        raise MalformedError("Not the path of a tile: tile/<level>/<index>[.p/<width>].")
    level, index, width = (
        match["level"],
        int(match["index"].replace("x", "").replace("/", "")),
        match["width"],
    )
    found: Tile | Bundle
    if level == "entries":
        found = Bundle(index, int(width or TILE_WIDTH))
    else:
        found = Tile(int(level), index, int(width or TILE_WIDTH))
    # Going back to the path refuses needless leading groups and a width of 256 written out.
    if (
        found.path != path
        or found.width > TILE_WIDTH
        or index > MAX_SIZE
        or (level != "entries" and int(level) > MAX_LEVEL)
    ):
        raise MalformedError("Not the path of a tile: tile/<level>/<index>[.p/<width>].")
    return found


def tile_at(level: int, index: int, size: int) -> Tile:
    """Tile number `index` of `level` as it is in a tree of `size` leaves (tlog-tiles, "Partial Tiles").

    Raises:
        MissingTileError: the tree has no hash there yet.
    """
    width = min((size >> TILE_HEIGHT * level) - index * TILE_WIDTH, TILE_WIDTH)
    if width <= 0:
        raise MissingTileError(f"A tree of {size} leaves has no tile {index} at level {level}.")
    return Tile(level, index, width)


def right_edge(size: int) -> list[Tile]:
    """The partial tiles of a tree of `size` leaves, lowest level first: what growing it has to read."""
    edge = []
    for level in range((max(size, 1).bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT):
        index, width = divmod(size >> TILE_HEIGHT * level, TILE_WIDTH)
        if width:
            edge.append(Tile(level, index, width))
    return edge


def bundle_edge(size: int) -> Bundle | None:
    """The partial bundle of a tree of `size` leaves: what adding entries has to read, if anything."""
    index, width = divmod(size, TILE_WIDTH)
    return Bundle(index, width) if width else None


def take(tiles: Tiles, tile: Tile) -> bytes:
    """The content of `tile`.

    Raises:
        MissingTileError: it is not among `tiles`.
        CorruptTileError: it has another length than its width says.
    """
    content = tiles.get(tile)
    if content is None:
        raise MissingTileError(f"{tile.path} is needed and was not read.", details={"path": tile.path})
    if len(content) != tile.size:
        raise CorruptTileError(
            f"{tile.path} has {len(content)} bytes instead of {tile.size}.", details={"path": tile.path}
        )
    return content


def pack_entries(entries: Sequence[bytes]) -> bytes:
    """Entries as a bundle has them: each after its length in two bytes, big-endian.

    Source: tlog-tiles, "Log entries".

    Raises:
        MalformedError: an entry is longer than 65 535 bytes.
    """
    parts: list[bytes] = []
    for entry in entries:
        if len(entry) > MAX_ENTRY_SIZE:
            raise MalformedError(f"An entry has at most {MAX_ENTRY_SIZE} bytes; this one has {len(entry)}.")
        parts += (len(entry).to_bytes(2, "big"), entry)
    return b"".join(parts)


def unpack_entries(bundle: Bundle, content: bytes) -> list[bytes]:
    """The entries in a bundle, exactly as many as its width says.

    Raises:
        CorruptTileError: too few entries, or bytes left over.
    """
    entries, at, end = [], 0, len(content)
    for _ in range(bundle.width):
        start = at + 2
        at = start + int.from_bytes(content[at:start], "big")
        if at > end:
            raise CorruptTileError(f"{bundle.path} ends too early.", details={"path": bundle.path})
        entries.append(content[start:at])
    if at != end:
        raise CorruptTileError(f"{bundle.path} has {end - at} bytes too many.", details={"path": bundle.path})
    return entries


def append_entries(partial: bytes, size: int, entries: Sequence[bytes]) -> dict[Bundle, bytes]:
    """The bundles to write when `entries` follow the first `size` ones, in order of index.

    Args:
        partial: content of `bundle_edge(size)`, empty where there is none.
        size: entries that the log has.
        entries: what comes next.

    Raises:
        CorruptTileError: `partial` is not a bundle of that width.
        MalformedError: an entry is longer than 65 535 bytes.
    """
    edge = bundle_edge(size)
    unpack_entries(edge or Bundle(size // TILE_WIDTH, 0), partial)
    written = {}
    at, content = 0, partial
    while at < len(entries):
        index, width = divmod(size + at, TILE_WIDTH)
        fresh = entries[at : at + TILE_WIDTH - width]
        written[Bundle(index, width + len(fresh))] = content + pack_entries(fresh)
        at, content = at + len(fresh), b""
    return written


def _path(level: str, index: int, width: int) -> str:
    groups = [f"{index % 1000:03d}"]
    while index := index // 1000:
        groups.append(f"x{index % 1000:03d}")
    partial = "" if width == TILE_WIDTH else f".p/{width}"
    return f"tile/{level}/{'/'.join(reversed(groups))}{partial}"
