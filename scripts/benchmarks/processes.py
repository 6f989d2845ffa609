"""Processes: started on given cores, looked at through /proc, stopped by their own id."""

import contextlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from benchmarks.machine import TICKS_PER_S, pinned

STOP_WITHIN_S = 20.0
_QUIET_WINDOW_S = 0.25
_QUIET_SHARE = 0.08


class StartError(RuntimeError):
    """A program did not come up; says what it last wrote."""


@contextlib.contextmanager
def running(
    command: Sequence[str],
    *,
    cores: frozenset[int] | None,
    log: Path,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that lives as long as the block, writing to `log`. `env` is added to ours."""
    with log.open("wb") as output, pinned(cores):
        process = subprocess.Popen(  # noqa: S603 - words of this package, and no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | dict(env or {}),
            cwd=cwd,
        )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on just now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def await_listening(
    port: int, process: subprocess.Popen[bytes], log: Path, *, within_s: float = 30.0
) -> None:
    """Return once something accepts connections on `port`.

    Raises:
        StartError: the process ended, or time is up.
    """
    deadline = time.monotonic() + within_s
    while not _accepts(port):
        if process.poll() is not None or time.monotonic() > deadline:
            raise StartError(f"{log.stem} did not start: {last_words(log)}")
        time.sleep(0.002)


def _accepts(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def last_words(log: Path) -> str:
    """The last lines of a log, on one line."""
    return " | ".join(log.read_text("utf-8", "replace").strip().splitlines()[-5:])[-800:]


def cpu_s(pids: Sequence[int]) -> float:
    """CPU seconds, user and system, that `pids` have used so far (their threads included)."""
    return sum(sum(_ticks(pid)) for pid in pids) / TICKS_PER_S


def kernel_s(pids: Sequence[int]) -> float:
    """The part of `cpu_s` that was spent within the kernel."""
    return sum(_ticks(pid)[1] for pid in pids) / TICKS_PER_S


def _ticks(pid: int) -> tuple[int, int]:
    # The command's name may hold spaces and brackets; what follows the last bracket is regular.
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return int(fields[11]), int(fields[12])


def rss_kib(pids: Sequence[int]) -> int:
    """Resident memory of `pids` together, in KiB."""
    total = 0
    for pid in pids:
        for line in Path(f"/proc/{pid}/status").read_text("utf-8").splitlines():
            if line.startswith("VmRSS:"):
                total += int(line.split()[1])
    return total


def children(pid: int) -> dict[int, str]:
    """The direct children of `pid` with their command lines."""
    found: dict[int, str] = {}
    for thread in Path(f"/proc/{pid}/task").iterdir():
        for child in (thread / "children").read_text("ascii").split():
            with contextlib.suppress(FileNotFoundError):
                line = Path(f"/proc/{child}/cmdline").read_bytes()
                found[int(child)] = line.replace(b"\0", b" ").decode("utf-8", "replace").strip()
    return found


def tree(pid: int) -> tuple[int, ...]:
    """`pid` and all that descend from it."""
    return (pid, *(each for child in children(pid) for each in tree(child)))


def await_quiet(pids: Sequence[int], *, within_s: float = 60.0) -> None:
    """Return once `pids` have next to nothing left to do (a ledger that catches up, say), or time is up."""
    deadline = time.monotonic() + within_s
    used = cpu_s(pids)
    while time.monotonic() < deadline:
        time.sleep(_QUIET_WINDOW_S)
        before, used = used, cpu_s(pids)
        if used - before < _QUIET_SHARE * _QUIET_WINDOW_S:
            return
