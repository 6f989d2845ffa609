"""A Redis server that a test may kill and start again, and services on it."""

import asyncio
import shutil
import signal
import socket
import subprocess
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.errors import RedisUnavailable
from sluicegate.adapters.redis.script import Script
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.service import AdmissionService
from sluicegate.admission.types import Ask, Grant, Subject

SUBJECT = Subject(tenant="acme", workspace="growth", user="ann", key="k1", model="m1")


class Server:
    """A redis-server process with a folder of its own."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self._command = [
            *(binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(folder)),
            *("--save", "", "--appendonly", "yes", "--appendfsync", "always"),
        ]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        for _ in range(300):
            try:
                with socket.create_connection(("127.0.0.1", self.port), 0.1) as probe:
                    probe.sendall(b"PING\r\n")
                    if probe.recv(16).startswith(b"+PONG"):
                        return
            except OSError:
                pass
            time.sleep(0.02)
        raise AssertionError("redis-server does not answer")

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None

    def pause(self) -> None:
        """Let it be silent: it takes connections and commands, and answers none."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def forget(self) -> None:
        """Start with nothing the next time."""
        assert self._process is None
        shutil.rmtree(self._folder / "appendonlydir")


class Line:
    """A service's way to Redis: counts the scripts it runs, and may be cut."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self.cut = False
        self.calls: Counter[str] = Counter()
        self.trouble: Callable[[str, Callable[[], Awaitable[Any]]], Awaitable[Any]] | None = None

    async def execute(self, *args: Any) -> Any:
        if self.cut:
            raise RedisUnavailable("the line is cut")
        return await self._client.execute(*args)

    async def script(self, script: Script, keys: Any, args: Any) -> Any:
        if self.cut:
            raise RedisUnavailable("the line is cut")
        name = script.name.removeprefix("admission_")
        self.calls[name] += 1
        if self.trouble is not None:
            return await self.trouble(name, lambda: self._client.script(script, keys, args))
        return await self._client.script(script, keys, args)


@dataclass
class Ledger:
    """A SpendReader, OverrideStore and RevocationReader in memory."""

    spent_nano: dict[tuple[str, str], int] = field(default_factory=dict)
    set: list[BudgetOverride] = field(default_factory=list)
    revoked_keys: list[str] = field(default_factory=list)
    reads: int = 0

    async def spent(self, tenant: str, scope: str, name: str, since: float, until: float) -> tuple[int, int]:
        assert since < until
        self.reads += 1
        return self.spent_nano.get((scope, name), 0), 0

    async def overrides(self, tenant: str) -> Sequence[BudgetOverride]:
        return list(self.set)

    async def set_override(self, tenant: str, override: BudgetOverride) -> None:
        self.set.append(override)

    async def revoked(self, tenant: str) -> Sequence[str]:
        return self.revoked_keys


class World:
    """Services (as if on several instances) around one Redis and one ledger."""

    def __init__(self, server: Server, stack: AsyncExitStack) -> None:
        self.server = server
        self.ledger = Ledger()
        self.client = self._client(stack)
        self.lines: list[Line] = []
        self._stack = stack
        self._ids = 0

    def _client(self, stack: AsyncExitStack) -> RedisClient:
        client = RedisClient.from_url(f"redis://127.0.0.1:{self.server.port}/0")
        stack.push_async_callback(client.close)
        return client

    async def service(self, *, start: bool = True, **policy: Any) -> AdmissionService:
        holds = {"lifetime_s": 1.0, "heartbeat_s": 0.2, "reap_s": 0.05, "recovery_s": 0.3}
        budgets = BudgetPolicy.model_validate(
            {
                "budgets": policy.get("budgets", [{"scope": "workspace", "period": "day", "limit_usd": 10}]),
                "holds": holds | policy.get("holds", {}),
                "waiting": policy.get("waiting", {"seconds": 0}),
                "leases": policy.get("leases", {}),
            }
        )
        limits = LimitPolicy.model_validate(policy.get("limits", {}))
        line = Line(self._client(self._stack))
        self.lines.append(line)
        store = RedisAdmissionStore(line, lifetime_s=budgets.holds.lifetime_s)
        service = AdmissionService(
            store,
            store,
            store,
            budgets,
            limits,
            overrides=self.ledger,
            spend=self.ledger,
            revocations=self.ledger,
        )
        if start:
            await service.start()
            self._stack.push_async_callback(service.stop, 0.5)
        return service

    def ask(self, want: int, floor: int | None = None, *, subject: Subject = SUBJECT, **more: Any) -> Ask:
        self._ids += 1
        request_id = more.pop("request_id", f"req_{self._ids}")
        return Ask(request_id, subject, want, want if floor is None else floor, more.pop("tokens", 0), **more)

    async def leased(self, service: AdmissionService, want: int, size: int = 1, **more: Any) -> list[Grant]:
        """`size` grants from a lease, once the pace was worth one."""
        async with asyncio.timeout(20):
            while True:
                grants = await asyncio.gather(
                    *(service.admit(self.ask(want, **more)) for _ in range(size + 5))
                )
                found = [each for each in grants if each.lease is not None][:size]
                kept = found if len(found) == size else []
                await asyncio.gather(*(service.release(each) for each in grants if each not in kept))
                if kept:
                    return kept

    async def settled(self, amount: int, *services: AdmissionService) -> None:
        """Wait until `amount` is settled, and nothing held any more."""
        async with asyncio.timeout(20):
            while (  # noqa: ASYNC110 - another process's state
                any(each.pending_settlements for each in services)
                or await self.standing() != (amount, amount)
                or await self.client.execute("EXISTS", "slg:{acme}:holds")
            ):
                await asyncio.sleep(0.02)

    async def standing(self) -> tuple[int, int]:
        """(committed, settled) of the only money counter, at one moment."""
        flat = await self.client.execute("HGETALL", "slg:{acme}:counters")
        fields = list(zip(flat[::2], flat[1::2], strict=True))
        (committed,), (settled,) = (
            [int(value) for name, value in fields if name.startswith(prefix)] for prefix in (b"cn|", b"sn|")
        )
        return committed, settled

    async def events(self) -> list[bytes]:
        entries = await self.client.execute("XRANGE", "slg:{acme}:outbox", "-", "+")
        return [fields[fields.index(b"event") + 1] for _, fields in entries]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    binary = shutil.which("redis-server")
    if binary is None:
        pytest.skip("redis-server is not installed")
    server = Server(binary, tmp_path)
    server.start()
    yield server
    server.kill()


@pytest.fixture
async def world(server: Server) -> AsyncIterator[World]:
    async with AsyncExitStack() as stack:
        yield World(server, stack)
