"""What Google's documents say in prose only: allowed words, patterns and bounds, by schema path.

Each is from the field's description in the discovery document or the product's own page of limits.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

DAY = 86_400


@dataclass(frozen=True, slots=True)
class Bound:
    """Least and most, both allowed, in `unit`."""

    least: float
    most: float
    unit: str


ALLOWED: Mapping[str, tuple[object, ...]] = MappingProxyType(
    {
        "Bucket.storageClass": ("STANDARD", "NEARLINE", "COLDLINE", "ARCHIVE"),
        "Bucket.iamConfiguration.publicAccessPrevention": ("inherited", "enforced"),
        "Bucket.lifecycle.rule[].action.type": (
            "Delete", "SetStorageClass", "AbortIncompleteMultipartUpload",
        ),
        "GoogleCloudRunV2NodeSelector.accelerator": ("nvidia-l4", "nvidia-rtx-pro-6000"),
        "Instance.redisVersion": ("REDIS_6_X", "REDIS_7_0", "REDIS_7_2"),
        "SecurityPolicyRule.action": (
            "allow", "deny(403)", "deny(404)", "deny(429)", "deny(502)", "rate_based_ban", "redirect",
            "throttle",
        ),
        "NotificationChannel.type": (
            "email", "slack", "pubsub", "pagerduty", "sms", "webhook_tokenauth", "webhook_basicauth",
            "google_chat", "campfire", "hipchat", "mobileapp",
        ),
        "UptimeCheckConfig.period": ("60s", "300s", "600s", "900s"),
        "SchemaSettings.encoding": ("JSON", "BINARY"),
        "GoogleCloudRunV2ContainerPort.name": ("http1", "h2c"),
        "BackendService.loadBalancingScheme": (
            "EXTERNAL", "EXTERNAL_MANAGED", "INTERNAL", "INTERNAL_MANAGED", "INTERNAL_SELF_MANAGED",
        ),
    }
)  # fmt: skip

PATTERNS: Mapping[str, re.Pattern[str]] = MappingProxyType(
    {
        # Kubernetes quantities, as Cloud Run takes them: CPUs, Mi or Gi, whole GPUs.
        "GoogleCloudRunV2ResourceRequirements.limits.*": re.compile(r"\d+(\.\d+)?|\d+m|[1-9]\d*(Mi|Gi)"),
        "GoogleCloudRunV2EmptyDirVolumeSource.sizeLimit": re.compile(r"[1-9]\d*(Mi|Gi)"),
        "Topic.kmsKeyName": re.compile(r"projects/[^/]+/locations/[^/]+/keyRings/[^/]+/cryptoKeys/[^/]+"),
        "Subscription.topic": re.compile(r"projects/[^/]+/topics/[^/]+"),
        "DeadLetterPolicy.deadLetterTopic": re.compile(r"projects/[^/]+/topics/[^/]+"),
        "PubsubTarget.topicName": re.compile(r"projects/[^/]+/topics/[^/]+"),
        "Role.name": re.compile(r"[A-Za-z0-9_.]{3,64}"),
        "GoogleCloudRunV2Container.image": re.compile(r"[^@]+@sha256:[0-9a-f]{64}"),
        "Subnetwork.ipCidrRange": re.compile(r"\d+(\.\d+){3}/\d+"),
        "Job.schedule": re.compile(r"\S+( \S+){4}"),
        "ManagedZone.dnsName": re.compile(r"([a-z0-9-]+\.)+"),
    }
)

BOUNDS: Mapping[str, Bound] = MappingProxyType(
    {
        "GoogleCloudRunV2RevisionTemplate.maxInstanceRequestConcurrency": Bound(1, 1_000, "requests"),
        "GoogleCloudRunV2RevisionTemplate.timeout": Bound(1, 3_600, "s"),
        "GoogleCloudRunV2TaskTemplate.timeout": Bound(1, 7 * DAY, "s"),
        "GoogleCloudRunV2TaskTemplate.maxRetries": Bound(0, 10, "tries"),
        "GoogleCloudRunV2Probe.periodSeconds": Bound(1, 3_600, "s"),
        "GoogleCloudRunV2TrafficTarget.percent": Bound(0, 100, "%"),
        "Subscription.ackDeadlineSeconds": Bound(10, 600, "s"),
        "Subscription.messageRetentionDuration": Bound(600, 31 * DAY, "s"),
        "Topic.messageRetentionDuration": Bound(600, 31 * DAY, "s"),
        "DeadLetterPolicy.maxDeliveryAttempts": Bound(5, 100, "deliveries"),
        "RetryPolicy.minimumBackoff": Bound(0, 600, "s"),
        "RetryPolicy.maximumBackoff": Bound(0, 600, "s"),
        "CryptoKey.rotationPeriod": Bound(DAY, 876_000 * 3_600, "s"),
        "CryptoKey.destroyScheduledDuration": Bound(DAY, 120 * DAY, "s"),
        "Rotation.rotationPeriod": Bound(3_600, 36_500 * DAY, "s"),
        "Secret.versionDestroyTtl": Bound(DAY, 1_000 * DAY, "s"),
        "GoogleFirestoreAdminV1BackupSchedule.retention": Bound(DAY, 98 * DAY, "s"),
        "Bucket.retentionPolicy.retentionPeriod": Bound(1, 100 * 365.25 * DAY, "s"),
        "Bucket.softDeletePolicy.retentionDurationSeconds": Bound(0, 90 * DAY, "s"),
        "LogBucket.retentionDays": Bound(1, 3_650, "days"),
        "Firewall.priority": Bound(0, 65_535, ""),
        "SecurityPolicyRule.priority": Bound(0, 2**31 - 1, ""),
        "PrometheusQueryLanguageCondition.evaluationInterval": Bound(30, DAY, "s"),
        "GoogleCloudBillingBudgetsV1ThresholdRule.thresholdPercent": Bound(0, 10, "of the budget"),
        "SubnetworkLogConfig.flowSampling": Bound(0, 1, "of the packets"),
        "BackendServiceLogConfig.sampleRate": Bound(0, 1, "of the requests"),
        "UptimeCheckConfig.timeout": Bound(1, 60, "s"),
        "AlertStrategy.autoClose": Bound(1_800, 7 * DAY, "s"),
        "ResourceRecordSet.ttl": Bound(0, 2**31 - 1, "s"),
    }
)
