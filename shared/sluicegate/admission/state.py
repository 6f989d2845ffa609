"""What an instance knows of a tenant: its compiled counters, its open grants, who waits."""

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from weakref import WeakValueDictionary

from sluicegate.admission.counters import CounterSet
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.admission.replies import Cursors
from sluicegate.admission.types import Grant, Subject
from sluicegate.admission.waiting import WaitingLine

if TYPE_CHECKING:
    from sluicegate.admission.lease import Lease


@dataclass(slots=True, eq=False)
class TenantState:
    """One tenant, as one instance sees it. Times are on the monotonic clock.

    `generation` is the last one seen, `told` the last one whose outbox has this instance's newest events;
    `open` the grants not yet settled, by hold id (weakly: a grant that nobody has any more cannot be
    settled, and must not be kept alive); `leases` what this instance was lent, by id, and `recalls` how often
    that was given back before its time; `lines` and `filling` are by counter field.
    """

    tenant: str
    generation: str = ""
    compiled: dict[Subject, CounterSet] = field(default_factory=dict)
    overrides: tuple[BudgetOverride, ...] | None = None
    overrides_at: float = 0.0
    open: "WeakValueDictionary[str, Grant]" = field(default_factory=WeakValueDictionary)
    leases: "dict[str, Lease]" = field(default_factory=dict)
    recalls: int = 0
    lines: dict[bytes, WaitingLine] = field(default_factory=dict)
    filling: dict[bytes, "asyncio.Task[int]"] = field(default_factory=dict)
    beginning: asyncio.Lock = field(default_factory=asyncio.Lock)
    told: str = ""
    used_at: float = 0.0
    beat_at: float = 0.0
    swept_at: float = 0.0
    enlisted: bool = False
    cursors: Cursors = field(default_factory=Cursors)

    def freed(self) -> None:
        """Wake the heads of the waiting lines: something was settled here."""
        for line in self.lines.values():
            line.freed.set()
