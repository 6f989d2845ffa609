"""A trial: one estate, one load, one set of faults, one reckoning."""

import asyncio
import contextlib
import json
import random
import sys
import tempfile
from dataclasses import dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any

import orjson

from exactness_rig.accounts import Reckoning, reckon
from exactness_rig.asks import Mix
from exactness_rig.clients import Seen, run_clients
from exactness_rig.estate import RIG, TENANT, Estate, Key
from exactness_rig.faults import Fault
from exactness_rig.policies import Money, write_policies
from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.kernel.money import nano_from_usd


@dataclass(frozen=True, slots=True)
class Plan:
    """What a trial does. Times in seconds, money in USD.

    `alpha` and `beta` are numbers of clients in the two workspaces. A gateway is killed every
    `kill_every_s` (0: never).
    """

    gateways: int = 2
    alpha: int = 40
    beta: int = 24
    money: Money = field(default_factory=lambda: Money("0.2", "0.36", "0.03"))
    seconds: float = 60.0
    redis: str = "server"
    lifetime_s: float = 6.0
    on_unavailable: str = "closed"
    slice_tokens: int = 4096
    lease_most: int = 128
    kill_every_s: float = 0.0
    mix: Mix = field(default_factory=Mix)
    seed: int = 1


@dataclass(slots=True)
class Outcome:
    """What a trial found. `beyond`: by how many nano-dollars each request that did passed its hold."""

    plan: Plan
    seen: Seen
    samples: dict[str, Any]
    reckoning: Reckoning
    limits: dict[str, int]
    killed: int
    seconds: float
    settled_within_s: float
    trouble: list[str]
    beyond: list[int] = field(default_factory=list)

    def used(self, prefix: str) -> float:
        """The share of a budget that was spent, for the counter whose name starts with `prefix`."""
        name, settled = next(
            (name, settled) for name, settled in self.reckoning.settled.items() if name.startswith(prefix)
        )
        limit = next(limit for start, limit in self.limits.items() if f"cn|{name}".startswith(start[:-1]))
        return settled / limit


async def run_trial(plan: Plan, fault: Fault | None = None) -> Outcome:
    """Run `plan`, with `fault` going on beside the load."""
    with tempfile.TemporaryDirectory(prefix="exactness-") as folder:
        estate = Estate(Path(folder), plan.redis)
        try:
            return await _run(estate, plan, fault)
        finally:
            await estate.stop()


async def _run(estate: Estate, plan: Plan, fault: Fault | None) -> Outcome:
    loop = asyncio.get_running_loop()
    await estate.start_redis()
    await estate.start_upstream()
    keys = await estate.make_keys({"alpha": 3, "beta": 2})
    write_policies(
        estate.folder / "policies",
        estate.upstream,
        plan.money,
        small_key=keys[0].id,
        lifetime_s=plan.lifetime_s,
        on_unavailable=plan.on_unavailable,
        slice_tokens=plan.slice_tokens,
        lease_most=plan.lease_most,
    )
    await estate.start_ledger()
    await estate.start_gateways(plan.gateways)
    limits = {
        "cn|workspace|*": nano_from_usd(plan.money.workspace),
        "cn|tenant|*": nano_from_usd(plan.money.tenant),
        f"cn|key|{keys[0].id}|*": nano_from_usd(plan.money.key),
        "ct|tool|llm|*": 1_000_000_000,
    }
    report = estate.folder / "samples.json"
    sampler = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exactness_rig.sampler",
        estate.redis_url, TENANT, json.dumps(limits), str(report),
        env=estate.environment(), stdout=asyncio.subprocess.PIPE, cwd=RIG,
    )  # fmt: skip
    estate.started.append(sampler)  # ended with the rest if this does not come to its end
    begun = loop.time()
    over = asyncio.Event()
    faults = [fault(estate)] if fault is not None else []
    if plan.kill_every_s:
        faults.append(_kill(estate, plan, over))
    beside = asyncio.gather(*faults)
    try:
        seen = await run_clients(
            keys, _shares(plan, keys), estate.ports, plan.mix, seconds=plan.seconds, seed=plan.seed
        )
        ended = loop.time()
    finally:
        over.set()
        await beside
    settled_within = await _quiet(estate, plan)
    sampler.terminate()
    await sampler.wait()
    client = estate.client()
    try:
        reckoning = await reckon(
            client, TENANT, estate.data / "sluicegate.db", await _produced(estate.upstream)
        )
    finally:
        await client.close()
    return Outcome(
        plan=plan,
        seen=seen,
        samples=json.loads(report.read_text("utf-8")),
        reckoning=reckoning,
        limits=limits,
        killed=estate.killed,
        seconds=ended - begun,
        settled_within_s=settled_within,
        trouble=estate.trouble(),
        beyond=estate.beyond(),
    )


def _shares(plan: Plan, keys: list[Key]) -> list[int]:
    """Clients per key: a fifth of alpha's have the small key."""
    small = plan.alpha // 5
    rest = plan.alpha - small
    shares = [small, rest // 2, rest - rest // 2, plan.beta // 2, plan.beta - plan.beta // 2]
    return shares[: len(keys)]


async def _kill(estate: Estate, plan: Plan, over: asyncio.Event) -> None:
    """Kill one gateway after the other, at random, until the load is over."""
    rng = random.Random(plan.seed)
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(plan.kill_every_s * rng.uniform(0.6, 1.4)):
                await over.wait()
                return
        await estate.kill_gateway(rng.randrange(plan.gateways), 0.3)


async def _quiet(estate: Estate, plan: Plan) -> float:
    """Wait until no hold is open and every event is in the ledger; the seconds it took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    client = estate.client()
    try:
        while loop.time() < begun + plan.lifetime_s + 25:
            holds = await client.execute("HLEN", f"slg:{{{TENANT}}}:holds")
            waiting = await client.execute("XLEN", f"slg:{{{TENANT}}}:outbox")
            if not holds and not waiting and loop.time() - begun > 2:
                break
            await asyncio.sleep(0.1)
    finally:
        await client.close()
    return loop.time() - begun


async def _produced(upstream: str) -> Any:
    http = HttpClient()
    try:
        endpoint = http.endpoint("GET", f"{upstream}/account")
        reply = await endpoint.send([], b"", connect_s=5, first_byte_s=10, idle_s=10, total_s=20)
        return orjson.loads(await reply.read())
    finally:
        await http.aclose()


def as_json(outcome: Outcome) -> dict[str, Any]:
    """Everything, for a file."""
    content: dict[str, Any] = _plain(outcome)
    return content


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    return value
