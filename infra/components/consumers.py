"""Consumer groups that a function pulls for; names are those of sluicegate.adapters.gcp.pubsub_names."""

import pulumi
from pulumi_gcp import pubsub

from components.base import Component
from components.identities import Identities
from components.keys import Keys
from components.topics import Topics
from sluicegate.manifest import Manifest
from stack.inventory import MESSAGE_RETENTION
from stack.plan import Plan
from stack.roles import PUBLISHER, SUBSCRIBER

MOST_DELIVERIES = 100
"""For what ends its consumer again and again; consumers put aside what they cannot apply long before."""

_ACKNOWLEDGED_WITHIN = 60


class Consumers(Component):
    """One function's groups: a subscription each, and a topic and a subscription for its dead letters."""

    def __init__(
        self,
        manifest: Manifest,
        plan: Plan,
        topics: Topics,
        keys: Keys,
        identities: Identities,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Consumers", f"consumers-{manifest.name}", plan, opts)
        self._function, self._member = manifest.name, identities.member(manifest.name)
        self._google = plan.agent("gcp-sa-pubsub")
        for group, topic in sorted(manifest.trigger.pulls.items()):
            self._group(group, topics.topics[topic], keys)
        self.register_outputs({})

    def _group(self, group: str, topic: pubsub.Topic, keys: Keys) -> None:
        name = f"consumers-{group}"
        dead = pubsub.Topic(
            f"{name}-dead",
            name=self.plan.name(f"{group}-dead"),
            project=self.project,
            kms_key_name=keys.keys["messages"].id,
            message_retention_duration=MESSAGE_RETENTION,
            message_storage_policy={"allowed_persistence_regions": [self.region], "enforce_in_transit": True},
            labels={**self.plan.labels, "purpose": "dead-letters"},
            deletion_policy=self.plan.deletion_policy,
            opts=self.stateful(*keys.grants["messages"]),
        )
        pull = self._subscription(
            f"{name}-pull",
            topic,
            name=self.plan.name(f"{group}-pull"),
            # An event that is delivered again to one group alone names it.
            filter=f'NOT attributes:recipient OR attributes.recipient = "{group}"',
            dead_letter_policy={"dead_letter_topic": dead.id, "max_delivery_attempts": MOST_DELIVERIES},
        )
        kept = self._subscription(f"{name}-kept", dead, name=self.plan.name(f"{group}-kept"))
        for part, subscription in (("pull", pull), ("kept", kept)):
            self._may_take(f"{name}-{part}-{self._function}", subscription, self._member)
        self._may_take(f"{name}-google", pull, self._google)
        for who, member in ((self._function, self._member), ("google", self._google)):
            pubsub.TopicIAMMember(
                f"{name}-dead-{who}",
                project=self.project,
                topic=dead.name,
                role=PUBLISHER,
                member=member,
                opts=self.child,
            )

    def _subscription(
        self, resource: str, topic: pubsub.Topic, **inputs: pulumi.Input[object]
    ) -> pubsub.Subscription:
        return pubsub.Subscription(
            resource,
            project=self.project,
            topic=topic.id,
            ack_deadline_seconds=_ACKNOWLEDGED_WITHIN,
            message_retention_duration=MESSAGE_RETENTION,
            expiration_policy={"ttl": ""},
            labels=self.plan.labels,
            deletion_policy=self.plan.deletion_policy,
            opts=self.stateful(),
            **inputs,
        )

    def _may_take(self, resource: str, subscription: pubsub.Subscription, member: pulumi.Input[str]) -> None:
        pubsub.SubscriptionIAMMember(
            resource,
            project=self.project,
            subscription=subscription.name,
            role=SUBSCRIBER,
            member=member,
            opts=self.child,
        )
