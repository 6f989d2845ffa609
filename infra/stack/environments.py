"""The one table of what differs between environments. Rows of the requirements are named at the figures."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

DAY = 86_400


@dataclass(frozen=True, slots=True)
class InstanceRedis:
    """One Memorystore primary, with a replica that takes over if it is highly available."""

    memory_gb: int
    highly_available: bool
    snapshots: bool


@dataclass(frozen=True, slots=True)
class ClusterRedis:
    """Memorystore for Redis Cluster with an append-only file: what was acknowledged survives a restart."""

    shards: int
    replicas: int
    node_type: str


@dataclass(frozen=True, slots=True)
class Environment:
    """Figures of one environment.

    Attributes:
        settings: `ENVIRONMENT` of the functions. Never `development`: that allows embedded parts.
        protected: stateful things refuse to be deleted.
        locked: retention of the transparency log and of the logs can never be shortened again.
        hot_instances: least instances of a function that is to be kept warm (`min_instances` above 0).
        most_instances: bound on every function's `max_instances`.
        backup_days: how long Firestore's daily backups are kept; 0: none.
        blocking: Cloud Armor's OWASP rules refuse; otherwise they are only logged.
    """

    settings: Literal["staging", "production"]
    protected: bool
    locked: bool
    hot_instances: int
    most_instances: int
    redis: InstanceRedis | ClusterRedis
    key_protection: Literal["SOFTWARE", "HSM"]
    point_in_time_recovery: bool
    backup_days: int
    log_level: Literal["DEBUG", "INFO"]
    flow_log_sample: float
    blocking: bool
    paging: bool
    uptime_period: Literal["60s", "300s"]


ENVIRONMENTS: Mapping[str, Environment] = MappingProxyType(
    {
        "dev": Environment(
            settings="staging",
            protected=False,
            locked=False,
            hot_instances=0,
            most_instances=5,  # A9
            redis=InstanceRedis(memory_gb=1, highly_available=False, snapshots=False),
            key_protection="SOFTWARE",
            point_in_time_recovery=False,
            backup_days=0,
            log_level="DEBUG",
            flow_log_sample=0.1,
            blocking=False,
            paging=False,
            uptime_period="300s",
        ),
        "staging": Environment(
            settings="staging",
            protected=True,
            locked=False,
            hot_instances=1,  # A9
            most_instances=20,  # D3, web and API
            redis=InstanceRedis(memory_gb=2, highly_available=True, snapshots=True),
            key_protection="SOFTWARE",
            point_in_time_recovery=True,
            backup_days=7,
            log_level="INFO",
            flow_log_sample=0.5,
            blocking=True,
            paging=False,
            uptime_period="60s",
        ),
        "production": Environment(
            settings="production",
            protected=True,
            locked=True,
            hot_instances=3,  # D3: three for high availability
            most_instances=100,  # C5
            redis=ClusterRedis(shards=3, replicas=1, node_type="REDIS_STANDARD_SMALL"),
            key_protection="HSM",
            point_in_time_recovery=True,
            backup_days=30,
            log_level="INFO",
            flow_log_sample=1.0,
            blocking=True,
            paging=True,
            uptime_period="60s",
        ),
    }
)

LOG_RETENTION_DAYS = 365
"""A5: of logs, and of the transparency log."""

KEY_ROTATION_DAYS = 90
"""A3: of the keys that encrypt what is at rest."""

SECRET_ROTATION_DAYS = 30
"""A1: of API keys."""
