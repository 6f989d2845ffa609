"""What an operator configures per stack (`sluicegate:stack` in Pulumi.<stack>.yaml), typed and checked."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

VariableName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]
Domain = Annotated[str, Field(pattern=r"^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$")]
Email = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$")]


class StackConfigurationError(Exception):
    """The stack's configuration is wrong; the message has one line per problem, with its remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretReference(_Part):
    """The version of a secret that is mounted. `latest` is read when an instance starts."""

    version: str = Field("latest", pattern=r"^(latest|[1-9][0-9]*)$")


class Images(_Part):
    """What runs, by digest, so that the same program deploys the same bytes."""

    sluicegate: str
    inference: str | None = None
    collector: str | None = Field(None, description="Managed Prometheus sidecar; None: no metrics collected")

    @field_validator("*")
    @classmethod
    def _pinned(cls, image: str | None) -> str | None:
        if image is None:
            return None
        repository, separator, digest = image.partition("@sha256:")
        if not repository or not separator or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise ValueError("must name a digest (…@sha256:…); a tag can change under a running service")
        return image


class Rollout(_Part):
    """A release on its way: `stable` is the revision that served before, `percent` goes to the new one."""

    stable: str = Field(pattern=r"^[a-z][a-z0-9-]{0,62}$")
    percent: int = Field(0, ge=0, le=100)


class Notifications(_Part):
    """Who hears of alerts. The Slack token is a Pulumi secret: `pulumi config set --secret`."""

    email: Email
    slack_channel: str | None = Field(None, pattern=r"^#[a-z0-9_-]{1,80}$")


class Billing(_Part):
    """The billing account and what a month may cost before somebody is told."""

    account: str = Field(pattern=r"^[0-9A-F]{6}-[0-9A-F]{6}-[0-9A-F]{6}$")
    monthly: int = Field(1_000, ge=1)
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")


class Repository(_Part):
    """Whose workflows may deploy, through workload identity federation (no keys)."""

    name: str = Field(pattern=r"^[\w.-]+/[\w.-]+$")
    branch: str = Field("main", pattern=r"^[\w./-]+$")


class StackConfig(_Part):
    """One stack, in a project of its own.

    Without `images` only the foundations are made (keys, registry, secrets, network, stores): what must be
    there before there can be an image or a secret's value. `secrets` are the environment variables whose
    secrets have a value; `variables` are other ones, plain text, for the functions that read them.
    """

    project: str = Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    project_number: str = Field(pattern=r"^[1-9][0-9]{5,20}$")
    region: str = Field(pattern=r"^[a-z]+-[a-z]+[0-9]$")
    environment: Literal["dev", "staging", "production"]
    domain: Domain
    notifications: Notifications
    rotation_starts: str = Field(pattern=r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$")
    billing: Billing | None = None
    repository: Repository | None = None
    images: Images | None = None
    secrets: dict[VariableName, SecretReference] = {}
    variables: dict[VariableName, str] = {}
    rollout: dict[str, Rollout] = {}

    @model_validator(mode="after")
    def _each_variable_once(self) -> Self:
        twice = sorted(self.secrets.keys() & self.variables.keys())
        if twice:
            raise ValueError(f"{', '.join(twice)}: given as a secret and as plain text; keep the secret only")
        return self


def read_stack_config(values: Any) -> StackConfig:
    """The stack's configuration from what `sluicegate:stack` holds.

    Raises:
        StackConfigurationError: a field is missing or wrong.
    """
    try:
        return StackConfig.model_validate(values)
    except ValidationError as error:
        problems = (
            f"{'.'.join(('sluicegate:stack', *map(str, detail['loc'])))}: {detail['msg']}"
            for detail in error.errors(include_input=False, include_url=False)
        )
        raise StackConfigurationError("\n".join(problems)) from None
