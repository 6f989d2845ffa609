"""The shipped policies, and what is refused in others."""

from pathlib import Path
from typing import Any

import pytest

from sluicegate.admission.policy import BudgetPolicy, BudgetRule, LimitPolicy, Scope
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicySet

DOLLAR = 1_000_000_000


def test_shipped_budgets_are_the_documents_figures() -> None:
    policy = PolicySet().load("budgets", BudgetPolicy)
    limits = {(rule.scope, rule.period): rule.limit_for("free") for rule in policy.budgets}
    assert limits == {("workspace", "day"): 50 * DOLLAR, ("workspace", "month"): 1000 * DOLLAR}
    assert all(80 in rule.alert_percent and rule.on_unavailable == "closed" for rule in policy.budgets)
    assert policy.holds.lifetime_s >= 2 * policy.holds.heartbeat_s


def test_shipped_limits_are_the_documents_figures() -> None:
    policy = PolicySet().load("limits", LimitPolicy)
    rates = {(rule.scope, rule.name, rule.period): rule.limit_for("free") for rule in policy.rates}
    agents = {"coder": (10, 100), "trading": (5, 50), "research": (20, 200), "creative": (2, 20)}
    expected = {("key", "*", "hour"): 1000, ("tenant", "*", "minute"): 100}
    for agent, (minute, hour) in agents.items():
        expected |= {("agent", agent, "minute"): minute, ("agent", agent, "hour"): hour}
    assert rates == expected
    assert [(rule.name, rule.limit_for("free")) for rule in policy.tokens] == [("llm", 100_000)]
    assert [(rule.scope, rule.limit_for("free")) for rule in policy.concurrency] == [("key", 5)]
    assert policy.on_unavailable == "closed"


@pytest.mark.parametrize(
    ("name", "model", "text", "message"),
    [
        (
            "budgets",
            BudgetPolicy,
            "budgets:\n- {scope: workspace, period: day, limit_usd: 12.5}",
            "quoted text",
        ),
        ("budgets", BudgetPolicy, "budgets:\n- {scope: planet, period: day, limit_usd: 1}", "scope"),
        (
            "budgets",
            BudgetPolicy,
            "budgets:\n- {scope: user, period: day, limit_usd: 1, timezone: X/Y}",
            "IANA",
        ),
        ("budgets", BudgetPolicy, "holds: {lifetime_s: 10, heartbeat_s: 6}", "half of lifetime_s"),
        (
            "budgets",
            BudgetPolicy,
            "budgets:\n- {scope: key, period: day, limit_usd: 1}\n- {scope: key, period: day, limit_usd: 2}",
            "twice",
        ),
        ("limits", LimitPolicy, "rates:\n- {scope: key, period: day, limit: 60000000}", "too large"),
        ("limits", LimitPolicy, "rates:\n- {scope: key, period: day, limit: -1}", "greater than or equal"),
        ("limits", LimitPolicy, "concurrency:\n- {scope: key, limit: 5, plans: {gold: 6}}", "gold"),
    ],
)
def test_mistakes_are_located(tmp_path: Path, name: str, model: Any, text: str, message: str) -> None:
    (tmp_path / f"{name}.yaml").write_text(text)
    with pytest.raises(ConfigurationError, match=message) as caught:
        PolicySet(overlay=tmp_path).load(name, model)
    assert f"{name}.yaml:" in str(caught.value)


def test_plan_null_lifts_the_limit() -> None:
    rule = BudgetRule.model_validate(
        {"scope": "user", "period": "day", "limit_usd": 1, "plans": {"pro": 2, "enterprise": None}}
    )
    assert [rule.limit_for(plan) for plan in ("free", "pro", "enterprise")] == [DOLLAR, 2 * DOLLAR, None]


def test_shared_scopes_follow_one_calendar() -> None:
    def zone_of(scope: Scope, **more: Any) -> str:
        rule = BudgetRule.model_validate({"scope": scope, "period": "day", "limit_usd": 1, **more})
        return rule.zone_for("Asia/Tokyo")

    assert [zone_of(Scope.WORKSPACE), zone_of(Scope.KEY)] == ["Asia/Tokyo", "Asia/Tokyo"]
    assert {zone_of(scope) for scope in Scope if scope not in {Scope.WORKSPACE, Scope.KEY}} == {"UTC"}
    assert zone_of(Scope.USER, timezone="workspace") == "Asia/Tokyo"
    assert zone_of(Scope.WORKSPACE, timezone="Europe/Berlin") == "Europe/Berlin"
