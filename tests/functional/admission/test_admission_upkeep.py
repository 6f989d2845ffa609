"""What admission does beside the requests, on a real Redis: dead owners, an absent ledger, odd failures."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.kernel.errors import DependencyUnavailableError

DOLLAR = 1_000_000_000
OPEN = [{"scope": "workspace", "period": "day", "limit_usd": 10, "on_unavailable": "open"}]


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await check():  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)


async def away(*_: Any) -> Any:
    raise DependencyUnavailableError("the ledger is away")


async def test_dead_owners_hold_is_reaped_once_by_several(world: Any) -> None:
    dead = await world.service(start=False)
    for _ in range(3):
        await dead.admit(world.ask(DOLLAR))
    alive = [await world.service() for _ in range(3)]
    kept = await alive[0].admit(world.ask(DOLLAR))

    async def reaped() -> bool:
        return sum(each.reaped for each in alive) == 3

    await until(reaped)
    assert await world.standing() == (4 * DOLLAR, 3 * DOLLAR)
    # The living one's hold outlasts several lifetimes.
    await asyncio.sleep(2.5)
    assert await world.standing() == (4 * DOLLAR, 3 * DOLLAR)
    assert sum(each.reaped for each in alive) == 3
    assert len(await world.events()) == 3
    await alive[0].settle(kept, 1, 0, b"{}")
    assert await world.standing() == (3 * DOLLAR + 1, 3 * DOLLAR + 1)


async def test_abandoned_and_dropped_grants_end_at_their_deadline(world: Any) -> None:
    service = await world.service()
    abandoned = await service.admit(world.ask(DOLLAR))
    kept = await service.admit(world.ask(DOLLAR))
    dropped = await service.admit(world.ask(DOLLAR))
    service.abandon(abandoned)
    del dropped
    assert service.open_grants == 1

    async def reaped() -> bool:
        return service.reaped == 2

    await until(reaped)
    assert await world.standing() == (3 * DOLLAR, 2 * DOLLAR)
    await service.settle(kept, 1, 0, b"{}")


async def test_hold_of_an_owner_just_gone_is_reaped_though_nobody_calls(world: Any) -> None:
    gone = await world.service()
    await gone.admit(world.ask(DOLLAR))
    await asyncio.sleep(0.2)  # the tenant gets listed
    # As after a kill: nobody settles, and the next instance comes before the hold's deadline.
    await gone.stop(0)
    heir = await world.service()

    async def reaped() -> bool:
        return heir.reaped == 1

    await until(reaped)
    assert await world.standing() == (DOLLAR, DOLLAR)


async def test_living_owners_keep_their_holds_when_the_store_was_away_for_longer_than_a_lifetime(
    world: Any,
) -> None:
    holds = {"lifetime_s": 2.6, "heartbeat_s": 1.3}
    services = [await world.service(holds=holds) for _ in range(4)]
    grants = [await each.admit(world.ask(DOLLAR)) for each in services]
    dead = await world.service(start=False, holds=holds)
    await dead.admit(world.ask(DOLLAR))
    world.server.kill()
    await asyncio.sleep(2.8)
    world.server.start()

    async def reaped() -> bool:
        return sum(each.reaped for each in services) >= 1

    await until(reaped)
    assert await world.standing() == (5 * DOLLAR, DOLLAR)
    for service, grant in zip(services, grants, strict=True):
        assert await service.grow(grant, 1)
        await service.settle(grant, 5, 0, b"{}")
    assert await world.standing() == (DOLLAR + 20, DOLLAR + 20)


async def test_care_begins_once_the_store_can_be_asked(world: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.CRITICAL)
    dead = await world.service(start=False)
    await dead.admit(world.ask(DOLLAR))
    await world.client.execute("SET", "slg:tenants", "not a set")
    service = await world.service()
    await asyncio.sleep(0.3)
    await world.client.execute("DEL", "slg:tenants")
    await world.client.execute("SADD", "slg:tenants", "acme")

    async def reaped() -> bool:
        return service.reaped == 1

    await until(reaped)


async def test_ledger_away_is_decided_by_policy(world: Any) -> None:
    known, world.ledger.spent = world.ledger.spent, away
    closed, opened = await world.service(), await world.service(budgets=OPEN)
    with pytest.raises(DependencyUnavailableError, match="policy"):
        await closed.admit(world.ask(1))
    grant = await opened.admit(world.ask(DOLLAR))
    assert grant.degraded
    await opened.settle(grant, 42, 0, b"{}")
    assert opened.pending_settlements == 1
    world.ledger.spent = known

    async def charged() -> bool:
        return opened.pending_settlements == 0

    await until(charged)
    assert await world.standing() == (42, 42)


async def test_settlement_that_fails_oddly_is_tried_again(
    world: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.CRITICAL)
    service = await world.service()
    grant = await service.admit(world.ask(DOLLAR))
    settle = RedisAdmissionStore.settle
    failures = iter([RuntimeError("one"), RuntimeError("two")])

    async def failing(*args: Any) -> Any:
        error = next(failures, None)
        if error is not None:
            raise error
        return await settle(*args)

    monkeypatch.setattr(RedisAdmissionStore, "settle", failing)
    await service.settle(grant, 5, 0, b"{}")

    async def settled() -> bool:
        return service.pending_settlements == 0

    await until(settled)
    assert await world.standing() == (5, 5)
    assert await world.events() == [b"{}"]


@pytest.mark.parametrize("lag_s", [0.0, 0.5])
async def test_what_the_ledger_learns_late_is_counted_after_a_flush(world: Any, lag_s: float) -> None:
    """Settled by several instances, lost with the outbox, told again, and taken by a slow consumer."""
    services = [await world.service(holds={"recovery_s": 1.0}) for _ in range(2)]
    for number, service in enumerate(services):
        grant = await service.admit(world.ask(DOLLAR))
        await service.settle(grant, DOLLAR, 0, b'{"id":"r%d"}' % number)
    held = await services[0].admit(world.ask(3 * DOLLAR))
    key = ("workspace", "growth")
    seen: set[bytes] = set()

    async def consume() -> None:
        while True:
            entries = await world.client.execute("XRANGE", "slg:{acme}:outbox", "-", "+", "COUNT", "1")
            if not entries:
                await asyncio.sleep(0.005)
                continue
            await asyncio.sleep(lag_s)
            ((entry, fields),) = entries
            if fields[1] not in seen:
                seen.add(fields[1])
                world.ledger.spent_nano[key] = len(seen) * DOLLAR
            await world.client.execute("XDEL", "slg:{acme}:outbox", entry)

    await world.client.execute("FLUSHALL")
    consumer = asyncio.create_task(consume())
    try:
        grant = await services[1].admit(world.ask(DOLLAR))
    finally:
        consumer.cancel()
    assert await world.standing() == (6 * DOLLAR, 2 * DOLLAR)
    await services[1].release(grant)
    await services[0].settle(held, 5, 0, b"{}")
    assert await world.standing() == (2 * DOLLAR + 5, 2 * DOLLAR + 5)


async def test_a_recovery_ends_though_nobody_takes_events(world: Any) -> None:
    service = await world.service()
    await service.settle(await service.admit(world.ask(1)), 1, 0, b"{}")
    await world.client.execute("FLUSHALL")
    async with asyncio.timeout(10):
        await service.admit(world.ask(DOLLAR))
    assert await world.events() == [b"{}"]
