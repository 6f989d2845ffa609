"""Google's services, put together as infra/ names them. Nothing is loaded or opened before its first use."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from sluicegate.adapters.gcp.clients import GoogleClients, Patience
from sluicegate.adapters.gcp.pubsub_names import PubSubNames
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import ConfigurationError
from sluicegate.settings import GoogleSettings

if TYPE_CHECKING:
    from sluicegate.adapters.gcp.kms import KmsKeyWrapper, KmsSigner
    from sluicegate.adapters.gcp.monitoring import Monitoring
    from sluicegate.adapters.gcp.pubsub import PubSubEventBus
    from sluicegate.adapters.gcp.pubsub_letters import PubSubDeadLetterStore
    from sluicegate.adapters.gcp.run_jobs import CloudRun
    from sluicegate.adapters.gcp.secrets import SecretManagerSecrets
    from sluicegate.adapters.gcp.storage import Bucket, StorageClient
    from sluicegate.adapters.gcp.storage_cache import StorageCacheBlobs
    from sluicegate.adapters.gcp.storage_log import StorageLogBlobs

PREFIX = "sluicegate"
LOG_BUCKETS = ("log", "log-head", "payloads")


class Google:
    """The services of one project, for one process. Each client is opened once; `close` ends them all.

    Raises:
        ConfigurationError: GCP_PROJECT_ID is not set.
    """

    def __init__(self, config: GoogleSettings, clock: Clock) -> None:
        if config.gcp_project_id is None:
            raise ConfigurationError("GCP_PROJECT_ID is not set: Google's services cannot be used")
        self.project = config.gcp_project_id
        self.region = config.gcp_region
        self._clock = clock
        self._emulators = {}
        if config.pubsub_emulator_host is not None:
            self._emulators["pubsub"] = config.pubsub_emulator_host
        self._storage_endpoint = config.storage_emulator_host
        self.clients = GoogleClients(self._emulators)
        self.names = PubSubNames(self.project, PREFIX)
        self._storage: list[StorageClient] = []

    def bus(self, groups: Sequence[str]) -> "PubSubEventBus":
        """The event bus; on an emulator it makes its topics and subscriptions itself."""
        from sluicegate.adapters.gcp.monitoring import MonitoredBacklog  # noqa: PLC0415 - where it is chosen
        from sluicegate.adapters.gcp.pubsub import PubSubEventBus  # noqa: PLC0415 - as above

        backlog = MonitoredBacklog(self.monitoring(), self._clock)
        manage = self.clients.emulated("pubsub")
        return PubSubEventBus(self.clients, self.names, groups, self._clock, backlog, manage=manage)

    def dead_letters(self, groups: Sequence[str]) -> "PubSubDeadLetterStore":
        from sluicegate.adapters.gcp.pubsub_letters import PubSubDeadLetterStore  # noqa: PLC0415 - as above

        return PubSubDeadLetterStore(self.clients, self.names, groups)

    def monitoring(self) -> "Monitoring":
        from sluicegate.adapters.gcp.monitoring import Monitoring  # noqa: PLC0415 - as above

        return Monitoring(self.clients, self.project)

    def secrets(self) -> "SecretManagerSecrets":
        from sluicegate.adapters.gcp.secrets import SecretManagerSecrets  # noqa: PLC0415 - as above

        return SecretManagerSecrets(self.clients, self.project, self._clock, prefix=PREFIX)

    def run(self) -> "CloudRun":
        from sluicegate.adapters.gcp.run_jobs import CloudRun  # noqa: PLC0415 - as above

        return CloudRun(self.clients, self.project, self.region)

    def log_signer(self, version: int = 1) -> "KmsSigner":
        """Signs the log's checkpoints; `load` it before its public key is asked for."""
        from sluicegate.adapters.gcp.kms import KmsSigner  # noqa: PLC0415 - as above

        return KmsSigner(self.clients, f"{self._key('log-signing')}/cryptoKeyVersions/{version}")

    def tenant_root(self) -> "KmsKeyWrapper":
        """Wraps the tenants' data keys."""
        from sluicegate.adapters.gcp.kms import KmsKeyWrapper  # noqa: PLC0415 - as above

        return KmsKeyWrapper(self.clients, self._key("tenants"))

    def bucket(self, purpose: str) -> "Bucket":
        """The bucket of infra's inventory."""
        from sluicegate.adapters.gcp.storage import STORAGE_PATIENCE, Bucket  # noqa: PLC0415 - as above
        from sluicegate.adapters.gcp.storage_cache import CACHE_PATIENCE  # noqa: PLC0415 - as above

        patience = CACHE_PATIENCE if purpose == "cache" else STORAGE_PATIENCE
        client = self._storage_client(patience)
        return Bucket(client, f"{self.project}-{PREFIX}-{purpose}", write_once=purpose == LOG_BUCKETS[0])

    def log_blobs(self) -> "StorageLogBlobs":
        """The transparency log's blobs."""
        from sluicegate.adapters.gcp.storage_log import LogBuckets, StorageLogBlobs  # noqa: PLC0415 - as above

        return StorageLogBlobs(LogBuckets(*map(self.bucket, LOG_BUCKETS)))

    def cache_blobs(self) -> "StorageCacheBlobs":
        """The cache's third level."""
        from sluicegate.adapters.gcp.storage_cache import StorageCacheBlobs  # noqa: PLC0415 - as above

        return StorageCacheBlobs(self.bucket("cache"), self._clock)

    async def close(self) -> None:
        """Close what was opened."""
        await self.clients.close()
        for each in self._storage:
            await each.close()

    def _key(self, name: str) -> str:
        return f"projects/{self.project}/locations/{self.region}/keyRings/{PREFIX}-keys/cryptoKeys/{name}"

    def _storage_client(self, patience: Patience) -> "StorageClient":
        from sluicegate.adapters.gcp.storage import StorageClient  # noqa: PLC0415 - as above

        for each in self._storage:
            if each.patience == patience:
                return each
        made = StorageClient(self.project, endpoint=self._storage_endpoint, patience=patience)
        self._storage.append(made)
        return made
