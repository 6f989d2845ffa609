"""Growing a tree that is kept in tiles: which tiles to read, which to write, and the new root.

Nothing is read or written here: the caller reads the right edge and writes what it is told, in its own way.
Cost: one leaf costs about one hash, whatever the size of the tree; one batch at most 255 more for each level.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sluicegate.audit.errors import MalformedError
from sluicegate.audit.merkle import EMPTY_ROOT, HASH_SIZE, MAX_SIZE, fold
from sluicegate.audit.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, Tiles, right_edge, take


@dataclass(frozen=True, slots=True)
class Integration:
    """A tree that has grown.

    Attributes:
        size: its leaves.
        root: its root hash (RFC 6962, section 2.1).
        tiles: what to write: each new full tile, and the partial ones that changed.
        right_edge: all its partial tiles, written now or before: what the next `integrate` needs.
    """

    size: int
    root: bytes
    tiles: dict[Tile, bytes]
    right_edge: dict[Tile, bytes]


def tiles_needed(size: int) -> list[Tile]:
    """The tiles that `integrate` needs for a tree of `size` leaves: one at most for each level."""
    return right_edge(size)


def tree_root(tiles: Tiles, size: int) -> bytes:
    """The root of a tree of `size` leaves, from its right edge alone.

    A sequencer compares it with its last checkpoint before it builds on tiles that it has read.

    Raises:
        MissingTileError, CorruptTileError: as `take`, for one of `tiles_needed(size)`.
    """
    carry = b""
    for level in range(_levels(size)):
        index, width = divmod(size >> TILE_HEIGHT * level, TILE_WIDTH)
        hashes = take(tiles, Tile(level, index, width)) if width else b""
        carry = fold(hashes + carry)
    return carry or EMPTY_ROOT


def integrate(tiles: Tiles, size: int, leaf_hashes: Sequence[bytes]) -> Integration:
    """Append leaves to a tree of `size` leaves (tlog-tiles, "Merkle Tree").

    Args:
        tiles: content of `tiles_needed(size)`; others are ignored.
        size: leaves that the tree has.
        leaf_hashes: `leaf_hash` of each new entry, in order; may be empty.

    Raises:
        MissingTileError, CorruptTileError: as `take`.
        MalformedError: a leaf hash has not 32 bytes, or the tree would get too large.
    """
    grown = size + len(leaf_hashes)
    fresh = b"".join(leaf_hashes)
    if any(len(item) != HASH_SIZE for item in leaf_hashes) or not 0 <= size <= grown <= MAX_SIZE:
        raise MalformedError("Leaf hashes have 32 bytes, and a tree at most 2^63 - 1 leaves.")
    written: dict[Tile, bytes] = {}
    edge: dict[Tile, bytes] = {}
    carry = b""
    for level in range(_levels(grown)):
        index, width = divmod(size >> TILE_HEIGHT * level, TILE_WIDTH)
        hashes = take(tiles, Tile(level, index, width)) if width else b""
        hashes, above = hashes + fresh, []
        for at in range(0, len(hashes) - _FULL + 1, _FULL):
            full = hashes[at : at + _FULL]
            written[Tile(level, index)] = full
            above.append(fold(full))
            index += 1
        rest = hashes[len(above) * _FULL :]
        if rest:
            partial = Tile(level, index, len(rest) // HASH_SIZE)
            edge[partial] = rest
            if fresh:
                written[partial] = rest
        carry = fold(rest + carry)
        fresh = b"".join(above)
    return Integration(grown, carry or EMPTY_ROOT, written, edge)


_FULL = TILE_WIDTH * HASH_SIZE


def _levels(size: int) -> int:
    return (size.bit_length() + TILE_HEIGHT - 1) // TILE_HEIGHT
