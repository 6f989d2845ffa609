"""A slice of every counter of a subject that this instance was lent, and what became of it."""

import asyncio
from dataclasses import dataclass, field

from sluicegate.admission import rates
from sluicegate.admission.counters import CounterSet
from sluicegate.admission.replies import Amounts, Loan
from sluicegate.admission.state import TenantState
from sluicegate.admission.types import Grant, RateStatus

# More than any request takes: where a set has no counter of a kind, a lease of it never runs short of it.
_PLENTY = 1 << 60


@dataclass(slots=True, eq=False)
class Share:
    """What a request admitted from a lease really used, and who waits to hear that it is booked."""

    grant: Grant
    nano: int
    tokens: int
    event: bytes
    told: "asyncio.Future[None] | None"


@dataclass(slots=True, eq=False)
class Lease:
    """One lease. `nano`, `tokens`, `slots` and `requests` are what nobody took yet, or gave back.

    Always: held in the store = not taken + held by requests under way + used by `waiting` shares, less
    `beyond` (used above the holds, to be added with the next settlement). `expires` and `renew_at` are on
    the loop's clock. `under_way` counts requests, `number` settlements told to the store. `asked`: more of
    it is on its way; `closed`: nothing is taken any more; `stuck`: the store does not answer; `lost`: its
    shares are settled one by one; `estimated`: the store holds, or has charged, as much once more.
    """

    id: str
    state: TenantState
    counters: CounterSet
    generation: str
    loan: Loan
    expires: float
    renew_at: float
    nano: int = 0
    tokens: int = 0
    slots: int = 0
    requests: int = 0
    under_way: int = 0
    beyond_nano: int = 0
    beyond_tokens: int = 0
    number: int = 0
    asked: bool = False
    closed: bool = False
    stuck: bool = False
    lost: bool = False
    estimated: bool = False
    waiting: list[Share] = field(default_factory=list)
    working: "asyncio.Task[None] | None" = None

    def add(self, amounts: Amounts, loan: Loan, expires: float, renew_at: float) -> None:
        """Take note of what was lent."""
        counters = self.counters
        self.loan = loan
        self.expires = expires
        self.renew_at = renew_at
        # Money also where no counter asks for it: an estimate for a dead owner names it.
        self.nano += amounts.nano
        self.tokens = self.tokens + amounts.tokens if counters.tokens else _PLENTY
        self.slots = self.slots + amounts.slots if counters.slots else _PLENTY
        self.requests = self.requests + amounts.requests if counters.rates else _PLENTY

    def lacks(self, size: int, want: tuple[int, int]) -> Amounts:
        """What would have to be lent for `size` more requests of `want` (nano, tokens) each."""
        counters = self.counters
        return Amounts(
            max(0, size * want[0] - self.nano),
            max(0, size * want[1] - self.tokens) if counters.tokens else 0,
            max(0, size - self.slots) if counters.slots else 0,
            max(0, size - self.requests) if counters.rates else 0,
        )

    def take(self, want: tuple[int, int]) -> bool:
        """Take one request's share; False where it does not fit."""
        nano, tokens = want
        if nano > self.nano or tokens > self.tokens or self.slots < 1 or self.requests < 1:
            return False
        self.slots -= 1
        self.requests -= 1
        self.nano -= nano
        self.tokens -= tokens
        self.under_way += 1
        return True

    def put_back(self, grant: Grant, nano: int, tokens: int) -> None:
        """End a request's share at what it used."""
        self.under_way -= 1
        self.slots += 1
        self.nano += grant.held_nano - nano
        self.tokens += grant.held_tokens - tokens
        if self.nano < 0:
            self.beyond_nano -= self.nano
            self.nano = 0
        if self.tokens < 0:
            self.beyond_tokens -= self.tokens
            self.tokens = 0

    def leftover(self) -> Amounts:
        """What nobody took, taken away to be given back."""
        counters = self.counters
        left = Amounts(
            self.nano,
            self.tokens if counters.tokens else 0,
            self.slots if counters.slots else 0,
            self.requests if counters.rates else 0,
        )
        self.nano = self.tokens = self.slots = self.requests = 0
        return left

    def retire(self) -> None:
        """Take nothing from it any more."""
        self.closed = True
        lending: Lending | None = self.counters.lending
        if lending is not None and lending.lease is self:
            lending.lease = None
            lending.count = 0

    def money_left(self) -> int | None:
        """What the tightest budget has left, as far as this instance knows."""
        left = self.loan.money_left
        return None if left is None else left + self.nano

    def rate_status(self) -> RateStatus | None:
        """How the tightest rate stands after the last share taken."""
        if self.loan.rate is None:
            return None
        index, count, before, elapsed = self.loan.rate
        rate = self.counters.rates[index]
        return rates.status(rate.limit, rate.period_ms, count - self.requests, before, elapsed)


@dataclass(slots=True, eq=False)
class Lending:
    """One subject's pace here, and its lease. Times are on the loop's clock.

    `count` requests came since `since`; the next lease is to serve `size`, which grows up to `most`.
    """

    size: int
    most: int
    lease: Lease | None = None
    since: float = 0.0
    count: int = 0
    not_before: float = 0.0
    asking: "asyncio.Task[None] | None" = None
