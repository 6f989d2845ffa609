"""What the cache did, for metrics."""

from dataclasses import dataclass, field


@dataclass(slots=True)
class CacheCounters:
    """Counts since start. `saved_nano` is what hits would have cost, in nano-dollars.

    `unavailable` counts reads and writes that failed because a store was away, `dropped` writes left
    out because too many were waiting, `corrupt` entries that could not be read.
    """

    hits: dict[str, int] = field(default_factory=lambda: {"l1": 0, "l2": 0, "l3": 0, "coalesced": 0})
    misses: int = 0
    stored: int = 0
    invalidations: int = 0
    unavailable: int = 0
    dropped: int = 0
    corrupt: int = 0
    saved_nano: int = 0

    def hit(self, level: str, cost_nano: int) -> None:
        self.hits[level] += 1
        self.saved_nano += cost_nano
