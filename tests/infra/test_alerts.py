"""Alerts and dashboards: the documents' figures, metrics that exist, playbooks that can be read."""

import json
import re

import pytest
import yaml

from components.alerts import rules
from components.dashboards import board, read_dashboards
from components.log_store import METRICS, metric_query_name
from preview.recorder import ROOT
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.kernel.telemetry.metrics import REGISTRY
from sluicegate.reliability.policy import load_alerts

POLICY = load_alerts(PolicySet())
ALERTS = {each.name: each for each in POLICY.alerts}

# Requirement, alert, side, figure: what the source documents say.
FIGURES = [
    ("A12", "model-latency", "above", 1),
    ("A12", "error-rate", "above", 0.01),
    ("A12", "token-usage", "above", 0.9),
    ("A13", "daily-cost", "above", 50 * 0.8),
    ("A10", "monthly-cost", "above", 1000 * 0.8),
    ("A13", "failed-sign-ins", "above", 5),
    ("A9", "cpu", "above", 0.7),
    ("A9", "memory", "above", 0.8),
    ("A9", "queue-length", "above", 100),
    ("D2", "queue-age", "above", 60),
    ("D2", "api-latency-p95", "above", 0.5),
    ("D2", "api-latency-p99", "above", 1),
    ("B13", "streaming-latency", "above", 1),
    ("B13", "llm-response-time", "above", 10),
    ("B13", "sync-reliability", "below", 0.95),
    ("B13", "executor-success", "below", 0.9),
    ("B13", "log-integrity", "above", 0),
    ("B13", "personal-data-leak", "above", 0),
    ("B13", "guardrail-violations", "above", 0),
    ("D3", "scaling-success", "below", 0.99),
]
OBJECTIVES = {"availability": 99.9, "streaming-fast": 95, "answers-fast": 95, "executor": 95, "sync": 98}


@pytest.mark.parametrize(("source", "name", "side", "figure"), FIGURES)
def test_the_documents_figures_are_there(source, name, side, figure):
    assert getattr(ALERTS[name], side) == figure
    assert ALERTS[name].source == source


def test_the_objectives_are_the_documents():
    assert {each.name: each.percent for each in POLICY.objectives} == OBJECTIVES


def test_security_is_critical():
    for name in ("security-breach", "log-integrity", "personal-data-leak", "guardrail-violations"):
        assert ALERTS[name].severity == "critical"


def our_metrics():
    found = set()
    for family in REGISTRY.collect():
        name = family.name
        found |= {f"{name}_total"} if family.type == "counter" else {name}
        if family.type == "histogram":
            found |= {f"{name}_bucket", f"{name}_count", f"{name}_sum"}
    return found


def test_every_metric_exists_or_says_who_will_write_it():
    known = our_metrics()
    checked = 0
    for each in (*POLICY.alerts, *POLICY.objectives):
        query = each.query if hasattr(each, "query") else each.good + each.total
        for name in re.findall(r"(?<![\w:])sluicegate_[a-z_]+", query):
            checked += 1
            assert name in known or each.awaits, f"{each.name}: {name}"
            assert not (name in known and each.awaits), f"{each.name}: {name} is there; take `awaits` away"
    for dashboard in read_dashboards():
        for chart in dashboard["charts"]:
            for name in re.findall(r"(?<![\w:])sluicegate_[a-z_]+", chart["query"]):
                assert name in known, chart["title"]
            assert "mission_" not in chart["query"] or dashboard["awaits"]
    assert checked > 15


def test_every_log_metric_has_an_alert_and_the_reverse():
    queries = " ".join(each.query for each in POLICY.alerts)
    for metric in METRICS:
        assert metric_query_name(metric) in queries, metric
    for name in re.findall(r"user_(sluicegate_\w+)", queries):
        assert name.removeprefix("sluicegate_").replace("_", "-") in METRICS


def test_every_playbook_can_be_read():
    page = (ROOT / "docs" / "alerts.md").read_text("utf-8")
    headings = {re.sub(r"\W+", "-", each.lower()) for each in re.findall(r"^## (.+)$", page, re.MULTILINE)}
    assert {each.playbook for each in (*POLICY.alerts, *POLICY.objectives)} <= headings


def test_each_service_has_its_own_where_that_is_said(production_plan, production):
    made = [each.name for each in rules(production_plan, POLICY)]
    for manifest in production_plan.services:
        assert f"at-most-instances-{manifest.name}" in made
    gateway = production.named("AlertPolicy", "alerts-at-most-instances-gateway")
    query = gateway["conditions"][0]["conditionPrometheusQueryLanguage"]["query"]
    assert 'service_name="sluicegate-gateway"' in query
    assert query.endswith("/ 100) > 0.99")


def test_burn_rates_look_at_a_long_and_a_short_window(production):
    fast = production.named("AlertPolicy", "alerts-availability-burn-1h")
    long, short = (each["conditionPrometheusQueryLanguage"]["query"] for each in fast["conditions"])
    assert "[1h]" in long
    assert "[5m]" in short
    # 14.4 times a budget of 0.1 %.
    assert long.endswith("> 0.0144")
    assert fast["combiner"] == "AND"


def test_alerts_with_a_playbook_reach_pubsub(production):
    channel = production.named("NotificationChannel", "alerts-playbook")
    assert channel["labels"] == {"topic": "projects/your-project/topics/sluicegate-alerts"}
    told = production.named("AlertPolicy", "alerts-error-rate")["notificationChannels"]
    assert len(told) == 3
    assert any(each.endswith("alerts-playbook") for each in told)


def test_dashboards_per_domain_and_for_cost(production, production_plan):
    names = {each["name"] for each in read_dashboards()}
    assert {"code", "trading", "research", "creative", "cost"} <= names
    assert len(production.of("Dashboard")) == len(names)
    for dashboard in read_dashboards():
        made = board(production_plan, dashboard)
        places = [(tile.get("xPos", 0), tile.get("yPos", 0)) for tile in made["mosaicLayout"]["tiles"]]
        assert len(set(places)) == len(places)
        json.dumps(made)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"below": 1}, "exactly one of above and below"),
        ({"for_s": 45}, "whole half minutes"),
        ({"query": "sum({service})"}, "need each: service"),
        ({"severity": "high"}, "severity"),
        ({"notify": []}, "notify"),
        ({"name": "uptime"}, "names must be unique"),
    ],
)
def test_a_mistake_in_the_file_is_told(tmp_path, change, said):
    content = yaml.safe_load((ROOT / "shared" / "policies" / "alerts.yaml").read_text("utf-8"))
    content["alerts"][0] |= change
    (tmp_path / "alerts.yaml").write_text(yaml.safe_dump(content))
    with pytest.raises(ConfigurationError, match=said):
        load_alerts(PolicySet(tmp_path))


def test_long_ranges_are_evaluated_seldom(production):
    def interval(name):
        conditions = production.named("AlertPolicy", name)["conditions"]
        return {each["conditionPrometheusQueryLanguage"]["evaluationInterval"] for each in conditions}

    assert interval("alerts-monthly-cost") == {"600s"}
    assert interval("alerts-daily-cost") == {"30s"}
    assert interval("alerts-availability-burn-3d") == {"600s", "30s"}
