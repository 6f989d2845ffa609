"""How things are kept: keys of our own, ages, what cannot be deleted by mistake, labels."""

from collections.abc import Iterator, Mapping
from types import MappingProxyType

from compliance.declared import Declared, Stack, at
from stack.environments import DAY, KEY_ROTATION_DAYS, LOG_RETENTION_DAYS, SECRET_ROTATION_DAYS

ENCRYPTED: Mapping[str, str] = MappingProxyType(
    {
        "storage/bucket:Bucket": "encryption.defaultKmsKeyName",
        "pubsub/topic:Topic": "kmsKeyName",
        "firestore/database:Database": "cmekConfig.kmsKeyName",
        "redis/instance:Instance": "customerManagedKey",
        "redis/cluster:Cluster": "kmsKey",
        "artifactregistry/repository:Repository": "kmsKeyName",
        "logging/projectBucketConfig:ProjectBucketConfig": "cmekSettings.kmsKeyName",
        "cloudrunv2/service:Service": "template.encryptionKey",
        "cloudrunv2/job:Job": "template.template.encryptionKey",
    }
)
"""Where each kind of store names its key."""

PROTECTED: Mapping[str, tuple[str, object]] = MappingProxyType(
    {
        "firestore/database:Database": ("deleteProtectionState", "DELETE_PROTECTION_ENABLED"),
        "redis/instance:Instance": ("deletionProtection", True),
        "redis/cluster:Cluster": ("deletionProtectionEnabled", True),
        "secretmanager/secret:Secret": ("deletionProtection", True),
        "cloudrunv2/service:Service": ("deletionProtection", True),
        "cloudrunv2/job:Job": ("deletionProtection", True),
        "kms/cryptoKey:CryptoKey": ("deletionPolicy", "PREVENT"),
        "pubsub/topic:Topic": ("deletionPolicy", "PREVENT"),
        "pubsub/subscription:Subscription": ("deletionPolicy", "PREVENT"),
        "artifactregistry/repository:Repository": ("deletionPolicy", "PREVENT"),
    }
)
"""What keeps each kind of stateful thing from being deleted."""

LABELLED = (
    "storage/bucket:Bucket", "pubsub/topic:Topic", "pubsub/subscription:Subscription",
    "redis/instance:Instance",
    "redis/cluster:Cluster", "kms/cryptoKey:CryptoKey", "secretmanager/secret:Secret",
    "artifactregistry/repository:Repository", "cloudrunv2/service:Service", "cloudrunv2/job:Job",
    "compute/globalAddress:GlobalAddress", "compute/globalForwardingRule:GlobalForwardingRule",
    "eventarc/trigger:Trigger",
)  # fmt: skip
_LABELS = {"application", "environment", "managed-by"}
_RECOMPUTABLE = ("-cache", "-exports")


def stores_have_our_keys(stack: Stack) -> Iterator[str]:
    """A3: AES-256 at rest under keys that we can withdraw."""
    for kind, path in ENCRYPTED.items():
        for each in stack.of(kind):
            if not at(each.inputs, path):
                yield f"{each.name}: not encrypted with a key of ours"
    for each in stack.of("secretmanager/secret:Secret"):
        replicas = at(each.inputs, "replication.userManaged.replicas") or []
        if not replicas or not all(at(part, "customerManagedEncryption.kmsKeyName") for part in replicas):
            yield f"{each.name}: not encrypted with a key of ours"


def keys_rotate(stack: Stack) -> Iterator[str]:
    """CIS 1.10 and A3: within 90 days. Signing keys are changed by hand; their readers must be told."""
    for each in stack.of("kms/cryptoKey:CryptoKey"):
        period = each.inputs.get("rotationPeriod")
        if each.inputs.get("purpose") == "ASYMMETRIC_SIGN":
            if at(each.inputs, "versionTemplate.algorithm") != "EC_SIGN_ED25519":
                yield f"{each.name}: checkpoints are signed with Ed25519"
        elif period is None or int(str(period)[:-1]) > KEY_ROTATION_DAYS * DAY:
            yield f"{each.name}: does not rotate within {KEY_ROTATION_DAYS} days"


def api_keys_are_due(stack: Stack) -> Iterator[str]:
    """A1: a notice every 30 days."""
    for each in stack.of("secretmanager/secret:Secret"):
        rotation = each.inputs.get("rotation") or {}
        name = str(each.inputs.get("secretId"))
        if not name.endswith("-api-key"):
            continue
        period = str(rotation.get("rotationPeriod", "0s"))
        if not 0 < int(period[:-1]) <= SECRET_ROTATION_DAYS * DAY or not each.inputs.get("topics"):
            yield f"{each.name}: nobody is told within {SECRET_ROTATION_DAYS} days that it is due"


def logs_are_kept(stack: Stack) -> Iterator[str]:
    """A5: 365 days, of logs and of the transparency log; in production nobody can shorten that."""
    for each in stack.of("logging/projectBucketConfig:ProjectBucketConfig"):
        if int(each.inputs.get("retentionDays", 0)) < LOG_RETENTION_DAYS:
            yield f"{each.name}: kept for less than {LOG_RETENTION_DAYS} days"
        if stack.environment == "production" and not each.inputs.get("locked"):
            yield f"{each.name}: its retention can be shortened"
    for each in stack.of("storage/bucket:Bucket"):
        if not str(each.inputs.get("name")).endswith("-sluicegate-log"):
            continue
        policy = each.inputs.get("retentionPolicy") or {}
        if int(policy.get("retentionPeriod", 0)) < LOG_RETENTION_DAYS * DAY:
            yield f"{each.name}: the transparency log is kept for less than {LOG_RETENTION_DAYS} days"
        if stack.environment == "production" and not policy.get("isLocked"):
            yield f"{each.name}: the transparency log's retention can be shortened"


def reads_are_audited(stack: Stack) -> Iterator[str]:
    """CIS 2.1: every read and write of every service is in the audit log, for everybody."""
    kinds = {
        part.get("logType")
        for each in stack.of("projects/iAMAuditConfig:IAMAuditConfig")
        if each.inputs.get("service") == "allServices"
        for part in each.inputs.get("auditLogConfigs", [])
        if not part.get("exemptedMembers")
    }
    for kind in sorted({"ADMIN_READ", "DATA_READ", "DATA_WRITE"} - kinds):
        yield f"project: {kind} is not audited"


def state_is_protected(stack: Stack) -> Iterator[str]:
    """Outside dev nothing that holds state goes by mistake."""
    if not stack.protected:
        return
    for kind, (path, wanted) in PROTECTED.items():
        for each in stack.of(kind):
            if at(each.inputs, path) != wanted:
                yield f"{each.name}: {path} must be {wanted}"
    for each in stack.of("storage/bucket:Bucket"):
        if each.inputs.get("forceDestroy"):
            yield f"{each.name}: would be emptied to be deleted"
        lasting = not str(each.inputs.get("name")).endswith(_RECOMPUTABLE)
        if lasting and each.inputs.get("deletionPolicy") != "PREVENT":
            yield f"{each.name}: deletionPolicy must be PREVENT"


def documents_can_be_restored(stack: Stack) -> Iterator[str]:
    """Outside dev: any second of the last week, and a daily backup."""
    if not stack.protected:
        return
    for each in stack.of("firestore/database:Database"):
        if each.inputs.get("pointInTimeRecoveryEnablement") != "POINT_IN_TIME_RECOVERY_ENABLED":
            yield f"{each.name}: cannot be restored to a point in time"
    if not list(stack.of("firestore/backupSchedule:BackupSchedule")):
        yield "documents: no backups"


def redis_forgets_nothing(stack: Stack) -> Iterator[str]:
    """Counters hold money: no eviction; in production an append-only file and replicas."""
    for each in stack.of("redis/instance:Instance", "redis/cluster:Cluster"):
        if at(each.inputs, "redisConfigs.maxmemory-policy") != "noeviction":
            yield f"{each.name}: evicts"
        if stack.environment == "production" and at(each.inputs, "persistenceConfig.mode") != "AOF":
            yield f"{each.name}: no append-only file"
        if stack.environment == "production" and not each.inputs.get("replicaCount"):
            yield f"{each.name}: no replica"


def things_are_labelled(stack: Stack) -> Iterator[str]:
    """Cost and ownership can be told by label."""
    for each in stack.of(*LABELLED):
        missing = _LABELS - set(each.inputs.get("labels") or {})
        if missing:
            yield f"{each.name}: no label {', '.join(sorted(missing))}"


def alerts_say_what_to_do(stack: Stack) -> Iterator[str]:
    """Each alert is told to somebody and names a playbook."""
    for each in stack.of("monitoring/alertPolicy:AlertPolicy"):
        if not each.inputs.get("notificationChannels"):
            yield f"{each.name}: nobody is told"
        if "docs/alerts.md#" not in str(at(each.inputs, "documentation.content")):
            yield f"{each.name}: names no playbook"


__all__ = ["Declared"]
