"""What can be asked about spending, and what the answer is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from sluicegate.kernel.errors import InvalidRequestError

MOST_LINES = 10_000
MOST_DIMENSIONS = 4


class GroupBy(StrEnum):
    """What spending can be summed by. Hours, days and months are UTC's."""

    MODEL = "model"
    PROVIDER = "provider"
    VERSION = "version"
    REQUESTED_MODEL = "requested_model"
    WORKSPACE = "workspace"
    USER = "user"
    KEY = "key"
    AGENT = "agent"
    MISSION = "mission"
    TASK = "task"
    TOOL = "tool"
    CACHE = "cache"
    OUTCOME = "outcome"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


PERIODS = (GroupBy.HOUR, GroupBy.DAY, GroupBy.MONTH)


@dataclass(frozen=True, slots=True)
class SpendQuery:
    """Which requests, and how they are summed.

    Attributes:
        since, until: `[since, until)`, epoch seconds; a request counts at its admission.
        by: one sum for each combination of these; none for the total alone.
        where: only requests with exactly this; None for those without one (no agent, no task).
        limit: sums at most.
    """

    since: float
    until: float
    by: tuple[GroupBy, ...] = ()
    where: Mapping[GroupBy, str | None] = field(default_factory=dict)
    limit: int = 1_000

    def __post_init__(self) -> None:
        if not self.since < self.until:
            raise InvalidRequestError("'until' must be after 'since'", param="until")
        if len(set(self.by)) != len(self.by) or len(self.by) > MOST_DIMENSIONS:
            raise InvalidRequestError(f"sum by at most {MOST_DIMENSIONS} different dimensions", param="by")
        if sum(each in PERIODS for each in self.by) > 1:
            raise InvalidRequestError("sum by one of hour, day and month", param="by")
        if any(each in PERIODS for each in self.where):
            raise InvalidRequestError("narrow the time by 'since' and 'until'", param="where")
        if not 1 <= self.limit <= MOST_LINES:
            raise InvalidRequestError(f"'limit' must be from 1 to {MOST_LINES}", param="limit")

    @property
    def overlaps(self) -> bool:
        """Whether a request may count in several sums: it can have used several tools."""
        return GroupBy.TOOL in self.by


@dataclass(frozen=True, slots=True)
class SpendSums:
    """Sums over requests.

    Money in nano-dollars, times in milliseconds; `input_tokens` are at full price and overlap no other count;
    `estimated_nano` is the part of the cost that is not the provider's own figure; `held_nano` is what was
    held while they ran; `latency_ms` is the mean.
    """

    requests: int = 0
    failures: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost_nano: int = 0
    estimated_nano: int = 0
    held_nano: int = 0
    latency_ms: float = 0.0

    @property
    def tokens(self) -> int:
        """All tokens of prompts and answers."""
        return self.input_tokens + self.cached_input_tokens + self.cache_write_tokens + self.output_tokens

    @property
    def mean_cost_nano(self) -> int:
        """What a request cost, rounded to the nearest nano-dollar; 0 without requests."""
        return (2 * self.cost_nano + self.requests) // (2 * self.requests) if self.requests else 0


@dataclass(frozen=True, slots=True)
class SpendLine:
    """The sums of one combination. `groups` as `by` asked; None where requests have none (no agent)."""

    groups: tuple[str | None, ...]
    sums: SpendSums


@dataclass(frozen=True, slots=True)
class SpendReport:
    """The answer. `total` is over all requests asked for, whether `lines` are cut short or not.

    Lines come by period, and within it the dearest first. By tool, a request that used several counts wholly
    for each, so those lines add up to more than the total.
    """

    tenant: str
    query: SpendQuery
    total: SpendSums
    lines: tuple[SpendLine, ...]
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class TaskCost:
    """What one task cost. `task` is None for requests that name none."""

    task: str | None
    sums: SpendSums
    share_of_cost: float


@dataclass(frozen=True, slots=True)
class ModelShare:
    """A model's part of what was asked in one period (`2026-11-20T14:00Z`). Shares are from 0 to 1."""

    period: str
    model: str
    sums: SpendSums
    share_of_requests: float
    share_of_tokens: float
    share_of_cost: float
