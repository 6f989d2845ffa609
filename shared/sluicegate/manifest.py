"""`function.toml`: one deployable's needs, read by the infrastructure and by the local server alike."""

import tomllib
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from sluicegate.kernel.errors import ConfigurationError


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Resources(_Part):
    """What an instance gets and how many there may be. `memory` in Kubernetes units (`512Mi`)."""

    cpu: str = Field("1", pattern=r"^(0\.[0-9]+|[1-8])$")
    memory: str = Field("512Mi", pattern=r"^[1-9][0-9]*(Mi|Gi)$")
    cpu_always_allocated: bool = False
    concurrency: int = Field(80, ge=1, le=1_000)
    min_instances: int = Field(0, ge=0, le=1_000)
    max_instances: int = Field(100, ge=1, le=1_000)
    timeout_seconds: int = Field(300, ge=1, le=3_600)


class Trigger(_Part):
    """What starts it: HTTP paths (a trailing `/*` matches all below) or a Pub/Sub topic."""

    http: tuple[str, ...] = ()
    topic: str | None = None
    schedule: str | None = None
    public: bool = False


class Identity(_Part):
    """The roles of the function's own service account on the project."""

    roles: tuple[str, ...] = ()


class Secrets(_Part):
    """Names of secrets it may read: `required` must exist, `optional` are mounted where they do."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


class SettingsSource(_Part):
    """The settings class in `sluicegate.settings` that the function reads."""

    name: str = Field("Settings", alias="class")


class Manifest(_Part):
    """One deployable."""

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    description: str
    kind: Literal["service", "function", "job"]
    resources: Resources = Resources()
    trigger: Trigger = Trigger()
    identity: Identity = Identity()
    secrets: Secrets = Secrets()
    settings: SettingsSource = SettingsSource.model_validate({"class": "Settings"})


def read_manifest(path: Path) -> Manifest:
    """The manifest in the file `path`.

    Raises:
        ConfigurationError: not TOML, or not a manifest; names the file and the field.
    """
    try:
        return Manifest.model_validate(tomllib.loads(path.read_text("utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise ConfigurationError(f"{path}: not valid TOML: {error}") from None
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, detail['loc']))}: {detail['msg']}" for detail in error.errors()
        )
        raise ConfigurationError(f"{path}: {problems}") from None


def read_manifests(folder: Path) -> tuple[Manifest, ...]:
    """The manifests of all functions below `folder`, by name."""
    return tuple(read_manifest(path) for path in sorted(folder.glob("*/function.toml")))
