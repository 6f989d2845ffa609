import pytest

from sluicegate.kernel.errors import DependencyUnavailableError


async def told(world):
    """What the bus was told, in order of places; all of it is done with."""
    deliveries = await world.bus.receive("ledger", 1000, 30, 0)
    await world.bus.ack("ledger", deliveries)
    return sorted((each.tenant, each.origin) for each in deliveries)


async def test_everything_is_told_and_stays_until_it_is_confirmed(world):
    places = [world.used(f"req_{n}") for n in range(25)]
    other = world.used("req_0", tenant="other")
    drainer = world.drainer()
    assert await drainer.drain() == 26
    assert await told(world) == [("acme", place) for place in places] + [("other", other)]
    assert world.waiting == 26
    assert await drainer.drain() == 0


async def test_a_drainer_goes_on_where_another_left_off(world):
    world.used("req_1")
    await world.drainer().drain()
    later = world.used("req_2")
    await told(world)
    assert await world.drainer().drain() == 1
    assert await told(world) == [("acme", later)]


async def test_two_drainers_share_the_work(world):
    first, second = world.drainer(), world.drainer()
    for n in range(4):
        world.used(f"a{n}")
        assert await first.drain() == 1
        world.used(f"b{n}")
        assert await second.drain() == 1
    assert len(await told(world)) == 8


async def test_one_tenants_flood_leaves_the_others_their_turn(world):
    for n in range(35):
        world.used(f"req_{n}")
    world.used("req_0", tenant="zulu")
    assert await world.drainer().drain_once() == world.policy.batch + 1


async def test_nothing_is_marked_that_the_bus_was_not_told(world):
    class Away:
        async def publish(self, messages):
            raise DependencyUnavailableError("disk full")

    world.used("req_1")
    drainer = world.drainer(bus=Away())
    with pytest.raises(DependencyUnavailableError):
        await drainer.drain()
    assert world.outbox.marks == {}
    assert await world.drainer().drain() == 1


async def test_what_stays_unconfirmed_for_too_long_is_told_again(world):
    place = world.used("req_1")
    drainer = world.drainer()
    await drainer.drain()
    await told(world)  # and lost: the bus's file is deleted, say
    for seconds in (10, 10):
        world.clock.advance(seconds)
        assert await drainer.drain() == 0
    world.clock.advance(10)
    await drainer.drain()
    await drainer.drain()
    assert await told(world) == [("acme", place)]


async def test_a_mark_ahead_of_the_outbox_holds_nothing_up_for_long(world):
    """Redis came back empty, with a clock behind the old one: new places are before the mark."""
    world.outbox.marks["acme"] = "999999-0"
    place = world.used("req_1")
    drainer = world.drainer()
    for _ in range(4):
        await drainer.drain()
        world.clock.advance(10)
    await drainer.drain()
    assert ("acme", place) in await told(world)


async def test_an_event_that_moves_on_is_not_stale(world):
    drainer = world.drainer()
    for n in range(10):
        place = world.used(f"req_{n}")
        assert await drainer.drain() == 1
        await told(world)
        await world.outbox.confirm("acme", [place])
        world.clock.advance(8)
    assert await drainer.drain() == 0
