"""One service account per function, with a custom role that holds what its manifest asks for, no more."""

from collections.abc import Mapping
from types import MappingProxyType

import pulumi
from pulumi_gcp import projects, serviceaccount

from components.base import Component
from sluicegate.manifest import Manifest
from stack.config import StackConfigurationError
from stack.environments import ClusterRedis
from stack.plan import Plan

NARROWED: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "roles/datastore.user": (
            "datastore.databases.get", "datastore.entities.allocateIds", "datastore.entities.create",
            "datastore.entities.delete", "datastore.entities.get", "datastore.entities.list",
            "datastore.entities.update",
        ),
        "roles/datastore.viewer": (
            "datastore.databases.get", "datastore.entities.get", "datastore.entities.list",
        ),
        "roles/monitoring.metricWriter": (
            "monitoring.metricDescriptors.create", "monitoring.metricDescriptors.get",
            "monitoring.metricDescriptors.list", "monitoring.monitoredResourceDescriptors.get",
            "monitoring.monitoredResourceDescriptors.list", "monitoring.timeSeries.create",
        ),
        "roles/monitoring.viewer": (
            "monitoring.alertPolicies.get", "monitoring.alertPolicies.list",
            "monitoring.metricDescriptors.get", "monitoring.metricDescriptors.list",
            "monitoring.timeSeries.list",
        ),
        # Messages are pushed to functions; none of them pulls.
        "roles/pubsub.subscriber": (),
        # Publishing is granted on topics (Plan.publishes), not on the project.
        "roles/pubsub.publisher": (),
        "roles/cloudtrace.agent": ("cloudtrace.traces.patch",),
        "roles/aiplatform.user": ("aiplatform.endpoints.predict",),
        "roles/logging.logWriter": ("logging.logEntries.create", "logging.logEntries.route"),
        "roles/run.developer": (
            "run.executions.get", "run.executions.list", "run.jobs.get", "run.jobs.list",
            "run.operations.get",
            "run.revisions.get", "run.revisions.list", "run.services.get", "run.services.list",
            "run.services.update",
        ),
    }
)  # fmt: skip
"""What a predefined role comes down to here. Roles are project-wide: what is not in this table is refused."""

_CLUSTER = {"redis.clusters.connect"}
"""A cluster asks for the caller's identity where an instance asks for a password."""

_DATABASE = "projects/{project}/databases/(default)"


class Identities(Component):
    """Accounts and their custom roles.

    Access to single things (topics, buckets, secrets, keys) is elsewhere, on the thing itself.
    """

    def __init__(self, name: str, plan: Plan, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Identities", name, plan, opts)
        self.accounts: dict[str, serviceaccount.Account] = {}
        self.grants: dict[str, list[pulumi.Resource]] = {}
        for manifest in plan.manifests:
            self.accounts[manifest.name] = self.account(
                manifest.name, f"Sluicegate {manifest.name}", manifest.description
            )
            self.grants[manifest.name] = self._roles(manifest)
        if any(each.trigger.deliveries or each.trigger.object for each in plan.services):
            self.accounts["deliverer"] = self.account(
                "deliverer", "Sluicegate deliverer", "Calls functions with messages"
            )
        self.register_outputs({})

    def account(self, name: str, title: str, description: str) -> serviceaccount.Account:
        """An account. It gets no key: Google's own metadata server vouches for it."""
        return serviceaccount.Account(
            f"identity-{name}",
            account_id=self.plan.name(name),
            project=self.project,
            display_name=title,
            description=description[:256],
            opts=self.child,
        )

    def member(self, function: str) -> pulumi.Output[str]:
        """The function's account, as policies name it."""
        return pulumi.Output.concat("serviceAccount:", self.accounts[function].email)

    def _roles(self, manifest: Manifest) -> list[pulumi.Resource]:
        """Two roles at most: one bound to the database, one for the rest."""
        permissions = {each for role in manifest.identity.roles for each in _narrowed(manifest, role)}
        if isinstance(self.plan.figures.redis, ClusterRedis) and "REDIS_URL" in manifest.secrets.required:
            permissions |= _CLUSTER
        documents = {each for each in permissions if each.startswith("datastore.")}
        condition = {
            "title": "only-our-database",
            "description": "Firestore's default database alone",
            "expression": f"resource.name == '{_DATABASE.format(project=self.project)}' || "
            f"resource.name.startsWith('{_DATABASE.format(project=self.project)}/')",
        }
        return [
            *self._role(manifest, "documents", documents, condition),
            *self._role(manifest, "runtime", permissions - documents, None),
        ]

    def _role(
        self, manifest: Manifest, part: str, permissions: set[str], condition: dict[str, str] | None
    ) -> list[pulumi.Resource]:
        if not permissions:
            return []
        name = f"identity-{manifest.name}-{part}"
        role = projects.IAMCustomRole(
            name,
            project=self.project,
            role_id=f"sluicegate.{manifest.name.replace('-', '_')}.{part}",
            title=f"Sluicegate {manifest.name}: {part}",
            description=f"What functions/{manifest.name}/function.toml asks for under identity.roles",
            permissions=sorted(permissions),
            stage="GA",
            opts=self.child,
        )
        return [
            projects.IAMMember(
                name,
                project=self.project,
                role=role.name,
                member=self.member(manifest.name),
                condition=condition,
                opts=self.child,
            )
        ]


def _narrowed(manifest: Manifest, role: str) -> tuple[str, ...]:
    if role not in NARROWED:
        raise StackConfigurationError(
            f"functions/{manifest.name}/function.toml: identity.roles: {role} is not in the table NARROWED "
            "of infra/components/identities.py; add the permissions that are needed there, or name the thing "
            "under [access]"
        )
    return NARROWED[role]
