"""Where events are pushed to: they are applied before the answer, and the answer says what became of them."""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import orjson

from sluicegate.events.policy import DeliveryPolicy
from sluicegate.events.ports import Delivery
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import DependencyUnavailableError, MethodNotAllowedError
from sluicegate.kernel.event_decoding import MAX_EVENT_BYTES, decode_event
from sluicegate.kernel.events import Event, EventHandler, UnusableEventError
from sluicegate.web.events.pushed import PushedEvent, pushed_events
from sluicegate.web.events.tokens import PushTokens
from sluicegate.web.exchange import Exchange
from sluicegate.web.server.problems import PROBLEM_HEADERS, problem

_log = logging.getLogger(__name__)

# An event in base64 within an envelope, itself perhaps in base64.
MOST_BYTES = 2 * MAX_EVENT_BYTES + 65_536

Bury = Callable[[str, Delivery, str], Awaitable[None]]
"""Keeps an event as a dead letter of a group, with the reason; lasting when it returns."""


@dataclass(frozen=True, slots=True)
class PushGroup:
    """Who applies what is pushed, under the name that its dead letters have."""

    name: str
    handler: EventHandler


class PushEndpoint:
    """Answers pushes: 204 applied (or kept as a dead letter); 4xx not for us; 5xx push it again.

    Every group applies each event; where one cannot, all get it again, which changes nothing for the others.
    """

    def __init__(
        self,
        tokens: PushTokens,
        groups: Sequence[PushGroup],
        policy: DeliveryPolicy,
        bury: Bury,
        clock: Clock,
    ) -> None:
        self._tokens = tokens
        self._groups = groups
        self._policy = policy
        self._bury = bury
        self._clock = clock

    async def __call__(self, exchange: Exchange) -> None:
        """Answer one exchange.

        Raises:
            SluicegateError: as its status says; the server makes an answer of it.
        """
        if exchange.method != "POST":
            raise MethodNotAllowedError("events are pushed by POST")
        await self._tokens.check(exchange.header(b"authorization"))
        body = await exchange.body(MOST_BYTES)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in exchange.headers}
        again: list[str] = []
        for pushed in pushed_events(headers, body):
            for group in self._groups:
                reason = await self._apply(group, pushed)
                if reason is not None:
                    again.append(f"{group.name}: {reason}")
        if again:
            _log.warning("pushed events were not applied: %s", "; ".join(again)[:1_000])
            await exchange.respond(500, PROBLEM_HEADERS, problem(500, "event_failed", "Push it again later."))
        else:
            await exchange.respond(204, [], b"")

    async def _apply(self, group: PushGroup, pushed: PushedEvent) -> str | None:
        """Have `group` apply the event; why it is to be pushed again, None where it is not."""
        recipient = pushed.attributes.get("recipient")
        if recipient not in {None, group.name}:
            return None
        tenant = pushed.attributes.get("tenant") or _tenant(pushed.body)
        try:
            event = decode_event(pushed.body, tenant)
        except UnusableEventError as error:
            await self._keep(group, pushed, tenant, str(error))
            return None
        reason, final = await _outcome(group, event)
        if reason is None:
            return None
        if final or pushed.attempt >= self._policy.retry.attempts:
            await self._keep(group, pushed, tenant, reason)
            return None
        return reason

    async def _keep(self, group: PushGroup, pushed: PushedEvent, tenant: str, reason: str) -> None:
        _log.error("%s: an event of %s is a dead letter now: %s", group.name, tenant or "nobody", reason)
        delivery = Delivery(
            token=None,
            tenant=tenant,
            body=pushed.body,
            origin=pushed.attributes.get("outbox"),
            attempt=pushed.attempt,
            first_at=pushed.published_at or self._clock.now(),
        )
        await self._bury(group.name, delivery, reason)


async def _outcome(group: PushGroup, event: Event) -> tuple[str | None, bool]:
    """Why the event could not be applied, None if it was; whether trying again cannot help."""
    try:
        failures = await group.handler.handle([event])
    except DependencyUnavailableError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, it is kept with the event
        _log.exception("%s: an event could not be applied", group.name)
        return f"{type(error).__name__}: {error}"[:1_000], False
    return (failures[0].reason, failures[0].final) if failures else (None, False)


def _tenant(body: bytes) -> str:
    """Whose the event says it is, where no attribute does; who pushes is trusted."""
    try:
        tenant = orjson.loads(body)["tenant"]
    except (ValueError, KeyError, TypeError):
        return ""
    return tenant if isinstance(tenant, str) else ""
