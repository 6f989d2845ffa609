"""From the outboxes to the bus: at least once.

An event stays in its outbox until the ledger has it, so that whoever asks whether the ledger knows all that
was spent (recovery after a loss of Redis) only has to look whether the outbox is empty. What was told to the
bus already is remembered by a mark beside the outbox; the mark saves work and is never trusted: what lies
behind it unconfirmed for too long is told again.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from sluicegate.events.ports import Delivery, EventBus, Message, Outbox
from sluicegate.kernel.clock import Clock


@dataclass(slots=True)
class _Progress:
    """A tenant's outbox as one drainer knows it. `oldest` was its first event at `seen_at`."""

    place: str | None = None
    oldest: str | None = None
    seen_at: float = 0.0


class OutboxDrainer:
    """Tells the bus what the outboxes of all tenants hold. Several may run at once: events come twice then.

    Args:
        batch: events told at once.
        stale_s: seconds after which an event that was told, and is not confirmed, is told again.
    """

    def __init__(
        self, outbox: Outbox, bus: EventBus, clock: Clock, *, batch: int = 500, stale_s: float = 15.0
    ) -> None:
        self._outbox = outbox
        self._bus = bus
        self._clock = clock
        self._batch = batch
        self._stale_s = stale_s
        self._progress: dict[str, _Progress] = {}
        self._looked_at = clock.monotonic()
        self.told = 0

    async def drain(self) -> int:
        """Tell the bus all that waits; the number of events told.

        Raises:
            DependencyUnavailableError: the outbox or the bus is away; nothing is lost.
        """
        told = 0
        while count := await self.drain_once():
            told += count
        return told

    async def drain_once(self) -> int:
        """Tell the bus up to one batch of each tenant's events; the number of events told."""
        tenants = await self._outbox.tenants()
        told = 0
        for tenant in tenants:
            told += await self._tell(tenant, self._progress.setdefault(tenant, _Progress()))
        now = self._clock.monotonic()
        if now - self._looked_at >= self._stale_s / 2:
            self._looked_at = now
            for tenant in tenants:
                await self._look_for_stale(tenant, self._progress[tenant], now)
        self.told += told
        return told

    async def confirm(self, deliveries: Sequence[Delivery]) -> None:
        """Take events that are safe in the ledger out of their outboxes."""
        places: dict[str, list[str]] = {}
        for delivery in deliveries:
            if delivery.origin is not None:
                places.setdefault(delivery.tenant, []).append(delivery.origin)
        await asyncio.gather(*(self._outbox.confirm(tenant, each) for tenant, each in places.items()))

    async def _tell(self, tenant: str, progress: _Progress) -> int:
        entries = await self._outbox.pending(tenant, self._batch, progress.place)
        if not entries:
            return 0
        marked = await self._outbox.published(tenant)
        if marked is not None and marked != progress.place:
            # Another drainer was here. Should it be behind, some events are told twice.
            progress.place = marked
            entries = await self._outbox.pending(tenant, self._batch, marked)
            if not entries:
                return 0
        await self._bus.publish([Message(tenant, body, place) for place, body in entries])
        progress.place = entries[-1][0]
        await self._outbox.mark_published(tenant, progress.place)
        return len(entries)

    async def _look_for_stale(self, tenant: str, progress: _Progress, now: float) -> None:
        """Begin anew where the same event has been the oldest for too long.

        Its way was lost: a bus that was deleted, a mark that is ahead because Redis' clock went back. Should
        its consumer just be slow, the event comes to it once more, which changes nothing.
        """
        first = await self._outbox.pending(tenant, 1, None)
        oldest = first[0][0] if first else None
        if oldest is None or oldest != progress.oldest:
            progress.oldest, progress.seen_at = oldest, now
        elif now - progress.seen_at >= self._stale_s:
            progress.seen_at = now
            progress.place = None
            await self._outbox.mark_published(tenant, None)
