"""The event bus on Pub/Sub.

One topic; a subscription per consumer group, pulled; a topic with a subscription that keeps the dead letters
of each group. Pub/Sub counts how often a message was delivered; what it cannot count goes with the message:
an event that was not tried (`release`), or that was a dead letter, is published anew for its own group, with
the attempt that it counts as.

What a consumer does after its lease is over is passed over: somebody else has the event by then.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import count as numbers
from typing import Any, NamedTuple

from sluicegate.adapters.gcp.clients import PUBLISHER, SUBSCRIBER, GoogleClients, Patience, pull_now
from sluicegate.adapters.gcp.errors import AbsentError, ConflictError
from sluicegate.adapters.gcp.pubsub_messages import Outgoing, clipped, decode, encode
from sluicegate.adapters.gcp.pubsub_names import PubSubNames
from sluicegate.adapters.gcp.pubsub_publishing import BatchingPublisher
from sluicegate.events.ports import Delivery, GroupState, Message
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.ids import random_id

RETENTION_S = 7 * 86_400
ACK_DEADLINE_S = 60
# Pub/Sub's own dead lettering, for what ends its consumers again and again: theirs comes long before.
MOST_DELIVERIES = 100

_LONGEST_LEASE_S = 600
_SHORTEST_LIFE_S = 86_400
_EXPIRES = "expires-at"
_MOST_PULLED = 1_000
_MOST_ACKED = 2_500
# The server answers an empty pull after about 90 s by itself.
_PULL_PATIENCE = Patience(attempt_s=100.0, total_s=100.0)
_INSTANCE = random_id("", 4)
_SEQUENCE = numbers()


class Backlog(NamedTuple):
    """What waits in a subscription, as of `at`; all times in epoch seconds."""

    waiting: int
    oldest_at: float | None
    at: float


BacklogOf = Callable[[str], Awaitable[Backlog]]
"""By a subscription's full name. Raises DependencyUnavailableError."""


@dataclass(slots=True)
class _Pulled:
    """A delivery's token. `until` is when the lease ends, 0 when there is an outcome."""

    ack_id: str
    until: float


class PubSubEventBus:
    """`events.ports.EventBus` and `events.ports.Progress` on Pub/Sub.

    Args:
        groups: consumer groups that are always there.
        backlog: tells what waits; Pub/Sub itself does not (Monitoring does, minutes late).
        manage: make what is missing of topics and subscriptions; infra does that where it runs for real.
    """

    def __init__(
        self,
        clients: GoogleClients,
        names: PubSubNames,
        groups: Sequence[str],
        clock: Clock,
        backlog: BacklogOf,
        *,
        manage: bool = False,
        most_deliveries: int = MOST_DELIVERIES,
    ) -> None:
        self._clients = clients
        self._names = names
        self._groups = tuple(groups)
        self._clock = clock
        self._backlog = backlog
        self._manage = manage
        self._most_deliveries = most_deliveries
        self._publisher = BatchingPublisher(clients)
        self._made = not manage
        self._making = asyncio.Lock()
        self._pulls: dict[str, asyncio.Task[Any]] = {}

    async def subscribe(self, group: str, *, expires_s: float | None = None) -> None:
        await self._ready()
        if group in self._groups:
            return
        name = self._names.subscription(group)
        expires = None if expires_s is None else self._clock.now() + expires_s
        found = await self._subscription(name)
        if found is not None and self._has_expired(found):
            await self._delete(name)
            found = None
        if found is None:
            await self._create(group, expires)
        else:
            await self._set_expiry(name, expires)

    async def unsubscribe(self, group: str) -> None:
        await self._ready()
        self._forget_pull(group)
        await self._delete(self._names.subscription(group))

    async def publish(self, messages: Sequence[Message]) -> None:
        if messages:
            await self._ready()
            await self._tell([encode(each.tenant, each.body, each.origin) for each in messages])

    async def receive(self, group: str, count: int, lease_s: float, wait_s: float) -> Sequence[Delivery]:
        await self._ready()
        if group not in self._groups:
            found = await self._subscription(self._names.subscription(group))
            if found is None or self._has_expired(found):
                return []
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            pulled = await self._pull(group, count, max(deadline - loop.time(), 0.0))
            if pulled:
                return await self._lease(group, pulled, count, lease_s)
            if loop.time() >= deadline:
                return []

    async def ack(self, group: str, deliveries: Sequence[Delivery]) -> None:
        ids = [delivery.token.ack_id for delivery in deliveries if self._holds(delivery)]
        for start in range(0, len(ids), _MOST_ACKED):
            await self._acknowledge(group, ids[start : start + _MOST_ACKED])
        for delivery in deliveries:
            delivery.token.until = 0.0

    async def retry(self, group: str, delivery: Delivery, reason: str, delay_s: float) -> None:  # noqa: ARG002 - a port's
        if self._holds(delivery):
            await self._defer(group, [delivery], delay_s)
            delivery.token.until = 0.0

    async def release(self, group: str, deliveries: Sequence[Delivery]) -> None:
        held = [delivery for delivery in deliveries if self._holds(delivery)]
        if held:
            await self._tell(
                [
                    encode(
                        each.tenant, each.body, each.origin,
                        recipient=group, attempt=each.attempt, since=each.first_at,
                    )
                    for each in held
                ]
            )  # fmt: skip
            await self.ack(group, held)

    async def bury(self, group: str, delivery: Delivery, reason: str) -> None:
        if not self._holds(delivery):
            return
        await self.keep_dead(group, delivery, reason)
        await self.ack(group, [delivery])

    async def keep_dead(self, group: str, delivery: Delivery, reason: str) -> None:
        """Keep an event as a dead letter of the group, however it came; lasting when this returns."""
        await self._ready()
        if group not in self._groups:
            await self._make_dead(group)
        await self._publisher.publish(self._names.dead_topic(group), [self._letter(group, delivery, reason)])

    async def groups(self) -> Sequence[GroupState]:
        await self._ready()
        found = set(self._groups)
        for name in await self._subscriptions():
            group = self._names.group(name)
            if group is not None and group not in found:
                subscription = await self._subscription(name)
                if subscription is None:
                    continue
                if self._has_expired(subscription):
                    await self._delete(name)
                else:
                    found.add(group)
        return [await self._state(group) for group in sorted(found)]

    async def mark(self) -> float:
        return self._clock.now()

    async def passed(self, mark: float) -> bool:
        """As the port says. `backlog` decides how soon it is known: with Monitoring, after some minutes."""
        for group in self._groups:
            backlog = await self._backlog(self._names.subscription(group))
            if backlog.at <= mark or (backlog.oldest_at is not None and backlog.oldest_at <= mark):
                return False
        return True

    async def check(self) -> None:
        """Ask for the topic.

        Raises:
            GoogleError: it is not there, or cannot be asked for.
        """
        await self._clients.call(PUBLISHER, "get_topic", {"topic": self._names.topic})

    async def close(self) -> None:
        """End what waits for messages. What was pulled and not handed out comes again."""
        for group in list(self._pulls):
            self._forget_pull(group)
        await self._publisher.close()

    # --- messages

    async def _tell(self, messages: Sequence[Outgoing]) -> None:
        try:
            await self._publisher.publish(self._names.topic, messages)
        except AbsentError:
            if not self._manage:
                raise
            # An emulator that was started anew, and knows nothing any more.
            self._made = False
            await self._ready()
            await self._publisher.publish(self._names.topic, messages)

    def _letter(self, group: str, delivery: Delivery, reason: str) -> Outgoing:
        now = self._clock.now()
        plain = encode(delivery.tenant, delivery.body, delivery.origin, since=delivery.first_at)
        letter = {
            "letter": f"{int(now * 1000):013d}-{_INSTANCE}-{next(_SEQUENCE):08d}",
            "group": group,
            "reason": clipped(reason) or "unknown",
            "attempts": str(delivery.attempt),
            "buried": repr(now),
        }
        return Outgoing(plain.data, {**plain.attributes, **letter}, plain.key)

    async def _pull(self, group: str, count: int, wait_s: float) -> list[Any]:
        task = self._pulls.pop(group, None)
        if task is None:
            name, most = self._names.subscription(group), min(count, _MOST_PULLED)
            if wait_s <= 0:
                return await self._pulled(pull_now(self._clients, name, most))
            request = {"subscription": name, "max_messages": most}
            pull = self._clients.call(SUBSCRIBER, "pull", request, _PULL_PATIENCE)
            task = asyncio.get_running_loop().create_task(self._pulled(pull))
        try:
            await asyncio.wait({task}, timeout=wait_s)
        finally:
            # A pull that were broken off could have messages on the way, which nobody would get for a while.
            if not task.done() and group not in self._pulls:
                self._pulls[group] = task
        return task.result() if task.done() else []

    async def _pulled(self, pull: Awaitable[Any]) -> list[Any]:
        try:
            answer = await pull
        except AbsentError:
            if self._manage:
                self._made = False
            raise
        return list(answer.received_messages)

    async def _lease(
        self, group: str, pulled: Sequence[Any], count: int, lease_s: float
    ) -> Sequence[Delivery]:
        until = self._clock.now() + min(lease_s, _LONGEST_LEASE_S)
        deliveries = [_delivery(each, until) for each in pulled]
        mine, rest = deliveries[:count], deliveries[count:]
        await self._defer(group, mine, lease_s)
        if rest:
            await self._defer(group, rest, 0)
        return mine

    async def _defer(self, group: str, deliveries: Sequence[Delivery], seconds: float) -> None:
        """Have them delivered again after `seconds` without an outcome."""
        request = {
            "subscription": self._names.subscription(group),
            "ack_ids": [each.token.ack_id for each in deliveries],
            "ack_deadline_seconds": min(round(seconds + 0.49), _LONGEST_LEASE_S),
        }
        await self._clients.call(SUBSCRIBER, "modify_ack_deadline", request)

    async def _acknowledge(self, group: str, ids: Sequence[str]) -> None:
        request = {"subscription": self._names.subscription(group), "ack_ids": list(ids)}
        await self._clients.call(SUBSCRIBER, "acknowledge", request)

    def _holds(self, delivery: Delivery) -> bool:
        return bool(delivery.token.until > self._clock.now())

    def _forget_pull(self, group: str) -> None:
        task = self._pulls.pop(group, None)
        if task is not None:
            task.cancel()

    # --- topics and subscriptions

    async def _ready(self) -> None:
        if self._made:
            return
        async with self._making:
            if self._made:
                return
            await self._create_topic(self._names.topic)
            for group in self._groups:
                await self._make_dead(group)
                await self._create(group, None)
            self._made = True

    async def _make_dead(self, group: str) -> None:
        await self._create_topic(self._names.dead_topic(group))
        await self._create_subscription(
            {"name": self._names.kept(group), "topic": self._names.dead_topic(group)}
        )

    async def _create_topic(self, name: str) -> None:
        with contextlib.suppress(ConflictError):
            await self._clients.call(PUBLISHER, "create_topic", {"name": name})

    async def _create(self, group: str, expires: float | None) -> None:
        subscription: dict[str, Any] = {
            "name": self._names.subscription(group),
            "topic": self._names.topic,
            "filter": f'NOT attributes:recipient OR attributes.recipient = "{group}"',
        }
        if group in self._groups:
            subscription["dead_letter_policy"] = {
                "dead_letter_topic": self._names.dead_topic(group),
                "max_delivery_attempts": self._most_deliveries,
            }
        if expires is not None:
            subscription["labels"] = {_EXPIRES: str(int(expires))}
            subscription["expiration_policy"] = {"ttl": {"seconds": _SHORTEST_LIFE_S}}
        await self._create_subscription(subscription)

    async def _create_subscription(self, subscription: dict[str, Any]) -> None:
        whole = {
            "ack_deadline_seconds": ACK_DEADLINE_S,
            "message_retention_duration": {"seconds": RETENTION_S},
            "expiration_policy": {},  # never
            **subscription,
        }
        if "seconds" in whole["expiration_policy"].get("ttl", {}):
            whole["message_retention_duration"] = {"seconds": _SHORTEST_LIFE_S}
        with contextlib.suppress(ConflictError):
            await self._clients.call(SUBSCRIBER, "create_subscription", whole)

    async def _set_expiry(self, name: str, expires: float | None) -> None:
        labels = {} if expires is None else {_EXPIRES: str(int(expires))}
        request = {
            "subscription": {"name": name, "labels": labels}, "update_mask": {"paths": ["labels"]}
        }  # fmt: skip
        await self._clients.call(SUBSCRIBER, "update_subscription", request)

    async def _subscription(self, name: str) -> Any:
        try:
            return await self._clients.call(SUBSCRIBER, "get_subscription", {"subscription": name})
        except AbsentError:
            return None

    async def _subscriptions(self) -> Sequence[str]:
        request = {"topic": self._names.topic}
        return await self._clients.call_all(PUBLISHER, "list_topic_subscriptions", request)

    async def _delete(self, name: str) -> None:
        with contextlib.suppress(AbsentError):
            await self._clients.call(SUBSCRIBER, "delete_subscription", {"subscription": name})

    def _has_expired(self, subscription: Any) -> bool:
        expires = subscription.labels.get(_EXPIRES)
        return expires is not None and float(expires) <= self._clock.now()

    async def _state(self, group: str) -> GroupState:
        backlog = await self._backlog(self._names.subscription(group))
        dead = await self._backlog(self._names.kept(group)) if group in self._groups else None
        return GroupState(group, backlog.waiting, backlog.oldest_at, 0 if dead is None else dead.waiting)


def _delivery(received: Any, until: float) -> Delivery:
    message = received.message
    attributes = message.attributes
    attempt = int(attributes.get("attempt", 1)) + max(received.delivery_attempt, 1) - 1
    return Delivery(
        token=_Pulled(received.ack_id, until),
        tenant=attributes.get("tenant", ""),
        body=decode(attributes, message.data),
        origin=attributes.get("outbox"),
        attempt=attempt,
        first_at=float(attributes.get("since") or message.publish_time.timestamp()),
    )
