"""Leases under random trouble on every way to Redis: whatever comes late, twice or never, sums are exact."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sluicegate.adapters.redis.errors import RedisUnavailable
from sluicegate.kernel.errors import SluicegateError

CENT = 10_000_000


class Trouble:
    """Delays commands, loses them, loses their answers, or lets them arrive after they were given up."""

    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._late: set[asyncio.Task[Any]] = set()
        self.share = 0.0

    async def __call__(self, name: str, run: Callable[[], Awaitable[Any]]) -> Any:
        rng = self._rng
        await asyncio.sleep(rng.choice((0, 0, 0.001, 0.004)))
        if rng.random() >= self.share:
            reply = await run()
            await asyncio.sleep(rng.choice((0, 0, 0.001, 0.012)))
            return reply
        kind = rng.choice(("never sent", "unheard", "late"))
        if kind == "unheard":
            await run()
        elif kind == "late":
            task = asyncio.create_task(self._later(rng.uniform(0, 0.06), run))
            self._late.add(task)
            task.add_done_callback(self._late.discard)
        raise RedisUnavailable(f"{name}: {kind}", maybe_applied=kind != "never sent", retry_after=0.01)

    async def _later(self, delay_s: float, run: Callable[[], Awaitable[Any]]) -> None:
        await asyncio.sleep(delay_s)
        await run()

    async def end(self) -> None:
        self.share = 0.0
        await asyncio.gather(*self._late)


class Caller:
    """Clients of the services, and what they used."""

    def __init__(self, world: Any, services: list[Any], seed: int) -> None:
        self._world, self._services, self._rng = world, services, random.Random(seed)
        self.used: dict[str, int] = {}
        self.leased = 0

    async def run(self, number: int, requests: int) -> None:
        for step in range(requests):
            await self._request(self._services[number % len(self._services)], f"c{number}-{step}")

    async def _request(self, service: Any, name: str) -> None:
        rng, world = self._rng, self._world
        want = rng.randrange(CENT)
        try:
            grant = await service.admit(world.ask(want, request_id=name))
        except SluicegateError:
            return
        self.leased += grant.lease is not None
        await asyncio.sleep(rng.choice((0, 0, 0.002, 0.05)))
        for _ in range(rng.choice((0, 0, 0, 1, 2))):
            try:
                if rng.random() < 0.5:
                    await service.grow(grant, rng.randrange(CENT))
                else:
                    ask = world.ask(rng.randrange(CENT), request_id=name, count=False, instead_of=grant)
                    grant = await service.admit(ask)
            except SluicegateError:
                pass
        if rng.random() < 0.05:
            service.forget("acme")
        cost = rng.choice((0, rng.randrange(grant.held_nano + 1), grant.held_nano + 7))
        self.used[name] = cost
        await service.settle(grant, cost, 0, b'{"id":"%s"}' % name.encode())


async def traffic(
    world: Any, seed: int, *, share: float, lifetime_s: float, cuts: int
) -> tuple[Caller, list[Any]]:
    """Two instances under `share` of trouble; one is cut off `cuts` times, longer than a hold lives."""
    limits = {"concurrency": [{"scope": "key", "limit": 10_000}]}
    holds = {"lifetime_s": lifetime_s, "heartbeat_s": lifetime_s / 5}
    services = [await world.service(limits=limits, holds=holds, waiting={"seconds": 1}) for _ in range(2)]
    for service in services:
        await service.release(await service.admit(world.ask(1)))
    troubles = [Trouble(seed * 10 + number) for number in range(2)]
    for trouble, line in zip(troubles, world.lines, strict=True):
        trouble.share = share
        line.trouble = trouble
    caller = Caller(world, services, seed)
    calling = asyncio.gather(*(caller.run(number, 40) for number in range(24)))
    for _ in range(cuts):
        await asyncio.sleep(0.2)
        world.lines[0].cut = True
        await asyncio.sleep(lifetime_s * 1.6)
        world.lines[0].cut = False
    await calling
    for trouble in troubles:
        await trouble.end()
    async with asyncio.timeout(30):
        while any(each.pending_settlements for each in services):  # noqa: ASYNC110 - retries with pauses
            await asyncio.sleep(0.02)
    assert [await each.stop() for each in services] == [0, 0]
    return caller, services


async def check(world: Any, caller: Caller) -> list[dict[str, Any]]:
    """Sums, slots and events are what was used; the events that are nobody's own."""
    total = sum(caller.used.values())
    assert await world.client.execute("HKEYS", "slg:{acme}:holds") == []
    assert await world.standing() == (total, total)
    flat = await world.client.execute("HGETALL", "slg:{acme}:counters")
    counters = dict(zip(flat[::2], flat[1::2], strict=True))
    assert {value for name, value in counters.items() if name.startswith(b"o|")} <= {b"0"}
    events = [json.loads(each) for each in await world.events()]
    own = Counter(each["id"] for each in events if "data" not in each)
    assert own == Counter(caller.used.keys())
    return [each for each in events if "data" in each]


@pytest.mark.parametrize("seed", range(4))
async def test_sums_are_exact_whatever_happens_on_the_way(
    world: Any, seed: int, caplog: pytest.LogCaptureFixture
) -> None:
    caller, _ = await traffic(world, seed, share=0.03, lifetime_s=60, cuts=0)
    assert caller.leased > 50
    assert await check(world, caller) == []
    assert "Traceback" not in caplog.text


async def test_sums_are_exact_though_owners_are_taken_for_dead(
    world: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caller, services = await traffic(world, 5, share=0.01, lifetime_s=0.5, cuts=2)
    estimates = await check(world, caller)
    rows = {}
    for event in estimates:
        row = event["data"]
        rows[row["request_id"]] = row["cost_nano"]
    # Each was withdrawn, or gave way to the request's own row.
    assert all(cost == 0 or name in caller.used for name, cost in rows.items())
    assert sum(each.reaped for each in services) > 0
    assert "Traceback" not in caplog.text
