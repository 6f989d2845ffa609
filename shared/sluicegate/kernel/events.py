"""Events as CloudEvents 1.0 (https://cloudevents.io), with stable, versioned types."""

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

SPEC_VERSION = "1.0"

USAGE_RECORDED = "dev.sluicegate.usage.recorded.v1"
BUDGET_THRESHOLD = "dev.sluicegate.budget.threshold.v1"
CACHE_INVALIDATED = "dev.sluicegate.cache.invalidated.v1"


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
