"""Artifact Registry: the images that run, and their clean-up."""

import pulumi
from pulumi_gcp import artifactregistry

from components.base import Component
from components.keys import Keys
from stack.environments import DAY
from stack.plan import Plan

_KEPT_RELEASES = 20
_UNTAGGED_DAYS = 7
_OLD_DAYS = 180


class Registry(Component):
    """One repository. Tags cannot be moved; what is neither tagged nor young goes, the last 20 stay."""

    def __init__(self, name: str, plan: Plan, keys: Keys, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Registry", name, plan, opts)
        self.repository = artifactregistry.Repository(
            name,
            repository_id=plan.name("images"),
            project=self.project,
            location=self.region,
            format="DOCKER",
            description="Images of Sluicegate's functions",
            kms_key_name=keys.keys["images"].id,
            docker_config={"immutable_tags": True},
            vulnerability_scanning_config={"enablement_config": "INHERITED"},
            cleanup_policy_dry_run=False,
            cleanup_policies=[
                {
                    "id": "untagged",
                    "action": "DELETE",
                    "condition": {"tag_state": "UNTAGGED", "older_than": f"{_UNTAGGED_DAYS * DAY}s"},
                },
                {
                    "id": "old",
                    "action": "DELETE",
                    "condition": {"tag_state": "ANY", "older_than": f"{_OLD_DAYS * DAY}s"},
                },
                {"id": "recent", "action": "KEEP", "most_recent_versions": {"keep_count": _KEPT_RELEASES}},
            ],
            labels=plan.labels,
            deletion_policy=plan.deletion_policy,
            opts=self.stateful(*keys.grants["images"]),
        )
        self.register_outputs({"repository": self.repository.repository_id})
