"""What is measured: how each target is started, and which processes are it."""

import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from benchmarks import nginx
from benchmarks.machine import Cores, pin
from benchmarks.processes import StartError, await_listening, children, free_port, last_words, running
from benchmarks.traffic import CACHEABLE, PLAIN, UPSTREAM_KEY, Request, bearer

REPOSITORY = Path(__file__).resolve().parents[2]
POLICIES = Path(__file__).resolve().parent / "policies"
READY_WITHIN_S = 120.0


@dataclass(frozen=True)
class Target:
    """A running target.

    `gateway` are the processes whose CPU time and memory are the target's own; `beside` others that work
    for it (Redis, the ledger), by what they are.
    """

    name: str
    title: str
    request: Request
    gateway: tuple[int, ...]
    beside: Mapping[str, int] = field(default_factory=dict)

    @property
    def all_pids(self) -> tuple[int, ...]:
        return (*self.gateway, *self.beside.values())


@dataclass(frozen=True)
class Site:
    """Where things run: a scratch folder, the cores, the upstream's port and process."""

    folder: Path
    cores: Cores
    upstream: int = 0
    upstream_pids: tuple[int, ...] = ()

    @property
    def upstream_url(self) -> str:
        return f"http://127.0.0.1:{self.upstream}/v1"

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"


@dataclass(frozen=True)
class Governed:
    """A gateway started by `sluicegate dev`, with what is needed to start another beside it."""

    target: Target
    key: str
    environment: Mapping[str, str]
    data: Path


@contextmanager
def upstream(site: Site, *, plain: bool = False) -> Iterator[Site]:
    """The site with an upstream: nginx where it is installed, else (or where `plain`) our own."""
    port = free_port()
    if nginx.installed() and not plain:
        command = nginx.command(nginx.upstream(port), site.folder / "nginx-upstream")
    else:
        command = [sys.executable, "-m", "benchmarks.upstream", str(port)]
    log = site.log("upstream")
    with running(command, cores=site.cores.rest, log=log) as process:
        await_listening(port, process, log)
        yield replace(site, upstream=port, upstream_pids=(process.pid,))


@contextmanager
def nginx_proxy(site: Site) -> Iterator[Target]:
    """Nginx, passing bytes on."""
    port = free_port()
    log = site.log("nginx-proxy")
    command = nginx.command(nginx.proxy(port, site.upstream), site.folder / "nginx-proxy")
    with running(command, cores=site.cores.gateway, log=log) as process:
        await_listening(port, process, log)
        yield Target("nginx", "nginx proxy_pass", Request(port, PLAIN), (process.pid,))


@contextmanager
def passthrough(site: Site) -> Iterator[Target]:
    """Our server and client without anything between them."""
    port = free_port()
    log = site.log("passthrough")
    command = [
        sys.executable, "-m", "benchmarks.passthrough", str(port), f"{site.upstream_url}/chat/completions"
    ]  # fmt: skip
    with running(command, cores=site.cores.gateway, log=log) as process:
        await_listening(port, process, log)
        yield Target("passthrough", "our server and client, bare", Request(port, PLAIN), (process.pid,))


def redis_installed() -> bool:
    return shutil.which("redis-server") is not None


@contextmanager
def redis(site: Site, name: str) -> Iterator[tuple[str, int]]:
    """A private Redis server that keeps nothing on disk: its URL and process."""
    executable = shutil.which("redis-server")
    if executable is None:
        raise StartError("redis-server is not installed")
    port = free_port()
    command = [executable, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
    log = site.log(f"redis-{name}")
    with running(command, cores=site.cores.rest, log=log) as process:
        await_listening(port, process, log)
        yield f"redis://127.0.0.1:{port}", process.pid


@contextmanager
def governed(
    site: Site, *, name: str = "governed", embedded: bool = False, extra: Mapping[str, str] | None = None
) -> Iterator[Governed]:
    """The gateway as `sluicegate dev` runs it, on a real Redis or (`embedded`) on the embedded one.

    Where no Redis is installed it is the embedded one in any case.
    """
    embedded = embedded or not redis_installed()
    data = site.folder / f"data-{name}"
    port = free_port()
    command = [sys.executable, "-m", "sluicegate", "dev", "--port", str(port), "--data", str(data)]
    environment = {
        "ENVIRONMENT": "development",
        "SLUICEGATE_POLICY_DIR": str(POLICIES),
        "OPENAI_API_KEY": UPSTREAM_KEY,
        "OPENAI_BASE_URL": site.upstream_url,
        "LOG_LEVEL": "WARNING",
        **(extra or {}),
    }
    log = site.log(name)
    with ExitStack() as stack:
        beside: dict[str, int] = {}
        if embedded:
            command += ["--redis", "embedded"]
        else:
            environment["REDIS_URL"], beside["redis"] = stack.enter_context(redis(site, name))
        process = stack.enter_context(
            running(command, cores=site.cores.gateway, log=log, env=environment, cwd=site.folder)
        )
        await_listening(port, process, log, within_s=READY_WITHIN_S)
        written = _written(data / "dev.env", process, log)
        key = written["SLUICEGATE_API_KEY"]
        for pid, line in children(process.pid).items():
            beside["ledger" if "ledger run" in line else "redis"] = pid
            pin(pid, site.cores.rest)
        title = "governed, embedded Redis" if embedded else "governed, Redis"
        target = Target(name, title, Request(port, PLAIN, headers=bearer(key)), (process.pid,), beside)
        yield Governed(target, key, environment | written, data)


def _written(path: Path, process: "subprocess.Popen[bytes]", log: Path) -> dict[str, str]:
    """The variables that the local server wrote down for its callers."""
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        lines = path.read_text("utf-8").splitlines() if path.exists() else []
        found = {name: value for name, _, value in (line.partition("=") for line in lines)}
        if "SLUICEGATE_API_KEY" in found and "SLUICEGATE_DATA_DIR" in found:
            return found
        time.sleep(0.01)
    raise StartError(f"{log.stem} wrote no key: {last_words(log)}")


def cached(base: Governed) -> Target:
    """The same gateway, asked for what it has in its cache."""
    request = replace(base.target.request, body=CACHEABLE)
    return replace(base.target, name="cache", title="governed, cache hit", request=request)


@contextmanager
def uvicorn(site: Site, base: Governed) -> Iterator[Target]:
    """The same gateway under uvicorn, on `base`'s Redis, keys and ledger."""
    port = free_port()
    log = site.log("uvicorn")
    command = [
        sys.executable, "-m", "uvicorn", "main:app", "--app-dir", str(REPOSITORY / "functions" / "gateway"),
        "--host", "127.0.0.1", "--port", str(port), "--loop", "uvloop", "--http", "httptools",
        "--no-access-log", "--log-level", "warning",
    ]  # fmt: skip
    environment = {**base.environment, "LEDGER_CONSUMER": "false"}
    with running(command, cores=site.cores.gateway, log=log, env=environment, cwd=site.folder) as process:
        await_listening(port, process, log, within_s=READY_WITHIN_S)
        request = replace(base.target.request, port=port)
        yield Target("uvicorn", "governed, under uvicorn", request, (process.pid,), base.target.beside)
