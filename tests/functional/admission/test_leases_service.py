"""Admission from leases, on a real Redis and with several instances: what is counted, shared and refused."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.admission.lease import Lease
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.kernel.errors import (
    AuthenticationError,
    BudgetExceededError,
    RateLimitedError,
)

DOLLAR = 1_000_000_000
SLOW = {"window_ms": 1000}
COUNTERS = "slg:{acme}:counters"


async def open_slots(world: Any) -> int:
    return int(await world.client.execute("HGET", COUNTERS, "o|key|k1") or 0)


async def ask_and_release(world: Any, service: Any) -> None:
    for grant in await asyncio.gather(*(service.admit(world.ask(1000)) for _ in range(6))):
        await service.release(grant)


@pytest.fixture
def slow_lending(monkeypatch: pytest.MonkeyPatch) -> Callable[[], asyncio.Event]:
    """From the call on, replies to `lend` wait until the event is set."""

    def begin() -> asyncio.Event:
        lend, go_on = RedisAdmissionStore.lend, asyncio.Event()

        async def slow(*args: Any, **more: Any) -> Any:
            reply = await lend(*args, **more)
            await go_on.wait()
            return reply

        monkeypatch.setattr(RedisAdmissionStore, "lend", slow)
        return go_on

    return begin


async def test_fast_traffic_takes_few_trips_and_stays_exact(world: Any) -> None:
    service = await world.service(
        limits={
            "rates": [{"scope": "key", "period": "hour", "limit": 100_000}],
            "concurrency": [{"scope": "key", "limit": 1000}],
        }
    )
    await service.release(await service.admit(world.ask(1)))
    world.lines[0].calls.clear()
    leased = used = 0

    async def request(number: int) -> None:
        nonlocal leased, used
        grant = await service.admit(world.ask(1_000_000 + number))
        leased += grant.lease is not None
        assert grant.remaining_nano is not None
        assert 9 * DOLLAR < grant.remaining_nano < 10 * DOLLAR
        assert 0 <= grant.requests.remaining < grant.requests.limit == 100_000
        await asyncio.sleep(0)
        cost = (number * 7919) % 1_000_000
        used += cost
        await service.settle(grant, cost, 0, b'{"id":"r%d"}' % number)

    for first in range(0, 800, 40):
        await asyncio.gather(*(request(number) for number in range(first, first + 40)))
    assert leased > 400
    assert sum(world.lines[0].calls.values()) < 800
    await world.settled(used, service)
    assert sorted(await world.events()) == sorted(b'{"id":"r%d"}' % number for number in range(800))
    assert await open_slots(world) == 0
    rate = await world.client.execute("HGET", COUNTERS, "r|key|k1|3600000")
    assert sum(int(part) for part in rate.split()[1:]) == 801
    assert service.open_grants == 0


async def test_what_runs_keeps_only_what_it_holds(world: Any) -> None:
    """The rest of its lease goes back as soon as the window is over."""
    service = await world.service(limits={"concurrency": [{"scope": "key", "limit": 1000}]})
    grants = await world.leased(service, 5_000_000, 2)

    async def given_back() -> bool:
        return await world.standing() == (10_000_000, 0) and await open_slots(world) == 2

    async with asyncio.timeout(10):
        while not await given_back():  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.01)
    assert await service.grow(grants[0], 1_000_000)
    assert await world.standing() == (11_000_000, 0)
    await service.settle(grants[0], 7_000_000, 0, b"{}")  # beyond its hold
    assert await world.standing() == (12_000_000, 7_000_000)
    await service.settle(grants[1], 1, 0, b"{}")
    await world.settled(7_000_001, service)
    assert await open_slots(world) == 0


@pytest.mark.parametrize("counted", [True, False])
async def test_a_share_that_uses_more_than_it_held(world: Any, *, counted: bool) -> None:
    budgets = [{"scope": "workspace", "period": "day", "limit_usd": 10 if counted else None}]
    service = await world.service(
        budgets=budgets, limits={"tokens": [{"scope": "key", "period": "day", "limit": 100_000}]}, leases=SLOW
    )
    grants = await world.leased(service, 1000, 3, tokens=10)
    for grant, factor in zip(grants, (500_000, 0, 1), strict=True):
        await service.settle(grant, factor * 1000, factor, b"{}")
    assert await service.stop() == 0
    states = {each.unit: each for each in await service.overview(grants[0].subject)}
    assert (states["tokens"].settled, states["tokens"].held) == (500_001, 0)
    if counted:
        assert await world.standing() == (500_001_000, 500_001_000)


async def test_never_over_the_limit_and_all_of_it_used(world: Any) -> None:
    services = [await world.service(waiting={"seconds": 5}) for _ in range(2)]
    limit, leased, used, over, done = 10 * DOLLAR, 0, 0, [], asyncio.Event()
    await services[0].release(await services[0].admit(world.ask(1)))

    async def watch() -> None:
        while not done.is_set():
            committed, settled = await world.standing()
            if committed > limit or settled > committed:
                over.append((committed, settled))
            await asyncio.sleep(0.002)

    async def client(number: int) -> None:
        nonlocal used, leased
        service, step = services[number % 2], 0
        while True:
            step += 1
            cost = 2_000_003 + 7_919 * ((number * 31 + step * 17) % 1000)
            try:
                grant = await service.admit(world.ask(cost * 2, cost))
            except BudgetExceededError:
                return
            leased += grant.lease is not None
            if step % 5 == 2:
                await asyncio.sleep(0.001)
            actual = 0 if step % 7 == 3 else min(cost, grant.held_nano)
            used += actual
            await service.settle(grant, actual, 0, b"{}")

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(client(number) for number in range(24)))
    done.set()
    await watcher
    assert over == []
    assert leased > 100
    assert used > limit * 99 // 100
    await world.settled(used, *services)


async def test_no_request_is_refused_while_fewer_run_than_may(world: Any) -> None:
    limits = {"concurrency": [{"scope": "key", "limit": 200}]}
    one, two = [await world.service(limits=limits, leases={"window_ms": 300}) for _ in range(2)]
    for running in (1, 3, 6):
        grants = await world.leased(one, 1000, running)
        # Some slots are lent to the first; the second gets all that nobody really uses.
        assert sum(each.slots for each in one._states["acme"].leases.values()) > 0
        others = await asyncio.gather(*(two.admit(world.ask(1000)) for _ in range(200 - running)))
        assert await open_slots(world) == 200
        for service in (one, two):
            with pytest.raises(RateLimitedError):
                await service.admit(world.ask(1000))
        await asyncio.gather(*(one.release(each) for each in grants), *(two.release(each) for each in others))
        # What a refusal had stopped goes on after a while.
        await world.client.execute("HDEL", COUNTERS, "unlent")
    await world.settled(0, one, two)


async def test_a_rate_admits_exactly_its_limit(world: Any) -> None:
    limits = {"rates": [{"scope": "key", "period": "day", "limit": 700}]}
    services = [await world.service(limits=limits) for _ in range(2)]
    leased = 0

    async def client(number: int) -> int:
        nonlocal leased
        admitted = 0
        while True:
            service = services[number % 2]
            try:
                grant = await service.admit(world.ask(1000))
            except RateLimitedError:
                return admitted
            admitted += 1
            leased += grant.lease is not None
            await service.settle(grant, 1, 0, b"{}")

    assert sum(await asyncio.gather(*(client(number) for number in range(12)))) == 700
    assert leased > 100
    await world.settled(700, *services)


async def test_a_cache_hit_is_not_refused_for_what_is_lent_out(world: Any) -> None:
    limits = {"rates": [{"scope": "key", "period": "day", "limit": 400}]}
    one, two = [await world.service(limits=limits, leases={"window_ms": 300}) for _ in range(2)]
    (grant,) = await world.leased(one, 1000)
    await one.release(grant)

    async def counted() -> int:
        value = await world.client.execute("HGET", COUNTERS, "r|key|k1|86400000")
        return int(value.split()[1])

    lent = sum(each.requests for each in one._states["acme"].leases.values())
    assert lent > 0
    for _ in range(400 - await counted()):
        await two.pass_through(world.ask(0), b"{}")
    for _ in range(lent):
        await two.pass_through(world.ask(0), b"{}")
    with pytest.raises(RateLimitedError):
        await two.pass_through(world.ask(0), b"{}")


async def test_a_revoked_key_is_refused_after_the_window(world: Any) -> None:
    service = await world.service()
    await world.leased(service, 1000)
    await world.client.execute("HSET", COUNTERS, "revoked|k1", "0")
    refused_at = asyncio.get_running_loop().time() + 0.05  # a lease lent just now lives so long
    while asyncio.get_running_loop().time() < refused_at:
        await asyncio.gather(*(service.admit(world.ask(1000)) for _ in range(5)), return_exceptions=True)
    with pytest.raises(AuthenticationError):
        await service.admit(world.ask(1000))


async def test_a_forgotten_key_is_asked_for_at_once(
    world: Any, slow_lending: Callable[[], asyncio.Event]
) -> None:
    service = await world.service(leases=SLOW)
    await world.leased(service, 1000)
    assert (await service.admit(world.ask(1000))).lease is not None
    service.forget_key("another")
    assert (await service.admit(world.ask(1000))).lease is not None
    await world.client.execute("HSET", COUNTERS, "revoked|k1", "0")
    service.forget_key("k1")
    with pytest.raises(AuthenticationError):
        await service.admit(world.ask(1000))


async def test_what_is_lent_while_a_key_is_forgotten_goes_back(
    world: Any, slow_lending: Callable[[], asyncio.Event]
) -> None:
    service = await world.service(leases=SLOW)
    await service.release(await service.admit(world.ask(1)))
    go_on = slow_lending()
    while not world.lines[0].calls["lease"]:
        await ask_and_release(world, service)
    await world.client.execute("HSET", COUNTERS, "revoked|k1", "0")
    service.forget_key("k1")
    go_on.set()
    await asyncio.sleep(0)
    await asyncio.sleep(0.01)
    with pytest.raises(AuthenticationError):
        await service.admit(world.ask(1000))
    await world.settled(0, service)


async def test_a_budget_lowered_meanwhile_counts_at_once(world: Any) -> None:
    one, two = await world.service(leases=SLOW), await world.service(leases=SLOW)
    (grant,) = await world.leased(one, DOLLAR // 100)
    await one.settle(grant, DOLLAR // 100, 0, b"{}")
    for grant in await world.leased(two, DOLLAR // 100, 3):
        await two.settle(grant, DOLLAR // 100, 0, b"{}")
    world.ledger.set = [BudgetOverride("workspace", "growth", "day", DOLLAR // 25)]
    for service in (one, two):
        service.forget("acme")
        with pytest.raises(BudgetExceededError):
            await service.admit(world.ask(1))
    await world.settled(DOLLAR // 25, one, two)


async def test_a_fallback_takes_the_place_of_a_share(world: Any) -> None:
    service = await world.service(
        limits={"concurrency": [{"scope": "key", "limit": 1000}]}, waiting={"seconds": 30}, leases=SLOW
    )
    (first,) = await world.leased(service, DOLLAR // 100)
    name = first.request_id
    async with asyncio.timeout(10):
        second = await service.admit(world.ask(9_900_000_000, request_id=name, count=False, instead_of=first))
    assert second.lease is None
    with pytest.raises(BudgetExceededError):
        await service.admit(world.ask(11 * DOLLAR, request_id=name, count=False, instead_of=second))
    await service.settle(second, 5, 0, b"{}")
    await service.settle(first, 5, 0, b"{}")  # too late: it has ended
    await service.stop()
    assert await world.standing() == (5, 5)
    assert await world.events() == [b"{}"]
    assert await open_slots(world) == 0


async def test_a_share_whose_fallback_is_refused_is_still_its_owners(world: Any) -> None:
    service = await world.service(leases=SLOW)
    (first,) = await world.leased(service, DOLLAR // 100)
    with pytest.raises(BudgetExceededError):
        await service.admit(
            world.ask(11 * DOLLAR, request_id=first.request_id, count=False, instead_of=first)
        )
    assert await service.grow(first, 1000)
    await service.settle(first, 77, 0, b"{}")
    await world.settled(77, service)
    assert await world.events() == [b"{}"]


async def test_a_request_asked_for_twice_has_one_hold(world: Any) -> None:
    service = await world.service(leases=SLOW)
    (first,) = await world.leased(service, 1000)
    again = await service.admit(world.ask(1000, request_id=first.request_id))
    await service.settle(first, 7, 0, b"{}")
    await service.settle(again, 9, 0, b"{}")
    await service.release(first)
    await world.settled(7, service)
    assert await world.events() == [b"{}"]


async def test_stopping_gives_everything_back(world: Any, slow_lending: Callable[[], asyncio.Event]) -> None:
    limits = {
        "rates": [{"scope": "key", "period": "day", "limit": 10_000}],
        "concurrency": [{"scope": "key", "limit": 1000}],
    }
    services = [await world.service(limits=limits, leases=SLOW) for _ in range(2)]
    made = 0
    for service in services:
        (grant,) = await world.leased(service, 1000)
        await service.settle(grant, 10, 0, b"{}")
    # While one of them asks for more.
    go_on = slow_lending()
    services[0]._states["acme"].compiled.clear()
    while world.lines[0].calls["lease"] < 2:
        await ask_and_release(world, services[0])
    asyncio.get_running_loop().call_later(0.02, go_on.set)
    assert await asyncio.gather(*(each.stop() for each in services)) == [0, 0]
    assert await world.standing() == (20, 20)
    assert await open_slots(world) == 0
    assert await world.client.execute("EXISTS", "slg:{acme}:holds", "slg:{acme}:due") == 0
    made = world._ids
    value = await world.client.execute("HGET", COUNTERS, "r|key|k1|86400000")
    assert int(value.split()[1]) == made


async def test_without_leases_every_request_asks(world: Any) -> None:
    service = await world.service(leases={"most": 0})
    for _ in range(3):
        grants = await asyncio.gather(*(service.admit(world.ask(1)) for _ in range(20)))
        assert not any(isinstance(each.lease, Lease) for each in grants)
        await asyncio.gather(*(service.release(each) for each in grants))
    assert world.lines[0].calls["lease"] == 0
    assert world.lines[0].calls["admit"] >= 60
