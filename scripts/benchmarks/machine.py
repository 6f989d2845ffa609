"""The machine: which cores serve and which load, how busy they are, how many files may be open."""

import contextlib
import os
import platform
import resource
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
WANTED_OPEN_FILES = 65_536


@dataclass(frozen=True)
class Cores:
    """The core of what is measured, and the cores of everything else. Both None: nothing is pinned."""

    gateway: frozenset[int] | None
    rest: frozenset[int] | None

    @classmethod
    def choose(cls) -> "Cores":
        """The first core that this process may use for the gateway, the others for the rest."""
        if not hasattr(os, "sched_getaffinity"):
            return cls(None, None)
        usable = sorted(os.sched_getaffinity(0))
        if len(usable) < 2:
            return cls(None, None)
        return cls(frozenset(usable[:1]), frozenset(usable[1:]))

    def describe(self) -> str:
        if self.gateway is None or self.rest is None:
            return "nothing is pinned (one core, or no way to pin): gateway and load disturb each other"
        return f"gateway on core {_list(self.gateway)}, everything else on {_list(self.rest)}"


def _list(cores: frozenset[int]) -> str:
    return ", ".join(map(str, sorted(cores)))


@contextlib.contextmanager
def pinned(cores: frozenset[int] | None) -> Iterator[None]:
    """What this thread starts within runs on `cores`."""
    if cores is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def pin(pid: int, cores: frozenset[int] | None) -> None:
    """Move all threads of `pid` to `cores`."""
    if cores is None:
        return
    for thread in Path(f"/proc/{pid}/task").iterdir():
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread.name), cores)


def busy_s(cores: frozenset[int] | None) -> float:
    """CPU seconds that `cores` have worked since the machine started, for whomever; 0.0 where unknown."""
    stat = Path("/proc/stat")
    if cores is None or not stat.exists():
        return 0.0
    names = {f"cpu{core}" for core in cores}
    total = 0
    for line in stat.read_text("ascii").splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, fields[:8])
            total += user + nice + system + irq + softirq + steal
    return total / TICKS_PER_S


def allow_open_files(wanted: int = WANTED_OPEN_FILES) -> int:
    """Raise this process's limit on open files, which children inherit; the limit that holds now."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    for soft_wanted, hard_wanted in ((wanted, max(wanted, hard)), (hard, hard)):
        if soft >= wanted:
            break
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft_wanted, hard_wanted))
            soft = soft_wanted
    return soft


def description() -> dict[str, str]:
    """What a reader has to know to judge the figures."""
    model = "unknown processor"
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line for line in cpuinfo.read_text("utf-8").splitlines() if line.startswith("model name")]
        model = names[0].partition(":")[2].strip() if names else model
    return {
        "processor": f"{model}, {os.cpu_count()} cores",
        "system": f"{platform.system()} {platform.release().split('-')[0]}",
        "python": platform.python_version(),
        "nginx": _version("nginx", "-v"),
        "redis": _version("redis-server", "--version"),
        "wrk": _version("wrk", "-v"),
    }


def _version(program: str, option: str) -> str:
    path = shutil.which(program)
    if path is None:
        return "not installed"
    done = subprocess.run([path, option], capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
    lines = (done.stdout or done.stderr).strip().splitlines()
    return " ".join(lines[0].split()[:3]) if lines else "installed"
