"""From the bus to those who apply events: retries, and dead letters for what cannot be applied."""

import contextlib
import logging
import random
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from sluicegate.events.policy import DeliveryPolicy
from sluicegate.events.ports import Delivery, EventBus
from sluicegate.kernel.errors import DependencyUnavailableError
from sluicegate.kernel.event_decoding import decode_event
from sluicegate.kernel.events import Event, EventFailure, EventHandler, UnusableEventError

_log = logging.getLogger(__name__)

Confirm = Callable[[Sequence[Delivery]], Awaitable[None]]


@dataclass(slots=True)
class DispatcherCounts:
    """What a dispatcher did since it started, for metrics."""

    applied: int = 0
    retried: int = 0
    buried: int = 0
    failures: int = 0


class Dispatcher:
    """Has `handler` apply what comes for `group`.

    Args:
        batch: events at once; as policy says where None.
        confirm: told of what has an outcome for good (applied, or a dead letter) before the bus is; so
            that whoever waits for that (the outbox) is never told too early, nor not at all.
        chance: draws from [0, 1), for delays.
    """

    def __init__(
        self, bus: EventBus, group: str, handler: EventHandler, policy: DeliveryPolicy, *,
        batch: int | None = None, confirm: Confirm | None = None,
        chance: Callable[[], float] = random.random,
    ) -> None:  # fmt: skip
        self._bus = bus
        self.group = group
        self._handler = handler
        self._policy = policy
        self._batch = batch or policy.batch
        self._confirm = confirm
        self._chance = chance
        self.counts = DispatcherCounts()

    async def deliver(self, wait_s: float = 0.0) -> int:
        """Bring one batch to the handler; the number of events that were in it, 0 after `wait_s` without.

        Raises:
            DependencyUnavailableError: the bus, or what the handler needs, is away; nothing is lost.
        """
        deliveries = await self._bus.receive(self.group, self._batch, self._policy.lease_s, wait_s)
        if not deliveries:
            return 0
        try:
            await self._apply(deliveries)
        except BaseException:
            # Those without an outcome come again. If the bus cannot be told, their lease runs out.
            with contextlib.suppress(DependencyUnavailableError):
                await self._bus.release(self.group, deliveries)
            raise
        return len(deliveries)

    async def _apply(self, deliveries: Sequence[Delivery]) -> None:
        usable: list[Delivery] = []
        events: list[Event] = []
        refused: list[tuple[Delivery, EventFailure]] = []
        for delivery in deliveries:
            try:
                events.append(self._decoded(delivery))
                usable.append(delivery)
            except UnusableEventError as error:
                refused.append((delivery, EventFailure(0, str(error), final=True)))
        failures = await self._handle(events) if events else ()
        refused += [(usable[failure.index], failure) for failure in failures]
        failed = {failure.index for failure in failures}
        applied = [each for index, each in enumerate(usable) if index not in failed] if failed else usable
        if applied:
            await self._done(applied)
            await self._bus.ack(self.group, applied)
            self.counts.applied += len(applied)
        for delivery, failure in refused:
            await self._refuse(delivery, failure)

    def _decoded(self, delivery: Delivery) -> Event:
        if delivery.attempt > self._policy.retry.attempts:
            raise UnusableEventError("whoever tried to apply it ended without an outcome, each time")
        return decode_event(delivery.body, delivery.tenant)

    async def _handle(self, events: Sequence[Event]) -> Sequence[EventFailure]:
        try:
            return await self._handler.handle(events)
        except DependencyUnavailableError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it is kept with the event
            _log.exception("%s: %d events could not be applied", self.group, len(events))
            if len(events) == 1:
                return [EventFailure(0, f"{type(error).__name__}: {error}"[:1_000])]
        # One of them is too much for the handler: find it by halves, so that it holds nothing else up.
        half = len(events) // 2
        first = await self._handle(events[:half])
        second = await self._handle(events[half:])
        return [*first, *(EventFailure(each.index + half, each.reason, each.final) for each in second)]

    async def _refuse(self, delivery: Delivery, failure: EventFailure) -> None:
        if failure.final or delivery.attempt >= self._policy.retry.attempts:
            self.counts.buried += 1
            _log.error(
                "%s: an event of %s is a dead letter now: %s", self.group, delivery.tenant, failure.reason
            )
            await self._bus.bury(self.group, delivery, failure.reason)
            await self._done([delivery])
            return
        self.counts.retried += 1
        delay_s = self._policy.retry.delay_s(delivery.attempt, self._chance())
        _log.warning(
            "%s: an event of %s failed, try %d, next in %.1f s: %s",
            self.group, delivery.tenant, delivery.attempt, delay_s, failure.reason,
        )  # fmt: skip
        await self._bus.retry(self.group, delivery, failure.reason, delay_s)

    async def _done(self, deliveries: Sequence[Delivery]) -> None:
        if self._confirm is not None:
            await self._confirm(deliveries)
