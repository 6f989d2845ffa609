"""From the start of a process to its first governed answer; and what importing the gateway costs."""

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import pinned
from benchmarks.peer_targets import LITELLM_KEY, litellm_command
from benchmarks.processes import StartError, cpu_s, free_port, last_words, rss_kib, running, tree
from benchmarks.targets import REPOSITORY, Governed, Site
from benchmarks.traffic import PLAIN, Request, bearer


@dataclass(frozen=True)
class First:
    """A first answer: seconds since the process started, CPU seconds spent by then, memory in KiB."""

    seconds: float
    cpu_s: float
    rss_kib: int


_IMPORT = "import time; t = time.perf_counter(); import {}; print(time.perf_counter() - t)"


def import_s(site: Site, module: str, runs: int) -> float:
    """Seconds that importing `module` takes in a fresh interpreter, the median of `runs`."""
    times = []
    with pinned(site.cores.gateway):
        for _ in range(runs + 1):
            done = subprocess.run(  # noqa: S603 - words of this package
                [sys.executable, "-c", _IMPORT.format(module)], capture_output=True, text=True, check=True
            )
            times.append(float(done.stdout))
    return statistics.median(times[1:])


def interpreter_s(site: Site, runs: int) -> float:
    """Seconds that Python itself takes to start and end."""
    times = []
    with pinned(site.cores.gateway):
        for _ in range(runs + 1):
            started = time.perf_counter()
            subprocess.run([sys.executable, "-c", ""], check=True)
            times.append(time.perf_counter() - started)
    return statistics.median(times[1:])


def first_answer(
    site: Site, name: str, command: Sequence[str], environment: Mapping[str, str], request: Request
) -> First:
    """Start `command` and ask until a whole 2xx answer to `request` is here.

    Raises:
        StartError: it ended, or took two minutes.
    """
    log = site.log(name)
    raw = request.raw()
    started = time.perf_counter()
    with running(command, cores=site.cores.gateway, log=log, env=environment, cwd=site.folder) as process:
        while True:
            elapsed = time.perf_counter() - started
            answer = _ask(request.port, raw)
            if answer.startswith(b"HTTP/1.1 2"):
                elapsed, pids = time.perf_counter() - started, tree(process.pid)
                return First(elapsed, cpu_s(pids), rss_kib(pids))
            if process.poll() is not None or elapsed > 120:
                raise StartError(f"{name} gave no answer: {answer[:200]!r} {last_words(log)}")
            time.sleep(0.002)


def _ask(port: int, raw: bytes) -> bytes:
    """The answer to one request on a connection of its own; empty where none came."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=60) as connection:
            connection.sendall(raw.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n", 1))
            pieces = []
            while piece := connection.recv(65_536):
                pieces.append(piece)
            return b"".join(pieces)
    except OSError:
        return b""


def governed_first_answer(site: Site, base: Governed, runs: int, say: Callable[[str], None]) -> list[First]:
    """First governed answers of `functions/gateway`, with `base`'s Redis and key."""
    firsts = []
    for _ in range(runs + 1):
        port = free_port()
        environment = {
            **base.environment,
            "PORT": str(port),
            "HOST": "127.0.0.1",
            "LEDGER_CONSUMER": "false",
        }
        command = [sys.executable, str(REPOSITORY / "functions" / "gateway" / "main.py")]
        request = Request(port, PLAIN, headers=bearer(base.key))
        firsts.append(first_answer(site, "start-gateway", command, environment, request))
        say(f"first governed answer after {firsts[-1].seconds:.3f} s, {firsts[-1].cpu_s:.2f} s of CPU")
    return firsts[1:]  # the first run warms the file cache


def litellm_first_answer(site: Site, python: Path, runs: int, say: Callable[[str], None]) -> list[First]:
    """The same of LiteLLM."""
    firsts = []
    for _ in range(runs):
        port = free_port()
        command, environment = litellm_command(site, python, port)
        request = Request(port, PLAIN, headers=bearer(LITELLM_KEY))
        firsts.append(first_answer(site, "start-litellm", command, environment, request))
        say(f"LiteLLM's first answer after {firsts[-1].seconds:.2f} s, {firsts[-1].rss_kib / 1024:.0f} MiB")
    return firsts
