"""Eventarc: an object in a bucket starts a function."""

import pulumi
from pulumi_gcp import cloudrunv2, eventarc, projects

from components.base import Component
from components.buckets import Buckets
from components.identities import Identities
from sluicegate.manifest import Manifest
from stack.plan import Plan
from stack.roles import EVENT_RECEIVER, INVOKER, PUBLISHER


class ObjectEvents(Component):
    """A trigger for one function. Eventarc fits here: Cloud Storage has no push of its own with a token."""

    def __init__(
        self,
        manifest: Manifest,
        plan: Plan,
        buckets: Buckets,
        identities: Identities,
        service: cloudrunv2.Service,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        name = f"objects-{manifest.name}"
        super().__init__("ObjectEvents", name, plan, opts)
        source = manifest.trigger.object
        if source is None:
            raise ValueError(f"{manifest.name} waits for no object")
        deliverer = identities.member("deliverer")
        grants: list[pulumi.Resource] = [
            projects.IAMMember(
                f"{name}-receiver",
                project=self.project,
                role=EVENT_RECEIVER,
                member=deliverer,
                opts=self.child,
            ),
            # Cloud Storage announces objects on a topic that Eventarc makes in the project.
            projects.IAMMember(
                f"{name}-storage",
                project=self.project,
                role=PUBLISHER,
                member=plan.agent("gs-project-accounts"),
                opts=self.child,
            ),
            cloudrunv2.ServiceIamMember(
                f"{name}-invoker",
                project=self.project,
                location=self.region,
                name=service.name,
                role=INVOKER,
                member=deliverer,
                opts=self.child,
            ),
        ]
        eventarc.Trigger(
            name,
            name=plan.name(f"{manifest.name}-objects"),
            project=self.project,
            location=self.region,
            matching_criterias=[
                {"attribute": "type", "value": f"google.cloud.storage.object.v1.{source.type}"},
                {"attribute": "bucket", "value": buckets.buckets[source.bucket].name},
            ],
            destination={
                "cloud_run_service": {"service": service.name, "region": self.region, "path": source.path}
            },
            service_account=identities.accounts["deliverer"].email,
            labels=plan.labels,
            opts=self.after(*grants),
        )
        self.register_outputs({})
