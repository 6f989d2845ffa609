"""Cloud Scheduler: publishes to a function's topic at its times."""

import base64
import json

import pulumi
from pulumi_gcp import cloudscheduler

from components.base import Component
from components.topics import Topics
from sluicegate.manifest import Manifest
from stack.plan import Plan


class Schedule(Component):
    """One function's schedule. A missed time is made up for, a failed one tried again."""

    def __init__(
        self, manifest: Manifest, plan: Plan, topics: Topics, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("Schedule", f"schedule-{manifest.name}", plan, opts)
        topic = manifest.trigger.topic
        if topic is None or manifest.trigger.schedule is None:
            raise ValueError(f"{manifest.name} has no schedule")
        body = json.dumps({"function": manifest.name, "reason": "schedule"}, sort_keys=True)
        cloudscheduler.Job(
            f"schedule-{manifest.name}",
            name=plan.name(manifest.name),
            project=self.project,
            region=self.region,
            description=manifest.description,
            schedule=manifest.trigger.schedule,
            time_zone=manifest.trigger.timezone,
            pubsub_target={
                "topic_name": topics.topics[topic].id,
                "data": base64.b64encode(body.encode()).decode(),
                "attributes": {"function": manifest.name},
            },
            retry_config={
                "retry_count": 3,
                "min_backoff_duration": "5s",
                "max_backoff_duration": "300s",
                "max_doublings": 5,
            },
            opts=self.after(*topics.publishers.get(topic, [])),
        )
        self.register_outputs({})
