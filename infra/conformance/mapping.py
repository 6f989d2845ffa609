"""Which schema of Google's API each Pulumi type is, and where names differ. Explicit: nothing is guessed.

A rename's right side is a path in the API's body; `[]` at its end makes a list of a single thing. Everything
not named here must have the API's own name.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

_URL = frozenset({"project", "location", "region"})
_PROVIDER = frozenset({"deletionPolicy", "deletionProtection"})


@dataclass(frozen=True, slots=True)
class Target:
    """A schema.

    Attributes:
        outside: inputs that are no part of the body: the URL's, or the provider's own.
        given: required fields that the URL holds.
    """

    document: str
    schema: str
    outside: frozenset[str] = _URL | _PROVIDER
    renames: Mapping[str, str] = field(default_factory=dict)
    given: frozenset[str] = frozenset()


def _target(
    place: str,
    *outside: str,
    given: tuple[str, ...] = (),
    keeps: tuple[str, ...] = (),
    **renames: str,
) -> Target:
    document, _, name = place.partition(":")
    left_out = (_URL | _PROVIDER | frozenset(outside)) - frozenset(keeps)
    return Target(document, name, left_out, renames, frozenset(given))


def _member(place: str, *outside: str) -> Target:
    """A grant: one member of one binding of a policy."""
    return _target(place, *outside, member="members[]")


_RUN, _COMPUTE, _FIRESTORE = "run.v2:GoogleCloudRunV2", "compute.v1:", "firestore.v1:GoogleFirestoreAdminV1"

TYPES: Mapping[str, Target] = MappingProxyType(
    {
        # Cloud Run
        "gcp:cloudrunv2/service:Service": _target(f"{_RUN}Service", traffics="traffic"),
        "gcp:cloudrunv2/job:Job": _target(f"{_RUN}Job"),
        "gcp:cloudrunv2/serviceIamMember:ServiceIamMember": _member("run.v2:GoogleIamV1Binding", "name"),
        "gcp:cloudrunv2/jobIamMember:JobIamMember": _member("run.v2:GoogleIamV1Binding", "name"),
        # Pub/Sub
        "gcp:pubsub/topic:Topic": _target("pubsub.v1:Topic"),
        "gcp:pubsub/subscription:Subscription": _target("pubsub.v1:Subscription"),
        "gcp:pubsub/schema:Schema": _target("pubsub.v1:Schema"),
        "gcp:pubsub/topicIAMMember:TopicIAMMember": _member("pubsub.v1:Binding", "topic"),
        "gcp:pubsub/subscriptionIAMMember:SubscriptionIAMMember": _member(
            "pubsub.v1:Binding", "subscription"
        ),
        # Stores
        "gcp:firestore/database:Database": _target(f"{_FIRESTORE}Database"),
        "gcp:firestore/index:Index": _target(f"{_FIRESTORE}Index", "database", "collection"),
        "gcp:firestore/field:Field": _target(
            f"{_FIRESTORE}Field", "database", "collection", "field", given=("name",)
        ),
        "gcp:firestore/backupSchedule:BackupSchedule": _target(f"{_FIRESTORE}BackupSchedule", "database"),
        "gcp:redis/instance:Instance": _target("redis.v1:Instance"),
        "gcp:redis/cluster:Cluster": _target("redis.v1:Cluster"),
        "gcp:storage/bucket:Bucket": _target("storage.v1:Bucket", "forceDestroy", keeps=("location",)),
        "gcp:storage/bucketIAMMember:BucketIAMMember": _member("iam.v1:Binding", "bucket"),
        # Keys and secrets
        "gcp:kms/keyRing:KeyRing": _target("cloudkms.v1:KeyRing", "name"),
        "gcp:kms/cryptoKey:CryptoKey": _target("cloudkms.v1:CryptoKey", "name", "keyRing"),
        "gcp:kms/cryptoKeyIAMMember:CryptoKeyIAMMember": _member("cloudkms.v1:Binding", "cryptoKeyId"),
        "gcp:secretmanager/secret:Secret": _target("secretmanager.v1:Secret", "secretId"),
        "gcp:secretmanager/secretVersion:SecretVersion": _target(
            "secretmanager.v1:AddSecretVersionRequest", "secret", secretData="payload.data"
        ),
        "gcp:secretmanager/secretIamMember:SecretIamMember": _member("secretmanager.v1:Binding", "secretId"),
        # Identities
        "gcp:serviceaccount/account:Account": _target("iam.v1:ServiceAccount", "accountId"),
        "gcp:serviceaccount/iAMMember:IAMMember": _member("iam.v1:Binding", "serviceAccountId"),
        "gcp:projects/iAMCustomRole:IAMCustomRole": _target(
            "iam.v1:Role", roleId="name", permissions="includedPermissions"
        ),
        "gcp:projects/iAMMember:IAMMember": _member("cloudresourcemanager.v1:Binding"),
        "gcp:projects/iAMAuditConfig:IAMAuditConfig": _target("cloudresourcemanager.v1:AuditConfig"),
        "gcp:projects/service:Service": _target(
            "serviceusage.v1:GoogleApiServiceusageV1Service", "disableOnDestroy", service="name"
        ),
        "gcp:projects/serviceIdentity:ServiceIdentity": _target(
            "serviceusage.v1:GoogleApiServiceusageV1Service", service="name"
        ),
        "gcp:iam/workloadIdentityPool:WorkloadIdentityPool": _target(
            "iam.v1:WorkloadIdentityPool", "workloadIdentityPoolId"
        ),
        "gcp:iam/workloadIdentityPoolProvider:WorkloadIdentityPoolProvider": _target(
            "iam.v1:WorkloadIdentityPoolProvider", "workloadIdentityPoolId", "workloadIdentityPoolProviderId"
        ),
        # Network and load balancer
        "gcp:compute/network:Network": _target(f"{_COMPUTE}Network", routingMode="routingConfig.routingMode"),
        "gcp:compute/subnetwork:Subnetwork": _target(f"{_COMPUTE}Subnetwork"),
        "gcp:compute/firewall:Firewall": _target(f"{_COMPUTE}Firewall", allows="allowed", denies="denied"),
        "gcp:compute/router:Router": _target(f"{_COMPUTE}Router"),
        "gcp:compute/routerNat:RouterNat": _target(f"{_COMPUTE}RouterNat", "router"),
        "gcp:compute/globalAddress:GlobalAddress": _target(f"{_COMPUTE}Address"),
        "gcp:compute/regionNetworkEndpointGroup:RegionNetworkEndpointGroup": _target(
            f"{_COMPUTE}NetworkEndpointGroup"
        ),
        "gcp:compute/backendService:BackendService": _target(
            # The provider attaches the security policy by a call of its own (setSecurityPolicy).
            f"{_COMPUTE}BackendService",
            "securityPolicy",
        ),
        "gcp:compute/uRLMap:URLMap": _target(f"{_COMPUTE}UrlMap"),
        "gcp:compute/managedSslCertificate:ManagedSslCertificate": _target(f"{_COMPUTE}SslCertificate"),
        "gcp:compute/sSLPolicy:SSLPolicy": _target(f"{_COMPUTE}SslPolicy"),
        "gcp:compute/targetHttpsProxy:TargetHttpsProxy": _target(f"{_COMPUTE}TargetHttpsProxy"),
        "gcp:compute/targetHttpProxy:TargetHttpProxy": _target(f"{_COMPUTE}TargetHttpProxy"),
        "gcp:compute/globalForwardingRule:GlobalForwardingRule": _target(
            f"{_COMPUTE}ForwardingRule", ipAddress="IPAddress", ipProtocol="IPProtocol"
        ),
        "gcp:compute/securityPolicy:SecurityPolicy": _target(f"{_COMPUTE}SecurityPolicy"),
        "gcp:servicenetworking/connection:Connection": _target("servicenetworking.v1:Connection", "service"),
        "gcp:networkconnectivity/serviceConnectionPolicy:ServiceConnectionPolicy": _target(
            "networkconnectivity.v1:ServiceConnectionPolicy"
        ),
        "gcp:dns/managedZone:ManagedZone": _target("dns.v1:ManagedZone"),
        "gcp:dns/recordSet:RecordSet": _target("dns.v1:ResourceRecordSet", "managedZone"),
        "gcp:dns/policy:Policy": _target("dns.v1:Policy"),
        # What is seen
        "gcp:monitoring/alertPolicy:AlertPolicy": _target("monitoring.v3:AlertPolicy"),
        "gcp:monitoring/notificationChannel:NotificationChannel": _target(
            "monitoring.v3:NotificationChannel", sensitiveLabels="labels"
        ),
        "gcp:monitoring/uptimeCheckConfig:UptimeCheckConfig": _target("monitoring.v3:UptimeCheckConfig"),
        "gcp:monitoring/dashboard:Dashboard": _target("monitoring.v1:Dashboard"),
        "gcp:logging/projectBucketConfig:ProjectBucketConfig": _target(
            "logging.v2:LogBucket", "bucketId", enableAnalytics="analyticsEnabled"
        ),
        "gcp:logging/projectSink:ProjectSink": _target("logging.v2:LogSink", "uniqueWriterIdentity"),
        "gcp:logging/metric:Metric": _target("logging.v2:LogMetric"),
        "gcp:billing/budget:Budget": _target(
            "billingbudgets.v1:GoogleCloudBillingBudgetsV1Budget",
            "billingAccount",
            allUpdatesRule="notificationsRule",
        ),
        # The rest
        "gcp:artifactregistry/repository:Repository": _target(
            "artifactregistry.v1:Repository", repositoryId="name"
        ),
        "gcp:cloudscheduler/job:Job": _target("cloudscheduler.v1:Job"),
        "gcp:eventarc/trigger:Trigger": _target("eventarc.v1:Trigger", matchingCriterias="eventFilters"),
    }
)

RENAMES: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "GoogleCloudRunV2Container": {
            "envs": "env",
            "commands": "command",
            "dependsOns": "dependsOn",
            "ports": "ports[]",
        },
        "Bucket": {
            "uniformBucketLevelAccess": "iamConfiguration.uniformBucketLevelAccess.enabled",
            "publicAccessPrevention": "iamConfiguration.publicAccessPrevention",
            "lifecycleRules": "lifecycle.rule",
        },
        "Bucket.lifecycle.rule[].condition": {
            "withState": "isLive",
            "matchesStorageClasses": "matchesStorageClass",
        },
        "MaintenancePolicy": {"weeklyMaintenanceWindows": "weeklyMaintenanceWindow"},
        "ClusterMaintenancePolicy": {"weeklyMaintenanceWindows": "weeklyMaintenanceWindow"},
        "Firewall.allowed[]": {"protocol": "IPProtocol"},
        "Firewall.denied[]": {"protocol": "IPProtocol"},
        "RouterNatSubnetworkToNat": {"sourceIpRangesToNats": "sourceIpRangesToNat"},
        "Destination": {"cloudRunService": "cloudRun"},
    }
)
"""Where names differ within a schema, whatever resource it is part of."""
