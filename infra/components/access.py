"""What functions may do to each other and with keys, as their manifests say."""

import pulumi
from pulumi_gcp import cloudrunv2

from components.base import Component
from components.identities import Identities
from components.keys import Keys
from sluicegate.manifest import Manifest
from stack.plan import Plan
from stack.roles import EXECUTOR, INVOKER, KEY_ROLES


class Access(Component):
    """Grants between functions, made when all of them are there."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        identities: Identities,
        services: dict[str, cloudrunv2.Service],
        jobs: dict[str, cloudrunv2.Job],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Access", name, plan, opts)
        for manifest in plan.manifests:
            member = identities.member(manifest.name)
            for function in sorted(manifest.access.calls):
                cloudrunv2.ServiceIamMember(
                    f"call-{function}-{manifest.name}",
                    project=self.project,
                    location=self.region,
                    name=services[function].name,
                    role=INVOKER,
                    member=member,
                    opts=self.child,
                )
            for job in sorted(manifest.access.runs):
                cloudrunv2.JobIamMember(
                    f"run-{job}-{manifest.name}",
                    project=self.project,
                    location=self.region,
                    name=jobs[job].name,
                    role=EXECUTOR,
                    member=member,
                    opts=self.child,
                )
        self.register_outputs({})


def grant_keys(manifest: Manifest, keys: Keys, identities: Identities) -> list[pulumi.Resource]:
    """What the function's manifest asks for under `access.keys`."""
    asked: dict[str, str] = dict(manifest.access.keys)
    return [
        keys.grant(
            f"key-{key}-{manifest.name}-{role.rpartition('.')[2]}",
            key,
            role,
            identities.member(manifest.name),
        )
        for key, what in sorted(asked.items())
        for role in KEY_ROLES[what]
    ]
