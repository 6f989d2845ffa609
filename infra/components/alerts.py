"""Cloud Monitoring's alerts: every threshold and objective of policies/alerts.yaml."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pulumi
from pulumi_gcp import monitoring

from components.base import Component
from components.service import instances
from components.topics import Topics
from sluicegate.reliability.policy import Alert, AlertPolicy, Objective
from stack.environments import DAY
from stack.plan import Plan

SEVERITIES = {"warning": "WARNING", "error": "ERROR", "critical": "CRITICAL"}
_EVALUATED_EVERY, _EVALUATED_SELDOM = "30s", "600s"
_LONG = re.compile(r"\[([2-9]|[1-9]\d+)d\]")
"""Ranges over more than a day change slowly and are dear to evaluate."""

_CLOSED_AFTER = f"{DAY}s"


@dataclass(frozen=True, slots=True)
class Rule:
    """One alert policy to be: a name, and conditions of which all must hold."""

    name: str
    alert: Alert
    queries: tuple[str, ...]
    threshold: str
    duration_s: int


class Alerts(Component):
    """Channels, and an alert policy for each rule. Those with a playbook also tell `functions/workers`."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        policy: AlertPolicy,
        topics: Topics,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Alerts", name, plan, opts)
        self.channels = self._channels(name, topics)
        for rule in rules(plan, policy):
            self._policy(name, rule)
        self.register_outputs({})

    def _channels(self, name: str, topics: Topics) -> dict[str, monitoring.NotificationChannel]:
        told = self.plan.config.notifications
        wanted: dict[str, tuple[str, dict[str, pulumi.Input[str]]]] = {
            "email": ("email", {"email_address": told.email}),
            "playbook": ("pubsub", {"topic": topics.topics["alerts"].id}),
        }
        if told.slack_channel is not None:
            wanted["slack"] = ("slack", {"channel_name": told.slack_channel})
        token = pulumi.Config("sluicegate").get_secret("slackToken") if "slack" in wanted else None
        return {
            channel: monitoring.NotificationChannel(
                f"{name}-{channel}",
                project=self.project,
                display_name=f"Sluicegate {channel}",
                type=kind,
                labels=labels,
                sensitive_labels={"auth_token": token} if channel == "slack" and token is not None else None,
                user_labels=self.plan.labels,
                opts=self.after(*topics.publishers.get("alerts", [])),
            )
            for channel, (kind, labels) in wanted.items()
        }

    def _policy(self, name: str, rule: Rule) -> None:
        alert = rule.alert
        told = [self.channels[each].id for each in alert.notify if each in self.channels]
        monitoring.AlertPolicy(
            f"{name}-{rule.name}",
            project=self.project,
            display_name=f"Sluicegate: {alert.title}"
            + ("" if rule.name == alert.name else f" ({rule.name})"),
            combiner="AND",
            severity=SEVERITIES[alert.severity],
            conditions=[
                {
                    "display_name": f"{alert.title}: {rule.threshold}",
                    "condition_prometheus_query_language": {
                        "query": query,
                        "duration": f"{rule.duration_s}s",
                        "evaluation_interval": _EVALUATED_SELDOM if _LONG.search(query) else _EVALUATED_EVERY,
                        # A metric appears with its first value; the alert is there before.
                        "disable_metric_validation": True,
                    },
                }
                for query in rule.queries
            ],
            documentation={
                "subject": f"[{self.plan.config.environment}] {alert.title}",
                "mime_type": "text/markdown",
                "content": f"{alert.why}\n\nThreshold: {rule.threshold} (requirement {alert.source}).\n\n"
                f"Playbook: [{alert.playbook}]({playbook_link(self.plan, alert.playbook)})",
            },
            notification_channels=told,
            alert_strategy={"auto_close": _CLOSED_AFTER, "notification_prompts": ["OPENED", "CLOSED"]},
            user_labels={**self.plan.labels, "playbook": alert.playbook, "alert": alert.name},
            opts=self.child,
        )


def rules(plan: Plan, policy: AlertPolicy) -> list[Rule]:
    """What becomes an alert policy of its own: thresholds, per service where so declared, and burn rates."""
    found: list[Rule] = []
    for alert in policy.alerts:
        if alert.each == "service":
            found += [_threshold(plan, alert, each.name) for each in plan.services] if plan.deploys else []
        else:
            found.append(_threshold(plan, alert, None))
    for objective in policy.objectives:
        found += _burn_rates(policy, objective)
    return found


def _threshold(plan: Plan, alert: Alert, service: str | None) -> Rule:
    query = alert.query
    limit = alert.limit
    if service is not None:
        most = instances(plan, plan.named(service))[1]
        query = query.replace("{service}", plan.name(service)).replace("{most}", str(most))
    sign = ">" if alert.above is not None else "<"
    return Rule(
        name=alert.name if service is None else f"{alert.name}-{service}",
        alert=alert,
        queries=(f"({query}) {sign} {limit:g}",),
        threshold=f"{sign} {limit:g} {alert.unit} for {alert.for_s} s",
        duration_s=alert.for_s,
    )


def _burn_rates(policy: AlertPolicy, objective: Objective) -> Iterator[Rule]:
    """Multi-window, multi-burn-rate alerts, as in chapter 5 of Google's SRE workbook.

    The long window makes sure that it matters, the short one that it goes on.
    """
    budget = 1 - objective.percent / 100
    for burn in policy.burn_rates:
        limit = burn.factor * budget
        queries = tuple(
            f"(1 - ({objective.ratio(window)})) > {limit:.6g}" for window in (burn.long, burn.short)
        )
        alert = Alert(
            name=f"{objective.name}-burn-{burn.long}",
            title=f"{objective.title}: error budget burns {burn.factor:g} times too fast",
            why=f"{objective.why} At this rate a month's budget is gone in {30 / burn.factor:.1f} days.",
            severity=burn.severity,
            query=objective.ratio(burn.long),
            above=limit,
            unit="of requests",
            for_s=0,
            playbook=objective.playbook,
            notify=burn.notify,
            source=objective.source,
            awaits=objective.awaits,
        )
        yield Rule(
            name=alert.name,
            alert=alert,
            queries=queries,
            threshold=f"bad share > {limit:.3%} over {burn.long} and {burn.short} "
            f"(objective {objective.percent:g} %)",
            duration_s=0,
        )


def playbook_link(plan: Plan, playbook: str) -> str:
    """Where the playbook can be read."""
    repository = plan.config.repository
    place = f"docs/alerts.md#{playbook}"
    return (
        place
        if repository is None
        else f"https://github.com/{repository.name}/blob/{repository.branch}/{place}"
    )
