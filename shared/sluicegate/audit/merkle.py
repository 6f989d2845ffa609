"""The Merkle tree of RFC 6962, section 2.1: hashes, roots, and compact ranges that grow leaf by leaf."""

from collections.abc import Iterable, Sequence
from hashlib import sha256

from sluicegate.audit.errors import MalformedError

HASH_SIZE = 32
MAX_SIZE = 2**63 - 1
"""The most leaves a tree may have: what every verifier's signed 64-bit integers hold."""

EMPTY_ROOT = sha256(b"").digest()
"""The root of the tree without leaves."""


def leaf_hash(entry: bytes) -> bytes:
    """SHA-256(0x00 || entry): the hash of one leaf (RFC 6962, section 2.1)."""
    return sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right): the hash of an inner node (RFC 6962, section 2.1)."""
    return sha256(b"\x01" + left + right).digest()


def fold(hashes: bytes) -> bytes:
    """The root over hashes of consecutive subtrees, all of one size but the last, which may be smaller.

    It pairs neighbours level by level and carries a last odd one up, which is the split at the largest
    power of two of RFC 6962, section 2.1.

    Args:
        hashes: one or more hashes of 32 bytes, concatenated.
    """
    digest = sha256
    while (length := len(hashes)) > HASH_SIZE:
        even = length & ~63
        # A pair of children is one slice: half the concatenations, and this is where all the time goes.
        pairs = [digest(b"\x01" + hashes[at : at + 64]).digest() for at in range(0, even, 64)]
        if even != length:
            pairs.append(hashes[even:])
        hashes = b"".join(pairs)
    return hashes


def root(leaf_hashes: Iterable[bytes]) -> bytes:
    """The root of the tree with these leaf hashes (RFC 6962, section 2.1), all at once."""
    return fold(b"".join(leaf_hashes)) or EMPTY_ROOT


class CompactRange:
    """The least that a growing tree must remember: the roots of its complete subtrees, largest first.

    Memory is one hash for each bit set in `size`, however many leaves were appended.

    Args:
        size: leaves so far.
        hashes: as `hashes` of a range of that size.

    Raises:
        MalformedError: the hashes are not those of a tree of this size.
    """

    def __init__(self, size: int = 0, hashes: Sequence[bytes] = ()) -> None:
        if not 0 <= size <= MAX_SIZE:
            raise MalformedError("A tree's size is between 0 and 2^63 - 1.")
        if len(hashes) != size.bit_count() or any(len(item) != HASH_SIZE for item in hashes):
            raise MalformedError("A compact range has one hash of 32 bytes for each bit set in its size.")
        self._size = size
        self._hashes = list(hashes)

    @property
    def size(self) -> int:
        """Leaves in the tree."""
        return self._size

    @property
    def hashes(self) -> tuple[bytes, ...]:
        """Roots of the complete subtrees that the tree is made of, from left to right."""
        return tuple(self._hashes)

    def append(self, leaf: bytes) -> None:
        """Add one leaf by its hash; amortised, one hash is computed."""
        carry, size = leaf, self._size
        while size & 1:
            carry = node_hash(self._hashes.pop(), carry)
            size >>= 1
        self._hashes.append(carry)
        self._size += 1

    def extend(self, leaf_hashes: Iterable[bytes]) -> None:
        """Add leaves by their hashes, in order."""
        for leaf in leaf_hashes:
            self.append(leaf)

    def root(self) -> bytes:
        """The root of the tree as it is now; one hash for each bit set in the size."""
        if not self._hashes:
            return EMPTY_ROOT
        total = self._hashes[-1]
        for left in reversed(self._hashes[:-1]):
            total = node_hash(left, total)
        return total
