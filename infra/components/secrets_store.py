"""Secret Manager: one secret per variable, readable by the functions that name it and nobody else."""

import pulumi
from pulumi_gcp import secretmanager

from components.base import Component
from components.identities import Identities
from components.keys import Keys
from stack.environments import DAY, SECRET_ROTATION_DAYS
from stack.inventory import API_KEYS, GENERATED_SECRETS
from stack.plan import Plan
from stack.roles import SECRET_ACCESSOR, secret_name

_DESTROYED_AFTER = f"{7 * DAY}s"


class Secrets(Component):
    """A secret per variable that any function's manifest names, whether it has a value yet or not."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        keys: Keys,
        rotation_topic: pulumi.Input[str],
        grants: list[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Secrets", name, plan, opts)
        self._keys, self._topic = keys, rotation_topic
        readers: dict[str, list[str]] = {variable: [] for variable in GENERATED_SECRETS}
        for manifest in plan.manifests:
            for variable in (*manifest.secrets.required, *manifest.secrets.optional):
                readers.setdefault(variable, []).append(manifest.name)
        # Whoever reads Redis's address checks its certificate, too.
        readers["REDIS_CA"] = sorted({*readers["REDIS_URL"], *readers["REDIS_CA"]})
        self.readers = readers
        self.secrets = {variable: self._secret(variable, grants) for variable in sorted(readers)}
        self.register_outputs({})

    def grant(self, identities: Identities) -> dict[str, list[pulumi.Resource]]:
        """Let each function read its own secrets; the grants by function."""
        made: dict[str, list[pulumi.Resource]] = {}
        for variable, functions in sorted(self.readers.items()):
            for function in functions:
                made.setdefault(function, []).append(
                    secretmanager.SecretIamMember(
                        f"secret-{variable}-{function}",
                        project=self.project,
                        secret_id=self.secrets[variable].secret_id,
                        role=SECRET_ACCESSOR,
                        member=identities.member(function),
                        opts=self.child,
                    )
                )
        return made

    def value(self, variable: str, value: pulumi.Input[str]) -> secretmanager.SecretVersion:
        """The version that holds `value`, which the stack knows by itself."""
        return secretmanager.SecretVersion(
            f"secret-{variable}",
            secret=self.secrets[variable].id,
            secret_data=pulumi.Output.secret(value),
            opts=self.child,
        )

    def _secret(self, variable: str, grants: list[pulumi.Resource]) -> secretmanager.Secret:
        rotates = variable in API_KEYS
        return secretmanager.Secret(
            f"secret-{variable}",
            secret_id=secret_name(variable),
            project=self.project,
            replication={
                "user_managed": {
                    "replicas": [
                        {
                            "location": self.region,
                            "customer_managed_encryption": {"kms_key_name": self._keys.keys["secrets"].id},
                        }
                    ]
                }
            },
            rotation={
                "rotation_period": f"{SECRET_ROTATION_DAYS * DAY}s",
                "next_rotation_time": self.plan.config.rotation_starts,
            }
            if rotates
            else None,
            topics=[{"name": self._topic}],
            # A version that was destroyed by mistake can be brought back for a week.
            version_destroy_ttl=_DESTROYED_AFTER,
            labels=self.plan.labels,
            deletion_protection=self.plan.figures.protected,
            # Google moves the time on when it is due.
            opts=self.stateful(
                *self._keys.grants["secrets"],
                *grants,
                ignore=("rotation.nextRotationTime",) if rotates else (),
            ),
        )
