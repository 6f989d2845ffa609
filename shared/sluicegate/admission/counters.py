"""The counters a subject falls under, compiled from policy once and used for many requests."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import quote

from sluicegate.admission.overrides import BudgetOverride
from sluicegate.admission.periods import Period, PeriodInstance, period_instance
from sluicegate.admission.policy import BudgetPolicy, BudgetRule, CountRule, LimitPolicy, Scope
from sluicegate.admission.types import Subject

# A period far from its end is compiled anew now and then, so that memory of old subjects is not kept.
_LONGEST_S = 3600.0

R = TypeVar("R", bound=CountRule)


@dataclass(frozen=True, slots=True)
class Counter:
    """Committed (settled and held) and settled amounts of one budget or token limit in one period.

    `unit` is `n` (nano-dollars) or `t` (tokens). `id` is `scope|name|period|label|end`: a field name says
    when it may be forgotten. `alerts` are (amount, percent), ascending.
    """

    unit: str
    id: str
    scope: str
    name: str
    period: Period
    instance: PeriodInstance
    limit: int
    alerts: tuple[tuple[int, int], ...] = ()

    @property
    def committed(self) -> bytes:
        return f"c{self.unit}|{self.id}".encode()

    @property
    def settled(self) -> bytes:
        return f"s{self.unit}|{self.id}".encode()


@dataclass(frozen=True, slots=True)
class RateCounter:
    """Requests in a sliding window of `period_ms` milliseconds."""

    field: bytes
    scope: str
    name: str
    period: str
    period_ms: int
    limit: int


@dataclass(frozen=True, slots=True)
class SlotCounter:
    """Requests under way."""

    field: bytes
    scope: str
    name: str
    limit: int


@dataclass(slots=True, eq=False)
class CounterSet:
    """Everything one subject is counted against until `valid_until` (epoch seconds).

    `request_limit_nano` is the tightest per-request budget. `open_when_away` says that policy lets requests
    through while the store is away. `template` holds the subject's members of an estimated usage event,
    as JSON text that starts with a comma. `encoded` belongs to the store that encodes it, `lending` to
    this instance's leases.
    """

    subject: Subject
    money: tuple[Counter, ...]
    tokens: tuple[Counter, ...]
    slots: tuple[SlotCounter, ...]
    rates: tuple[RateCounter, ...]
    request_limit_nano: int | None
    open_when_away: bool
    revocation: bytes
    template: str
    valid_until: float
    encoded: Any = field(default=None, repr=False)
    lending: Any = field(default=None, repr=False)

    @property
    def amounts(self) -> tuple[Counter, ...]:
        """Money, then token counters: the order in which a store numbers what is missing."""
        return self.money + self.tokens


def compile_counters(
    subject: Subject,
    budgets: BudgetPolicy,
    limits: LimitPolicy,
    overrides: Sequence[BudgetOverride],
    now: float,
) -> CounterSet:
    """The counters of `subject` at `now` (epoch seconds).

    For each scope, name and period, the first of these that exists gives a budget's limit: an override for
    the name, a rule for the name, an override for `*`, the rule for `*`.
    """
    names = {scope: tuple(_names(subject, scope)) for scope in Scope}
    money: list[Counter] = []
    request_limits: list[int] = []
    closed = False
    for rule, name, limit in _budgets(budgets.budgets, overrides, names, subject.plan):
        closed = closed or rule.on_unavailable == "closed"
        if rule.period == "request":
            request_limits.append(limit)
            continue
        instance = period_instance(rule.period, rule.zone_for(subject.timezone), now)
        alerts = tuple((-(-limit * percent // 100), percent) for percent in sorted(set(rule.alert_percent)))
        money.append(_counter("n", rule.scope, name, rule.period, instance, limit, alerts))
    tokens = [
        _counter("t", rule.scope, name, rule.period, period_instance(rule.period, "UTC", now), limit)
        for rule, name, limit in _matching(limits.tokens, names, subject.plan)
    ]
    rates = tuple(
        RateCounter(
            f"r|{rule.scope}|{_quoted(name)}|{rule.period.milliseconds}".encode(),
            rule.scope,
            name,
            rule.period,
            rule.period.milliseconds,
            limit,
        )
        for rule, name, limit in _matching(limits.rates, names, subject.plan)
    )
    slots = tuple(
        SlotCounter(f"o|{rule.scope}|{_quoted(name)}".encode(), rule.scope, name, limit)
        for rule, name, limit in _matching(limits.concurrency, names, subject.plan)
    )
    if tokens or rates or slots:
        closed = closed or limits.on_unavailable == "closed"
    ends = [counter.instance.end for counter in (*money, *tokens) if counter.instance.end]
    return CounterSet(
        subject=subject,
        money=tuple(money),
        tokens=tuple(tokens),
        slots=slots,
        rates=rates,
        request_limit_nano=min(request_limits, default=None),
        open_when_away=not closed,
        revocation=revocation_field(subject.key),
        template=_template(subject),
        valid_until=min([now + _LONGEST_S, *ends]),
    )


def revocation_field(key: str) -> bytes:
    """The field of a tenant's counters that marks `key` as revoked (see admission_sweep.lua)."""
    return f"revoked|{_quoted(key)}".encode()


def _names(subject: Subject, scope: Scope) -> Iterator[str]:
    if scope is Scope.TOOL:
        yield from dict.fromkeys(subject.tools)
        return
    name: str | None = getattr(subject, scope.value)
    if name:
        yield name


def _matching(
    rules: Iterable[R], names: Mapping[Scope, tuple[str, ...]], plan: str
) -> Iterator[tuple[R, str, int]]:
    """Each rule with each name it applies to; a rule for the name comes before the one for `*`."""
    rules = tuple(rules)
    own = {(rule.scope, rule.name, getattr(rule, "period", None)) for rule in rules}
    for rule in rules:
        limit = rule.limit_for(plan)
        for name in names[rule.scope]:
            exact = (rule.scope, name, getattr(rule, "period", None)) in own
            if limit is not None and (rule.name == name or (rule.name == "*" and not exact)):
                yield rule, name, limit


def _budgets(
    rules: Sequence[BudgetRule],
    overrides: Sequence[BudgetOverride],
    names: Mapping[Scope, tuple[str, ...]],
    plan: str,
) -> Iterator[tuple[BudgetRule, str, int]]:
    by_key = {(rule.scope.value, rule.name, str(rule.period)): rule for rule in rules}
    set_by = {
        (each.scope, each.name, each.period): each.limit_nano
        for each in overrides
        if each.limit_nano is not None
    }
    for scope, period in dict.fromkeys((key[0], key[2]) for key in (*by_key, *set_by)):
        for name in names[Scope(scope)]:
            own, star = by_key.get((scope, name, period)), by_key.get((scope, "*", period))
            rule = own or star
            limit = set_by.get((scope, name, period))
            if limit is None and own is not None:
                limit = own.limit_for(plan)
            elif limit is None:
                limit = set_by.get((scope, "*", period))
                if limit is None and star is not None:
                    limit = star.limit_for(plan)
            if limit is not None:
                yield (
                    rule
                    or BudgetRule.model_validate(
                        {"scope": scope, "name": name, "period": period, "limit_usd": None}
                    ),
                    name,
                    limit,
                )


def _counter(
    unit: str,
    scope: str,
    name: str,
    period: Period,
    instance: PeriodInstance,
    limit: int,
    alerts: tuple[tuple[int, int], ...] = (),
) -> Counter:
    identity = f"{scope}|{_quoted(name)}|{period}|{instance.label}|{instance.end}"
    return Counter(unit, identity, str(scope), name, period, instance, limit, alerts)


def _quoted(name: str) -> str:
    # Neither the field separator, nor a line end, nor anything JSON escapes gets into a field name.
    return quote(name, safe="._-@/:+")


def _template(subject: Subject) -> str:
    """The usage row of a request whose owner died, less what its hold knows (see ledger.usage)."""
    row = {
        "tenant": subject.tenant,
        "workspace": subject.workspace,
        "user": subject.user,
        "key": subject.key,
        "agent": subject.agent,
        "mission": subject.mission,
        "task": None,
        "model": subject.model,
        "provider": "",
        "requested_model": subject.model,
        "input_tokens": 0,
        "cached_input_tokens": 0,
        "cache_write_tokens": 0,
        "output_tokens": 0,
        "reasoning_tokens": 0,
        "latency_ms": 0.0,
        "first_byte_ms": None,
        "cache": "none",
        "outcome": "failure",
        "error": "owner_lost",
        "tools": list(subject.tools),
        "attempts": 1,
        "streamed": False,
    }
    return "," + json.dumps(row, separators=(",", ":"))[1:-1]
