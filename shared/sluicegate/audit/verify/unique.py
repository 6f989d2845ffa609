"""Whether ids are unique, for more of them than fit into a set."""

from collections.abc import Iterable, Iterator

_BUCKETS = 256
_ID = 16
_RECORD = _ID + 8


class UniqueIds:
    """Collects ids with the entries they stand for; 24 bytes each."""

    def __init__(self) -> None:
        self._buckets = [bytearray() for _ in range(_BUCKETS)]

    def add(self, ids: Iterable[tuple[bytes, int]]) -> None:
        """Ids of 16 bytes, each with its entry's index."""
        for entry_id, index in ids:
            self._buckets[entry_id[0]] += entry_id + index.to_bytes(8, "big")

    def twice(self) -> Iterator[tuple[int, int]]:
        """The indexes of each entry whose id an earlier one has, and of that one."""
        for bucket in self._buckets:
            seen: dict[bytes, int] = {}
            for at in range(0, len(bucket), _RECORD):
                entry_id = bytes(bucket[at : at + _ID])
                index = int.from_bytes(bucket[at + _ID : at + _RECORD], "big")
                if seen.setdefault(entry_id, index) != index:
                    yield index, seen[entry_id]
