"""How messages of a topic come to a function: pushed with a token, tried again, kept if nobody takes them."""

import pulumi
from pulumi_gcp import cloudrunv2, pubsub, serviceaccount

from components.base import Component
from components.identities import Identities
from components.keys import Keys
from components.topics import Topics
from sluicegate.manifest import Manifest
from stack.inventory import MESSAGE_RETENTION
from stack.plan import Plan
from stack.roles import INVOKER, PUBLISHER, SUBSCRIBER, TOKEN_CREATOR

ATTEMPTS = 5
"""As policies/events.yaml has it; then a message is a dead letter."""

_LONGEST_ACKNOWLEDGEMENT = 600


class Delivery(Component):
    """One function's subscription, its dead letters, and the grants that those need."""

    def __init__(
        self,
        manifest: Manifest,
        topic: str,
        path: str,
        plan: Plan,
        topics: Topics,
        keys: Keys,
        identities: Identities,
        service: cloudrunv2.Service,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        self._part = f"{manifest.name}-{topic}"
        self._name = f"delivery-{self._part}"
        super().__init__("Delivery", self._name, plan, opts)
        deliverer = identities.accounts["deliverer"]
        pubsub_agent = plan.agent("gcp-sa-pubsub")
        dead = pubsub.Topic(
            f"{self._name}-dead",
            name=plan.name(f"{self._part}-dead"),
            project=self.project,
            kms_key_name=keys.keys["messages"].id,
            message_retention_duration=MESSAGE_RETENTION,
            message_storage_policy={"allowed_persistence_regions": [self.region], "enforce_in_transit": True},
            labels={**plan.labels, "purpose": "dead-letters"},
            deletion_policy=plan.deletion_policy,
            opts=self.stateful(*keys.grants["messages"]),
        )
        # A topic without a subscription forgets what it is told; this one keeps dead letters to be looked at.
        kept = self._subscription("kept", dead, None)
        invoker = self._invoker(service, deliverer)
        push = self._subscription(
            "push", topics.topics[topic], manifest, path=path, service=service, deliverer=deliverer, dead=dead
        )
        pubsub.TopicIAMMember(
            f"{self._name}-dead",
            project=self.project,
            topic=dead.name,
            role=PUBLISHER,
            member=pubsub_agent,
            opts=self.child,
        )
        pubsub.SubscriptionIAMMember(
            f"{self._name}-dead",
            project=self.project,
            subscription=push.name,
            role=SUBSCRIBER,
            member=pubsub_agent,
            opts=self.child,
        )
        serviceaccount.IAMMember(
            f"{self._name}-token",
            service_account_id=deliverer.name,
            role=TOKEN_CREATOR,
            member=pubsub_agent,
            opts=self.child,
        )
        self.grants: list[pulumi.Resource] = [invoker]
        self.dead_letters = kept
        self.register_outputs({"subscription": push.name})

    def _invoker(
        self, service: cloudrunv2.Service, deliverer: serviceaccount.Account
    ) -> cloudrunv2.ServiceIamMember:
        return cloudrunv2.ServiceIamMember(
            f"{self._name}-invoker",
            project=self.project,
            location=self.region,
            name=service.name,
            role=INVOKER,
            member=pulumi.Output.concat("serviceAccount:", deliverer.email),
            opts=self.child,
        )

    def _subscription(
        self,
        part: str,
        topic: pubsub.Topic,
        manifest: Manifest | None,
        *,
        path: str = "/",
        service: cloudrunv2.Service | None = None,
        deliverer: serviceaccount.Account | None = None,
        dead: pubsub.Topic | None = None,
    ) -> pubsub.Subscription:
        trigger = None if manifest is None else manifest.trigger
        push = None
        if trigger is not None and service is not None and deliverer is not None:
            push = {
                "push_endpoint": pulumi.Output.concat(service.uri, path),
                "oidc_token": {"service_account_email": deliverer.email, "audience": service.uri},
                # The body is the event itself, its attributes are headers.
                "no_wrapper": {"write_metadata": True},
            }
        deadline = (
            60 if manifest is None else min(manifest.resources.timeout_seconds, _LONGEST_ACKNOWLEDGEMENT)
        )
        return pubsub.Subscription(
            f"{self._name}-{part}",
            name=self.plan.name(f"{self._part}-{part}"),
            project=self.project,
            topic=topic.id,
            ack_deadline_seconds=max(deadline, 10),
            message_retention_duration=MESSAGE_RETENTION,
            expiration_policy={"ttl": ""},  # never: nobody calling for a month is no reason to forget
            filter=None if trigger is None or path != trigger.path else trigger.filter,
            enable_message_ordering=trigger is not None and trigger.ordered,
            push_config=push,
            retry_policy={"minimum_backoff": "1s", "maximum_backoff": "300s"},
            dead_letter_policy=None
            if dead is None
            else {"dead_letter_topic": dead.id, "max_delivery_attempts": ATTEMPTS},
            labels=self.plan.labels,
            deletion_policy=self.plan.deletion_policy,
            opts=self.stateful(),
        )
