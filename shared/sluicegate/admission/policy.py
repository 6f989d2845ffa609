"""`policies/budgets.yaml` and `policies/limits.yaml`, typed."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, field_validator, model_validator

from sluicegate.admission.periods import Period, zone
from sluicegate.kernel.money import nano_from_usd
from sluicegate.kernel.policy_files import PolicyModel

Unavailable = Literal["closed", "open"]
PlanName = Literal["free", "pro", "studio", "enterprise"]

# Sums in Redis scripts are exact below 2^53; a rate is checked in limit * milliseconds.
_EXACT = 1 << 53


class Scope(StrEnum):
    """What a counter counts for. Every scope lies within one tenant."""

    TENANT = "tenant"
    WORKSPACE = "workspace"
    USER = "user"
    KEY = "key"
    AGENT = "agent"
    MISSION = "mission"
    MODEL = "model"
    TOOL = "tool"


class RatePeriod(StrEnum):
    """The window of a rate limit."""

    SECOND = "second"
    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"

    @property
    def milliseconds(self) -> int:
        return {"second": 1_000, "minute": 60_000, "hour": 3_600_000, "day": 86_400_000}[self.value]


def _nano(value: object) -> object:
    if not isinstance(value, str | int | Decimal) or isinstance(value, bool):
        raise ValueError(f'{value!r} must be a whole number or quoted text such as "12.50"')  # noqa: TRY004 - pydantic locates a ValueError
    return nano_from_usd(value)


Usd = Annotated[int, BeforeValidator(_nano)]
"""An amount written in USD, kept in nano-dollars."""

Count = Annotated[int, Field(ge=0, lt=_EXACT, strict=True)]


class Rule(PolicyModel):
    """What every rule has: `name` is an exact name in `scope`, or `*` for each name that has no own rule."""

    scope: Scope
    name: str = Field(default="*", min_length=1, max_length=256)


class BudgetRule(Rule):
    """Money that each matching name may spend in a period; `request` bounds each single request.

    `plans` replaces the limit for a plan; null there means no limit. `alert_percent` of the limit settled
    makes an event, once per period. `timezone` is `workspace` (the calling workspace's own) or an IANA
    name; by default workspaces and keys follow their workspace, and scopes that several workspaces
    share follow UTC, so that all of them count into one period.
    """

    period: Period | Literal["request"]
    limit_usd: Usd | None
    plans: Mapping[PlanName, Usd | None] = Field(default_factory=dict)
    alert_percent: tuple[Annotated[int, Field(ge=1, le=100)], ...] = (80, 100)
    on_unavailable: Unavailable = "closed"
    timezone: str | None = None

    @field_validator("timezone")
    @classmethod
    def _known_zone(cls, value: str | None) -> str | None:
        if value not in {None, "workspace"}:
            zone(str(value))
        return value

    def limit_for(self, plan: str) -> int | None:
        """Nano-dollars for `plan`; None: no limit."""
        return self.plans.get(plan, self.limit_usd)  # type: ignore[call-overload,no-any-return]

    def zone_for(self, workspace_zone: str) -> str:
        """The time zone whose calendar this budget follows."""
        if self.timezone is None:
            return workspace_zone if self.scope in {Scope.WORKSPACE, Scope.KEY} else "UTC"
        return workspace_zone if self.timezone == "workspace" else self.timezone


class CountRule(Rule):
    """A limit in whole numbers, with the same per-plan replacement as budgets."""

    limit: Count | None
    plans: Mapping[PlanName, Count | None] = Field(default_factory=dict)

    def limit_for(self, plan: str) -> int | None:
        """The limit for `plan`; None: no limit."""
        return self.plans.get(plan, self.limit)  # type: ignore[call-overload,no-any-return]


class RateRule(CountRule):
    """Requests per sliding window."""

    period: RatePeriod

    @model_validator(mode="after")
    def _exact(self) -> Self:
        limits = [limit for limit in (self.limit, *self.plans.values()) if limit is not None]
        if any(limit * self.period.milliseconds * 2 >= _EXACT for limit in limits):
            raise ValueError("the limit is too large to be counted exactly; leave it out or set null")
        return self


class TokenRule(CountRule):
    """Tokens, in and out, per calendar period (UTC)."""

    period: Period


class ConcurrencyRule(CountRule):
    """Requests under way at one time."""


class HoldPolicy(PolicyModel):
    """The life of a hold, in seconds.

    A hold whose owner was not heard of for `lifetime_s` is charged at its held amount. Owners speak
    every `heartbeat_s`. After Redis lost its data, admissions of a tenant wait `recovery_s` (twice that
    at most, while the ledger still takes events), in which running instances put back the holds they know.
    """

    lifetime_s: float = Field(default=30, gt=0)
    heartbeat_s: float = Field(default=10, gt=0)
    reap_s: float = Field(default=1, gt=0)
    recovery_s: float = Field(default=2, ge=0)

    @model_validator(mode="after")
    def _heard_in_time(self) -> Self:
        if self.heartbeat_s * 2 > self.lifetime_s:
            raise ValueError("heartbeat_s must be at most half of lifetime_s: one loss must not end a hold")
        return self


class LeasePolicy(PolicyModel):
    """How much of every counter an instance may take at once, to admit with by itself.

    A slice is used within `window_ms` and serves `most` requests at most (0: nothing is ever lent); of what a
    limit has left, at most one part in `margin` is lent.
    """

    most: Annotated[int, Field(ge=0, le=1000)] = 128
    window_ms: Annotated[int, Field(ge=10, le=1000)] = 50
    margin: Annotated[int, Field(ge=2, le=1000)] = 16


class WaitingPolicy(PolicyModel):
    """How long, and how many at once, requests wait for a budget that others hold just now."""

    seconds: float = Field(default=2, ge=0)
    length: int = Field(default=1_000, ge=0)


class BudgetPolicy(PolicyModel):
    """budgets.yaml."""

    budgets: tuple[BudgetRule, ...] = ()
    holds: HoldPolicy = HoldPolicy()
    waiting: WaitingPolicy = WaitingPolicy()
    leases: LeasePolicy = LeasePolicy()

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _check_distinct("budgets", ((rule.scope, rule.name, rule.period) for rule in self.budgets))
        return self


class LimitPolicy(PolicyModel):
    """limits.yaml. `on_unavailable` decides for requests under limits while Redis is away."""

    rates: tuple[RateRule, ...] = ()
    tokens: tuple[TokenRule, ...] = ()
    concurrency: tuple[ConcurrencyRule, ...] = ()
    on_unavailable: Unavailable = "closed"

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        _check_distinct("rates", ((rule.scope, rule.name, rule.period) for rule in self.rates))
        _check_distinct("tokens", ((rule.scope, rule.name, rule.period) for rule in self.tokens))
        _check_distinct("concurrency", ((rule.scope, rule.name) for rule in self.concurrency))
        return self


def _check_distinct(what: str, keys: Iterable[tuple[str, ...]]) -> None:
    seen: set[tuple[str, ...]] = set()
    for key in keys:
        if key in seen:
            raise ValueError(f"{what}: {' '.join(key)} is there twice; keep one")
        seen.add(key)
