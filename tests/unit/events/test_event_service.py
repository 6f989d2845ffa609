import asyncio
import itertools

from sluicegate.kernel.errors import DependencyUnavailableError
from sluicegate.kernel.events import BUDGET_THRESHOLD, Event
from sluicegate.ledger.consumer import LedgerConsumer


class Killed(BaseException):
    """The process ends here."""


class Deadly:
    """A part of which every call, before or after it took effect, may be the process's last."""

    def __init__(self, part, fuse):
        self._part = part
        self._fuse = fuse

    def __getattr__(self, name):
        attribute = getattr(self._part, name)
        if not asyncio.iscoroutinefunction(attribute):
            return attribute

        async def call(*args, **options):
            self._fuse()
            result = await attribute(*args, **options)
            self._fuse()
            return result

        return call


def fuse_of(count):
    steps = itertools.count()

    def fuse():
        if next(steps) == count:
            raise Killed

    return fuse


async def test_ended_between_any_two_steps_nothing_is_lost_and_nothing_counted_twice(world):
    """Every operation on outbox, bus and ledger in turn is the last one of a process; another takes over."""
    requests, survived = 0, False
    for step in itertools.count():
        for _ in range(12):
            world.used(f"req_{requests}", cost=1)
            requests += 1
        world.outbox.put("acme", b"poison")
        fuse = fuse_of(step)
        bus = world.new_bus()
        handler = LedgerConsumer(Deadly(world.usage, fuse), Deadly(world.events, fuse))
        doomed = world.service(bus=Deadly(bus, fuse), outbox=Deadly(world.outbox, fuse), handler=handler)
        try:
            await doomed.drain()
            survived = True
        except Killed:
            # A process that is gone: what it had comes to the next one when its lease is over.
            world.clock.advance(world.policy.lease_s + 1)
        successor = world.service(bus=world.new_bus())
        for _ in range(3):  # what was told and lost on the way is told again
            await successor.drain()
            world.clock.advance(world.policy.stale_s)
        await successor.drain()
        assert await world.spent() == requests, f"after an end at step {step}"
        assert world.waiting == 0, f"after an end at step {step}"
        if survived:
            break
    assert step > 20
    assert {letter.reason for letter in await world.dead()} == {"not JSON"}
    assert len(await world.dead()) >= step


async def test_everything_goes_all_the_way(world):
    for n in range(25):
        world.used(f"req_{n}")
        world.used(f"req_{n}", tenant="other", cost=1)
    event = Event("b1", "/a", BUDGET_THRESHOLD, 5.0, "acme", "workspace/growth/day", {"percent": 80})
    world.outbox.put("acme", event.to_json())
    await world.service().drain()
    assert (await world.spent(), await world.spent("other"), world.waiting) == (2500, 25, 0)
    assert list(await world.events.events("acme")) == [event]


async def test_nothing_leaves_the_outbox_while_the_ledger_is_away(world):
    class Away:
        async def handle(self, events):
            raise DependencyUnavailableError("disk full")

    world.used("req_1")
    world.outbox.put("acme", b"poison")
    for _ in range(3):
        try:
            await world.service(handler=Away()).drain()
        except DependencyUnavailableError:
            continue
    assert (world.waiting, await world.spent()) == (2, 0)
    await world.service().drain()
    assert (world.waiting, await world.spent()) == (0, 100)


async def test_redelivery_after_a_lost_confirmation_changes_nothing(world):
    world.used("req_1")
    world.outbox.confirmable = False
    for _ in range(3):
        try:
            await world.service().drain()
        except DependencyUnavailableError:
            continue
    world.outbox.confirmable = True
    await world.service().drain()
    assert (await world.spent(), world.waiting, await world.dead()) == (100, 0, [])


async def test_several_at_once_book_everything_once(world):
    for n in range(60):
        world.used(f"req_{n}")
    await asyncio.gather(*(world.service(bus=world.new_bus()).drain() for _ in range(4)))
    assert (await world.spent(), world.waiting) == (6000, 0)


async def test_in_the_background_it_goes_on_after_whatever_happens(world):
    errors = [DependencyUnavailableError("away"), RuntimeError("bug")]
    tenants = world.outbox.tenants

    async def flaky():
        if errors:
            raise errors.pop()
        return await tenants()

    world.outbox.tenants = flaky
    world.used("req_1")
    service = world.service()
    service.start()
    service.start()
    async with asyncio.timeout(10):
        while world.waiting:  # noqa: ASYNC110 - the outbox is polled by design
            await asyncio.sleep(0.001)
    await service.stop()
    assert await world.spent() == 100
    assert service.failures == 2
    world.used("req_2")
    await asyncio.sleep(0.01)
    assert world.waiting == 1


async def test_what_comes_first_is_tried_until_it_succeeds(world):
    tries = []

    async def first():
        tries.append(1)
        if len(tries) < 2:
            raise DependencyUnavailableError("not yet")

    world.used("req_1")
    service = world.service()
    service._first = first
    service.start()
    async with asyncio.timeout(10):
        while world.waiting:  # noqa: ASYNC110 - the outbox is polled by design
            await asyncio.sleep(0.005)
    await service.stop()
    assert len(tries) >= 2
