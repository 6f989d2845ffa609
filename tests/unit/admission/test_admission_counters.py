"""Which counters a subject falls under."""

import json
from dataclasses import replace
from typing import Any

import pytest

from sluicegate.admission.counters import CounterSet, compile_counters
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.types import Subject
from sluicegate.ledger.usage import UsageRow

DOLLAR = 1_000_000_000
NOW = 1_795_000_000.0  # 2026-11-18T10:26:40Z
SUBJECT = Subject("acme", "growth", "ann", "k1", "openai/m1", agent="coder", tools=("llm", "web", "llm"))


def compiled(
    budgets: list[dict[str, Any]],
    *overrides: BudgetOverride,
    subject: Subject = SUBJECT,
    limits: dict[str, Any] | None = None,
) -> CounterSet:
    policy = BudgetPolicy.model_validate({"budgets": budgets})
    return compile_counters(subject, policy, LimitPolicy.model_validate(limits or {}), overrides, NOW)


def limits_of(each: CounterSet) -> dict[tuple[str, str, str], int]:
    return {(c.scope, c.name, str(c.period)): c.limit // DOLLAR for c in each.money}


ANY = {"scope": "workspace", "period": "day", "limit_usd": 50}
OWN = {"scope": "workspace", "name": "growth", "period": "day", "limit_usd": 70}


def test_a_rule_for_the_name_comes_before_the_one_for_all() -> None:
    assert limits_of(compiled([ANY, OWN])) == {("workspace", "growth", "day"): 70}
    other = replace(SUBJECT, workspace="ops")
    assert limits_of(compiled([ANY, OWN], subject=other)) == {("workspace", "ops", "day"): 50}


def test_precedence_of_overrides() -> None:
    for_all = BudgetOverride("workspace", "*", "day", 5 * DOLLAR)
    for_one = BudgetOverride("workspace", "growth", "day", 3 * DOLLAR)
    taken_back = BudgetOverride("workspace", "growth", "day", None)
    key = ("workspace", "growth", "day")
    assert limits_of(compiled([ANY, OWN], for_all, for_one)) == {key: 3}
    assert limits_of(compiled([ANY, OWN], for_all)) == {key: 70}
    assert limits_of(compiled([ANY], for_all)) == {key: 5}
    assert limits_of(compiled([ANY, OWN], taken_back)) == {key: 70}


def test_an_override_needs_no_rule() -> None:
    override = BudgetOverride("user", "ann", "month", 2 * DOLLAR)
    assert limits_of(compiled([], override)) == {("user", "ann", "month"): 2}
    assert compiled([], override, subject=replace(SUBJECT, user="bob")).money == ()


def test_absent_scopes_have_no_counters() -> None:
    rules = [{"scope": scope, "period": "day", "limit_usd": 1} for scope in ("agent", "mission", "tool")]
    assert limits_of(compiled(rules)) == {
        ("agent", "coder", "day"): 1,
        ("tool", "llm", "day"): 1,
        ("tool", "web", "day"): 1,
    }


def test_plans_and_unlimited() -> None:
    rule = ANY | {"plans": {"pro": 9, "enterprise": None}}
    assert limits_of(compiled([rule], subject=replace(SUBJECT, plan="pro"))) == {
        ("workspace", "growth", "day"): 9
    }
    assert compiled([rule], subject=replace(SUBJECT, plan="enterprise")).money == ()


def test_request_budgets_bound_one_request() -> None:
    each = compiled(
        [
            {"scope": "key", "period": "request", "limit_usd": 3},
            {"scope": "user", "period": "request", "limit_usd": 2},
        ]
    )
    assert (each.request_limit_nano, each.money) == (2 * DOLLAR, ())


def test_valid_until_the_first_period_ends() -> None:
    each = compiled([ANY, {"scope": "user", "period": "minute", "limit_usd": 1}])
    assert each.valid_until == min(c.instance.end for c in each.money) < NOW + 60


def test_thresholds_are_rounded_up() -> None:
    (counter,) = compiled([{"scope": "user", "period": "day", "limit_usd": "0.000000007"}]).money
    assert counter.alerts == ((6, 80), (7, 100))


@pytest.mark.parametrize(
    ("budget", "limit", "expected"),
    [("closed", "open", False), ("open", "closed", False), ("open", "open", True)],
)
def test_open_only_if_all_say_so(budget: str, limit: str, *, expected: bool) -> None:
    limits = {"on_unavailable": limit, "rates": [{"scope": "key", "period": "hour", "limit": 1}]}
    assert compiled([ANY | {"on_unavailable": budget}], limits=limits).open_when_away is expected


def test_limits_that_bind_nobody_close_nothing() -> None:
    limits = {"rates": [{"scope": "agent", "name": "trading", "period": "hour", "limit": 1}]}
    assert compiled([ANY | {"on_unavailable": "open"}], limits=limits).open_when_away is True


def test_field_names_say_when_they_end_and_nothing_breaks_out() -> None:
    hostile = replace(SUBJECT, user='a|b\n"\\c')
    each = compiled(
        [{"scope": "user", "period": "day", "limit_usd": 1}],
        subject=hostile,
        limits={"rates": [{"scope": "model", "period": "hour", "limit": 1}]},
    )
    counter = each.money[0]
    assert counter.committed == b"cn|user|a%7Cb%0A%22%5Cc|day|20261118|1795046400"
    assert counter.settled == b"s" + counter.committed[1:]
    assert each.rates[0].field == b"r|model|openai/m1|3600000"


def test_template_completes_a_usage_row() -> None:
    known = {"request_id": "r", "at": 1.0, "cost_nano": 2, "held_nano": 2, "estimated": True}
    row = UsageRow(**known, **json.loads("{" + compiled([]).template[1:] + "}"))
    assert (row.tenant, row.agent, row.tools, row.outcome) == (
        "acme",
        "coder",
        ["llm", "web", "llm"],
        "failure",
    )
