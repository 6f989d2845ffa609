"""`policies/audit.yaml`, typed."""

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import Field, field_validator

from sluicegate.audit.actions import PayloadClass
from sluicegate.kernel.policy_files import PolicyModel
from sluicegate.kernel.tenancy import checked_name

Days = Annotated[int, Field(ge=1, le=36_500)]

_STRICTNESS = {each: place for place, each in enumerate(PayloadClass)}


class Retention(PolicyModel):
    """Days that payloads are kept: the tenant's own, else its plan's, else the default."""

    default: Days = 365
    plans: dict[str, Days] = Field(
        default_factory=lambda: {"free": 30, "pro": 365, "studio": 1_095, "enterprise": 2_555}
    )
    tenants: dict[str, Days] = Field(default_factory=dict)

    @field_validator("tenants")
    @classmethod
    def _are_names(cls, tenants: dict[str, int]) -> dict[str, int]:
        for tenant in tenants:
            checked_name(tenant, "tenant")
        return tenants

    def days(self, tenant: str, plan: str | None) -> int:
        """Days for `tenant` on `plan` (None: not known)."""
        own = self.tenants.get(tenant)
        return own if own is not None else self.plans.get(plan or "", self.default)


class Batch(PolicyModel):
    """Bounds of one integration, and of one payload."""

    entries: int = Field(default=5_000, ge=1, le=20_000)
    payload_bytes: int = Field(default=65_536, ge=1_024, le=1 << 20)


class ClassRule(PolicyModel):
    """The class of the payloads of actions that match a shell pattern."""

    action: str = Field(min_length=1, max_length=128)
    payload_class: PayloadClass = Field(alias="class")


class AuditPolicy(PolicyModel):
    """How entries are classified, batched and kept. See the file's comments."""

    retention_days: Retention = Retention()
    batch: Batch = Batch()
    classes: tuple[ClassRule, ...] = Field(default=(), max_length=256)
    identifiers: frozenset[str] = frozenset()
    in_leaf: frozenset[str] = frozenset()

    def payload_class(self, action: str, asked: PayloadClass | None) -> PayloadClass:
        """The class of a payload of `action`: policy's, or the one asked for where that is stricter."""
        ours = PayloadClass.SENSITIVE
        for rule in self.classes:
            if fnmatchcase(action, rule.action):
                ours = rule.payload_class
                break
        if asked is None or _STRICTNESS[asked] <= _STRICTNESS[ours]:
            return ours
        return asked
