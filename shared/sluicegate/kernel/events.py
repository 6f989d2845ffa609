"""Events as CloudEvents 1.0 (https://cloudevents.io), with stable, versioned types.

Every type is listed in `EVENT_TYPES`; docs/events.md tells what its data means, and the JSON Schema in
`sluicegate/events/schemas` what it may be. A type's meaning never changes: a change is a new version.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Protocol

SPEC_VERSION = "1.0"

USAGE_RECORDED = "dev.sluicegate.usage.recorded.v1"
BUDGET_THRESHOLD = "dev.sluicegate.budget.threshold.v1"
CACHE_INVALIDATED = "dev.sluicegate.cache.invalidated.v1"
AUDIT_ACTION = "dev.sluicegate.audit.action.v1"

EVENT_TYPES: Mapping[str, str] = MappingProxyType(
    {
        USAGE_RECORDED: "what one request used and cost",
        BUDGET_THRESHOLD: "a budget reached a share of its limit that somebody wants to hear of",
        CACHE_INVALIDATED: "stored answers were made void",
        AUDIT_ACTION: "a governed action other than the use of a model",
    }
)
"""All types there are, and what an event of each says."""


@dataclass(frozen=True, slots=True)
class Event:
    """One CloudEvent. `id` is unique per `source`, and consumers apply an id once.

    `subject` names the thing the event is about (a request id, a budget); `data` is JSON.
    """

    id: str
    source: str
    type: str
    time: float
    tenant: str
    subject: str | None = None
    data: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> bytes:
        """The structured-mode JSON form (`application/cloudevents+json`)."""
        body: dict[str, Any] = {
            "specversion": SPEC_VERSION,
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "time": datetime.fromtimestamp(self.time, UTC).isoformat().replace("+00:00", "Z"),
            "tenant": self.tenant,
            "datacontenttype": "application/json",
            "data": self.data,
        }
        if self.subject is not None:
            body["subject"] = self.subject
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()


class UnusableEventError(Exception):
    """An event that can never be applied: malformed, of an unknown type. The message is the reason."""


@dataclass(frozen=True, slots=True)
class EventFailure:
    """One event of a batch that could not be applied.

    Attributes:
        index: its place in the batch.
        reason: why, for whoever looks at dead letters; without secrets.
        final: trying again cannot help.
    """

    index: int
    reason: str
    final: bool = False


class EventPublisher(Protocol):
    """Where events are told."""

    async def publish(self, events: Sequence[Event]) -> None:
        """Tell `events`, each at least once; they are lasting when this returns.

        Raises:
            DependencyUnavailableError: they may not be; telling them again does no harm.
        """
        ...


class EventHandler(Protocol):
    """Applies events. Each may come several times and in any order: an id is applied once."""

    async def handle(self, events: Sequence[Event]) -> Sequence[EventFailure]:
        """Apply `events`; those that failed. All others are applied for good when this returns.

        Raises:
            DependencyUnavailableError: what it needs is away. It is no event's fault: all come again.
        """
        ...
