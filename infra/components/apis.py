"""Google's services that the project uses, and their agents, which other grants name."""

import pulumi
from pulumi_gcp import projects

from components.base import Component
from stack.inventory import SERVICES
from stack.plan import Plan

_WITH_AGENTS = (
    "artifactregistry", "cloudscheduler", "eventarc", "firestore", "monitoring", "pubsub", "redis", "run",
    "secretmanager",
)  # fmt: skip


class Apis(Component):
    """Switches services on. None is switched off when the stack goes: others in the project may use it."""

    def __init__(self, name: str, plan: Plan, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Apis", name, plan, opts)
        self.enabled: list[pulumi.Resource] = [
            projects.Service(
                f"{name}-{service}",
                project=self.project,
                service=f"{service}.googleapis.com",
                disable_on_destroy=False,
                opts=self.child,
            )
            for service in SERVICES
        ]
        self.agents: list[pulumi.Resource] = [
            projects.ServiceIdentity(
                f"{name}-agent-{service}",
                project=self.project,
                service=f"{service}.googleapis.com",
                opts=self.after(*self.enabled),
            )
            for service in _WITH_AGENTS
        ]
        self.register_outputs({})
