"""`roles.yaml` and `identity.yaml` as types."""

import re
from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from sluicegate.kernel.errors import ConfigurationError
from sluicegate.kernel.policy_files import PolicyModel

Seconds = Annotated[float, Field(gt=0, le=86_400 * 366)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]

_TRUSTWORTHY = re.compile(r"https://[^/]|http://(127\.0\.0\.1|localhost)(:[0-9]+)?(/|$)")


class Permission(StrEnum):
    """Everything that can be granted."""

    EXECUTE_TASKS = "execute_tasks"
    ACCESS_MODELS = "access_models"
    WRITE_LOGS = "write_logs"
    APPROVE_CHANGES = "approve_changes"
    PROVIDE_FEEDBACK = "provide_feedback"
    MANAGE_CONFIGURATION = "manage_configuration"
    ROTATE_CREDENTIALS = "rotate_credentials"
    VIEW_LOGS = "view_logs"
    VIEW_ALL_LOGS = "view_all_logs"
    VIEW_SPEND = "view_spend"


class Role(PolicyModel):
    """What one role grants."""

    permissions: frozenset[Permission]


class RolesPolicy(PolicyModel):
    """All roles by name."""

    roles: dict[str, Role] = Field(min_length=1)

    def permissions(self, roles: Iterable[str], only: Iterable[str] | None = None) -> frozenset[str]:
        """The union of what `roles` grant, narrowed to `only` where given.

        Raises:
            ConfigurationError: a role or a permission that does not exist.
        """
        granted: set[str] = set()
        for role in roles:
            granted |= {permission.value for permission in self.role(role).permissions}
        if only is None:
            return frozenset(granted)
        return frozenset(granted & {checked_permission(name) for name in only})

    def role(self, name: str) -> Role:
        """Role `name`.

        Raises:
            ConfigurationError: it does not exist.
        """
        if name not in self.roles:
            raise ConfigurationError(
                f"unknown role {name[:80]!r}: roles.yaml has {', '.join(sorted(self.roles))}"
            )
        return self.roles[name]


def checked_permission(name: str) -> str:
    """`name`, if it is a permission.

    Raises:
        ConfigurationError: it is not.
    """
    try:
        return Permission(name).value
    except ValueError:
        raise ConfigurationError(
            f"unknown permission {name[:80]!r}: there are {', '.join(Permission)}"
        ) from None


class KeyPolicy(PolicyModel):
    """API keys' life."""

    rotate_every_days: Annotated[float, Field(gt=0, le=3650)] = 30
    overlap_hours: Annotated[float, Field(ge=0, le=24 * 90)] = 24
    overdue: Literal["report", "refuse"] = "report"
    default_roles: tuple[str, ...] = ("ai_service",)

    @property
    def rotate_every_s(self) -> float:
        return self.rotate_every_days * 86_400

    @property
    def overlap_s(self) -> float:
        return self.overlap_hours * 3_600


class CachePolicy(PolicyModel):
    """What an instance remembers of callers. `ttl_s` in seconds, the rest are numbers of entries."""

    ttl_s: Annotated[float, Field(ge=0, le=60)] = 5
    entries: Count = 10_000
    prefixes: Count = 4_096
    lookups: Count = 32


class AttemptsPolicy(PolicyModel):
    """More than `limit` failures in `window_s` seconds block for `block_s` seconds."""

    limit: Annotated[int, Field(ge=1, le=10_000)] = 5
    window_s: Seconds = 60
    block_s: Seconds = 60
    addresses: Count = 10_000


class SignInLogPolicy(PolicyModel):
    """How failed sign-ins become entries of the log: per source two in `window_s`, of `sources` sources.

    `queue` events wait at most while the bus is away; further ones are only counted.
    """

    window_s: Seconds = 60
    sources: Count = 100
    queue: Count = 1_000


class ClaimNames(PolicyModel):
    """Which claim of a token says what."""

    tenant: str = "tenant"
    workspace: str = "workspace"
    roles: str = "roles"
    plan: str = "plan"
    timezone: str = "zoneinfo"


class TokenPolicy(PolicyModel):
    """Which tokens are believed. Symmetric algorithms and `none` cannot be configured at all."""

    issuer: Annotated[str, Field(min_length=1)] = "ai-sdlc"
    audience: Annotated[str, Field(min_length=1)] = "sluicegate"
    algorithms: Annotated[tuple[Literal["EdDSA", "RS256"], ...], Field(min_length=1)] = ("EdDSA", "RS256")
    max_life_s: Annotated[float, Field(gt=0, le=86_400)] = 3_600
    clock_skew_s: Annotated[float, Field(ge=0, le=300)] = 60
    jwks_url: str | None = None
    jwks_file: str | None = None
    jwks: dict[str, Any] | None = None
    refresh_s: Seconds = 300
    unknown_key_every_s: Seconds = 30
    tenants: tuple[str, ...] = ()
    default_roles: tuple[str, ...] = ()
    claims: ClaimNames = ClaimNames()

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(source is not None for source in (self.jwks_url, self.jwks_file, self.jwks)) > 1:
            raise ValueError("give one of jwks_url, jwks_file and jwks, not several")
        if self.jwks_url is not None and _TRUSTWORTHY.match(self.jwks_url) is None:
            raise ValueError(
                "jwks_url must be an https address: whoever changes it on the way signs in as anyone"
            )
        return self


class IdentityPolicy(PolicyModel):
    """All of `identity.yaml`."""

    keys: KeyPolicy = KeyPolicy()
    cache: CachePolicy = CachePolicy()
    failed_attempts: AttemptsPolicy = AttemptsPolicy()
    sign_in_log: SignInLogPolicy = SignInLogPolicy()
    tokens: TokenPolicy = TokenPolicy()

    def check(self, roles: RolesPolicy) -> None:
        """Check the names this policy uses against `roles`.

        Raises:
            ConfigurationError: a default role does not exist.
        """
        defaults: Mapping[str, tuple[str, ...]] = {
            "keys.default_roles": self.keys.default_roles,
            "tokens.default_roles": self.tokens.default_roles,
        }
        for field, names in defaults.items():
            for name in names:
                if name not in roles.roles:
                    raise ConfigurationError(
                        f"identity.yaml: {field}: unknown role {name!r}; roles.yaml has "
                        f"{', '.join(sorted(roles.roles))}"
                    )
