"""Proofs of inclusion and of consistency: made from tiles, verified from nothing but hashes.

Making one takes two steps, so that reads can be of any kind: a plan names the tiles, then folds them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sluicegate.audit.errors import InvalidProofError, OutOfTreeError
from sluicegate.audit.merkle import EMPTY_ROOT, HASH_SIZE, MAX_SIZE, fold, node_hash
from sluicegate.audit.spans import Span, complete_subtrees, consistency_spans, inclusion_spans
from sluicegate.audit.tiles import TILE_HEIGHT, TILE_WIDTH, Tile, Tiles, take, tile_at

Proof = tuple[bytes, ...]
"""Hashes of 32 bytes, in the order of RFC 6962, section 2.1."""

ReadTile = Callable[[Tile], bytes]


@dataclass(frozen=True, slots=True)
class ProofPlan:
    """What a proof is made of.

    Attributes:
        spans: the subtrees whose roots are the proof, in its order.
        stored_size: leaves of the tree whose tiles are read.
    """

    spans: tuple[Span, ...]
    stored_size: int

    @property
    def tiles(self) -> list[Tile]:
        """The tiles to read, each once; the widths are those of the stored tree."""
        return sorted({self._tile(node)[0] for span in self.spans for node in complete_subtrees(span)})

    def fold(self, tiles: Tiles) -> Proof:
        """The proof, from the content of `tiles`.

        Raises:
            MissingTileError, CorruptTileError: as `sluicegate.audit.tiles.take`.
        """
        return tuple(self._root(span, tiles) for span in self.spans)

    def read(self, read_tile: ReadTile) -> Proof:
        """The proof, from a function that reads a tile."""
        return self.fold({tile: read_tile(tile) for tile in self.tiles})

    def _root(self, span: Span, tiles: Tiles) -> bytes:
        hashes = []
        for node in complete_subtrees(span):
            tile, start, end = self._tile(node)
            hashes.append(fold(take(tiles, tile)[start * HASH_SIZE : end * HASH_SIZE]))
        total = hashes.pop()
        while hashes:
            total = node_hash(hashes.pop(), total)
        return total

    def _tile(self, node: Span) -> tuple[Tile, int, int]:
        """The tile with the hashes that a complete subtree's root is folded from: from where to where."""
        start, end = node
        level = ((end - start).bit_length() - 1) // TILE_HEIGHT
        first, last = start >> TILE_HEIGHT * level, end >> TILE_HEIGHT * level
        index = first // TILE_WIDTH
        tile = tile_at(level, index, self.stored_size)
        return tile, first - index * TILE_WIDTH, last - index * TILE_WIDTH


def plan_inclusion(index: int, size: int, *, stored_size: int | None = None) -> ProofPlan:
    """How to show that leaf `index` is in the tree of `size` leaves (RFC 6962, section 2.1.1).

    Args:
        index: the leaf, counted from 0.
        size: the tree that the proof is for.
        stored_size: the tree whose tiles can be read, where it has grown since; `size` if not given.

    Raises:
        OutOfTreeError: not 0 <= index < size <= stored_size.
    """
    stored = _stored(size, stored_size)
    if not 0 <= index < size:
        raise OutOfTreeError(
            f"The tree has {size} leaves: there is no leaf {index}.",
            details={"index": index, "tree_size": size},
        )
    return ProofPlan(tuple(inclusion_spans(index, size)), stored)


def plan_consistency(first: int, second: int, *, stored_size: int | None = None) -> ProofPlan:
    """How to show that the tree of `first` leaves is the start of that of `second` (RFC 6962, section 2.1.2).

    From nothing, and between equal sizes, the proof is empty.

    Raises:
        OutOfTreeError: not 0 <= first <= second <= stored_size.
    """
    stored = _stored(second, stored_size)
    if not 0 <= first <= second:
        raise OutOfTreeError(
            f"A tree of {second} leaves never had {first}.", details={"size": first, "tree_size": second}
        )
    spans = [] if first in {0, second} else consistency_spans(first, second)
    return ProofPlan(tuple(spans), stored)


def plan_root(size: int, *, stored_size: int | None = None) -> ProofPlan:
    """How to compute the root that the tree had at `size`: a plan of one span, `size` above 0.

    Raises:
        OutOfTreeError: not 0 < size <= stored_size.
    """
    stored = _stored(size, stored_size)
    if size < 1:
        raise OutOfTreeError("The empty tree's root is in no tile.", details={"size": size})
    return ProofPlan(((0, size),), stored)


def root_from_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes]) -> bytes:
    """The only root that this proof can belong to (RFC 9162, section 2.1.3.2).

    Raises:
        InvalidProofError: no tree of that size has a proof of that shape for that leaf.
    """
    _check_hashes(leaf, *proof)
    if not 0 <= index < size <= MAX_SIZE:
        raise InvalidProofError(f"There is no leaf {index} in a tree of {size}.")
    node, last, total = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise InvalidProofError("The proof is longer than the path to the root.")
        if node & 1 or node == last:
            total = node_hash(sibling, total)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            total = node_hash(total, sibling)
        node, last = node >> 1, last >> 1
    if last:
        raise InvalidProofError("The proof is shorter than the path to the root.")
    return total


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Check that the leaf hash `leaf` is at `index` of the tree with this size and root.

    Source: RFC 9162, section 2.1.3.2 (its trees are those of RFC 6962).

    Raises:
        InvalidProofError: it does not show that.
    """
    _check_hashes(root)
    if root_from_inclusion(leaf, index, size, proof) != root:
        raise InvalidProofError(
            f"The proof does not lead from leaf {index} to the root of the tree of {size}."
        )


def verify_consistency(
    first: int, second: int, proof: Sequence[bytes], first_root: bytes, second_root: bytes
) -> None:
    """Check that the tree with the first size and root is the start of the second one.

    Source: RFC 9162, section 2.1.4.2. Stricter than it where there is nothing to prove: the empty tree has
    its own root and no other.

    Raises:
        InvalidProofError: it does not show that.
    """
    _check_hashes(first_root, second_root, *proof)
    if not 0 <= first <= second <= MAX_SIZE:
        raise InvalidProofError(f"A tree of {second} leaves never had {first}.")
    if any(size == 0 and root != EMPTY_ROOT for size, root in ((first, first_root), (second, second_root))):
        raise InvalidProofError("The tree without leaves has another root.")
    if first in {0, second}:
        if proof or (first == second and first_root != second_root):
            raise InvalidProofError(
                "Between these sizes the proof is empty, and equal sizes have equal roots."
            )
        return
    path = list(proof)
    if first & (first - 1) == 0:
        path.insert(0, first_root)
    if not path:
        raise InvalidProofError("The proof is empty.")
    node, last = first - 1, second - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    old = new = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise InvalidProofError("The proof is longer than the path to the root.")
        if node & 1 or node == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        node, last = node >> 1, last >> 1
    if last or old != first_root or new != second_root:
        raise InvalidProofError(
            f"The tree of {first} leaves is not shown to be the start of that of {second}."
        )


def _stored(size: int, stored_size: int | None) -> int:
    stored = size if stored_size is None else stored_size
    if not size <= stored <= MAX_SIZE:
        raise OutOfTreeError(
            f"The tree has {stored} leaves, fewer than {size}.", details={"size": size, "tree_size": stored}
        )
    return stored


def _check_hashes(*hashes: bytes) -> None:
    if any(len(item) != HASH_SIZE for item in hashes):
        raise InvalidProofError("Every hash has 32 bytes.")
