import pytest

from sluicegate.adapters.local.bus import SqliteEventBus
from sluicegate.adapters.local.bus_schema import BUS_MIGRATIONS
from sluicegate.adapters.local.dead_letters import SqliteDeadLetterStore
from sluicegate.adapters.local.events import SqliteEventStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.local.usage_rows import SqliteUsageStore
from sluicegate.events.dispatcher import Dispatcher
from sluicegate.events.drainer import OutboxDrainer
from sluicegate.events.policy import DeliveryPolicy
from sluicegate.events.service import EventService
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import DependencyUnavailableError
from sluicegate.kernel.events import USAGE_RECORDED, Event
from sluicegate.ledger.consumer import LedgerConsumer


class MemoryOutbox:
    """`events.ports.Outbox` that lives as long as the test, as Redis outlives its clients."""

    def __init__(self):
        self.streams = {}
        self.marks = {}
        self.numbers = iter(range(10, 100_000))
        self.confirmable = True

    def put(self, tenant, body):
        place = f"{next(self.numbers):06d}-0"
        self.streams.setdefault(tenant, {})[place] = body
        return place

    async def tenants(self):
        return sorted(self.streams)

    async def pending(self, tenant, count, after):
        places = self.streams.get(tenant, {})
        return [(place, body) for place, body in places.items() if after is None or place > after][:count]

    async def published(self, tenant):
        return self.marks.get(tenant)

    async def mark_published(self, tenant, place):
        self.marks[tenant] = place

    async def confirm(self, tenant, places):
        if not self.confirmable:
            raise DependencyUnavailableError("redis away")
        for place in places:
            self.streams[tenant].pop(place, None)


class World:
    """An outbox, a bus and a ledger that outlive the processes working on them."""

    def __init__(self, path):
        self.clock = FixedClock()
        self.outbox = MemoryOutbox()
        self.ledger_file = Database(path / "sluicegate.db")
        self.bus_file = Database(path / "bus.db", migrations=BUS_MIGRATIONS)
        self.usage = SqliteUsageStore(self.ledger_file)
        self.events = SqliteEventStore(self.ledger_file)
        self.letters = SqliteDeadLetterStore(self.bus_file, self.clock)
        self.policy = DeliveryPolicy(batch=10, lease_s=30, stale_s=15)
        self.bus = self.new_bus()

    def new_bus(self):
        return SqliteEventBus(self.bus_file, ("ledger",), self.clock)

    def drainer(self, bus=None, outbox=None):
        return OutboxDrainer(
            outbox or self.outbox, bus or self.bus, self.clock, batch=self.policy.batch,
            stale_s=self.policy.stale_s,
        )  # fmt: skip

    def dispatcher(self, handler, *, bus=None, confirm=None, group="ledger"):
        return Dispatcher(bus or self.bus, group, handler, self.policy, confirm=confirm, chance=lambda: 1.0)

    def service(self, *, bus=None, outbox=None, handler=None):
        """A process, whole: it may be given parts that fail."""
        drainer = self.drainer(bus, outbox)
        handler = handler or LedgerConsumer(self.usage, self.events)
        dispatcher = self.dispatcher(handler, bus=bus, confirm=drainer.confirm)
        return EventService(bus or self.bus, [dispatcher], drainer, idle_s=0.001)

    def used(self, request_id, cost=100, tenant="acme", **data):
        event = Event(
            request_id, "/g", USAGE_RECORDED, 5.0, tenant, request_id,
            {"request_id": request_id, "cost_nano": cost, **data},
        )  # fmt: skip
        return self.outbox.put(tenant, event.to_json())

    async def spent(self, tenant="acme"):
        return (await self.usage.spent(tenant, "tenant", tenant, 0, 100))[0]

    async def dead(self):
        return await self.letters.list(group=None, tenant=None, limit=100, after=None)

    @property
    def waiting(self):
        return sum(len(stream) for stream in self.outbox.streams.values())


@pytest.fixture
async def world(tmp_path):
    world = World(tmp_path)
    yield world
    await world.ledger_file.close()
    await world.bus_file.close()
