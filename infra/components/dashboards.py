"""Dashboards per domain and for cost, from infra/dashboards.yaml."""

import json
from pathlib import Path
from typing import Any

import pulumi
import yaml
from pulumi_gcp import monitoring

from components.base import Component
from stack.plan import Plan

SOURCE = Path(__file__).resolve().parents[1] / "dashboards.yaml"
_COLUMNS, _WIDTH, _HEIGHT = 12, 6, 4


class Dashboards(Component):
    """One dashboard per entry of the file."""

    def __init__(self, name: str, plan: Plan, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Dashboards", name, plan, opts)
        for dashboard in read_dashboards():
            monitoring.Dashboard(
                f"{name}-{dashboard['name']}",
                project=self.project,
                dashboard_json=json.dumps(board(plan, dashboard), sort_keys=True),
                opts=self.child,
            )
        self.register_outputs({})


def read_dashboards() -> list[dict[str, Any]]:
    """The entries of infra/dashboards.yaml."""
    found: list[dict[str, Any]] = yaml.safe_load(SOURCE.read_text("utf-8"))["dashboards"]
    return found


def board(plan: Plan, dashboard: dict[str, Any]) -> dict[str, Any]:
    """A dashboard as Cloud Monitoring wants it: two charts a row."""
    tiles = []
    for number, chart in enumerate(dashboard["charts"]):
        tile = {
            "width": _WIDTH,
            "height": _HEIGHT,
            "xPos": number % 2 * _WIDTH,
            "yPos": number // 2 * _HEIGHT,
            "widget": _widget(chart),
        }
        tiles.append({key: value for key, value in tile.items() if value or key == "widget"})
    return {
        "displayName": f"Sluicegate: {dashboard['title']}",
        "labels": dict.fromkeys([f"domain-{dashboard['name']}", plan.config.environment], ""),
        "mosaicLayout": {"columns": _COLUMNS, "tiles": tiles},
    }


def _widget(chart: dict[str, Any]) -> dict[str, Any]:
    query = {"prometheusQuery": chart["query"], "unitOverride": chart["unit"]}
    thresholds = [{"value": chart["threshold"]}] if "threshold" in chart else []
    return {
        "title": chart["title"],
        "xyChart": {
            "dataSets": [
                {"timeSeriesQuery": query, "plotType": chart.get("plot", "LINE"), "targetAxis": "Y1"}
            ],
            "thresholds": thresholds,
            "yAxis": {"label": chart["unit"], "scale": "LINEAR"},
        },
    }
