"""The event bus, who applies what comes over it, and the process that moves events."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from sluicegate.adapters.local.bus import SqliteEventBus
from sluicegate.adapters.local.bus_schema import BUS_MIGRATIONS
from sluicegate.adapters.local.dead_letters import SqliteDeadLetterStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.outbox import RedisOutbox
from sluicegate.events.arrival import Arrival
from sluicegate.events.dead_letters import DeadLetters
from sluicegate.events.dispatcher import Dispatcher
from sluicegate.events.drainer import OutboxDrainer
from sluicegate.events.policy import DeliveryPolicy
from sluicegate.events.publisher import BusPublisher
from sluicegate.events.service import EventService
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.events import EventHandler
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.ledger.consumer import GROUP as LEDGER
from sluicegate.ledger.consumer import LedgerConsumer
from sluicegate.wiring.places import BUS_NAME
from sluicegate.wiring.stores import Documents, event_store, usage_store

AUDIT = "audit"
GROUPS = (LEDGER, AUDIT)
"""Everybody who gets every event, from the first one that is published in a data folder."""


@dataclass(frozen=True, slots=True)
class Bus:
    """The bus of a data folder."""

    database: Database
    bus: SqliteEventBus
    publisher: BusPublisher
    letter_store: SqliteDeadLetterStore
    dead_letters: DeadLetters


def event_bus(data: Path, clock: Clock) -> Bus:
    """The bus of the folder `data`. Opens on first use; `database` is to be closed."""
    database = Database(data / BUS_NAME, migrations=BUS_MIGRATIONS)
    bus = SqliteEventBus(database, GROUPS, clock)
    letters = SqliteDeadLetterStore(database, clock)
    return Bus(database, bus, BusPublisher(bus), letters, DeadLetters(letters))


@asynccontextmanager
async def open_bus(data: Path, clock: Clock) -> AsyncIterator[Bus]:
    """The bus of the folder `data`, open until the end."""
    bus = event_bus(data, clock)
    try:
        yield bus
    finally:
        await bus.database.close()


def arrival(bus: Bus, redis: RedisClient | None) -> Arrival:
    """Waits until what was told before is applied everywhere."""
    return Arrival((bus.bus,) if redis is None else (RedisOutbox(redis), bus.bus))


def event_service(
    bus: Bus,
    database: Documents,
    redis: RedisClient | None,
    policies: PolicySet,
    clock: Clock,
    *,
    audit: EventHandler | None = None,
    audit_batch: int | None = None,
) -> EventService:
    """What takes events from the outboxes in `redis` to the bus, and from the bus to all who apply them.

    Without `audit`, the transparency log's consumer, its events wait on the bus for a process that has it.
    It takes `audit_batch` events at once: an integration costs the same for one as for many.
    """
    policy = policies.load("events", DeliveryPolicy)
    drainer = None
    if redis is not None:
        outbox = RedisOutbox(redis)
        drainer = OutboxDrainer(outbox, bus.bus, clock, batch=policy.batch, stale_s=policy.stale_s)
    dispatchers = [
        Dispatcher(
            bus.bus,
            group,
            handler,
            policy,
            batch=audit_batch if group == AUDIT else None,
            # The outbox empties as the ledger fills: recovery of the counters relies on it.
            confirm=drainer.confirm if drainer is not None and group == LEDGER else None,
        )
        for group, handler in _handlers(database, audit).items()
    ]

    async def adopt() -> None:
        if isinstance(database, Database):
            await bus.letter_store.adopt(database, LEDGER)

    return EventService(bus.bus, dispatchers, drainer, first=adopt)


def _handlers(database: Documents, audit: EventHandler | None) -> Mapping[str, EventHandler]:
    """Who applies events, by consumer group. Each group here is in GROUPS."""
    ledger: EventHandler = LedgerConsumer(usage_store(database), event_store(database))
    return {LEDGER: ledger} if audit is None else {LEDGER: ledger, AUDIT: audit}
