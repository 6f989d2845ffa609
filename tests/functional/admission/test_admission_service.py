"""The admission service on a real Redis: decisions, waiting, faults."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.admission.types import Subject
from sluicegate.kernel.errors import (
    AuthenticationError,
    BudgetContendedError,
    BudgetExceededError,
    DependencyUnavailableError,
    RateLimitedError,
)

DOLLAR = 1_000_000_000
SUBJECT = Subject(tenant="acme", workspace="growth", user="ann", key="k1", model="m1")


async def until(check: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(20):
        while not await check():  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.02)


async def test_a_request_from_hold_to_event(world: Any) -> None:
    service = await world.service(
        limits={
            "rates": [{"scope": "key", "period": "hour", "limit": 100}],
            "tokens": [{"scope": "tool", "name": "llm", "period": "day", "limit": 1000}],
        }
    )
    subject = replace(SUBJECT, tools=("llm",))
    grant = await service.admit(world.ask(DOLLAR, subject=subject, tokens=300))
    assert (grant.held_nano, grant.held_tokens, grant.remaining_nano) == (DOLLAR, 300, 9 * DOLLAR)
    assert (grant.requests.limit, grant.requests.remaining) == (100, 99)
    assert (grant.tokens.limit, grant.tokens.remaining) == (1000, 700)
    assert service.open_grants == 1
    assert await service.grow(grant, DOLLAR, 100)
    assert (grant.held_nano, grant.held_tokens) == (2 * DOLLAR, 400)
    await service.settle(grant, 77, 50, b"{}")
    assert await world.standing() == (77, 77)
    assert await world.events() == [b"{}"]
    assert service.open_grants == 0
    state = {each.unit: each for each in await service.overview(subject)}
    assert (state["nano_usd"].settled, state["nano_usd"].held) == (77, 0)
    assert (state["tokens"].settled, state["tokens"].remaining) == (50, 950)


async def test_exhausted_budget_says_which_and_until_when(world: Any) -> None:
    service = await world.service()
    with pytest.raises(BudgetExceededError) as caught:
        await service.admit(world.ask(10 * DOLLAR + 1))
    assert caught.value.details["scope"] == "workspace"
    assert caught.value.details["limit_usd"] == "10"
    assert 0 < caught.value.retry_after <= 25 * 3600


async def test_clamped_between_floor_and_want(world: Any) -> None:
    service = await world.service()
    first = await service.admit(world.ask(8 * DOLLAR))
    second = await service.admit(world.ask(8 * DOLLAR, DOLLAR))
    assert second.held_nano == 2 * DOLLAR
    with pytest.raises(BudgetContendedError):
        await service.admit(world.ask(DOLLAR))
    await service.release(first)
    assert (await service.admit(world.ask(DOLLAR))).remaining_nano == 7 * DOLLAR


async def test_limits_on_one_request(world: Any) -> None:
    service = await world.service(budgets=[{"scope": "key", "period": "request", "limit_usd": 2}])
    grant = await service.admit(world.ask(5 * DOLLAR, DOLLAR))
    assert (grant.held_nano, grant.remaining_nano) == (2 * DOLLAR, None)
    assert not await service.grow(grant, 1)
    grant = await service.admit(world.ask(5 * DOLLAR, 1, max_cost_nano=DOLLAR))
    assert grant.held_nano == DOLLAR
    with pytest.raises(BudgetExceededError, match="own limit"):
        await service.admit(world.ask(5 * DOLLAR, DOLLAR + 1, max_cost_nano=DOLLAR))
    with pytest.raises(BudgetExceededError, match="one request"):
        await service.admit(world.ask(5 * DOLLAR))


async def test_same_request_twice_shares_a_hold_but_a_fallback_does_not(world: Any) -> None:
    service = await world.service()
    first = await service.admit(world.ask(DOLLAR, request_id="r"))
    again = await service.admit(world.ask(DOLLAR, request_id="r"))
    assert (await world.standing())[0] == DOLLAR
    fallback = await service.admit(world.ask(DOLLAR, request_id="r", count=False))
    assert (await world.standing())[0] == 2 * DOLLAR
    await service.release(first)
    await service.settle(again, 5, 0, b"")
    await service.settle(fallback, 7, 0, b"")
    assert await world.standing() == (7, 7)


async def test_a_fallback_does_not_stand_in_its_own_way(world: Any) -> None:
    service = await world.service(
        limits={"concurrency": [{"scope": "key", "limit": 1}]}, waiting={"seconds": 30}
    )
    first = await service.admit(world.ask(8 * DOLLAR, request_id="r"))
    async with asyncio.timeout(10):  # it does not wait for itself either
        second = await service.admit(world.ask(9 * DOLLAR, request_id="r", count=False, instead_of=first))
    assert await world.standing() == (9 * DOLLAR, 0)
    assert (service.open_grants, second.remaining_nano) == (1, DOLLAR)
    with pytest.raises(BudgetExceededError):
        await service.admit(world.ask(11 * DOLLAR, request_id="r", count=False, instead_of=second))
    assert service.open_grants == 1
    assert await service.grow(second, 1)
    await service.settle(second, 5, 0, b"{}")
    await service.settle(first, 5, 0, b"{}")  # too late: it has ended
    assert await world.standing() == (5, 5)
    assert await world.events() == [b"{}"]


async def test_a_fallback_wakes_those_who_wait_for_what_it_gave_back(world: Any) -> None:
    service = await world.service(waiting={"seconds": 30})
    first = await service.admit(world.ask(9 * DOLLAR, request_id="r"))
    waiting = asyncio.create_task(service.admit(world.ask(6 * DOLLAR)))
    await asyncio.sleep(0.05)
    # It stands before them: they wait for its hold.
    await service.admit(world.ask(4 * DOLLAR, request_id="r", count=False, instead_of=first))
    assert (await waiting).held_nano == 6 * DOLLAR


async def test_a_fallback_across_a_flush_leaves_one_hold(world: Any) -> None:
    service = await world.service()
    first = await service.admit(world.ask(8 * DOLLAR, request_id="r"))
    await world.client.execute("FLUSHALL")
    second = await service.admit(world.ask(9 * DOLLAR, request_id="r", count=False, instead_of=first))
    assert await world.standing() == (9 * DOLLAR, 0)
    await world.client.execute("FLUSHALL")
    assert await service.grow(second, 1)
    assert await world.standing() == (9 * DOLLAR + 1, 0)
    await service.settle(second, 5, 0, b"{}")
    assert await world.standing() == (5, 5)
    assert service.open_grants == 0


@pytest.mark.parametrize("applied", [True, False])
async def test_a_fallback_whose_answer_is_lost_is_charged_once(
    world: Any, monkeypatch: pytest.MonkeyPatch, *, applied: bool
) -> None:
    service = await world.service(holds={"lifetime_s": 10})
    first = await service.admit(world.ask(2 * DOLLAR, request_id="r"))
    admit = RedisAdmissionStore.admit

    async def losing(*args: Any, **more: Any) -> Any:
        if applied:
            await admit(*args, **more)
        raise StoreUnavailable("the answer is lost", maybe_applied=True)

    with monkeypatch.context() as patched:
        patched.setattr(RedisAdmissionStore, "admit", losing)
        with pytest.raises(DependencyUnavailableError):
            await service.admit(world.ask(DOLLAR, request_id="r", count=False, instead_of=first))
    await service.settle(first, 7, 0, b"{}")

    async def settled() -> bool:
        return service.pending_settlements == 0 and await world.standing() == (7, 7)

    await until(settled)
    assert await world.events() == [b"{}"]
    assert await world.client.execute("EXISTS", "slg:{acme}:holds", "slg:{acme}:due") == 0


async def test_a_grant_knows_a_time_within_its_periods(world: Any) -> None:
    service = await world.service(budgets=[{"scope": "workspace", "period": "minute", "limit_usd": 1}])
    grant = await service.admit(world.ask(1))
    (counter,) = grant.counters.money
    assert counter.instance.start <= grant.at < counter.instance.end


async def test_contended_budget_is_waited_for_in_order(world: Any) -> None:
    service = await world.service(waiting={"seconds": 10})
    blocking = await service.admit(world.ask(10 * DOLLAR))
    order: list[int] = []

    async def wait_for(number: int) -> None:
        grant = await service.admit(world.ask(6 * DOLLAR))
        order.append(number)
        await service.settle(grant, 0, 0, b"")

    tasks = []
    for number in range(4):
        tasks.append(asyncio.create_task(wait_for(number)))
        await asyncio.sleep(0.01)
    # A small one must not overtake those that stand in line.
    small = asyncio.create_task(service.admit(world.ask(1)))
    await asyncio.sleep(0.05)
    assert order == []
    await service.settle(blocking, 0, 0, b"")
    await asyncio.gather(*tasks)
    assert order == [0, 1, 2, 3]
    await service.release(await small)
    assert await world.standing() == (0, 0)


async def test_waiting_hears_of_other_instances(world: Any) -> None:
    one, two = await world.service(waiting={"seconds": 10}), await world.service(waiting={"seconds": 10})
    blocking = await one.admit(world.ask(10 * DOLLAR))
    waiting = asyncio.create_task(two.admit(world.ask(DOLLAR)))
    await asyncio.sleep(0.05)
    await one.settle(blocking, 1, 0, b"")
    assert (await waiting).held_nano == DOLLAR


async def test_waiting_ends_when_the_budget_is_spent(world: Any) -> None:
    service = await world.service(waiting={"seconds": 10})
    blocking = await service.admit(world.ask(10 * DOLLAR))
    waiting = asyncio.create_task(service.admit(world.ask(DOLLAR)))
    await asyncio.sleep(0.05)
    await service.settle(blocking, 10 * DOLLAR, 0, b"")
    with pytest.raises(BudgetExceededError):
        await waiting


async def test_line_is_bounded(world: Any) -> None:
    service = await world.service(waiting={"seconds": 5, "length": 1})
    await service.admit(world.ask(10 * DOLLAR))
    waiting = asyncio.create_task(service.admit(world.ask(DOLLAR)))
    await asyncio.sleep(0.05)
    with pytest.raises(BudgetContendedError):
        await service.admit(world.ask(DOLLAR))
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)


async def test_cancelled_admission_leaves_no_hold(world: Any) -> None:
    service = await world.service()
    await service.release(await service.admit(world.ask(1)))
    for _ in range(20):
        task = asyncio.create_task(service.admit(world.ask(DOLLAR)))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    async def nothing_held() -> bool:
        return service.pending_settlements == 0 and await world.standing() == (0, 0)

    await until(nothing_held)


async def test_cancelled_settlement_still_settles(world: Any) -> None:
    service = await world.service()
    grant = await service.admit(world.ask(DOLLAR))
    task = asyncio.create_task(service.settle(grant, 5, 0, b"{}"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)

    async def settled() -> bool:
        return await world.standing() == (5, 5)

    await until(settled)
    assert await world.events() == [b"{}"]


async def test_revocation_and_rates(world: Any) -> None:
    service = await world.service(limits={"rates": [{"scope": "key", "period": "day", "limit": 2}]})
    await service.admit(world.ask(1))
    assert (await service.pass_through(world.ask(0), b"{}")).remaining == 0
    with pytest.raises(RateLimitedError) as caught:
        await service.pass_through(world.ask(0), b"{}")
    assert caught.value.retry_after > 0
    with pytest.raises(RateLimitedError):
        await service.admit(world.ask(1))
    await world.client.execute("HSET", "slg:{acme}:counters", "revoked|k1", "0")
    with pytest.raises(AuthenticationError):
        await service.admit(world.ask(1))
    with pytest.raises(AuthenticationError):
        await service.pass_through(world.ask(0), b"{}")


async def test_overrides_replace_the_policy(world: Any) -> None:
    service = await world.service()
    await service.release(await service.admit(world.ask(10 * DOLLAR)))
    world.ledger.set = [BudgetOverride("workspace", "growth", "day", DOLLAR)]
    service.forget("acme")
    with pytest.raises(BudgetExceededError):
        await service.admit(world.ask(2 * DOLLAR))
    (state,) = await service.overview(SUBJECT)
    assert state.limit == DOLLAR


async def test_starts_from_what_the_ledger_knows(world: Any) -> None:
    world.ledger.spent_nano[("workspace", "growth")] = 9 * DOLLAR
    world.ledger.revoked_keys = ["gone"]
    service = await world.service()
    grants = await asyncio.gather(*(service.admit(world.ask(DOLLAR, 1)) for _ in range(1)))
    assert grants[0].held_nano == DOLLAR
    assert world.ledger.reads == 2  # at once, and when events that were on their way have arrived
    with pytest.raises(AuthenticationError):
        await service.admit(world.ask(1, subject=replace(SUBJECT, key="gone")))


async def test_many_first_requests_read_the_ledger_once(world: Any) -> None:
    service = await world.service()
    await asyncio.gather(*(service.admit(world.ask(1)) for _ in range(50)))
    assert world.ledger.reads == 1
    assert await world.standing() == (50, 0)


async def test_flush_in_the_middle(world: Any) -> None:
    """Open holds are back before anything new is granted; no budget is overspent."""
    one, two = await world.service(waiting={"seconds": 3}), await world.service(waiting={"seconds": 3})
    first = await one.admit(world.ask(4 * DOLLAR))
    second = await two.admit(world.ask(4 * DOLLAR))
    spent = await two.admit(world.ask(DOLLAR))
    await two.settle(spent, DOLLAR, 0, b"")
    world.ledger.spent_nano[("workspace", "growth")] = DOLLAR
    await world.client.execute("FLUSHALL")
    third = await one.admit(world.ask(9 * DOLLAR, 1))
    assert third.held_nano == DOLLAR
    assert await world.standing() == (10 * DOLLAR, DOLLAR)
    await asyncio.gather(*(one.settle(each, 5, 0, b"{}") for each in (first, third)))
    await two.settle(second, 5, 0, b"{}")

    async def all_settled() -> bool:
        return await world.standing() == (DOLLAR + 15, DOLLAR + 15)

    await until(all_settled)
    assert len(await world.events()) == 3


async def test_newest_events_outlive_a_flush(world: Any) -> None:
    service = await world.service()
    await service.settle(await service.admit(world.ask(1)), 1, 0, b'{"id":1}')
    await service.pass_through(world.ask(0), b'{"id":2}')
    world.ledger.spent_nano[("workspace", "growth")] = 1
    await world.client.execute("FLUSHALL")

    async def told_again() -> bool:
        return sorted(await world.events()) == [b'{"id":1}', b'{"id":2}']

    await until(told_again)


async def test_stream_grows_across_a_flush(world: Any) -> None:
    service = await world.service()
    grant = await service.admit(world.ask(DOLLAR))
    await world.client.execute("FLUSHALL")
    assert await service.grow(grant, DOLLAR)
    await service.settle(grant, 3, 0, b"{}")

    async def settled() -> bool:
        return await world.standing() == (3, 3)

    await until(settled)


async def test_settlements_wait_for_redis(world: Any) -> None:
    service = await world.service()
    grants = [await service.admit(world.ask(1000)) for _ in range(5)]
    world.server.kill()
    for grant in grants:
        await service.settle(grant, 10, 0, b"{}")
    assert service.pending_settlements == 5
    with pytest.raises(DependencyUnavailableError) as caught:
        await service.admit(world.ask(1))
    assert caught.value.retry_after > 0
    world.server.start()

    async def settled() -> bool:
        return service.pending_settlements == 0

    await until(settled)
    assert await world.standing() == (50, 50)
    assert len(await world.events()) == 5
    await service.admit(world.ask(1))


async def test_open_budgets_go_on_without_redis_and_are_charged_later(world: Any) -> None:
    service = await world.service(
        budgets=[{"scope": "workspace", "period": "day", "limit_usd": 10, "on_unavailable": "open"}]
    )
    await service.release(await service.admit(world.ask(1)))
    world.server.kill()
    grant = await service.admit(world.ask(DOLLAR))
    assert grant.degraded
    assert await service.grow(grant, DOLLAR)
    await service.settle(grant, 42, 0, b'{"id":1}')
    assert await service.pass_through(world.ask(0), b'{"id":2}') is None
    world.server.start()

    async def charged() -> bool:
        return service.pending_settlements == 0

    await until(charged)
    assert await world.standing() == (42, 42)
    assert sorted(await world.events()) == [b'{"id":1}', b'{"id":2}']


async def test_restart_keeps_holds(world: Any) -> None:
    service = await world.service()
    grant = await service.admit(world.ask(DOLLAR))
    world.server.kill()
    world.server.start()

    async def settles() -> bool:
        await service.settle(grant, 7, 0, b"{}")
        return await world.standing() == (7, 7)

    await until(settles)
    assert await world.events() == [b"{}"]


async def test_stop_drains(world: Any) -> None:
    service = await world.service()
    grant = await service.admit(world.ask(DOLLAR))
    task = asyncio.create_task(service.settle(grant, 9, 0, b"{}"))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert service.pending_settlements == 1
    assert await service.stop(5) == 0
    assert await world.standing() == (9, 9)


async def test_never_over_the_limit_and_all_of_it_used(world: Any) -> None:
    services = [await world.service(waiting={"seconds": 5}) for _ in range(3)]
    await services[0].release(await services[0].admit(world.ask(1)))
    limit = 10 * DOLLAR
    over: list[int] = []
    done = asyncio.Event()
    used = 0

    async def watch() -> None:
        while not done.is_set():
            committed, settled = await world.standing()
            if committed > limit or settled > committed:
                over.append(committed)
            await asyncio.sleep(0.002)

    async def client(number: int) -> None:
        nonlocal used
        service = services[number % 3]
        for step in range(40):
            cost = 7_919 * (1 + (number * 31 + step * 17) % 5_000)
            try:
                grant = await service.admit(world.ask(cost * 4, 40_000_000))
            except BudgetExceededError:
                return
            await asyncio.sleep(0.001 * (step % 3))
            actual = min(cost, grant.held_nano)
            if step % 7 == 3:
                actual = 0
            await service.settle(grant, actual, 0, b"{}")
            used += actual

    watcher = asyncio.create_task(watch())
    await asyncio.gather(*(client(number) for number in range(48)))
    done.set()
    await watcher
    assert over == []
    assert await world.standing() == (used, used)
    assert used > limit * 99 // 100
