"""Retention: deletes payloads that are older than the tenant's plan keeps them. Leaves, and so proofs, stay.

Before packs are deleted an entry says which: one that is missing without such an entry is a fault.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256

from sluicegate.audit.entry import day_of
from sluicegate.audit.log_reader import list_packs
from sluicegate.audit.packs import pack_name
from sluicegate.audit.policy import AuditPolicy
from sluicegate.audit.ports import BlobStore, EntryIndex, PackRow, Plans
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.events import Event, EventPublisher
from sluicegate.kernel.governed import governed_action

ACTION = "audit.expired"
SOURCE = "/sluicegate/audit"

_DAY_MS = 86_400_000
# So many names fit into a leaf, which an outside verifier can read.
_PACKS_PER_ENTRY = 500


@dataclass(frozen=True, slots=True)
class Expired:
    """What was deleted of one tenant and day."""

    tenant: str
    day: str
    packs: int
    entries: int


class Retention:
    """Deletes what is past its time."""

    def __init__(
        self,
        blobs: BlobStore,
        index: EntryIndex,
        plans: Plans,
        events: EventPublisher,
        policy: AuditPolicy,
        clock: Clock,
    ) -> None:
        self._blobs = blobs
        self._index = index
        self._plans = plans
        self._events = events
        self._policy = policy
        self._clock = clock

    async def run(self) -> Sequence[Expired]:
        """Delete every tenant's packs of days that are past; doing it again changes nothing.

        Raises:
            DependencyUnavailableError: a store or the bus is away; to be run again.
        """
        expired: list[Expired] = []
        for tenant in await self._index.tenants():
            days = self._policy.retention_days.days(tenant, await self._plans.plan(tenant))
            # A day is past when its last moment is.
            oldest_kept = day_of(max(0, int(self._clock.now() * 1000) - days * _DAY_MS))
            past: dict[str, list[PackRow]] = defaultdict(list)
            for pack in await list_packs(self._blobs, tenant):
                if pack.day < oldest_kept:
                    past[pack.day].append(pack)
            expired += [await self._expire(tenant, day, packs, days) for day, packs in sorted(past.items())]
        return expired

    async def _expire(self, tenant: str, day: str, packs: Sequence[PackRow], days: int) -> Expired:
        ordered = sorted(packs, key=lambda pack: pack.first)
        for at in range(0, len(ordered), _PACKS_PER_ENTRY):
            some = ordered[at : at + _PACKS_PER_ENTRY]
            await self._events.publish([self._event(tenant, day, some, days)])
            await self._blobs.delete([pack_name(pack) for pack in some])
            await self._index.drop_packs(some)
        return Expired(tenant, day, len(ordered), sum(pack.count for pack in ordered))

    def _event(self, tenant: str, day: str, packs: Sequence[PackRow], days: int) -> Event:
        names = [f"{pack.first}-{pack.count}" for pack in packs]
        # The same deletion, begun again after a crash, is the same event.
        digest = sha256("\n".join((tenant, day, *names)).encode()).hexdigest()[:32]
        return governed_action(
            tenant,
            ACTION,
            source=SOURCE,
            at=self._clock.now(),
            payload={
                "tenant": tenant,
                "day": day,
                "packs": names,
                "entries": sum(pack.count for pack in packs),
                "retention_days": days,
            },
            payload_class="public",
            event_id=f"expired:{digest}",
        )
