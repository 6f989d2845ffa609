import asyncio

import pytest

from sluicegate.events.arrival import Arrival
from sluicegate.events.ports import Message
from sluicegate.kernel.errors import DependencyUnavailableError


async def take(world):
    return await world.bus.receive("ledger", 100, 30, 0)


async def test_it_waits_for_what_was_told_before_and_for_no_more(world):
    await world.bus.publish([Message("acme", b"1"), Message("acme", b"2")])
    waiting = asyncio.create_task(Arrival([world.bus], 10)())
    await asyncio.sleep(0.02)
    first, second = await take(world)
    await world.bus.publish([Message("acme", b"later")])
    await world.bus.ack("ledger", [first])
    await asyncio.sleep(0.1)
    assert not waiting.done()
    await world.bus.bury("ledger", second, "bad")
    async with asyncio.timeout(5):
        await waiting


async def test_one_that_is_to_be_tried_again_still_waits(world):
    await world.bus.publish([Message("acme", b"1")])
    [delivery] = await take(world)
    await world.bus.retry("ledger", delivery, "not now", 1000)
    with pytest.raises(DependencyUnavailableError, match="events groups"):
        await Arrival([world.bus], 0.1)()


async def test_who_only_watches_holds_nobody_up(world):
    await world.bus.subscribe("tail", expires_s=1000)
    await world.bus.publish([Message("acme", b"1")])
    await world.bus.ack("ledger", await take(world))
    await Arrival([world.bus], 1)()
