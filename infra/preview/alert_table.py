"""Alerts with their thresholds."""

from components.alerts import rules
from preview.tables import table
from sluicegate.reliability.policy import AlertPolicy
from stack.plan import Plan


def alerts_page(plan: Plan, policy: AlertPolicy) -> str:
    """One row per alert policy."""
    found = rules(plan, policy)
    return (
        f"# Alerts of {plan.config.environment}\n\n{len(found)} alert policies, from `shared/policies/alerts.yaml`.\n\n"
        + table(
            ("alert", "severity", "threshold", "told to", "playbook", "requirement", "metric awaited from"),
            (
                (
                    rule.name,
                    rule.alert.severity,
                    rule.threshold,
                    ", ".join(rule.alert.notify),
                    rule.alert.playbook,
                    rule.alert.source,
                    rule.alert.awaits or "",
                )
                for rule in found
            ),
        )
    )
