"""Takes events from the outbox to the ledger: at least once delivered, applied once.

Every instance may run one; they may take the same events, for applying one twice changes nothing. An event
leaves the outbox only when the ledger, or the place for unusable events, has it on disk.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import DependencyUnavailableError
from sluicegate.kernel.events import USAGE_RECORDED, Event
from sluicegate.ledger.decoding import UnusableEventError, decode_event, decode_usage
from sluicegate.ledger.ports import DeadEvent, EventStore, Outbox, UsageStore
from sluicegate.ledger.usage import UsageRow

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ConsumerCounts:
    """What a consumer did since it started, for metrics."""

    rows: int = 0
    duplicates: int = 0
    events: int = 0
    dead: int = 0
    failures: int = 0


class OutboxConsumer:
    """Drains the outboxes of all tenants.

    Args:
        tenants: whose outboxes there are.
        heard: told of each event that is not usage (a budget threshold), once it is stored and only
            the first time; None for nobody.
        batch: events taken at once.
        idle_s: seconds between rounds while there is nothing to do.
    """

    def __init__(
        self, outbox: Outbox, usage: UsageStore, events: EventStore,
        tenants: Callable[[], Awaitable[Sequence[str]]], clock: Clock, *,
        heard: Callable[[Event], None] | None = None, batch: int = 256, idle_s: float = 0.25,
    ) -> None:  # fmt: skip
        self._outbox = outbox
        self._usage = usage
        self._events = events
        self._tenants = tenants
        self._clock = clock
        self._heard = heard
        self._batch = batch
        self._idle_s = idle_s
        self._task: asyncio.Task[None] | None = None
        self.counts = ConsumerCounts()

    def start(self) -> None:
        """Drain in the background until `stop`."""
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="ledger-consumer")

    async def stop(self) -> None:
        """Stop draining. What was not taken waits in the outbox."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def drain(self) -> int:
        """Take every tenant's waiting events; the number taken.

        Raises:
            DependencyUnavailableError: the outbox or the ledger is away; nothing is lost.
        """
        taken = 0
        for tenant in await self._tenants():
            while count := await self.drain_batch(tenant):
                taken += count
                if count < self._batch:
                    break
        return taken

    async def drain_batch(self, tenant: str) -> int:
        """Take up to one batch of `tenant`'s events; the number taken."""
        pending = await self._outbox.pending(tenant, self._batch)
        if not pending:
            return 0
        rows: list[UsageRow] = []
        others: list[Event] = []
        for entry, body in pending:
            try:
                event = decode_event(body, tenant)
                if event.type == USAGE_RECORDED:
                    rows.append(decode_usage(event))
                else:
                    others.append(event)
            except UnusableEventError as error:
                await self._set_aside(tenant, entry, str(error), body)
        if rows:
            added = await self._usage.append(rows)
            self.counts.rows += added
            self.counts.duplicates += len(rows) - added
        for event in others:
            # One by one: who listens is told of exactly those that were new.
            if await self._events.record([event]):
                self.counts.events += 1
                if self._heard is not None:
                    self._heard(event)
        await self._outbox.confirm(tenant, [entry for entry, _ in pending])
        return len(pending)

    async def _set_aside(self, tenant: str, entry: str, reason: str, body: bytes) -> None:
        self.counts.dead += 1
        _log.error("usage event %s of %s cannot be applied and is set aside: %s", entry, tenant, reason)
        await self._events.set_aside(DeadEvent(tenant, entry, self._clock.now(), reason, body))

    async def _run(self) -> None:
        wait_s = self._idle_s
        while True:
            try:
                taken = await self.drain()
                wait_s = self._idle_s
                if taken:
                    continue
            except DependencyUnavailableError as error:
                self.counts.failures += 1
                _log.warning("usage events wait in the outbox: %s", error.message)
                wait_s = min(wait_s * 2, 10.0)
            except Exception:  # noqa: BLE001 - a bug must not end the task that keeps the ledger
                # Whatever it was, the events are still in the outbox: say so and try again.
                self.counts.failures += 1
                _log.exception("usage events wait in the outbox")
                wait_s = min(wait_s * 2, 10.0)
            await asyncio.sleep(wait_s)
