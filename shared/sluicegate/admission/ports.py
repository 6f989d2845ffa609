"""What admission needs of the outside."""

from collections.abc import Sequence
from typing import Protocol

from sluicegate.admission.counters import Counter, CounterSet
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.admission.replies import AdmitReply, Cursors, Grown, Heartbeat, Settled, Unseeded

__all__ = [
    "AdmissionStore",
    "AdmissionUpkeep",
    "BudgetOverride",
    "OverrideStore",
    "RevocationReader",
    "SpendReader",
]


class OverrideStore(Protocol):
    """Keeps budget overrides per tenant."""

    async def overrides(self, tenant: str) -> Sequence[BudgetOverride]: ...

    async def set_override(self, tenant: str, override: BudgetOverride) -> None: ...


class SpendReader(Protocol):
    """The ledger's view of what was spent, to rebuild counters from."""

    async def spent(self, tenant: str, scope: str, name: str, since: float, until: float) -> tuple[int, int]:
        """Nano-dollars and tokens settled for `name` in `scope` within [since, until), epoch seconds."""
        ...


class RevocationReader(Protocol):
    """The keys of a tenant that are revoked, to put the marks back after the store lost them."""

    async def revoked(self, tenant: str) -> Sequence[str]: ...


class AdmissionStore(Protocol):
    """Decides on holds, atomically per tenant. Every method raises StoreUnavailable when it cannot be asked.

    A hold is known by its id; `admit` and `settle` with the same id apply once. Amounts are nano-dollars
    and tokens. `Unseeded` replies name what must be seeded before trying again.
    """

    async def admit(
        self,
        counters: CounterSet,
        hold_id: str,
        want: tuple[int, int],
        floor: tuple[int, int],
        *,
        count: bool,
        instead_of: str | None = None,
    ) -> AdmitReply:
        """Hold between `floor` and `want` (nano-dollars, tokens), counting rates where `count`.

        `instead_of` is the id of a hold to replace: it counts for nothing in the decision, and is gone
        with a yes, in the same step. One that is not there does not matter (`Held.swapped` is False).
        """
        ...

    async def pass_through(self, counters: CounterSet, event: bytes) -> AdmitReply:
        """Count rates and append `event`; hold nothing, ask no budget, token limit or concurrency."""
        ...

    async def grow(self, counters: CounterSet, hold_id: str, nano: int, tokens: int) -> Grown:
        """Add to a hold, all or nothing."""
        ...

    async def settle(
        self, counters: CounterSet, hold_id: str, generation: str, nano: int, tokens: int, event: bytes
    ) -> Settled:
        """End a hold at what was used and append `event` (empty: none) to the outbox."""
        ...

    async def charge(
        self, counters: CounterSet, hold_id: str, nano: int, tokens: int, event: bytes
    ) -> Settled | Unseeded:
        """Settle what has no hold any more (or never had), once per hold id."""
        ...


class AdmissionUpkeep(Protocol):
    """What keeps an AdmissionStore's counters whole, away from the hot path. Raises StoreUnavailable."""

    async def seed(self, tenant: str, amounts: Sequence[tuple[Counter, int]]) -> None:
        """Give counters that have no value yet their first one, as settled."""
        ...

    async def begin(
        self, tenant: str, revocations: Sequence[bytes], generation: str, recovery_s: float
    ) -> tuple[str, float]:
        """Begin a generation unless one is there; the one in force, and seconds before it admits.

        `revocations` are fields that mark revoked keys. A recovery takes `recovery_s`, and longer (twice as
        long at most) while events wait in the outbox: asked then, at least 0.3 of it are left.
        """
        ...

    async def restore(
        self, counters: CounterSet, hold_id: str, nano: int, tokens: int, at: float
    ) -> Unseeded | None:
        """Put a lost hold, admitted `at` (epoch seconds), back without asking limits; None when it stands."""
        ...

    async def renew(self, tenant: str, hold_ids: Sequence[str], list_overdue: int) -> Heartbeat:
        """Move deadlines; list at most `list_overdue` holds past theirs."""
        ...

    async def reap(self, tenant: str, hold_id: str) -> int | None:
        """End an overdue hold at its held amount; that amount, or None when it was not overdue."""
        ...

    async def sweep(self, tenant: str, cursors: Cursors) -> Cursors:
        """Forget some of what is long over; pass the cursors on to the next call."""
        ...

    async def read(self, tenant: str, counters: Sequence[Counter]) -> list[tuple[int, int] | None]:
        """(committed, settled) of each counter, None for one not seeded."""
        ...

    async def append(self, tenant: str, events: Sequence[bytes]) -> None:
        """Append events to the outbox (again: whoever reads it applies each once)."""
        ...

    async def enlist(self, tenant: str) -> None:
        """Remember that `tenant` has counters here, for whoever looks after them next."""
        ...

    async def tenants(self) -> list[str]:
        """Every tenant enlisted."""
        ...
