"""From the start of a process to its first governed answer; and what importing the gateway costs."""

import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from benchmarks.machine import pinned
from benchmarks.processes import StartError, free_port, last_words, rss_kib, running, tree
from benchmarks.targets import REPOSITORY, Governed, Site, litellm_command
from benchmarks.traffic import PLAIN, Request, bearer

LITELLM_KEY = "sk-bench-master"
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


def first_answer_s(
    site: Site, name: str, command: Sequence[str], environment: Mapping[str, str], request: Request
) -> tuple[float, int]:
    """Seconds from starting `command` to a whole 2xx answer to `request`, and its memory (KiB) then.

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
                return time.perf_counter() - started, rss_kib(tree(process.pid))
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


def governed_first_answer(site: Site, base: Governed, runs: int, say: Callable[[str], None]) -> list[float]:
    """Seconds to the first governed answer of `functions/gateway`, with `base`'s Redis and key."""
    times = []
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
        seconds, _ = first_answer_s(site, "start-gateway", command, environment, request)
        times.append(seconds)
        say(f"first governed answer after {seconds:.3f} s")
    return times[1:]  # the first run warms the file cache


def litellm_first_answer(
    site: Site, python: Path, runs: int, say: Callable[[str], None]
) -> tuple[list[float], int]:
    """The same of LiteLLM, and its memory in KiB at that time."""
    times, memory = [], 0
    for _ in range(runs):
        port = free_port()
        command, environment = litellm_command(site, python, port, LITELLM_KEY)
        request = Request(port, PLAIN, headers=bearer(LITELLM_KEY))
        seconds, memory = first_answer_s(site, "start-litellm", command, environment, request)
        times.append(seconds)
        say(f"LiteLLM's first answer after {seconds:.2f} s, {memory / 1024:.0f} MiB")
    return times, memory
