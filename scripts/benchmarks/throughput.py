"""Requests per second and CPU time per request, in rounds that take turns over the targets."""

import resource
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
# A round in which others took as much of the machine is repeated; the least disturbed of the tries counts.
UNDISTURBED = 0.06
TRIES = 3


@dataclass(frozen=True)
class Round:
    """One target under load once.

    `cpu_us` is CPU time of the target itself per request (`kernel_us` of it within the kernel), `beside_us`
    that of what works for it. `own_share` is how much of the gateway's core the target used. What others on
    this machine took: `foreign_share` of the gateway's core, `foreign_rest` of all other cores.
    """

    load: Load
    cpu_us: float
    kernel_us: float
    beside_us: dict[str, float]
    own_share: float
    foreign_share: float
    foreign_rest: float

    @property
    def disturbance(self) -> float:
        return max(self.foreign_share, self.foreign_rest)


@dataclass
class Throughput:
    """All rounds of one target, and how many answers it gave in all tries."""

    target: Target
    rounds: list[Round] = field(default_factory=list)
    answered: int = 0

    def median(self, of: Callable[[Round], float]) -> float:
        return statistics.median(of(each) for each in self.rounds)

    @property
    def per_s(self) -> float:
        return self.median(lambda each: each.load.per_s)

    @property
    def cpu_us(self) -> float:
        return self.median(lambda each: each.cpu_us)

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
            "foreign_share_of_rest": round(self.median(lambda each: each.foreign_rest), 3),
            "p50_ms": round(self.median(lambda each: each.load.p50_ms), 3),
            "p99_ms": round(self.median(lambda each: each.load.p99_ms), 3),
            "answered": self.answered,
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
            tries: list[Round] = []
            while len(tries) < TRIES and not (tries and tries[-1].disturbance < UNDISTURBED):
                await_quiet(everyone)
                tries.append(measure(site, target, connections=connections, seconds=seconds))
                results[target.name].answered += tries[-1].load.requests
            done = min(tries, key=lambda each: each.disturbance)
            results[target.name].rounds.append(done)
            say(
                f"round {number + 1}: {target.title}: {done.load.per_s:,.0f}/s, "
                f"{done.cpu_us:.0f} us CPU each, {done.own_share:.0%} of the core"
                + (f"; others took {done.disturbance:.0%}" if done.disturbance >= UNDISTURBED else "")
            )
    return results


@dataclass(frozen=True)
class _Meters:
    """CPU seconds so far."""

    core: float
    rest: float
    own: float
    kernel: float
    helpers: float
    beside: dict[str, float]
    at: float

    @classmethod
    def read(cls, site: Site, target: Target) -> "_Meters":
        beside = {name: cpu_s([pid]) for name, pid in target.beside.items()}
        load = resource.getrusage(resource.RUSAGE_CHILDREN)
        ours = time.process_time() + load.ru_utime + load.ru_stime + cpu_s(site.upstream_pids)
        return cls(
            core=busy_s(site.cores.gateway),
            rest=busy_s(site.cores.rest),
            own=cpu_s(target.gateway),
            kernel=kernel_s(target.gateway),
            helpers=ours + sum(beside.values()),
            beside=beside,
            at=time.monotonic(),
        )


def measure(site: Site, target: Target, *, connections: int, seconds: float) -> Round:
    """One round of one target.

    Raises:
        RuntimeError: nothing was answered.
    """
    before = _Meters.read(site, target)
    load = _drive(site, target, connections, seconds)
    after = _Meters.read(site, target)
    if load.requests <= load.refused:
        raise RuntimeError(f"{target.title} answered nothing ({load.refused} refused, {load.failed} failed)")
    elapsed, own = after.at - before.at, after.own - before.own
    rest = (after.rest - before.rest) - (after.helpers - before.helpers)
    each_us = 1e6 / load.requests
    return Round(
        load,
        cpu_us=own * each_us,
        kernel_us=(after.kernel - before.kernel) * each_us,
        beside_us={name: (after.beside[name] - used) * each_us for name, used in before.beside.items()},
        own_share=own / elapsed,
        foreign_share=max(0.0, after.core - before.core - own) / elapsed,
        foreign_rest=max(0.0, rest) / elapsed / len(site.cores.rest or (0,)),
    )


def _drive(site: Site, target: Target, connections: int, seconds: float) -> Load:
    return drive(
        target.request, connections=connections, seconds=seconds, cores=site.cores.rest, folder=site.folder
    )
