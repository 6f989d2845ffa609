"""What an admission store answers."""

from dataclasses import dataclass
from enum import Enum


@dataclass(slots=True)
class Held:
    """Admitted. Indexes count from 0 within their kind; None where there is no counter of the kind.

    `money_left` and `tokens_left` are what the tightest counter has left after this hold. `rate` is
    (index, requests in this bucket, in the one before, milliseconds into this bucket). `swapped`: the hold
    that was to be replaced is gone.
    """

    nano: int
    tokens: int
    generation: str
    money_left: int | None
    token_index: int | None
    tokens_left: int
    rate: tuple[int, int, int, int] | None
    swapped: bool = False


class RefusedBy(Enum):
    """The kind of counter that refused."""

    REVOKED = "revoked"
    SLOTS = "slots"
    RATE = "rate"
    TOKENS = "tokens"
    MONEY = "money"


@dataclass(slots=True)
class Refused:
    """Not admitted, nothing changed. `index` counts from 0 within the kind.

    `numbers`: for a rate (requests in this bucket, in the one before, milliseconds into it); for slots
    (open,); for money and tokens (committed, settled).
    """

    by: RefusedBy
    index: int = 0
    numbers: tuple[int, ...] = ()


@dataclass(slots=True)
class Unseeded:
    """Counters lack a first value. `missing` are indexes (from 0) into `CounterSet.amounts`.

    Empty: the tenant has no generation, so nothing is there at all.
    """

    missing: tuple[int, ...] = ()


@dataclass(slots=True)
class LentOut:
    """Not admitted, but other instances were lent what may come back: ask again in `wait_s` seconds.

    `refused` is what the answer would be if nothing came back.
    """

    wait_s: float
    refused: Refused


AdmitReply = Held | Refused | Unseeded | LentOut


@dataclass(slots=True)
class Loan:
    """A slice of every counter, to admit with for `window_s` seconds from when it was asked for.

    `at_ms` is the store's clock when it was lent. The rest is as in Held, after the whole loan.
    """

    generation: str
    window_s: float
    at_ms: int
    money_left: int | None
    token_index: int | None
    tokens_left: int
    rate: tuple[int, int, int, int] | None


class NotLent(Enum):
    """Why nothing is lent. NO: too near a limit, or not the time. GONE: there is no such lease (now)."""

    NO = "no"
    GONE = "gone"


@dataclass(frozen=True, slots=True)
class Amounts:
    """So much of every counter: nano-dollars, tokens, slots (requests under way), requests (rates)."""

    nano: int = 0
    tokens: int = 0
    slots: int = 0
    requests: int = 0


class Booked(Enum):
    """How the settlement of shares ended.

    AGAIN: it was booked before. REAPED: the lease was charged as a dead owner's; nothing was booked.
    GONE: there is no such lease.
    """

    SETTLED = "settled"
    AGAIN = "again"
    REAPED = "reaped"
    GONE = "gone"


class Grown(Enum):
    """Whether a hold grew. GONE: there is no such hold now."""

    GROWN = "grown"
    REFUSED = "refused"
    GONE = "gone"


class Settled(Enum):
    """How a settlement ended.

    CORRECTED: the hold had been reaped, and the estimate gave way to the true amount. GONE: it was settled
    before. UNHELD: no hold, and the counters are of another generation; charge it.
    """

    SETTLED = "settled"
    CORRECTED = "corrected"
    CHARGED = "charged"
    GONE = "gone"
    UNHELD = "unheld"


@dataclass(slots=True)
class Heartbeat:
    """The generation in force (empty: none) and holds past their deadline."""

    generation: str
    overdue: list[str]


@dataclass(frozen=True, slots=True)
class Cursors:
    """Where a sweep goes on."""

    counters: int = 0
    past: int = 0
