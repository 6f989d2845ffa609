import asyncio

import pytest

from sluicegate.caching.flights import Flights, Lead
from sluicegate.caching.types import CachedAnswer, CacheHit, CacheSlot

SLOT = CacheSlot("acme", "00")
ANSWER = CachedAnswer(b"{}", "m", "p", 0.0, 1, 1, 1)


async def follow(flights: Flights, count: int) -> list[asyncio.Task[CacheHit | Lead]]:
    tasks = [asyncio.create_task(flights.join(SLOT)) for _ in range(count)]
    await asyncio.sleep(0)
    return tasks


async def lead(flights: Flights) -> Lead:
    result = await flights.join(SLOT)
    assert isinstance(result, Lead)
    return result


async def test_followers_get_the_leaders_answer() -> None:
    flights = Flights(60, 100)
    leader = await lead(flights)
    tasks = await follow(flights, 3)
    assert leader.followers == 3
    with leader:
        leader.share(ANSWER)
    assert [await task for task in tasks] == [CacheHit(ANSWER, "coalesced")] * 3
    assert len(flights) == 0


async def test_other_slots_do_not_wait() -> None:
    flights = Flights(60, 100)
    await lead(flights)
    for other in (CacheSlot("other", "00"), CacheSlot("acme", "01")):
        assert isinstance(await flights.join(other), Lead)


async def test_a_failing_leader_hands_over_one_by_one() -> None:
    flights = Flights(60, 100)
    leader = await lead(flights)
    tasks = await follow(flights, 3)
    with pytest.raises(RuntimeError), leader:
        raise RuntimeError
    await asyncio.sleep(0)
    assert [task.done() for task in tasks] == [True, False, False]
    second = await tasks[0]
    assert isinstance(second, Lead)
    with second:
        second.share(ANSWER)
    assert await tasks[1] == await tasks[2] == CacheHit(ANSWER, "coalesced")


async def test_the_last_one_to_fail_leaves_nothing_behind() -> None:
    flights = Flights(60, 100)
    leader = await lead(flights)
    (task,) = await follow(flights, 1)
    leader.give_up()
    result = await task
    assert isinstance(result, Lead)
    result.give_up()
    assert len(flights) == 0


async def test_a_cancelled_leader_hands_over() -> None:
    flights = Flights(60, 100)

    async def run() -> None:
        with await lead(flights):
            await asyncio.sleep(60)

    leader = asyncio.create_task(run())
    await asyncio.sleep(0)
    (task,) = await follow(flights, 1)
    leader.cancel()
    assert isinstance(await task, Lead)


async def test_a_follower_cancelled_as_the_lead_arrives_hands_it_on() -> None:
    flights = Flights(60, 100)
    leader = await lead(flights)
    tasks = await follow(flights, 2)
    leader.give_up()
    tasks[0].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[0]
    assert isinstance(await asyncio.wait_for(tasks[1], 5), Lead)


async def test_cancelled_followers_are_passed_over() -> None:
    flights = Flights(60, 100)
    leader = await lead(flights)
    tasks = await follow(flights, 3)
    tasks[0].cancel()
    await asyncio.sleep(0)
    assert leader.followers == 2
    leader.give_up()
    assert isinstance(await asyncio.wait_for(tasks[1], 5), Lead)


async def test_dissolving_sends_everyone_their_own_way() -> None:
    flights = Flights(60, 100)
    leader = await lead(flights)
    tasks = await follow(flights, 3)
    leader.dissolve()
    assert all(isinstance(result, Lead) for result in await asyncio.gather(*tasks))
    assert len(flights) == 0


async def test_waiting_is_bounded_in_time_and_number() -> None:
    flights = Flights(0.01, 1)
    leader = await lead(flights)
    (task,) = await follow(flights, 1)
    assert isinstance(await flights.join(SLOT), Lead)
    assert isinstance(await task, Lead)
    assert leader.followers == 0
    leader.share(ANSWER)
    assert len(flights) == 0


async def test_a_lead_ends_once() -> None:
    flights = Flights(60, 100)
    leader = await lead(flights)
    leader.share(ANSWER)
    later = await lead(flights)
    leader.give_up()
    leader.share(ANSWER)
    assert len(flights) == 1
    later.give_up()
