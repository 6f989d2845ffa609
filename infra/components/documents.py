"""Firestore: the default database, its indexes, expiries and backups, from the one declaration in code."""

from typing import Any

import pulumi
from pulumi_gcp import firestore

from components.base import Component
from components.keys import Keys
from sluicegate.ledger.indexes import COMPOSITE_INDEXES, EXPIRIES, GROUP_INDEXED, UNINDEXED, CompositeIndex
from stack.environments import DAY
from stack.plan import Plan

DATABASE = "(default)"

_GROUP_INDEXES = [
    {"order": order, "query_scope": scope}
    for scope in ("COLLECTION", "COLLECTION_GROUP")
    for order in ("ASCENDING", "DESCENDING")
]


class Documents(Component):
    """The database with recovery to any second of a week, and a daily backup."""

    def __init__(self, name: str, plan: Plan, keys: Keys, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Documents", name, plan, opts)
        self._name = name
        figures = plan.figures
        self.database = firestore.Database(
            name,
            name=DATABASE,
            project=self.project,
            location_id=self.region,
            type="FIRESTORE_NATIVE",
            concurrency_mode="PESSIMISTIC",
            point_in_time_recovery_enablement="POINT_IN_TIME_RECOVERY_ENABLED"
            if figures.point_in_time_recovery
            else "POINT_IN_TIME_RECOVERY_DISABLED",
            delete_protection_state="DELETE_PROTECTION_ENABLED"
            if figures.protected
            else "DELETE_PROTECTION_DISABLED",
            cmek_config={"kms_key_name": keys.keys["documents"].id},
            deletion_policy=plan.deletion_policy,
            opts=self.stateful(*keys.grants["documents"]),
        )
        if figures.backup_days:
            firestore.BackupSchedule(
                f"{name}-daily",
                project=self.project,
                database=self.database.name,
                retention=f"{figures.backup_days * DAY}s",
                daily_recurrence={},
                opts=self.child,
            )
        for index in COMPOSITE_INDEXES:
            self._index(index)
        for (collection, field), inputs in fields().items():
            firestore.Field(
                f"{name}-{collection}-{field}",
                project=self.project,
                database=self.database.name,
                collection=collection,
                field=field,
                opts=self.child,
                **inputs,
            )
        self.register_outputs({"database": self.database.name})

    def _index(self, index: CompositeIndex) -> None:
        firestore.Index(
            "-".join(
                (
                    self._name,
                    *(("all",) if index.group else ()),
                    index.collection,
                    *(f"{each.name}-{each.order[:4]}" for each in index.fields),
                )
            ),
            project=self.project,
            database=self.database.name,
            collection=index.collection,
            query_scope="COLLECTION_GROUP" if index.group else "COLLECTION",
            fields=[
                {"field_path": each.name, "array_config": "CONTAINS"}
                if each.order == "CONTAINS"
                else {"field_path": each.name, "order": each.order}
                for each in index.fields
            ],
            opts=self.child,
        )


def fields() -> dict[tuple[str, str], dict[str, Any]]:
    """What is special about single fields: no index, one over all tenants, an expiry. One resource each."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for unindexed in UNINDEXED:
        for field in unindexed.fields:
            found[unindexed.collection, field] = {"index_config": {}}
    for grouped in GROUP_INDEXED:
        for field in grouped.fields:
            found[grouped.collection, field] = {"index_config": {"indexes": _GROUP_INDEXES}}
    for expiry in EXPIRIES:
        found.setdefault((expiry.collection, expiry.field), {})["ttl_config"] = {}
    return found
