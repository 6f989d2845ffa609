"""The tree above the leaves, put together as segments come in: higher tiles, and roots of former sizes."""

from collections.abc import Mapping, Sequence

from sluicegate.audit.merkle import EMPTY_ROOT, HASH_SIZE, CompactRange, fold, node_hash
from sluicegate.audit.tiles import TILE_HEIGHT, TILE_WIDTH, Tile
from sluicegate.audit.verify.findings import Findings
from sluicegate.audit.verify.source import LogSource


class GrowingTree:
    """A tree of `size` leaves, from the roots of its bundles in their order.

    Memory is one hash for 256 leaves.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._whole = CompactRange()  # of the roots of full bundles
        self._level: list[bytes] = []
        self._last = b""

    def root_with(self, part: bytes) -> bytes:
        """The root of the tree of all bundles so far, and then `part`, the root over part of the next one."""
        total = part
        for left in reversed(self._whole.hashes):
            total = node_hash(left, total)
        return total

    def append(self, root: bytes) -> None:
        """The root over the next bundle's leaf hashes."""
        if (len(self._level) + 1) * TILE_WIDTH <= self._size:
            self._whole.append(root)
            self._level.append(root)
        else:
            self._last = root

    def root(self) -> bytes:
        """The root of the whole tree."""
        return fold(b"".join(self._level) + self._last) or EMPTY_ROOT

    def compare(
        self, source: LogSource, superseded: Mapping[int, Mapping[int, Sequence[int]]], findings: Findings
    ) -> int:
        """Compare the stored tiles of level 1 and above; how many there are.

        Args:
            source: where they are.
            superseded: by level and index, widths of partial tiles that are there.
            findings: where faults go.
        """
        hashes, level, count = self._level, 1, 0
        while hashes:
            above = []
            for index in range(-(-len(hashes) // TILE_WIDTH)):
                content = b"".join(hashes[index * TILE_WIDTH : (index + 1) * TILE_WIDTH])
                tile = Tile(level, index, len(content) // HASH_SIZE)
                _compare(source, tile, content, findings)
                count += 1
                for width in superseded.get(level, {}).get(index, ()):
                    if width < tile.width:
                        _compare_former(source, Tile(level, index, width), content, findings)
                if tile.width == TILE_WIDTH:
                    above.append(fold(content))
            hashes, level = above, level + 1
        return count


def levels(size: int) -> int:
    """Levels that the tiles of a tree of `size` leaves have."""
    return max(1, (size.bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT)


def _compare(source: LogSource, tile: Tile, content: bytes, findings: Findings) -> None:
    stored = source.read(tile.path)
    place = tile
    if stored is None and tile.width < TILE_WIDTH:
        place = Tile(tile.level, tile.index)
        stored = source.read(place.path)
    if stored is None:
        findings.add(tile.path, "is missing")
    elif len(stored) != place.size or not stored.startswith(content):
        findings.add(place.path, "is not what the tiles below it give")


def _compare_former(source: LogSource, tile: Tile, content: bytes, findings: Findings) -> None:
    stored = source.read(tile.path)
    if stored is not None and stored != content[: tile.size]:
        findings.add(tile.path, "is not what the tiles below it give")
