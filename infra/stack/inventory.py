"""What there is in a stack besides functions: topics, buckets, keys. Functions name these in `[access]`."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from stack.environments import DAY, LOG_RETENTION_DAYS


@dataclass(frozen=True, slots=True)
class TopicPlan:
    """A topic. `publisher` is the Google service that writes to it, in its own format, without our schema."""

    description: str
    publisher: Literal["monitoring", "secrets", "scheduler", "budgets", "eventarc"] | None = None


@dataclass(frozen=True, slots=True)
class BucketPlan:
    """A bucket. Days are those of an object's age."""

    description: str
    locked_days: int | None = None
    delete_days: int | None = None
    versions_days: int | None = None
    cold_days: int | None = None


@dataclass(frozen=True, slots=True)
class KeyPlan:
    """A key. `agents` are Google's services that encrypt with it what they keep for us."""

    description: str
    agents: tuple[str, ...] = ()
    purpose: Literal["ENCRYPT_DECRYPT", "ASYMMETRIC_SIGN"] = "ENCRYPT_DECRYPT"
    algorithm: str = "GOOGLE_SYMMETRIC_ENCRYPTION"


TOPICS: Mapping[str, TopicPlan] = MappingProxyType(
    {
        "events": TopicPlan("What happened: usage, governed actions, thresholds. CloudEvents 1.0"),
        "requests": TopicPlan("Work to be done later: asynchronous requests, critics, creative steps"),
        "alerts": TopicPlan("Alerts of Cloud Monitoring, for playbooks", publisher="monitoring"),
        "rotation": TopicPlan("Secrets that are due for a new version", publisher="secrets"),
        "operations": TopicPlan("Scheduled work", publisher="scheduler"),
        "budget-notices": TopicPlan("What the project itself has cost so far", publisher="budgets"),
    }
)

BUCKETS: Mapping[str, BucketPlan] = MappingProxyType(
    {
        # Nothing in it is ever written twice, so that its retention can be locked.
        "log": BucketPlan(
            "The transparency log: full and partial tiles, entry bundles, kept checkpoints",
            locked_days=LOG_RETENTION_DAYS,
            cold_days=90,
        ),
        "log-head": BucketPlan(
            "The log's newest checkpoint and the sequencer's state, which change", versions_days=30
        ),
        # Erasure and the plans' own retention delete here; the leaves stay in `log`.
        "payloads": BucketPlan("Sealed payloads of the log's entries"),
        "cache": BucketPlan("Answers, third level of the cache (E6)", delete_days=7),
        "exports": BucketPlan("Exports that somebody asked for", delete_days=7),
        "files": BucketPlan("Uploaded files and batches' results", versions_days=7, delete_days=30),
        "artifacts": BucketPlan("Model artefacts of the registry", versions_days=90, cold_days=90),
    }
)

KEYS: Mapping[str, KeyPlan] = MappingProxyType(
    {
        "documents": KeyPlan("Firestore", agents=("gcp-sa-firestore",)),
        "objects": KeyPlan("Cloud Storage", agents=("gs-project-accounts",)),
        "messages": KeyPlan("Pub/Sub", agents=("gcp-sa-pubsub",)),
        "secrets": KeyPlan("Secret Manager", agents=("gcp-sa-secretmanager",)),
        "images": KeyPlan("Artifact Registry", agents=("gcp-sa-artifactregistry",)),
        "counters": KeyPlan("Memorystore", agents=("cloud-redis",)),
        "logs": KeyPlan("Cloud Logging", agents=("gcp-sa-logging",)),
        "services": KeyPlan("Cloud Run", agents=("serverless-robot-prod",)),
        "tenants": KeyPlan("Wraps the data key of each tenant; destroying that erases the tenant"),
        "log-signing": KeyPlan(
            "Signs the log's checkpoints", purpose="ASYMMETRIC_SIGN", algorithm="EC_SIGN_ED25519"
        ),
    }
)

GENERATED_SECRETS: Mapping[str, str] = MappingProxyType(
    {"REDIS_URL": "where Redis is, with its password", "REDIS_CA": "the authority of Redis's certificates"}
)
"""Secrets whose value the stack itself knows; all others are given by the operator."""

API_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "PINECONE_API_KEY")
"""Keys of others' services, in force everywhere at once: due for rotation as A1 says."""

MESSAGE_RETENTION = f"{7 * DAY}s"

SERVICES = (
    "artifactregistry", "billingbudgets", "certificatemanager", "cloudbuild", "cloudkms",
    "cloudresourcemanager", "cloudscheduler", "cloudtrace", "compute", "containeranalysis",
    "containerscanning", "dns", "essentialcontacts", "eventarc", "firestore", "iam", "iamcredentials",
    "logging", "monitoring", "networkconnectivity", "pubsub", "redis", "run",
    "secretmanager", "servicenetworking", "storage", "sts",
)  # fmt: skip
"""Google's services that the stack needs, without `.googleapis.com`."""
