"""What goes into an admission decision and what comes out."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom and what a request is counted against: one value per scope, None where it has none.

    Hashable on purpose: the service keeps the compiled counters of recent subjects.
    """

    tenant: str
    workspace: str
    user: str
    key: str
    model: str
    agent: str | None = None
    mission: str | None = None
    tools: tuple[str, ...] = ()
    plan: str = "free"
    timezone: str = "UTC"


@dataclass(slots=True)
class Ask:
    """One request for admission.

    `want_nano` is the hold that pays the largest answer asked for, `floor_nano` the one that pays
    the smallest useful answer; the grant lies between. `tokens` is the number of tokens to reserve
    against token limits, `floor_tokens` how few would do (None: all of them). `count` is False when
    the rates were already counted for this request (a fallback to another model). `max_cost_nano` is
    the caller's own limit for this request. `instead_of` is a grant of the same tenant that this one is to
    replace in one step: it does not stand in the way, ends with a yes, and stays with a no.
    """

    request_id: str
    subject: Subject
    want_nano: int
    floor_nano: int
    tokens: int
    max_cost_nano: int | None = None
    count: bool = True
    floor_tokens: int | None = None
    instead_of: "Grant | None" = None


@dataclass(slots=True)
class RateStatus:
    """The tightest rate limit of one unit, for `x-ratelimit-*`: numbers and seconds."""

    limit: int
    remaining: int
    reset_s: float


@dataclass(slots=True, weakref_slot=True, eq=False)
class Grant:
    """Permission to run, with money held. Hand it to exactly one of settle, release or abandon.

    The hold lives as long as somebody holds the grant: one that is dropped without a word gets no more
    heartbeats and ends at its deadline, charged at its held amount.

    `held_nano` may be less than wanted (clamp the output to it). `remaining_nano` is what the
    tightest budget has left after this hold, None without any budget. `generation` names the life
    of the counters that hold it (it changes when Redis was flushed and rebuilt). `degraded` grants were
    given while Redis was away: nothing is held, and settling charges them when it is back. `at` (epoch
    seconds) lies in the periods that it is counted in. `hold_id`, `counters` and `lease` are
    the service's own.
    """

    request_id: str
    subject: Subject
    held_nano: int
    held_tokens: int
    remaining_nano: int | None
    generation: str
    requests: RateStatus | None = None
    tokens: RateStatus | None = None
    degraded: bool = False
    counters: object = None
    hold_id: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    at: float = 0.0
    lease: object = None


@dataclass(frozen=True, slots=True)
class BudgetState:
    """One budget or token limit as it stands: nano-dollars, or tokens for `unit` `tokens`.

    `period_end` is in epoch seconds, None for a period without end. `held` belongs to requests under way.
    """

    scope: str
    name: str
    period: str
    instance: str
    unit: str
    limit: int
    settled: int
    held: int
    period_end: float | None

    @property
    def remaining(self) -> int:
        """What may still be held; 0 when a limit was lowered below what was spent."""
        return max(0, self.limit - self.settled - self.held)
