"""L1: answers in this process's memory. And tag generations for a single process without Redis."""

from collections import OrderedDict
from collections.abc import Callable, Sequence
from itertools import count
from os import urandom
from pathlib import Path

from sluicegate.caching.types import CachedAnswer, CacheSlot
from sluicegate.kernel.clock import Clock

# Slot, answer, table entries and their strings, measured on CPython 3.11 and rounded up.
BYTES_PER_ENTRY = 1_024

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


class MemoryCache:
    """Least recently used out first; bounded by the bytes of the bodies and a fixed sum per entry.

    Args:
        limit_bytes: the bound; an answer that alone is larger is not kept.
    """

    def __init__(self, limit_bytes: int, clock: Clock) -> None:
        self._limit = limit_bytes
        self._clock = clock
        self._entries: OrderedDict[CacheSlot, tuple[CachedAnswer, float]] = OrderedDict()
        self._size = 0

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def size(self) -> int:
        """Bytes in use, as the bound counts them."""
        return self._size

    def get(self, slot: CacheSlot) -> CachedAnswer | None:
        entry = self._entries.get(slot)
        if entry is None:
            return None
        if self._clock.monotonic() >= entry[1]:
            self.delete(slot)
            return None
        self._entries.move_to_end(slot)
        return entry[0]

    def put(self, slot: CacheSlot, answer: CachedAnswer, ttl_s: float) -> None:
        self.delete(slot)
        size = len(answer.body) + BYTES_PER_ENTRY
        if size > self._limit:
            return
        self._entries[slot] = (answer, self._clock.monotonic() + ttl_s)
        self._size += size
        while self._size > self._limit:
            _, (oldest, _) = self._entries.popitem(last=False)
            self._size -= len(oldest.body) + BYTES_PER_ENTRY

    def delete(self, slot: CacheSlot) -> None:
        entry = self._entries.pop(slot, None)
        if entry is not None:
            self._size -= len(entry[0].body) + BYTES_PER_ENTRY


class MemoryTagGenerations:
    """Generations that live and die with this process; right only where it is the only one."""

    def __init__(self) -> None:
        self._epoch = urandom(8).hex()
        self._numbers = count(1)
        self._values: dict[tuple[str, str], str] = {}
        self._watchers: list[Callable[[str], None]] = []

    async def load(self, tenant: str, tags: Sequence[str]) -> tuple[str, ...]:
        return (self._epoch, *(self._values.get((tenant, tag), "0") for tag in tags))

    async def bump(self, tenant: str, tag: str) -> None:
        self._values[tenant, tag] = str(next(self._numbers))
        for changed in self._watchers:
            changed(tenant)

    async def watch(self, changed: Callable[[str], None], gap: Callable[[], None]) -> None:  # noqa: ARG002 - nothing gets lost in here
        self._watchers.append(changed)


def container_memory() -> int | None:
    """Bytes of memory this container may use (cgroup v2 or v1), None where there is no limit."""
    for name in _CGROUP_LIMITS:
        try:
            text = Path(name).read_text("ascii").strip()
        except OSError:
            continue
        # cgroup v1 writes a number near 2^63 for "no limit".
        if text.isdigit() and int(text) < 1 << 60:
            return int(text)
    return None
