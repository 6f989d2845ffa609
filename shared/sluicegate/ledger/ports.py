"""What the ledger needs of the outside."""

from collections.abc import Sequence
from typing import Protocol

from sluicegate.kernel.events import Event
from sluicegate.ledger.spending import SpendQuery, SpendReport
from sluicegate.ledger.usage import UsageRow


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

    async def report(self, tenant: str, query: SpendQuery) -> SpendReport:
        """Sums over the tenant's rows, all of one moment."""
        ...


class EventStore(Protocol):
    """Keeps events other than usage."""

    async def record(self, events: Sequence[Event]) -> int:
        """Store the events not yet stored (by source and id), all or none; the number that were new."""
        ...

    async def events(self, tenant: str, kind: str | None = None, limit: int = 100) -> Sequence[Event]:
        """The latest events of `tenant`, newest first, of type `kind` where given."""
        ...
