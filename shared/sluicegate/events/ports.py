"""What the event bus needs of the outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol


@dataclass(slots=True)
class Message:
    """An event on its way to the bus.

    Attributes:
        tenant: whose it is, as known by where it came from; the event may not claim another.
        body: structured-mode CloudEvent. Not looked into: what is not one is for its consumers to refuse.
        origin: its place in the tenant's outbox, None if it did not come from there.
    """

    tenant: str
    body: bytes
    origin: str | None = None


@dataclass(slots=True)
class Delivery:
    """An event as handed to one consumer group.

    Attributes:
        token: by which the bus knows it again.
        attempt: 1 at first, more after `retry` or where a consumer ended without an outcome.
        first_at: when the event came to the bus, epoch seconds.
    """

    token: Any
    tenant: str
    body: bytes
    origin: str | None
    attempt: int
    first_at: float


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that a group could not apply, kept whole with the reason. Times in epoch seconds."""

    id: str
    group: str
    tenant: str
    reason: str
    attempts: int
    first_at: float
    last_at: float
    body: bytes


@dataclass(frozen=True, slots=True)
class GroupState:
    """How far a group is. `oldest_at` is when the oldest event that waits came, None if none does."""

    group: str
    waiting: int
    oldest_at: float | None
    dead: int


class EventBus(Protocol):
    """Brings each message to each consumer group at least once, in any order.

    A group gets what is published from its `subscribe` on. All raise DependencyUnavailableError while the bus
    is away.
    """

    async def subscribe(self, group: str, *, expires_s: float | None = None) -> None:
        """Have the group. One that expires is forgotten unless it subscribes again in time."""
        ...

    async def unsubscribe(self, group: str) -> None:
        """Forget the group and what waits for it; its dead letters stay."""
        ...

    async def publish(self, messages: Sequence[Message]) -> None:
        """Keep `messages` for every group; they are lasting when this returns."""
        ...

    async def receive(self, group: str, count: int, lease_s: float, wait_s: float) -> Sequence[Delivery]:
        """Up to `count` events of the group that nobody else has, as soon as there are any.

        They come again, to whoever asks, when there is no outcome within `lease_s`, or when their consumer is
        known to have ended. Empty after `wait_s` without any.
        """
        ...

    async def ack(self, group: str, deliveries: Sequence[Delivery]) -> None:
        """They are applied: never deliver them to the group again."""
        ...

    async def retry(self, group: str, delivery: Delivery, reason: str, delay_s: float) -> None:
        """It failed: deliver it again after about `delay_s`, as the next attempt."""
        ...

    async def release(self, group: str, deliveries: Sequence[Delivery]) -> None:
        """They were not tried: deliver them again, as the same attempt."""
        ...

    async def bury(self, group: str, delivery: Delivery, reason: str) -> None:
        """It cannot be applied: keep it as a dead letter of the group; lasting when this returns."""
        ...

    async def groups(self) -> Sequence[GroupState]:
        """All groups, by name."""
        ...


class DeadLetterStore(Protocol):
    """Dead letters, by id, oldest first."""

    async def list(
        self, *, group: str | None, tenant: str | None, limit: int, after: str | None
    ) -> Sequence[DeadLetter]:
        """Up to `limit` letters beyond `after`, of one group and one tenant where given."""
        ...

    async def get(self, letter: str) -> DeadLetter | None:
        """The letter with this id."""
        ...

    async def replay(self, letters: Sequence[str]) -> int:
        """Deliver these again, to their own group, as first attempts; the number of those that were there."""
        ...

    async def drop(self, letters: Sequence[str]) -> int:
        """Forget these; the number of those that were there."""
        ...


class Outbox(Protocol):
    """Events that admission's scripts appended, per tenant, oldest first, until confirmed.

    Places (`origin`) grow with time. All raise DependencyUnavailableError while the store is away.
    """

    async def tenants(self) -> Sequence[str]:
        """Whose outboxes there are."""
        ...

    async def pending(self, tenant: str, count: int, after: str | None) -> Sequence[tuple[str, bytes]]:
        """Up to `count` events beyond the place `after`: place and structured-mode CloudEvent."""
        ...

    async def published(self, tenant: str) -> str | None:
        """The place up to which some drainer has told the bus; None if that is not known."""
        ...

    async def mark_published(self, tenant: str, place: str | None) -> None:
        """Remember that place for all drainers; None to begin anew."""
        ...

    async def confirm(self, tenant: str, places: Sequence[str]) -> None:
        """Forget events that are safe in the ledger. Unknown places are passed over."""
        ...


class Progress(Protocol):
    """Tells whether events have passed a place."""

    async def mark(self) -> Any:
        """How far the newest event there is now."""
        ...

    async def passed(self, mark: Any) -> bool:
        """Whether nothing up to `mark` waits there any more."""
        ...
