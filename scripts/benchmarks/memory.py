"""Memory of the gateway before, during and after many requests."""

from collections.abc import Callable
from dataclasses import asdict, dataclass

from benchmarks.processes import await_quiet, rss_kib
from benchmarks.targets import Site, Target
from benchmarks.throughput import measure

LOOKS = 10


@dataclass(frozen=True)
class Memory:
    """Resident memory in KiB: `series` holds (requests so far, memory); `requests` were sent in all."""

    before: int
    after: int
    requests: int
    series: list[tuple[int, int]]

    @property
    def growth(self) -> int:
        """KiB from the first look after a twentieth of the requests to the last; before, buffers fill."""
        settled = [kib for sent, kib in self.series if sent >= self.requests / 20]
        return settled[-1] - settled[0]

    def as_json(self) -> dict[str, object]:
        return asdict(self) | {"growth": self.growth}


def watch(
    site: Site, target: Target, *, requests: int, connections: int, say: Callable[[str], None]
) -> Memory:
    """Send at least `requests` requests, and look at the memory about ten times on the way."""
    before = rss_kib(target.gateway)
    series: list[tuple[int, int]] = []
    sent = 0
    seconds = 1.0
    while sent < requests:
        done = measure(site, target, connections=connections, seconds=seconds)
        sent += done.load.requests
        series.append((sent, rss_kib(target.gateway)))
        seconds = max(1.0, requests / LOOKS / max(1.0, done.load.per_s))
        say(f"{sent:,} requests: {series[-1][1] / 1024:.1f} MiB")
    await_quiet(target.all_pids)
    return Memory(before, rss_kib(target.gateway), sent, series)
