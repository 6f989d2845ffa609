"""The processes of a run: a Redis, an upstream, gateways, the ledger's consumer. All on 127.0.0.1."""

import asyncio
import contextlib
import os
import re
import shutil
import signal
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from sluicegate.adapters.redis.client import RedisClient
from sluicegate.cli.operator import operator
from sluicegate.identity.administration import KeyRequest
from sluicegate.wiring.local import open_local

RIG = Path(__file__).resolve().parents[1]
SHARED = RIG.parents[1] / "shared"
TENANT = "acme"
_READY_S = 30.0
_BEYOND = re.compile(r"([0-9]+) nano-dollars were held for a request of ([0-9]+)")


@dataclass(frozen=True, slots=True)
class Key:
    """An API key of the run."""

    id: str
    text: str
    workspace: str


@dataclass(slots=True)
class Estate:
    """What runs. `ports` are the gateways'; a gateway that was killed comes back on its port."""

    folder: Path
    redis_kind: str
    redis_port: int = 0
    upstream: str = ""
    ports: list[int] = field(default_factory=list)
    gateways: list[asyncio.subprocess.Process] = field(default_factory=list)
    redis: asyncio.subprocess.Process | None = None
    started: list[asyncio.subprocess.Process] = field(default_factory=list)
    killed: int = 0

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.redis_port}/0"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR") if name in os.environ}
        return kept | {
            "PYTHONPATH": f"{SHARED}:{RIG}",
            "ENVIRONMENT": "development",
            "REDIS_URL": self.redis_url,
            "SLUICEGATE_DATA_DIR": str(self.data),
            "SLUICEGATE_POLICY_DIR": str(self.folder / "policies"),
            "LEDGER_CONSUMER": "false",
            "LOG_LEVEL": "WARNING",
        }

    async def start_redis(self) -> None:
        """Start a Redis, empty, on the port of the one before it if there was one."""
        self.redis_port = self.redis_port or _free_port()
        if self.redis_kind == "embedded":
            command = [
                sys.executable, "-m", "sluicegate.adapters.redis.embedded",
                "--port", str(self.redis_port), "--data", str(self.folder / f"redis-{os.urandom(4).hex()}"),
            ]  # fmt: skip
        else:
            program = shutil.which("redis-server")
            if program is None:
                raise FileNotFoundError("redis-server is not installed")
            command = [
                program, "--port", str(self.redis_port), "--bind", "127.0.0.1",
                "--save", "", "--appendonly", "no",
            ]  # fmt: skip
        self.redis = await self._spawn("redis", command, pipe=False)
        await _until_open(self.redis_port)

    async def start_upstream(self) -> None:
        process = await self._spawn("upstream", [sys.executable, "-m", "exactness_rig.upstream"])
        self.upstream = await _first_line(process)

    async def make_keys(self, workspaces: Mapping[str, int]) -> list[Key]:
        """So many keys in each workspace of the tenant."""
        keys = []
        self.data.mkdir(parents=True, exist_ok=True)
        async with open_local(self.data) as local:
            for workspace, count in workspaces.items():
                for number in range(count):
                    request = KeyRequest(
                        tenant=TENANT, workspace=workspace, user=f"user-{number}", name=f"exactness {number}"
                    )
                    made = await local.keys.create(request, by=operator())
                    keys.append(Key(made.key.id, made.text, workspace))
        return keys

    async def start_gateways(self, count: int) -> None:
        started = await asyncio.gather(*(self._gateway(_free_port()) for _ in range(count)))
        self.gateways = [process for process, _ in started]
        self.ports = [port for _, port in started]

    async def start_ledger(self) -> None:
        command = [sys.executable, "-m", "sluicegate", "ledger", "run", "--data", str(self.data)]
        await self._spawn("ledger", command, pipe=False)

    async def kill_gateway(self, index: int, away_s: float) -> None:
        """Kill one outright and start it again after `away_s`."""
        process = self.gateways[index]
        process.kill()
        await process.wait()
        self.killed += 1
        await asyncio.sleep(away_s)
        self.gateways[index], _ = await self._gateway(self.ports[index])

    async def stop(self) -> None:
        """End everything, the Redis last."""
        await _stop([process for process in self.started if process is not self.redis])
        if self.redis is not None:
            with contextlib.suppress(ProcessLookupError):
                self.redis.send_signal(signal.SIGCONT)
            await _stop([self.redis])

    def client(self) -> RedisClient:
        return RedisClient.from_url(self.redis_url, connections=1, timeout_s=5.0)

    def trouble(self) -> list[str]:
        """Lines of the gateways' logs that tell of a bug."""
        lines: list[str] = []
        for path in sorted(self.folder.glob("gateway-*.log")):
            text = path.read_text(errors="replace")
            lines += [line for line in text.splitlines() if "Traceback" in line or "unexpectedly" in line]
        return lines

    def beyond(self) -> list[int]:
        """By how many nano-dollars requests were settled above what was held for them."""
        found: list[int] = []
        for path in sorted(self.folder.glob("gateway-*.log")):
            for held, used in _BEYOND.findall(path.read_text(errors="replace")):
                found.append(int(used) - int(held))
        return found

    async def _gateway(self, port: int) -> tuple[asyncio.subprocess.Process, int]:
        name = f"gateway-{port}"
        process = await self._spawn(name, [sys.executable, "-m", "exactness_rig.gateway", str(port)])
        try:
            return process, int(await _first_line(process))
        except RuntimeError as error:
            last_words = (self.folder / f"{name}.log").read_text(errors="replace")[-2_000:]
            raise RuntimeError(f"{error}\n{last_words}") from None

    async def _spawn(self, name: str, command: list[str], *, pipe: bool = True) -> asyncio.subprocess.Process:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *command,
                env=self.environment(),
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE if pipe else log,
                stderr=log,
            )
        self.started.append(process)
        return process


async def _first_line(process: asyncio.subprocess.Process) -> str:
    if process.stdout is None:
        raise ValueError("the process writes elsewhere")
    async with asyncio.timeout(_READY_S):
        line = (await process.stdout.readline()).decode().strip()
    if not line:
        raise RuntimeError(f"a process ended at its start ({await process.wait()})")
    return line


async def _until_open(port: int) -> None:
    async with asyncio.timeout(_READY_S):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except OSError:
                await asyncio.sleep(0.02)
                continue
            writer.close()
            return


async def _stop(processes: list[asyncio.subprocess.Process]) -> None:
    for process in processes:
        if process.returncode is None:
            process.terminate()
    for process in processes:
        try:
            async with asyncio.timeout(15):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
