"""Names of roles and secrets that components grant and rules look for."""

from collections.abc import Mapping
from types import MappingProxyType

INVOKER = "roles/run.invoker"
EXECUTOR = "roles/run.jobsExecutorWithOverrides"
PUBLISHER = "roles/pubsub.publisher"
SUBSCRIBER = "roles/pubsub.subscriber"
EVENT_RECEIVER = "roles/eventarc.eventReceiver"
TOKEN_CREATOR = "roles/iam.serviceAccountTokenCreator"  # noqa: S105 - a role's name
SECRET_ACCESSOR = "roles/secretmanager.secretAccessor"  # noqa: S105 - a role's name
ENCRYPTER = "roles/cloudkms.cryptoKeyEncrypterDecrypter"
SIGNER, KEY_VIEWER = "roles/cloudkms.signer", "roles/cloudkms.publicKeyViewer"

BUCKET_ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "read": ("roles/storage.objectViewer",),
        "create": ("roles/storage.objectViewer", "roles/storage.objectCreator"),
        "write": ("roles/storage.objectUser",),
    }
)
"""What `access.buckets` of a manifest comes to."""

KEY_ROLES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {"sign": (SIGNER, KEY_VIEWER), "wrap": (ENCRYPTER,)}
)
"""What `access.keys` of a manifest comes to."""

DEPLOYER_ROLES = (
    "roles/artifactregistry.admin",
    "roles/cloudkms.admin",
    "roles/cloudscheduler.admin",
    "roles/compute.loadBalancerAdmin",
    "roles/compute.networkAdmin",
    "roles/compute.securityAdmin",
    "roles/datastore.owner",
    "roles/dns.admin",
    "roles/eventarc.admin",
    "roles/iam.roleAdmin",
    "roles/iam.serviceAccountAdmin",
    "roles/iam.serviceAccountUser",
    "roles/iam.workloadIdentityPoolViewer",
    "roles/logging.configWriter",
    "roles/monitoring.editor",
    "roles/networkconnectivity.consumerNetworkAdmin",
    "roles/pubsub.admin",
    "roles/redis.admin",
    "roles/resourcemanager.projectIamAdmin",
    "roles/run.admin",
    "roles/secretmanager.admin",
    "roles/serviceusage.serviceUsageAdmin",
    "roles/storage.admin",
)
"""What `pulumi up` needs: one administrator's role per service it configures, and no basic role."""


def secret_name(variable: str) -> str:
    """The secret of a variable."""
    return f"sluicegate-{variable.lower().replace('_', '-')}"
