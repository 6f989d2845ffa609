"""Workload identity federation: a repository's workflows deploy without a key."""

import pulumi
from pulumi_gcp import iam, projects, serviceaccount

from components.base import Component
from stack.config import Repository
from stack.plan import Plan
from stack.roles import DEPLOYER_ROLES

_ISSUER = "https://token.actions.githubusercontent.com"


class Federation(Component):
    """A pool for one repository, whose `deploy` workflow on one branch may act as the deployer."""

    def __init__(
        self, name: str, plan: Plan, repository: Repository, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        super().__init__("Federation", name, plan, opts)
        deployer = serviceaccount.Account(
            f"{name}-deployer",
            account_id=plan.name("deployer"),
            project=self.project,
            display_name="Sluicegate deployer",
            description=f"The workflows of {repository.name}, branch {repository.branch}",
            opts=self.child,
        )
        for role in DEPLOYER_ROLES:
            projects.IAMMember(
                f"{name}-{role.partition('/')[2]}",
                project=self.project,
                role=role,
                member=pulumi.Output.concat("serviceAccount:", deployer.email),
                opts=self.child,
            )
        pool = iam.WorkloadIdentityPool(
            name,
            workload_identity_pool_id=plan.name("github"),
            project=self.project,
            display_name="GitHub",
            description=f"Workflows of {repository.name}",
            opts=self.child,
        )
        iam.WorkloadIdentityPoolProvider(
            name,
            workload_identity_pool_id=pool.workload_identity_pool_id,
            workload_identity_pool_provider_id=plan.name("github"),
            project=self.project,
            display_name="GitHub Actions",
            attribute_mapping={
                "google.subject": "assertion.sub",
                "attribute.repository": "assertion.repository",
                "attribute.ref": "assertion.ref",
            },
            attribute_condition=f"assertion.repository == '{repository.name}' && "
            f"assertion.ref == 'refs/heads/{repository.branch}'",
            oidc={"issuer_uri": _ISSUER},
            opts=self.child,
        )
        serviceaccount.IAMMember(
            f"{name}-acts",
            service_account_id=deployer.name,
            role="roles/iam.workloadIdentityUser",
            member=pulumi.Output.concat(
                "principalSet://iam.googleapis.com/", pool.name, f"/attribute.repository/{repository.name}"
            ),
            opts=self.child,
        )
        self.register_outputs({})
