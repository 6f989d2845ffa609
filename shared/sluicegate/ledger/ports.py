"""What the ledger needs of the outside."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from sluicegate.kernel.events import Event
from sluicegate.ledger.usage import UsageRow


class GroupBy(StrEnum):
    """What spending can be summed by. Days and hours are UTC's."""

    MODEL = "model"
    PROVIDER = "provider"
    WORKSPACE = "workspace"
    USER = "user"
    KEY = "key"
    AGENT = "agent"
    MISSION = "mission"
    TASK = "task"
    TOOL = "tool"
    CACHE = "cache"
    OUTCOME = "outcome"
    DAY = "day"
    HOUR = "hour"


@dataclass(frozen=True, slots=True)
class SpendLine:
    """One group's sums. `group` is None for requests without one (no agent, no mission).

    Money in nano-dollars; `input_tokens` are at full price and overlap no other count;
    `estimated_nano` is the part of the cost that is not the provider's own figure.
    """

    group: str | None
    requests: int
    failures: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    cost_nano: int
    estimated_nano: int


@dataclass(frozen=True, slots=True)
class DeadEvent:
    """An event that could not be applied, kept whole with the reason. `at` in epoch seconds."""

    tenant: str
    id: str
    at: float
    reason: str
    body: bytes


class UsageStore(Protocol):
    """Keeps usage rows. Raises DependencyUnavailableError while it cannot be reached."""

    async def append(self, rows: Sequence[UsageRow]) -> int:
        """Store the rows not yet stored, all or none; the number that changed anything.

        A row is known by tenant and request id, and the first one wins, with one exception: a row that
        stands in for a lost owner's (`reaped`) gives way to the owner's own, as the counters do
        (admission corrects its estimate by the difference), and to the same row without cost (the estimate
        is withdrawn), in whatever order they arrive.
        """
        ...

    async def spent(self, tenant: str, scope: str, name: str, since: float, until: float) -> tuple[int, int]:
        """Nano-dollars and tokens of `name` in `scope` within [since, until), epoch seconds.

        Scopes: tenant, workspace, user, key, agent, mission, model, provider, tool. Tokens are all of
        the prompt and the output, without answers from the cache: nobody was asked for those. This is
        what `admission.ports.SpendReader` asks for.

        Raises:
            ValueError: an unknown scope.
        """
        ...

    async def report(self, tenant: str, by: GroupBy, since: float, until: float) -> Sequence[SpendLine]:
        """Sums per group within [since, until), the dearest first; days and hours in order.

        By tool a request that used several counts wholly for each, so those lines overlap.
        """
        ...


class EventStore(Protocol):
    """Keeps all other events, and those that could not be applied."""

    async def record(self, events: Sequence[Event]) -> int:
        """Store the events not yet stored (by source and id), all or none; the number that were new."""
        ...

    async def events(self, tenant: str, kind: str | None = None, limit: int = 100) -> Sequence[Event]:
        """The latest events of `tenant`, newest first, of type `kind` where given."""
        ...

    async def set_aside(self, dead: DeadEvent) -> None:
        """Keep an event that could not be applied. Setting it aside again keeps the first."""
        ...

    async def dead(self, tenant: str, limit: int = 100) -> Sequence[DeadEvent]:
        """Events of `tenant` that were set aside, oldest first."""
        ...


class Outbox(Protocol):
    """Events that wait to be taken to the ledger, per tenant, oldest first, until confirmed."""

    async def pending(self, tenant: str, count: int) -> Sequence[tuple[str, bytes]]:
        """Up to `count` waiting events: id and structured-mode CloudEvent."""
        ...

    async def confirm(self, tenant: str, ids: Sequence[str]) -> None:
        """Forget events that are safe in the ledger. Unknown ids are passed over."""
        ...
