"""Requests per second and CPU time per request, in rounds that take turns over the targets."""

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from benchmarks.load import Load, drive
from benchmarks.machine import busy_s
from benchmarks.processes import await_quiet, cpu_s, kernel_s
from benchmarks.targets import Site, Target

WARM_UP_S = 1.0


@dataclass(frozen=True)
class Round:
    """One target under load once.

    `cpu_us` is CPU time of the target itself per request (`kernel_us` of it within the kernel), `beside_us`
    that of what works for it;
    `own_share` how much of the gateway's core the target used, `foreign_share` how much others took.
    """

    load: Load
    cpu_us: float
    kernel_us: float
    beside_us: dict[str, float]
    own_share: float
    foreign_share: float


@dataclass
class Throughput:
    """All rounds of one target."""

    target: Target
    rounds: list[Round] = field(default_factory=list)

    def median(self, of: Callable[[Round], float]) -> float:
        return statistics.median(of(each) for each in self.rounds)

    @property
    def per_s(self) -> float:
        return self.median(lambda each: each.load.per_s)

    @property
    def cpu_us(self) -> float:
        return self.median(lambda each: each.cpu_us)

    @property
    def requests(self) -> int:
        return sum(each.load.requests for each in self.rounds)

    def as_json(self) -> dict[str, Any]:
        beside = self.rounds[0].beside_us
        return {
            "title": self.target.title,
            "requests_per_s": round(self.per_s, 1),
            "requests_per_s_by_round": [round(each.load.per_s, 1) for each in self.rounds],
            "gateway_cpu_us": round(self.cpu_us, 1),
            "gateway_kernel_us": round(self.median(lambda each: each.kernel_us), 1),
            "per_cpu_second": round(1e6 / self.cpu_us) if self.cpu_us else None,
            "beside_cpu_us": {
                name: round(self.median(lambda each, name=name: each.beside_us[name]), 1)  # type: ignore[misc]
                for name in beside
            },
            "own_share_of_core": round(self.median(lambda each: each.own_share), 3),
            "foreign_share_of_core": round(self.median(lambda each: each.foreign_share), 3),
            "p50_ms": round(self.median(lambda each: each.load.p50_ms), 3),
            "p99_ms": round(self.median(lambda each: each.load.p99_ms), 3),
            "refused": sum(each.load.refused for each in self.rounds),
            "failed": sum(each.load.failed for each in self.rounds),
            "loads": [asdict(each.load) for each in self.rounds],
        }


def compare(
    site: Site,
    targets: Sequence[Target],
    *,
    connections: int,
    rounds: int,
    seconds: float,
    say: Callable[[str], None],
) -> dict[str, Throughput]:
    """Each target once per round; before it begins, what the last one left to do is waited for."""
    results = {target.name: Throughput(target) for target in targets}
    everyone = sorted({pid for target in targets for pid in target.all_pids})
    for target in targets:
        _drive(site, target, connections, WARM_UP_S)
    for number in range(rounds):
        for target in targets:
            await_quiet(everyone)
            done = measure(site, target, connections=connections, seconds=seconds)
            results[target.name].rounds.append(done)
            say(
                f"round {number + 1}: {target.title}: {done.load.per_s:,.0f}/s, "
                f"{done.cpu_us:.0f} us CPU each, {done.own_share:.0%} of the core"
            )
    return results


def measure(site: Site, target: Target, *, connections: int, seconds: float) -> Round:
    """One round of one target.

    Raises:
        RuntimeError: nothing was answered.
    """
    beside = {name: cpu_s([pid]) for name, pid in target.beside.items()}
    core, kernel = busy_s(site.cores.gateway), kernel_s(target.gateway)
    own, started = cpu_s(target.gateway), time.monotonic()
    load = _drive(site, target, connections, seconds)
    elapsed = time.monotonic() - started
    own, kernel = cpu_s(target.gateway) - own, kernel_s(target.gateway) - kernel
    core = busy_s(site.cores.gateway) - core
    answered = load.requests - load.refused
    if answered <= 0:
        raise RuntimeError(f"{target.title} answered nothing ({load.refused} refused, {load.failed} failed)")
    return Round(
        load,
        cpu_us=own / load.requests * 1e6,
        kernel_us=kernel / load.requests * 1e6,
        beside_us={
            name: (cpu_s([pid]) - beside[name]) / load.requests * 1e6 for name, pid in target.beside.items()
        },
        own_share=own / elapsed,
        foreign_share=max(0.0, core - own) / elapsed,
    )


def _drive(site: Site, target: Target, connections: int, seconds: float) -> Load:
    return drive(
        target.request, connections=connections, seconds=seconds, cores=site.cores.rest, folder=site.folder
    )
