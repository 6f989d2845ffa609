"""Erasure: makes what is known of a person or a tenant unreadable, and leaves every proof standing.

The key is destroyed first: from then on nothing in the log opens, and what is still on its way and older than
the erasure arrives without its private part. Once all that was on its way has arrived, every other store
forgets. The log says that it was done.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sluicegate.audit.keyring import Keyring
from sluicegate.audit.ports import PersonalData
from sluicegate.audit.retention import SOURCE
from sluicegate.audit.sealing import one_off_pseudonym
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.events import EventPublisher
from sluicegate.kernel.governed import governed_action

ACTION = "audit.erased"

Arrived = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Erased:
    """What an erasure did.

    Attributes:
        pseudonym: what stands for the person in leaves and elsewhere from now on; None for a tenant.
        records: records changed or deleted outside the log.
        key_destroyed: whether there was a key to destroy.
    """

    pseudonym: str | None
    records: int
    key_destroyed: bool


class Erasure:
    """Erases people and tenants.

    Args:
        holders: all who keep personal data outside the log.
        arrived: returns when all events that were told before the call are applied by everybody.
    """

    def __init__(
        self,
        keyring: Keyring,
        events: EventPublisher,
        holders: Sequence[PersonalData],
        clock: Clock,
        arrived: Arrived | None = None,
    ) -> None:
        self._keyring = keyring
        self._events = events
        self._holders = tuple(holders)
        self._clock = clock
        self._arrived = arrived

    async def erase_person(
        self, tenant: str, person: str, *, by: str, workspace: str | None = None, reason: str | None = None
    ) -> Erased:
        """Erase a person of `tenant`. Doing it again, after a failure too, is right.

        Args:
            tenant: whose person.
            person: the name as in `userId`.
            by: who asks for it; may be the person.
            workspace: where it was asked for.
            reason: why; do not name the person in it.

        Raises:
            DependencyUnavailableError: a store is away or in use; what was done stays done: call it again.
        """
        people, _ = await self._keyring.people(tenant, [person])
        known = people.get(person)
        pseudonym = one_off_pseudonym() if known is None or known.key is None else known.key.pseudonym
        destroyed = await self._keyring.destroy_person(tenant, person, self._now_ms())
        if self._arrived is not None:
            await self._arrived()
        records = 0
        for holder in self._holders:
            records += await holder.forget_person(tenant, person, pseudonym)
        await self._tell(
            tenant,
            # The name of who erases himself must not come back by the entry that tells of it.
            pseudonym if by == person else by,
            {"scope": "person", "pseudonym": pseudonym, "records": records},
            workspace,
            None if reason is None or person in reason else reason,
        )
        return Erased(pseudonym, records, destroyed)

    async def erase_tenant(
        self, tenant: str, *, by: str, by_tenant: str, reason: str | None = None
    ) -> Erased:
        """Erase everybody of `tenant`. Doing it again, after a failure too, is right.

        Args:
            tenant: who is erased.
            by: who asks for it.
            by_tenant: whose part of the log tells of it; where that is `tenant`, it does not say who.
            reason: why.

        Raises:
            DependencyUnavailableError: as `erase_person`.
        """
        destroyed = await self._keyring.destroy_tenant(tenant, self._now_ms())
        if self._arrived is not None:
            await self._arrived()
        records = 0
        for holder in self._holders:
            records += await holder.forget_tenant(tenant)
        payload: dict[str, str | int] = {"scope": "tenant", "tenant": tenant, "records": records}
        await self._tell(by_tenant, "system" if by_tenant == tenant else by, payload, None, reason)
        return Erased(None, records, destroyed)

    async def _tell(
        self, tenant: str, by: str, payload: dict[str, str | int], workspace: str | None, reason: str | None
    ) -> None:
        event = governed_action(
            tenant,
            ACTION,
            source=SOURCE,
            at=self._clock.now(),
            user=by,
            workspace=workspace,
            payload=payload,
            payload_class="public",
            reason=reason,
        )
        await self._events.publish([event])

    def _now_ms(self) -> int:
        return int(self._clock.now() * 1000)
