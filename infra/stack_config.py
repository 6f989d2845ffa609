"""What an operator configures per stack (`sluicegate:stack` in Pulumi.<stack>.yaml), typed and checked."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_-]{0,254}$")]
VariableName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$")]


class StackConfigurationError(Exception):
    """The stack's configuration is wrong; the message has one line per problem, with its remedy."""


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class SecretReference(_Part):
    """A secret in Secret Manager, by name. `latest` is read when an instance starts."""

    name: Name
    version: str = Field("latest", pattern=r"^(latest|[1-9][0-9]*)$")


class Network(_Part):
    """Where the service reaches Redis: Direct VPC egress, private ranges only."""

    network: Name
    subnetwork: Name


class StackConfig(_Part):
    """One deployment of the gateway.

    `secrets` maps an environment variable to the secret it gets its value from; `variables` are the other
    environment variables, plain text.
    """

    project: str = Field(pattern=r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$")
    region: str = Field(pattern=r"^[a-z]+-[a-z]+[0-9]$")
    environment: Literal["staging", "production"]
    image: str
    secrets: dict[VariableName, SecretReference]
    variables: dict[VariableName, str] = {}
    network: Network | None = None
    instance_storage: bool = False

    @field_validator("image")
    @classmethod
    def _pinned(cls, image: str) -> str:
        repository, separator, digest = image.partition("@sha256:")
        if not repository or not separator or len(digest) != 64 or not set(digest) <= set("0123456789abcdef"):
            raise ValueError("must name a digest (…@sha256:…); a tag can change under a running service")
        return image

    @model_validator(mode="after")
    def _storage_is_accepted(self) -> Self:
        if not self.instance_storage:
            raise ValueError(
                "instance_storage: this release keeps API keys and usage rows in the instance, and they end "
                "with it; set it to true for a trial, or wait for the release that keeps them in Firestore"
            )
        return self

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
