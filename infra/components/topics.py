"""Pub/Sub: topics, the schema of our own, and who may publish."""

from pathlib import Path

import pulumi
from pulumi_gcp import pubsub

from components.base import Component
from components.identities import Identities
from components.keys import Keys
from sluicegate.manifest import Manifest
from stack.inventory import MESSAGE_RETENTION, TOPICS, TopicPlan
from stack.plan import Plan
from stack.roles import PUBLISHER

SCHEMA = Path(__file__).resolve().parents[1] / "schemas" / "cloud_event.proto"

# These publish as the project's own agents; budgets as an account that Google grants for itself.
_AGENTS = {
    "monitoring": "gcp-sa-monitoring-notification",
    "secrets": "gcp-sa-secretmanager",
    "scheduler": "gcp-sa-cloudscheduler",
}


class Topics(Component):
    """The topics of the inventory, and those that a function's manifest names beyond it."""

    def __init__(self, name: str, plan: Plan, keys: Keys, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Topics", name, plan, opts)
        self._keys = keys
        self.schema = pubsub.Schema(
            "schema-cloud-event",
            name=plan.name("cloud-event"),
            project=self.project,
            type="PROTOCOL_BUFFER",
            definition=SCHEMA.read_text("utf-8"),
            opts=self.child,
        )
        wanted = dict(TOPICS)
        for manifest in plan.manifests:
            for topic in (
                *plan.publishes(manifest),
                *(each for each, _ in manifest.trigger.deliveries),
                *manifest.trigger.pulls.values(),
            ):
                wanted.setdefault(topic, TopicPlan(f"Named by {manifest.name}"))
        self.topics = {topic: self._topic(topic, made) for topic, made in sorted(wanted.items())}
        # What publishes by itself must be allowed to before it is told of the topic.
        self.publishers: dict[str, list[pulumi.Resource]] = {
            topic: [self.allow(topic, _AGENTS[made.publisher], plan.agent(_AGENTS[made.publisher]))]
            for topic, made in sorted(wanted.items())
            if made.publisher in _AGENTS
        }
        self.register_outputs({})

    def allow(self, topic: str, who: str, member: pulumi.Input[str]) -> pubsub.TopicIAMMember:
        """Let `member` publish to `topic`."""
        return pubsub.TopicIAMMember(
            f"topic-{topic}-{who}",
            project=self.project,
            topic=self.topics[topic].name,
            role=PUBLISHER,
            member=member,
            opts=self.child,
        )

    def grant(self, manifest: Manifest, identities: Identities) -> list[pulumi.Resource]:
        """What the function's manifest asks for under `access.publishes`."""
        return [
            self.allow(topic, manifest.name, identities.member(manifest.name))
            for topic in self.plan.publishes(manifest)
        ]

    def _topic(self, topic: str, made: TopicPlan) -> pubsub.Topic:
        ours = made.publisher is None
        return pubsub.Topic(
            f"topic-{topic}",
            name=self.plan.name(topic),
            project=self.project,
            kms_key_name=self._keys.keys["messages"].id,
            message_retention_duration=MESSAGE_RETENTION,
            message_storage_policy={"allowed_persistence_regions": [self.region], "enforce_in_transit": True},
            schema_settings={"schema": self.schema.id, "encoding": "JSON"} if ours else None,
            labels={**self.plan.labels, "purpose": topic},
            deletion_policy=self.plan.deletion_policy,
            opts=self.stateful(self.schema, *self._keys.grants["messages"]),
        )
