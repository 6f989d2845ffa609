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
    timeout_seconds: int = Field(300, ge=1, le=86_400, description="of a request; of a task, for a job")
    gpu: Literal["nvidia-l4"] | None = None
    tasks: int = Field(1, ge=1, le=10_000, description="of one execution; jobs only")
    retries: int = Field(3, ge=0, le=10, description="of a failed task; jobs only")


class ObjectEvent(_Part):
    """An object written to or deleted from one of the stack's buckets starts the function."""

    bucket: str = Field(pattern=r"^[a-z][a-z-]{0,30}$")
    type: Literal["finalized", "deleted", "archived", "metadataUpdated"] = "finalized"
    path: str = Field("/events", pattern=r"^/")


class Trigger(_Part):
    """What starts it: HTTP paths (a trailing `/*` matches all below), a Pub/Sub topic, objects, the clock.

    `schedule` (cron) publishes to `topic` at its times. `filter` is Pub/Sub's own filter language.
    `path` is where messages of the topic are pushed to. `protocol` is what the load balancer speaks to it.
    """

    http: tuple[str, ...] = ()
    protocol: Literal["http", "grpc"] = "http"
    topic: str | None = Field(None, pattern=r"^[a-z][a-z0-9-]{2,60}$")
    path: str = Field("/events", pattern=r"^/")
    pulls: dict[str, str] = Field(
        {}, description="consumer groups that it pulls for, each with its topic; unique in the stack"
    )
    also: dict[str, str] = Field({}, description="further topics, each with the path it is pushed to")
    filter: str | None = None
    ordered: bool = False
    schedule: str | None = Field(None, pattern=r"^\S+( \S+){4}$")
    timezone: str = "Etc/UTC"
    object: ObjectEvent | None = None
    public: bool = False

    @property
    def deliveries(self) -> tuple[tuple[str, str], ...]:
        """Every topic it hears, and the path that its messages are pushed to."""
        own = () if self.topic is None else ((self.topic, self.path),)
        return (*own, *sorted(self.also.items()))


class Identity(_Part):
    """The roles of the function's own service account on the project."""

    roles: tuple[str, ...] = ()


class Access(_Part):
    """What else of the stack it may use, each thing by its short name; nothing is granted beyond it.

    `buckets`: `read`, `create` (never overwrite) or `write`. `keys`: `sign` (and read the public half),
    `wrap` (encrypt and decrypt). `calls`: functions it may invoke. `runs`: jobs it may start.
    """

    publishes: tuple[str, ...] = ()
    buckets: dict[str, Literal["read", "create", "write"]] = {}
    keys: dict[str, Literal["sign", "wrap"]] = {}
    calls: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


class Probes(_Part):
    """Paths asked before traffic comes, and while it does."""

    startup: str = Field("/readyz", pattern=r"^/")
    liveness: str = Field("/healthz", pattern=r"^/")


class Secrets(_Part):
    """Names of secrets it may read: `required` must exist, `optional` are mounted where they do."""

    required: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()


class SettingsSource(_Part):
    """The settings class in `sluicegate.settings` that the function reads."""

    name: str = Field("Settings", alias="class")


class Manifest(_Part):
    """One deployable.

    `egress`: what goes through the stack's network: addresses within it (`private`), or everything, through
    an address translation of its own with nothing private in reach (`internet`).
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]{0,30}$")
    description: str
    kind: Literal["service", "function", "job"]
    resources: Resources = Resources()
    trigger: Trigger = Trigger()
    identity: Identity = Identity()
    access: Access = Access()
    probes: Probes = Probes()
    egress: Literal["private", "internet"] = "private"
    image: Literal["sluicegate", "inference"] = "sluicegate"
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
