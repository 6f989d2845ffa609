import asyncio

import pytest

from sluicegate.adapters.local.events import SqliteEventStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import DependencyUnavailableError
from sluicegate.kernel.events import BUDGET_THRESHOLD, USAGE_RECORDED, Event
from sluicegate.ledger.consumer import OutboxConsumer
from sluicegate.ledger.ports import GroupBy


class MemoryOutbox:
    def __init__(self):
        self.streams = {}
        self.numbers = iter(range(1, 10_000))
        self.confirmable = True

    def put(self, tenant, body):
        self.streams.setdefault(tenant, {})[f"{next(self.numbers)}-0"] = body

    async def tenants(self):
        return sorted(self.streams)

    async def pending(self, tenant, count):
        return list(self.streams.get(tenant, {}).items())[:count]

    async def confirm(self, tenant, ids):
        if not self.confirmable:
            raise DependencyUnavailableError("redis away")
        for entry in ids:
            self.streams[tenant].pop(entry, None)


class World:
    def __init__(self, path):
        self.database = Database(path / "sluicegate.db")
        self.usage = SqliteUsageStore(self.database)
        self.events = SqliteEventStore(self.database)
        self.outbox = MemoryOutbox()
        self.heard = []
        self.consumer = self.new_consumer()

    def new_consumer(self, usage=None, **options):
        return OutboxConsumer(
            self.outbox, usage or self.usage, self.events, self.outbox.tenants, FixedClock(),
            heard=self.heard.append, **options,
        )  # fmt: skip

    def used(self, request_id, cost=100, tenant="acme", **data):
        event = Event(
            request_id, "/g", USAGE_RECORDED, 5.0, tenant, request_id,
            {"request_id": request_id, "cost_nano": cost, **data},
        )  # fmt: skip
        self.outbox.put(tenant, event.to_json())

    async def spent(self, tenant="acme"):
        return (await self.usage.spent(tenant, "tenant", tenant, 0, 100))[0]

    @property
    def waiting(self):
        return sum(len(stream) for stream in self.outbox.streams.values())


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path)
    yield world
    await world.database.close()


async def test_everything_waiting_reaches_the_ledger_and_leaves_the_outbox(world):
    for n in range(25):
        world.used(f"req_{n}")
        world.used(f"req_{n}", tenant="other", cost=1)
    assert await world.new_consumer(batch=10).drain() == 50
    assert (await world.spent(), await world.spent("other"), world.waiting) == (2500, 25, 0)


async def test_redelivery_after_a_lost_confirmation_changes_nothing(world):
    world.used("req_1")
    world.outbox.put(
        "acme", Event("b1", "/a", BUDGET_THRESHOLD, 5.0, "acme", None, {"percent": 80}).to_json()
    )
    world.outbox.confirmable = False
    for _ in range(3):
        with pytest.raises(DependencyUnavailableError):
            await world.consumer.drain()
    world.outbox.confirmable = True
    await world.consumer.drain()
    assert (await world.spent(), world.waiting) == (100, 0)
    assert [event.id for event in world.heard] == ["b1"]
    assert (world.consumer.counts.rows, world.consumer.counts.duplicates) == (1, 3)


async def test_nothing_leaves_the_outbox_while_the_ledger_is_away(world):
    class Away:
        async def append(self, rows):
            raise DependencyUnavailableError("disk full")

    world.used("req_1")
    world.outbox.put("acme", b"poison")
    with pytest.raises(DependencyUnavailableError):
        await world.new_consumer(usage=Away()).drain()
    assert world.waiting == 2
    await world.consumer.drain()
    assert (await world.spent(), world.waiting) == (100, 0)
    assert len(await world.events.dead("acme")) == 1


async def test_poison_is_kept_with_its_reason_and_holds_nothing_up(world):
    world.used("req_1")
    world.outbox.put("acme", b'{"poison')
    world.used("req_2", cost=-5)
    world.used("req_3", cost=7)
    await world.consumer.drain()
    assert (await world.spent(), world.waiting) == (107, 0)
    broken, negative = await world.events.dead("acme")
    assert (broken.body, broken.reason) == (b'{"poison', "not JSON")
    assert "cost_nano" in negative.reason
    assert world.consumer.counts.dead == 2


async def test_an_event_in_anothers_outbox_is_never_booked(world):
    world.outbox.put("acme", Event("x", "/g", USAGE_RECORDED, 5.0, "other", "x", {"cost_nano": 9}).to_json())
    await world.consumer.drain()
    assert await world.spent("other") == 0
    assert "another tenant" in (await world.events.dead("acme"))[0].reason


async def test_events_of_other_types_are_stored_and_told_once(world):
    event = Event("b1", "/a", BUDGET_THRESHOLD, 5.0, "acme", "workspace/growth/day", {"percent": 100})
    for _ in range(3):
        world.outbox.put("acme", event.to_json())
    await world.consumer.drain()
    assert list(await world.events.events("acme", BUDGET_THRESHOLD)) == [event]
    assert world.heard == [event]


async def test_several_consumers_at_once_book_everything_once(world):
    for n in range(60):
        world.used(f"req_{n}", model=f"m{n % 3}")
    consumers = [world.new_consumer(batch=7) for _ in range(4)]
    await asyncio.gather(*(consumer.drain() for consumer in consumers))
    lines = await world.usage.report("acme", GroupBy.MODEL, 0, 100)
    assert [(line.group, line.requests) for line in lines] == [("m0", 20), ("m1", 20), ("m2", 20)]
    assert sum(consumer.counts.rows for consumer in consumers) == 60


async def test_in_the_background_it_goes_on_after_whatever_happens(world):
    errors = [DependencyUnavailableError("away"), RuntimeError("bug")]
    tenants = world.outbox.tenants

    async def flaky():
        if errors:
            raise errors.pop()
        return await tenants()

    world.used("req_1")
    consumer = OutboxConsumer(world.outbox, world.usage, world.events, flaky, FixedClock(), idle_s=0.001)
    consumer.start()
    consumer.start()
    while world.waiting:  # noqa: ASYNC110 - the outbox is polled by design
        await asyncio.sleep(0.001)
    await consumer.stop()
    assert await world.spent() == 100
    assert consumer.counts.failures == 2
    world.used("req_2")
    await asyncio.sleep(0.01)
    assert world.waiting == 1
