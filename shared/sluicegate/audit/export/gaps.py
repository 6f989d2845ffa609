"""One proof for many entries: the roots of the subtrees between them.

Exported leaves in order of index, and for each gap between two of them (before the first, after the last) the
roots of the complete subtrees that the gap is made of: together they are the whole tree, so its root can be
computed from them. A proof of inclusion (RFC 6962, section 2.1.1) is the same for one leaf. It costs no hash
where all is exported, and at most twice the tree's height for each gap.
"""

from collections.abc import Iterator

from sluicegate.audit.errors import InvalidProofError
from sluicegate.audit.merkle import EMPTY_ROOT, node_hash
from sluicegate.audit.spans import Span


def subtrees(start: int, end: int) -> Iterator[Span]:
    """The complete subtrees that leaves `[start, end)` are made of, from left to right."""
    while start < end:
        most = 1 << (end - start).bit_length() - 1
        length = min(most, start & -start) if start else most
        yield start, start + length
        start += length


class TreeFromParts:
    """Computes a root from subtrees that come in order, without holes. Memory: one hash for each level."""

    def __init__(self) -> None:
        self._parts: list[tuple[int, bytes]] = []
        self.size = 0

    def append(self, length: int, root: bytes) -> None:
        """The root of the next subtree; `length` leaves, a power of two that divides where it begins.

        Raises:
            InvalidProofError: no subtree of that length begins here.
        """
        if self.size % length:
            raise InvalidProofError(f"No subtree of {length} leaves begins at leaf {self.size}.")
        self.size += length
        while self._parts and self._parts[-1][0] == length:
            root = node_hash(self._parts.pop()[1], root)
            length *= 2
        self._parts.append((length, root))

    def root(self) -> bytes:
        """The root of all that came."""
        if not self._parts:
            return EMPTY_ROOT
        total = self._parts[-1][1]
        for _, left in reversed(self._parts[:-1]):
            total = node_hash(left, total)
        return total
