"""The kinds of value a key can hold, beside strings (bytes), hashes (dict), lists (deque) and sets (set)."""

from bisect import bisect_left, bisect_right, insort

StreamId = tuple[int, int]

FIRST_ID: StreamId = (0, 0)
LAST_ID: StreamId = (2**64 - 1, 2**64 - 1)


class SortedSet:
    """Members ordered by (score, member)."""

    __slots__ = ("order", "scores")

    def __init__(self) -> None:
        self.scores: dict[bytes, float] = {}
        self.order: list[tuple[float, bytes]] = []

    def __len__(self) -> int:
        return len(self.scores)

    def put(self, member: bytes, score: float) -> None:
        """Add `member` or move it to `score`."""
        old = self.scores.get(member)
        if old is not None:
            if old == score:
                return
            del self.order[bisect_left(self.order, (old, member))]
        self.scores[member] = score
        insort(self.order, (score, member))

    def discard(self, member: bytes) -> bool:
        """Remove `member`; whether it was there."""
        score = self.scores.pop(member, None)
        if score is None:
            return False
        del self.order[bisect_left(self.order, (score, member))]
        return True

    def rank(self, member: bytes) -> int | None:
        """The place of `member`, from 0."""
        score = self.scores.get(member)
        return None if score is None else bisect_left(self.order, (score, member))

    def between(self, low: float, high: float, *, above: bool, below: bool) -> tuple[int, int]:
        """The slice of `order` with low ≤ score ≤ high; `above`/`below` leave the bound itself out."""
        start = (bisect_right if above else bisect_left)(self.order, low, key=_score)
        end = (bisect_left if below else bisect_right)(self.order, high, key=_score)
        return start, max(start, end)


def _score(entry: tuple[float, bytes]) -> float:
    return entry[0]


class Stream:
    """An append-only sequence of entries, each a flat list of fields and values."""

    __slots__ = ("entries", "ids", "last_id")

    def __init__(self) -> None:
        self.entries: dict[StreamId, list[bytes]] = {}
        self.ids: list[StreamId] = []
        self.last_id: StreamId = FIRST_ID

    def __len__(self) -> int:
        return len(self.ids)

    def append(self, entry_id: StreamId, fields: list[bytes]) -> None:
        """Add an entry; its id must be greater than `last_id`."""
        self.entries[entry_id] = fields
        self.ids.append(entry_id)
        self.last_id = entry_id

    def discard(self, entry_id: StreamId) -> bool:
        """Remove an entry; whether it was there."""
        if self.entries.pop(entry_id, None) is None:
            return False
        del self.ids[bisect_left(self.ids, entry_id)]
        return True

    def between(
        self, low: StreamId, high: StreamId, count: int | None, *, reverse: bool
    ) -> list[tuple[StreamId, list[bytes]]]:
        """At most `count` entries with low ≤ id ≤ high, oldest first or, reversed, newest first."""
        start, end = bisect_left(self.ids, low), bisect_right(self.ids, high)
        if count is not None and end - start > count:
            start, end = (end - count, end) if reverse else (start, start + count)
        ids = self.ids[start:end]
        if reverse:
            ids.reverse()
        return [(entry_id, self.entries[entry_id]) for entry_id in ids]

    def cut(self, count: int) -> int:
        """Remove the `count` oldest entries; how many were removed."""
        gone = self.ids[: max(0, count)]
        del self.ids[: len(gone)]
        for entry_id in gone:
            del self.entries[entry_id]
        return len(gone)
