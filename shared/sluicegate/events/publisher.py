"""Tells events to the bus."""

from collections.abc import Sequence

from sluicegate.events.ports import EventBus, Message
from sluicegate.kernel.event_decoding import MAX_EVENT_BYTES
from sluicegate.kernel.events import EVENT_TYPES, Event


class BusPublisher:
    """`kernel.events.EventPublisher` on the bus. An event is lasting when `publish` returns."""

    def __init__(self, bus: EventBus) -> None:
        self._bus = bus

    async def publish(self, events: Sequence[Event]) -> None:
        """Tell `events` to every consumer group.

        Raises:
            ValueError: an event's type is not registered, or it is too large for any consumer.
            DependencyUnavailableError: the bus is away.
        """
        if events:
            await self._bus.publish([Message(event.tenant, _encode(event)) for event in events])


def _encode(event: Event) -> bytes:
    if event.type not in EVENT_TYPES:
        raise ValueError(f"{event.type} is not a registered type (kernel.events.EVENT_TYPES)")
    body = event.to_json()
    if len(body) > MAX_EVENT_BYTES:
        raise ValueError(f"event {event.id} has {len(body)} bytes; at most {MAX_EVENT_BYTES} are taken")
    return body
