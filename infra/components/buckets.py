"""Cloud Storage: no public access, no lists of access per object, keys of our own, ages as declared."""

from typing import Any

import pulumi
from pulumi_gcp import storage

from components.base import Component
from components.identities import Identities
from components.keys import Keys
from sluicegate.manifest import Manifest
from stack.environments import DAY
from stack.inventory import BUCKETS, BucketPlan
from stack.plan import Plan
from stack.roles import BUCKET_ROLES

_RECOVERABLE = 7 * DAY


class Buckets(Component):
    """The buckets of the inventory, and who may do what in them."""

    def __init__(self, name: str, plan: Plan, keys: Keys, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Buckets", name, plan, opts)
        self._keys = keys
        self.buckets = {purpose: self._bucket(purpose, made) for purpose, made in BUCKETS.items()}
        self.register_outputs({})

    def grant(self, manifest: Manifest, identities: Identities) -> list[pulumi.Resource]:
        """What the function's manifest asks for under `access.buckets`."""
        asked: dict[str, str] = dict(manifest.access.buckets)
        return [
            storage.BucketIAMMember(
                f"bucket-{purpose}-{manifest.name}-{role.rpartition('.')[2]}",
                bucket=self.buckets[purpose].name,
                role=role,
                member=identities.member(manifest.name),
                opts=self.child,
            )
            for purpose, what in sorted(asked.items())
            for role in BUCKET_ROLES[what]
        ]

    def _bucket(self, purpose: str, made: BucketPlan) -> storage.Bucket:
        locked = made.locked_days is not None
        return storage.Bucket(
            f"bucket-{purpose}",
            name=self.plan.bucket(purpose),
            project=self.project,
            location=self.region.upper(),
            storage_class="STANDARD",
            uniform_bucket_level_access=True,
            public_access_prevention="enforced",
            encryption={"default_kms_key_name": self._keys.keys["objects"].id},
            versioning={"enabled": made.versions_days is not None},
            lifecycle_rules=_lifecycle(made),
            # Retention and deletion on a day's notice do not go together: Cloud Storage refuses both at once.
            retention_policy={
                "retention_period": str(made.locked_days * DAY),
                "is_locked": self.plan.figures.locked,
            }
            if made.locked_days is not None
            else None,
            soft_delete_policy={"retention_duration_seconds": 0 if _erases(purpose) else _RECOVERABLE},
            force_destroy=False,
            labels={**self.plan.labels, "purpose": purpose},
            deletion_policy=self.plan.deletion_policy if _lasting(made) or locked else "DELETE",
            opts=self.stateful(*self._keys.grants["objects"])
            if _lasting(made)
            else self.after(*self._keys.grants["objects"]),
        )


def _lasting(made: BucketPlan) -> bool:
    """Whether what lies there cannot be made again."""
    return made.delete_days is None or made.versions_days is not None


def _erases(purpose: str) -> bool:
    """Whether deleted means gone: what was erased must not be recoverable."""
    return purpose in {"payloads", "cache", "exports"}


def _lifecycle(made: BucketPlan) -> list[dict[str, Any]]:
    rules: list[dict[str, Any]] = [
        {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 1}}
    ]
    if made.delete_days is not None:
        rules.append({"action": {"type": "Delete"}, "condition": {"age": made.delete_days}})
    if made.versions_days is not None:
        rules.append(
            {
                "action": {"type": "Delete"},
                "condition": {"days_since_noncurrent_time": made.versions_days, "with_state": "ARCHIVED"},
            }
        )
    if made.cold_days is not None:
        rules.append(
            {
                "action": {"type": "SetStorageClass", "storage_class": "NEARLINE"},
                "condition": {"age": made.cold_days, "matches_storage_classes": ["STANDARD"]},
            }
        )
    return rules
