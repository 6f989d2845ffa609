"""The only reader of the environment. One settings class per function, all typed and checked.

Order, strongest first: environment variables, files in `/secrets` (one per secret, as Cloud Run
mounts them), a `.env` file in the working directory (development only), defaults. A variable's name
is the field's name in upper case.
"""

import os
import re
from collections.abc import Mapping
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from sluicegate.kernel.errors import ConfigurationError

SECRETS_FOLDER = Path("/secrets")
_SECRET_NAME = re.compile(r"[A-Z][A-Z0-9_]{0,99}")


class Environment(StrEnum):
    """Where this runs. Anything but development refuses the embedded parts."""

    DEVELOPMENT = "development"
    STAGING = "staging"
    PRODUCTION = "production"


class DocumentStore(StrEnum):
    """Where documents are kept."""

    AUTO = "auto"
    FIRESTORE = "firestore"
    SQLITE = "sqlite"


class Settings(BaseSettings):
    """What every function reads."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, env_ignore_empty=True)

    environment: Environment = Environment.PRODUCTION
    gcp_project_id: str | None = None
    document_store: DocumentStore = Field(
        DocumentStore.AUTO,
        description="auto: Firestore of GCP_PROJECT_ID, in development only that of FIRESTORE_EMULATOR_HOST",
    )
    firestore_emulator_host: str | None = Field(None, description="host:port; it wins over the real one")
    redis_url: SecretStr | None = Field(
        None, description="redis://, rediss:// (TLS) or unix://; may carry a password"
    )
    sluicegate_policy_dir: Path | None = None
    sluicegate_data_dir: Path | None = Field(
        None, description="folder of the embedded state; set by scripts/dev"
    )
    log_level: str = "INFO"
    otel_exporter_otlp_endpoint: str | None = None
    otel_service_name: str = "sluicegate"
    platform_tenant: str | None = Field(
        None, description="the tenant that operates this; in development `default`"
    )

    @property
    def own_tenant(self) -> str:
        """Whose part of the transparency log has what no tenant did: policy changes, failed sign-ins."""
        return self.platform_tenant or ("default" if self.embedded else "platform")

    @property
    def embedded(self) -> bool:
        """Whether embedded parts (SQLite, files, the scripted model) may be used."""
        return self.environment is Environment.DEVELOPMENT

    @field_validator("log_level")
    @classmethod
    def _known_level(cls, level: str) -> str:
        known = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
        if level.upper() not in known:
            raise ValueError(f"must be one of {', '.join(known)}")
        return level.upper()


class SignInSettings(Settings):
    """Whose tokens are believed, for whoever answers callers."""

    jwt_jwks_url: str | None = None
    jwt_audience: str | None = None


class GatewaySettings(SignInSettings):
    """The gateway's own: where it listens, what it accepts, its providers' credentials."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65_535)
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma-separated origins that may call from a browser; none by default"
    )
    max_body_bytes: int = Field(20 * 1024 * 1024, ge=1_024, le=256 * 1024 * 1024)
    max_bodies_bytes: int = Field(
        128 * 1024 * 1024, ge=1_024, description="bodies of all requests under way together"
    )
    max_concurrent_requests: int = Field(12_000, ge=1, le=100_000)
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="proxies in front, each of which appends to x-forwarded-for"
    )
    # Cutting what is late takes up to 2.5 s more; with it, within the 10 s that Cloud Run gives.
    drain_seconds: float = Field(7.0, ge=0, le=600, description="below Cloud Run's 10 s after SIGTERM")
    cache_memory_bytes: int = Field(64 * 1024 * 1024, ge=0)
    redis_timeout_seconds: float = Field(1.0, gt=0, le=30)
    ledger_consumer: bool = Field(
        True, description="take usage events to the ledger in this process; False where another one does"
    )
    metrics_token: SecretStr | None = Field(
        None,
        min_length=16,
        description="bearer token for /metrics; without it only this machine (in development everybody)",
    )
    debug_headers: bool = Field(False, description="allow x-sluicegate-debug outside development")
    openai_api_key: SecretStr | None = None
    openai_base_url: str = "https://api.openai.com/v1"
    anthropic_api_key: SecretStr | None = None
    anthropic_base_url: str = "https://api.anthropic.com"
    vertex_location: str = "us-central1"

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split_origins(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(origin.strip() for origin in value.split(",") if origin.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _plain_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if origin != "*" and re.fullmatch(r"https?://[A-Za-z0-9.-]+(:\d{1,5})?", origin) is None:
                raise ValueError(f"{origin!r} is not an origin such as https://app.example.com")
        return origins

    @model_validator(mode="after")
    def _one_body_fits(self) -> Self:
        if self.max_bodies_bytes < self.max_body_bytes:
            raise ValueError("MAX_BODIES_BYTES must be at least MAX_BODY_BYTES, or no large body fits")
        return self

    @model_validator(mode="after")
    def _no_embedded_parts_in_production(self) -> Self:
        if not self.embedded:
            missing = [
                name
                for name, value in (
                    ("REDIS_URL", self.redis_url),
                    ("SLUICEGATE_DATA_DIR", self.sluicegate_data_dir),
                )
                if value is None
            ]
            if missing:
                raise ValueError(
                    f"{' and '.join(missing)} must be set when ENVIRONMENT is {self.environment.value}; "
                    "for the embedded parts set ENVIRONMENT=development"
                )
        return self


class AuditSettings(Settings):
    """The transparency log's own, for whoever writes or reads it."""

    audit_log_origin: str | None = Field(
        None,
        min_length=1,
        max_length=128,
        pattern=r"^[^\s+]+$",
        description="the log's name in checkpoints, for ever; made up in development",
    )
    audit_witnesses: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="comma-separated verifier keys of witnesses whose cosignatures are kept"
    )

    @field_validator("audit_witnesses", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(key.strip() for key in value.split(",") if key.strip())
        return value


class GoogleSettings(Settings):
    """Where Google's services are, for whoever uses them. With an emulator's address, that is spoken to."""

    gcp_region: str = Field("us-central1", pattern=r"^[a-z]+(-[a-z]+)+[0-9]$")
    pubsub_emulator_host: str | None = Field(None, description="host:port; it wins over the real one")
    storage_emulator_host: str | None = Field(None, description="http://host:port; it wins over the real one")
    pinecone_api_key: SecretStr | None = None
    pinecone_index_host: str | None = Field(None, description="of the index, as Pinecone's console shows it")


class ControlSettings(AuditSettings, SignInSettings):
    """The control plane's own: where it listens, and whose the platform is."""

    host: str = "127.0.0.1"
    port: int = Field(8080, ge=0, le=65_535)
    trusted_proxies: int = Field(
        0, ge=0, le=10, description="proxies in front, each of which appends to x-forwarded-for"
    )
    drain_seconds: float = Field(7.0, ge=0, le=600, description="below Cloud Run's 10 s after SIGTERM")


def load(settings: type[Settings], **overrides: Any) -> Any:
    """An instance of `settings` from the environment.

    Raises:
        ConfigurationError: a value is missing or wrong; names the variable, never its value.
    """
    dotenv = Path(".env") if os.environ.get("ENVIRONMENT", "").lower() == "development" else None
    secrets = SECRETS_FOLDER if SECRETS_FOLDER.is_dir() else None
    try:
        return settings(_env_file=dotenv, _secrets_dir=secrets, **overrides)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, detail['loc'])).upper() or 'settings'}: {detail['msg']}"
            for detail in error.errors(include_input=False, include_url=False)
        )
        raise ConfigurationError(problems) from None


def develop(variables: Mapping[str, str]) -> None:
    """Make this process a development one: set ENVIRONMENT unless it is set, and `variables`."""
    os.environ.setdefault("ENVIRONMENT", Environment.DEVELOPMENT.value)
    os.environ.update(variables)


def secret(name: str) -> SecretStr | None:
    """The secret that policy refers to by `name` (a variable or a file in `/secrets`), or None.

    Raises:
        ConfigurationError: the name is not one that a variable can have.
    """
    if _SECRET_NAME.fullmatch(name) is None:
        raise ConfigurationError(f"{name[:80]!r} is not the name of a secret (A to Z, digits, '_')")
    value = os.environ.get(name) or _dotenv().get(name)
    if not value:
        path = SECRETS_FOLDER / name
        value = path.read_text("utf-8").strip() if path.is_file() else None
    return SecretStr(value) if value else None


@lru_cache(maxsize=1)
def _dotenv() -> Mapping[str, str | None]:
    if os.environ.get("ENVIRONMENT", "").lower() != "development" or not Path(".env").is_file():
        return {}
    from dotenv import dotenv_values  # noqa: PLC0415 - only where a .env file exists

    return dotenv_values(".env")
