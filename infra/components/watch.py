"""Seen from outside: uptime checks, and what the project itself costs."""

import pulumi
from pulumi_gcp import billing, monitoring

from components.base import Component
from components.topics import Topics
from stack.plan import Plan

_REGIONS = ["USA", "EUROPE", "ASIA_PACIFIC"]
_SHARES = (0.5, 0.8, 1.0)  # 80 %: A10


class Watch(Component):
    """An uptime check per public function, from three continents; a budget where billing is configured."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        topics: Topics,
        channels: dict[str, monitoring.NotificationChannel],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Watch", name, plan, opts)
        for manifest in (
            (each for each in plan.web if "/healthz" in each.trigger.http) if plan.deploys else ()
        ):
            monitoring.UptimeCheckConfig(
                f"{name}-{manifest.name}",
                project=self.project,
                display_name=f"Sluicegate {manifest.name}",
                monitored_resource={
                    "type": "uptime_url",
                    "labels": {"host": plan.config.domain, "project_id": self.project},
                },
                http_check={"path": "/healthz", "port": 443, "use_ssl": True, "validate_ssl": True},
                period=plan.figures.uptime_period,
                timeout="5s",  # A14
                selected_regions=_REGIONS,
                log_check_failures=True,
                user_labels=plan.labels,
                opts=self.child,
            )
        if plan.config.billing is not None:
            self._budget(name, topics, channels)
        self.register_outputs({})

    def _budget(self, name: str, topics: Topics, channels: dict[str, monitoring.NotificationChannel]) -> None:
        config = self.plan.config
        if config.billing is None:
            return
        billing.Budget(
            f"{name}-budget",
            billing_account=config.billing.account,
            display_name=self.plan.name(config.environment),
            budget_filter={
                "projects": [f"projects/{config.project_number}"],
                "credit_types_treatment": "INCLUDE_ALL_CREDITS",
                "calendar_period": "MONTH",
            },
            amount={
                "specified_amount": {
                    "currency_code": config.billing.currency,
                    "units": str(config.billing.monthly),
                }
            },
            threshold_rules=[
                *({"threshold_percent": share, "spend_basis": "CURRENT_SPEND"} for share in _SHARES),
                {"threshold_percent": 1.0, "spend_basis": "FORECASTED_SPEND"},
            ],
            all_updates_rule={
                "pubsub_topic": topics.topics["budget-notices"].id,
                "schema_version": "1.0",
                "monitoring_notification_channels": [
                    channels[each].id for each in ("email", "slack") if each in channels
                ],
            },
            opts=self.child,
        )
