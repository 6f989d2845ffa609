"""`policies/routing.yaml`: how to choose, when to give up on a model, what to try again."""

from typing import Literal, Self

from pydantic import Field, PositiveFloat, PositiveInt, model_validator

from sluicegate.kernel.policy_files import PolicyModel
from sluicegate.routing.catalogue_policy import Name, Share, Tier

Strategy = Literal["cost", "latency", "weighted", "round_robin"]
Complexity = Literal["low", "medium", "high"]


_TIERS: dict[Complexity, tuple[Tier, ...]] = {"low": ("low",), "medium": ("mid",), "high": ("high",)}


class ComplexityPolicy(PolicyModel):
    """Which tiers `auto` prefers for each complexity, and how sure the classifier must be.

    A prompt counts as low only when the classifier gives `low_confidence` to it: sending a hard prompt
    to a weak model costs more than the reverse.
    """

    low_confidence: Share = 0.5
    tiers: dict[Complexity, tuple[Tier, ...]] = Field(default_factory=lambda: dict(_TIERS))


class QualityPolicy(PolicyModel):
    """Floors of quality (0..1) that `auto` holds when the request names none."""

    default: Share = 0.5
    tasks: dict[str, Share] = Field(default_factory=dict)


class LoadFactors(PolicyModel):
    """Percent that each factor counts in the weighted strategy (documents A14, E5)."""

    cpu: int = Field(default=30, ge=0, le=100)
    memory: int = Field(default=20, ge=0, le=100)
    active_requests: int = Field(default=30, ge=0, le=100)
    response_time: int = Field(default=20, ge=0, le=100)

    @model_validator(mode="after")
    def _sums_to_hundred(self) -> Self:
        total = self.cpu + self.memory + self.active_requests + self.response_time
        if total != 100:
            raise ValueError(f"the four factors must add up to 100, not {total}")
        return self


class BreakerPolicy(PolicyModel):
    """When a model is left alone, and for how long.

    It opens after `consecutive_failures`, or when `failure_ratio` of at least `minimum_volume` requests
    within `window_s` failed. The nth opening in a row lasts `open_s` times 2ⁿ⁻¹ up to `max_open_s`, shortened
    by up to `jitter` of itself. Then `half_open_probes` requests at a time are let through, and
    `successes_to_close` of them close it.
    """

    window_s: PositiveFloat = 30.0
    minimum_volume: PositiveInt = 10
    failure_ratio: float = Field(default=0.5, gt=0.0, le=1.0)
    consecutive_failures: PositiveInt = 5
    open_s: PositiveFloat = 5.0
    max_open_s: PositiveFloat = 120.0
    jitter: Share = 0.2
    half_open_probes: PositiveInt = 1
    successes_to_close: PositiveInt = 2


class HealthPolicy(PolicyModel):
    """Active checks of providers (document A14: every 30 s, 5 s to answer, 3 failures), average latency.

    `latency_half_life_s` is the time after which an observation counts half.
    """

    check_interval_s: PositiveFloat = 30.0
    check_timeout_s: PositiveFloat = 5.0
    unhealthy_threshold: PositiveInt = 3
    latency_half_life_s: PositiveFloat = 30.0
    breaker: BreakerPolicy = BreakerPolicy()


class RetryPolicy(PolicyModel):
    """What is tried again and how long a request may take in all.

    Delays are full jitter (a random time up to `base_delay_s` times 2ⁿ, at most `max_delay_s`). A provider's
    retry-after is honoured up to `max_retry_after_s`; a longer one means the next candidate. Retries may
    be at most `budget_ratio` of the requests of the last `budget_window_s`, plus `budget_minimum` a second.
    """

    attempts_per_model: PositiveInt = 2
    max_attempts: PositiveInt = 4
    base_delay_s: PositiveFloat = 0.1
    max_delay_s: PositiveFloat = 2.0
    max_retry_after_s: float = Field(default=2.0, ge=0)
    retry_timeouts: bool = True
    statuses: frozenset[int] = frozenset({408, 429, 500, 502, 503, 504, 529})
    fallback_statuses: frozenset[int] = frozenset({401, 403, 404, 405, 409, 410, 501, 505})
    budget_ratio: Share = 0.2
    budget_minimum: float = Field(default=1.0, ge=0)
    budget_window_s: PositiveFloat = 10.0

    @model_validator(mode="after")
    def _statuses_are_failures(self) -> Self:
        for status in self.statuses | self.fallback_statuses:
            if not 400 <= status <= 599:
                raise ValueError(f"{status} is not a failure; list statuses from 400 to 599")
        both = self.statuses & self.fallback_statuses
        if both:
            raise ValueError(f"{min(both)} is under both statuses and fallback_statuses; keep one")
        return self


class DeadlinePolicy(PolicyModel):
    """Seconds: until the first byte of one try, between two reads, and over all tries of a request."""

    first_byte_s: PositiveFloat = 60.0
    idle_s: PositiveFloat = 60.0
    total_s: PositiveFloat = 290.0


class HedgePolicy(PolicyModel):
    """A second try at the next candidate while the first is still silent. Off: it can cost twice."""

    enabled: bool = False
    after_s: PositiveFloat = 2.0
    max_ratio: Share = 0.05


class RoutingPolicy(PolicyModel):
    """The whole file.

    The first of `fallback_models` that can be used answers an `auto` request that no model fits by quality
    and cost (document B10); `max_candidates` bounds the plan.
    """

    strategy: Strategy = "cost"
    fallback_models: tuple[Name, ...] = ()
    max_candidates: int = Field(default=4, ge=1, le=16)
    complexity: ComplexityPolicy = ComplexityPolicy()
    quality: QualityPolicy = QualityPolicy()
    load_factors: LoadFactors = LoadFactors()
    health: HealthPolicy = HealthPolicy()
    retry: RetryPolicy = RetryPolicy()
    deadlines: DeadlinePolicy = DeadlinePolicy()
    hedge: HedgePolicy = HedgePolicy()
