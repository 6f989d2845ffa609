"""Leases on a real Redis when things go wrong: nothing is lost, nothing is charged twice."""

import asyncio
import json
import logging
from typing import Any

import pytest

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.replies import Booked
from sluicegate.kernel.errors import DependencyUnavailableError

DOLLAR = 1_000_000_000
CENT = DOLLAR // 100
SLOW = {"window_ms": 1000}
LONG = {"lifetime_s": 10}


def lost(monkeypatch: pytest.MonkeyPatch, name: str, *, applied: bool, times: int = 1) -> list[int]:
    """Have the next `times` answers to a method of the store lost; the list says how often that was."""
    method, found = getattr(RedisAdmissionStore, name), []

    async def losing(*args: Any, **more: Any) -> Any:
        if len(found) >= times:
            return await method(*args, **more)
        found.append(1)
        if applied:
            await method(*args, **more)
        raise StoreUnavailable("the answer is lost", maybe_applied=True)

    monkeypatch.setattr(RedisAdmissionStore, name, losing)
    return found


async def ids(world: Any) -> list[str]:
    return sorted(json.loads(each)["id"] for each in await world.events())


async def settle_all(service: Any, grants: list[Any], nano: int) -> None:
    await asyncio.gather(
        *(service.settle(each, nano, 0, b'{"id":"%d"}' % index) for index, each in enumerate(grants))
    )


async def test_abandoned_and_dropped_shares_are_charged_and_nothing_else(world: Any) -> None:
    service = await world.service(limits={"concurrency": [{"scope": "key", "limit": 1000}]})
    grants = await world.leased(service, CENT, 4)
    leases = {each.lease.id for each in grants}
    service.abandon(grants.pop())
    grants.pop()
    await settle_all(service, grants, 5)
    assert service.open_grants == 0

    async def reaped() -> bool:
        return await world.standing() == (2 * CENT + 10, 2 * CENT + 10)

    async with asyncio.timeout(20):
        while not await reaped():  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)
    assert int(await world.client.execute("HGET", "slg:{acme}:counters", "o|key|k1")) == 0
    found = [json.loads(each) for each in await world.events()]
    estimates = [each for each in found if each.get("data", {}).get("estimated")]
    assert {each["data"]["request_id"] for each in estimates} <= leases
    assert sum(each["data"]["cost_nano"] for each in estimates) == 2 * CENT
    assert len(found) == 2 + len(estimates)
    assert service.reaped == len(estimates)


async def test_a_long_request_outlives_its_lease_and_many_lifetimes(world: Any) -> None:
    service = await world.service()
    (grant,) = await world.leased(service, CENT)
    await asyncio.sleep(2.5)
    assert service.reaped == 0
    assert await service.grow(grant, CENT)
    assert await world.standing() == (2 * CENT, 0)
    await service.settle(grant, 5, 0, b"{}")
    await world.settled(5, service)


async def test_a_dead_owners_leases_are_charged_once_by_several(world: Any) -> None:
    dead = await world.service(start=False, leases=SLOW)
    grants = await world.leased(dead, CENT, 3)
    held, _ = await world.standing()
    world.lines[0].cut = True
    alive = [await world.service() for _ in range(3)]
    for service in alive:
        await service.release(await service.admit(world.ask(1)))
    await world.settled(held, *alive)
    assert sum(each.reaped for each in alive) == len({each.lease.id for each in grants})


@pytest.mark.parametrize("applied", [True, False])
async def test_a_lease_whose_answer_is_lost_goes_back(
    world: Any, monkeypatch: pytest.MonkeyPatch, *, applied: bool
) -> None:
    service = await world.service(holds=LONG)
    await service.release(await service.admit(world.ask(1)))
    found = lost(monkeypatch, "lend", applied=applied)
    while not found:
        grants = await asyncio.gather(*(service.admit(world.ask(CENT)) for _ in range(6)))
        await settle_all(service, grants, 0)
    await asyncio.sleep(0.05)
    if applied:
        assert (await world.standing())[0] > 0
        assert await world.client.execute("HLEN", "slg:{acme}:holds") == 1
    await world.settled(0, service)


async def test_a_lease_whose_answer_is_lost_goes_back_at_the_end(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await world.service(holds=LONG)
    await service.release(await service.admit(world.ask(1)))
    found = lost(monkeypatch, "lend", applied=True)
    while not found:
        grants = await asyncio.gather(*(service.admit(world.ask(CENT)) for _ in range(6)))
        await settle_all(service, grants, 0)
    await asyncio.sleep(0.05)
    assert await service.stop() == 0
    assert await world.standing() == (0, 0)
    assert await world.client.execute("EXISTS", "slg:{acme}:holds", "slg:{acme}:due") == 0


@pytest.mark.parametrize("applied", [True, False])
async def test_more_whose_answer_is_lost_ends_the_lease(
    world: Any, monkeypatch: pytest.MonkeyPatch, *, applied: bool
) -> None:
    service = await world.service(holds=LONG, leases=SLOW)
    grants = await world.leased(service, CENT, 2)
    found = lost(monkeypatch, "lend", applied=applied)
    while not found:
        grants += await asyncio.gather(*(service.admit(world.ask(CENT)) for _ in range(4)))
    await settle_all(service, grants, 7)
    await world.settled(7 * len(grants), service)
    assert await ids(world) == sorted(str(number) for number in range(len(grants)))


@pytest.mark.parametrize("applied", [True, False])
@pytest.mark.parametrize("times", [1, 3])
async def test_a_settlement_whose_answer_is_lost_is_booked_once(
    world: Any, monkeypatch: pytest.MonkeyPatch, *, applied: bool, times: int
) -> None:
    service = await world.service(holds=LONG)
    grants = await world.leased(service, CENT, 6)
    found = lost(monkeypatch, "settle_shares", applied=applied, times=times)
    # Nobody's answer waits for a store that is away.
    async with asyncio.timeout(5):
        await settle_all(service, grants[:3], 11)
        await settle_all(service, grants[3:], 11)
    await world.settled(66, service)
    assert len(found) == times
    assert await ids(world) == sorted(["0", "1", "2"] * 2)


@pytest.mark.parametrize("applied", [True, False])
async def test_a_fallback_from_a_share_whose_answer_is_lost_is_charged_once(
    world: Any, monkeypatch: pytest.MonkeyPatch, *, applied: bool
) -> None:
    service = await world.service(holds=LONG)
    one, two = await world.leased(service, CENT, 2)
    for grant, cost in ((one, 5), (two, 0)):
        lost(monkeypatch, "detach", applied=applied)
        with pytest.raises(DependencyUnavailableError):
            await service.admit(
                world.ask(2 * CENT, request_id=grant.request_id, count=False, instead_of=grant)
            )
        await service.settle(grant, cost, 0, b'{"id":"r"}' if cost else b"")
    await world.settled(5, service)
    assert await ids(world) == ["r"]


async def test_killed_redis_loses_nothing(world: Any) -> None:
    service = await world.service(holds=LONG, leases=SLOW)
    grants = await world.leased(service, CENT, 8)
    await settle_all(service, grants[6:], 3)
    world.server.kill()
    await settle_all(service, grants[:6], 5)
    assert service.pending_settlements == 6
    with pytest.raises(DependencyUnavailableError):
        await service.admit(world.ask(1))
    world.server.start()
    await world.settled(36, service)
    assert await ids(world) == sorted(["0", "1", *(str(number) for number in range(6))])
    assert service.open_grants == 0
    await service.release(await service.admit(world.ask(1)))


async def test_a_silent_redis_delays_answers_once_and_loses_nothing(world: Any) -> None:
    service = await world.service(holds=LONG, leases=SLOW)
    grants = await world.leased(service, CENT, 6)
    world.server.pause()
    try:
        await settle_all(service, grants[:3], 5)
        await settle_all(service, grants[3:], 5)  # these do not wait any more
        assert service.pending_settlements == 6
    finally:
        world.server.resume()
    await world.settled(30, service)
    assert await ids(world) == sorted(["0", "1", "2"] * 2)


async def test_a_flush_in_the_middle(world: Any) -> None:
    services = [await world.service(waiting={"seconds": 5}, leases=SLOW) for _ in range(2)]
    grants = [await world.leased(each, CENT, 5) for each in services]
    for service, own in zip(services, grants, strict=True):
        await settle_all(service, [own.pop()], 7)
    world.ledger.spent_nano[("workspace", "growth")] = 14
    await world.client.execute("FLUSHALL")
    # One settles before it has heard of it, the other after.
    first = services[0].settle(grants[0].pop(), 7, 0, b'{"id":"early"}')
    # More than what is lent: the store has to be asked.
    more, _ = await asyncio.gather(services[1].admit(world.ask(DOLLAR)), first)
    assert (await world.standing())[1] in {14, 21}
    assert (await world.standing())[0] >= DOLLAR + 7 * CENT
    await services[1].settle(more, 7, 0, b'{"id":"late"}')
    for service, own in zip(services, grants, strict=True):
        assert await service.grow(own[0], CENT)
        await settle_all(service, own, 7)
    await world.settled(14 + 9 * 7, *services)
    assert {"early", "late"} <= set(await ids(world))
    (grant,) = await world.leased(services[0], CENT)
    await services[0].settle(grant, 1, 0, b"")
    await world.settled(14 + 9 * 7 + 1, *services)


async def test_a_restart_with_nothing(world: Any) -> None:
    service = await world.service(leases=SLOW)
    grants = await world.leased(service, CENT, 6)
    await settle_all(service, grants[:2], 7)
    world.ledger.spent_nano[("workspace", "growth")] = 14
    world.server.kill()
    await settle_all(service, grants[2:4], 7)
    world.server.forget()
    world.server.start()
    await settle_all(service, grants[4:], 7)
    await world.settled(42, service)
    # Those booked before are told again; each is there, and none has another cost.
    assert sorted(set(await ids(world))) == ["0", "1"]


async def test_an_owner_that_was_cut_off_and_comes_back(world: Any) -> None:
    owner, other = await world.service(leases=SLOW), await world.service(holds={"lifetime_s": 1.0})
    grants = await world.leased(owner, CENT, 4)
    await settle_all(owner, grants[:1], 7)
    leases = {each.lease.id for each in grants[1:]}
    await other.release(await other.admit(world.ask(1)))
    world.lines[0].cut = True
    await settle_all(owner, grants[1:3], 7)

    async def charged() -> bool:
        committed, settled = await world.standing()
        return committed == settled > 3 * CENT

    async with asyncio.timeout(20):
        while not await charged():  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)
    assert other.reaped == len(leases)
    world.lines[0].cut = False
    async with asyncio.timeout(20):
        while owner.pending_settlements:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)
    # The last one still runs; what it uses is charged, and then nothing is an estimate any more.
    assert not await owner.grow(grants[3], CENT)
    await owner.settle(grants[3], 7, 0, b'{"id":"last"}')
    await world.settled(28, owner)
    rows = {}
    for event in [json.loads(each) for each in await world.events()]:
        if "data" in event:
            rows[event["data"]["request_id"]] = event["data"]["cost_nano"]
    assert rows == dict.fromkeys(leases, 0)


async def test_a_settlement_that_fails_oddly(
    world: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL)
    service = await world.service(holds=LONG)
    grants = await world.leased(service, CENT, 3)
    settle_shares = RedisAdmissionStore.settle_shares

    async def failing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug")

    monkeypatch.setattr(RedisAdmissionStore, "settle_shares", failing)
    monkeypatch.setattr("sluicegate.admission.shares._TRIES", 2)
    await settle_all(service, grants, 7)
    # Each by its own name, and the lease is freed.
    await world.settled(21, service)
    assert await ids(world) == ["0", "1", "2"]
    monkeypatch.setattr(RedisAdmissionStore, "settle_shares", settle_shares)


async def test_lending_that_fails_oddly(
    world: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    service = await world.service()
    await service.release(await service.admit(world.ask(1)))

    async def failing(*_: Any, **__: Any) -> Any:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(RedisAdmissionStore, "lend", failing)
        for _ in range(5):
            grants = await asyncio.gather(*(service.admit(world.ask(CENT)) for _ in range(6)))
            await settle_all(service, grants, 1)
    assert "lending to acme failed" in caplog.text
    await world.settled(30, service)


async def test_stopping_while_the_store_is_silent_keeps_nobody_waiting(
    world: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    service = await world.service(leases=SLOW)
    grants = await world.leased(service, CENT, 3)
    never = asyncio.Event()

    async def silent(*_: Any, **__: Any) -> tuple[Booked, str]:
        await never.wait()
        return Booked.SETTLED, ""

    monkeypatch.setattr(RedisAdmissionStore, "settle_shares", silent)
    settling = asyncio.create_task(settle_all(service, grants, 7))
    await asyncio.sleep(0)
    async with asyncio.timeout(10):
        assert await service.stop(0.1) == 3
        await settling
