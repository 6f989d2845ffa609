"""A batch of entries on its way into the log: one blob, from which all that it becomes can be made again."""

import struct
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Self

from sluicegate.audit.entry import Leaf, day_of
from sluicegate.audit.errors import CorruptLogError
from sluicegate.audit.packs import encode_pack, pack_name
from sluicegate.audit.ports import IndexRow, PackRow
from sluicegate.audit.sealer import SealedEntry

FOLDER = "staging/"

_HEADER = struct.Struct(">8sQI")
_RECORD = struct.Struct(">II")
_MAGIC = b"slgbat1\n"
_NOTHING = 0xFFFF_FFFF


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries that follow the first `first` ones of the log."""

    first: int
    entries: Sequence[SealedEntry]

    @property
    def size(self) -> int:
        """The log's size once they are in it."""
        return self.first + len(self.entries)

    def encode(self) -> bytes:
        """The staged form."""
        parts = [_HEADER.pack(_MAGIC, self.first, len(self.entries))]
        for entry in self.entries:
            sealed = entry.sealed
            parts += (
                _RECORD.pack(len(entry.leaf), _NOTHING if sealed is None else len(sealed)),
                entry.leaf,
                sealed or b"",
            )
        return b"".join(parts)

    @classmethod
    def decode(cls, name: str, content: bytes) -> Self:
        """The reverse of `encode`, for the staged blob `name`.

        Raises:
            CorruptLogError: it is not what its name says.
        """
        if staging_name(content) != name:
            raise CorruptLogError(f"{name} is not what its name says.", details={"name": name})
        _, first, count = _HEADER.unpack_from(content)
        at, entries = _HEADER.size, []
        for _ in range(count):
            leaf_length, sealed_length = _RECORD.unpack_from(content, at)
            start = at + _RECORD.size
            middle = start + leaf_length
            at = middle if sealed_length == _NOTHING else middle + sealed_length
            sealed = None if sealed_length == _NOTHING else content[middle:at]
            entries.append(SealedEntry(content[start:middle], sealed))
        return cls(first, entries)

    def leaves(self) -> list[bytes]:
        """The leaves, in order."""
        return [entry.leaf for entry in self.entries]

    def packs(self, rows: Sequence[IndexRow]) -> dict[PackRow, bytes]:
        """The packs of the sealed parts, by place. `rows` are `index_rows` of these entries."""
        groups: dict[tuple[str, str], list[tuple[int, bytes]]] = defaultdict(list)
        days: dict[int, str] = {}
        for row, entry in zip(rows, self.entries, strict=True):
            if entry.sealed is not None:
                number = row.at_ms // 86_400_000
                day = days.get(number)
                if day is None:
                    day = days[number] = day_of(row.at_ms)
                groups[row.tenant, day].append((row.index, entry.sealed))
        return {
            PackRow(tenant, day, parts[0][0], len(parts)): encode_pack(parts)
            for (tenant, day), parts in groups.items()
        }


def staging_name(content: bytes) -> str:
    """`staging/<size of the log before>-<digest>`: a staged batch of one size is known by the size.

    Raises:
        CorruptLogError: not a staged batch.
    """
    if len(content) < _HEADER.size or not content.startswith(_MAGIC):
        raise CorruptLogError("Not a staged batch.")
    _, first, _ = _HEADER.unpack_from(content)
    return f"{FOLDER}{first:020d}-{sha256(content).hexdigest()[:32]}"


def staged_size(name: str) -> int:
    """The size of the log that the staged batch `name` was to follow."""
    return int(name.removeprefix(FOLDER).partition("-")[0])


def index_rows(first: int, leaves: Sequence[bytes]) -> list[IndexRow]:
    """What the index says of leaves, the first of which has index `first`.

    Raises:
        MalformedError: one is not a leaf.
    """
    rows = []
    for index, data in enumerate(leaves, first):
        leaf = Leaf.parse(data)
        rows.append(
            IndexRow(
                index, leaf.id, leaf.tenant, leaf.at_ms, leaf.user, leaf.workspace, leaf.action, leaf.domain,
                leaf.result,
            )
        )  # fmt: skip
    return rows


def pack_blobs(packs: dict[PackRow, bytes]) -> dict[str, bytes]:
    """Packs by name."""
    return {pack_name(pack): content for pack, content in packs.items()}
