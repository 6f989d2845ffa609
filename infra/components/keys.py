"""Cloud KMS: one ring, a key per kind of store, so that each can be withdrawn by itself."""

import pulumi
from pulumi_gcp import kms

from components.base import Component
from stack.environments import DAY, KEY_ROTATION_DAYS
from stack.inventory import KEYS, KeyPlan
from stack.plan import Plan
from stack.roles import ENCRYPTER

_DESTROYED_AFTER = f"{30 * DAY}s"


class Keys(Component):
    """The ring and its keys. Symmetric keys rotate every 90 days (A3); versions stay usable for reading."""

    def __init__(self, name: str, plan: Plan, opts: pulumi.ResourceOptions | None = None) -> None:
        super().__init__("Keys", name, plan, opts)
        self.ring = kms.KeyRing(
            name, name=plan.name("keys"), location=self.region, project=self.project, opts=self.stateful()
        )
        self.keys = {key: self._key(f"{name}-{key}", key, made) for key, made in KEYS.items()}
        self.grants: dict[str, list[pulumi.Resource]] = {
            key: [self._agent(f"{name}-{key}-{agent}", key, agent) for agent in made.agents]
            for key, made in KEYS.items()
        }
        self.register_outputs({})

    def grant(self, name: str, key: str, role: str, member: pulumi.Input[str]) -> pulumi.Resource:
        """Let `member` use `key` as `role` says."""
        made: pulumi.Resource = kms.CryptoKeyIAMMember(
            name, crypto_key_id=self.keys[key].id, role=role, member=member, opts=self.child
        )
        return made

    def _key(self, name: str, key: str, made: KeyPlan) -> kms.CryptoKey:
        signs = made.purpose == "ASYMMETRIC_SIGN"
        return kms.CryptoKey(
            name,
            name=key,
            key_ring=self.ring.id,
            purpose=made.purpose,
            # Cloud KMS rotates symmetric keys only; docs/deploy.md tells how a signing key is changed.
            rotation_period=None if signs else f"{KEY_ROTATION_DAYS * DAY}s",
            destroy_scheduled_duration=_DESTROYED_AFTER,
            version_template={
                "algorithm": made.algorithm,
                "protection_level": "SOFTWARE" if signs else self.plan.figures.key_protection,
            },
            labels=self.plan.labels,
            deletion_policy=self.plan.deletion_policy,
            opts=self.stateful(),
        )

    def _agent(self, name: str, key: str, agent: str) -> pulumi.Resource:
        number = self.plan.config.project_number
        member = (
            # Cloud Logging encrypts with an account of its own form.
            f"serviceAccount:cmek-p{number}@gcp-sa-logging.iam.gserviceaccount.com"
            if agent == "gcp-sa-logging"
            else self.plan.agent(agent)
        )
        return self.grant(name, key, ENCRYPTER, member)
