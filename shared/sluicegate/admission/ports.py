"""What admission needs of the outside."""

from collections.abc import Sequence
from typing import Protocol

from sluicegate.admission.counters import Counter, CounterSet
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.admission.replies import (
    AdmitReply,
    Amounts,
    Booked,
    Cursors,
    Grown,
    Heartbeat,
    Loan,
    NotLent,
    Settled,
    Unseeded,
)

__all__ = [
    "AdmissionStore",
    "AdmissionUpkeep",
    "BudgetOverride",
    "LeaseStore",
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


class LeaseStore(Protocol):
    """Lends slices of counters to an instance. Raises StoreUnavailable, as AdmissionStore.

    A lease is a hold: what is lent counts as held, and is charged when its owner dies. Its shares are what
    single requests take of it.
    """

    async def lend(
        self,
        counters: CounterSet,
        lease_id: str,
        amounts: Amounts,
        *,
        existing: bool,
        margin: int,
        window_ms: int,
    ) -> Loan | NotLent:
        """Lend `amounts`, or add them to the lease where it is `existing`; all or nothing.

        Of what a counter has left at most one part in `margin` is lent.
        """
        ...

    async def settle_shares(
        self,
        counters: CounterSet,
        lease_id: str,
        number: int,
        used: tuple[int, int],
        beyond: tuple[int, int],
        back: Amounts,
        lent_at_ms: int,
        events: Sequence[bytes],
        *,
        last: bool,
    ) -> tuple[Booked, str]:
        """Book what shares used and append their events; once per `number` (1, 2, ...).

        `used` and `beyond` are nano-dollars and tokens, the latter what was used above the holds. `back` is
        what the instance does not need any more; `last`: neither the rest. Also gives the generation in force
        where the lease is GONE.
        """
        ...

    async def detach(
        self, counters: CounterSet, lease_id: str, hold_id: str, amounts: Amounts, at: float
    ) -> bool:
        """Make a share, admitted `at` (epoch seconds), a hold of its own; False where its lease is gone."""
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
