"""Memorystore: TLS, a password or IAM, and where it matters a replica and an append-only file."""

import pulumi
from pulumi_gcp import networkconnectivity, redis

from components.base import Component
from components.keys import Keys
from components.network import Network
from components.secrets_store import Secrets
from stack.environments import ClusterRedis, InstanceRedis
from stack.plan import Plan

CA_FOLDER, CA_FILE = "/etc/sluicegate/redis", "ca.pem"
_OPTIONS = f"ssl_ca_certs={CA_FOLDER}/{CA_FILE}"
_CONFIGS = {"maxmemory-policy": "noeviction"}
"""Counters are not a cache: evicting a hold would forget money. Cached answers have their own expiry."""

_QUIET_HOUR = {"hours": 3, "minutes": 0, "seconds": 0, "nanos": 0}


class Counters(Component):
    """An instance or a cluster, and the secrets that say how to reach it."""

    def __init__(
        self,
        name: str,
        plan: Plan,
        network: Network,
        keys: Keys,
        secrets: Secrets,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        super().__init__("Counters", name, plan, opts)
        self._network, self._keys = network, keys
        figures = plan.figures.redis
        url, authority = (
            self._instance(name, figures)
            if isinstance(figures, InstanceRedis)
            else self._cluster(name, figures)
        )
        self.versions: list[pulumi.Resource] = [
            secrets.value("REDIS_URL", url),
            secrets.value("REDIS_CA", authority),
        ]
        self.register_outputs({})

    def _instance(self, name: str, figures: InstanceRedis) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        instance = redis.Instance(
            name,
            name=self.plan.name("counters"),
            project=self.project,
            region=self.region,
            display_name="Sluicegate counters",
            tier="STANDARD_HA" if figures.highly_available else "BASIC",
            memory_size_gb=figures.memory_gb,
            redis_version="REDIS_7_2",
            auth_enabled=True,
            transit_encryption_mode="SERVER_AUTHENTICATION",
            connect_mode="PRIVATE_SERVICE_ACCESS",
            authorized_network=self._network.network.id,
            customer_managed_key=self._keys.keys["counters"].id,
            redis_configs=_CONFIGS,
            persistence_config={"persistence_mode": "RDB", "rdb_snapshot_period": "ONE_HOUR"}
            if figures.snapshots
            else {"persistence_mode": "DISABLED"},
            maintenance_policy={"weekly_maintenance_windows": [{"day": "SUNDAY", "start_time": _QUIET_HOUR}]},
            labels=self.plan.labels,
            deletion_protection=self.plan.figures.protected,
            opts=self.stateful(self._network.peering, *self._keys.grants["counters"]),
        )
        url = pulumi.Output.concat(
            "rediss://default:", instance.auth_string, "@", instance.host, ":", instance.port.apply(_whole),
            f"/0?{_OPTIONS}",
        )  # fmt: skip
        authority = instance.server_ca_certs.apply(
            lambda found: "\n".join(each["cert"] if isinstance(each, dict) else each.cert for each in found)
        )
        return url, authority

    def _cluster(self, name: str, figures: ClusterRedis) -> tuple[pulumi.Output[str], pulumi.Output[str]]:
        # Lets Memorystore put an address for the cluster into our subnetwork.
        endpoints = networkconnectivity.ServiceConnectionPolicy(
            f"{name}-endpoints",
            name=self.plan.name("counters"),
            project=self.project,
            location=self.region,
            service_class="gcp-memorystore-redis",
            network=self._network.network.id,
            psc_config={"subnetworks": [self._network.subnetworks["functions"].id]},
            labels=self.plan.labels,
            opts=self.child,
        )
        cluster = redis.Cluster(
            name,
            name=self.plan.name("counters"),
            project=self.project,
            region=self.region,
            shard_count=figures.shards,
            replica_count=figures.replicas,
            node_type=figures.node_type,
            authorization_mode="AUTH_MODE_IAM_AUTH",
            transit_encryption_mode="TRANSIT_ENCRYPTION_MODE_SERVER_AUTHENTICATION",
            kms_key=self._keys.keys["counters"].id,
            psc_configs=[{"network": self._network.network.id}],
            redis_configs=_CONFIGS,
            persistence_config={"mode": "AOF", "aof_config": {"append_fsync": "EVERYSEC"}},
            zone_distribution_config={"mode": "MULTI_ZONE"},
            maintenance_policy={"weekly_maintenance_windows": [{"day": "SUNDAY", "start_time": _QUIET_HOUR}]},
            labels=self.plan.labels,
            deletion_protection_enabled=self.plan.figures.protected,
            opts=self.stateful(endpoints, *self._keys.grants["counters"]),
        )
        address = cluster.discovery_endpoints.apply(
            lambda found: found[0]["address"] if isinstance(found[0], dict) else found[0].address
        )
        url = pulumi.Output.concat("rediss://", address, f":6379/0?cluster=true&iam=true&{_OPTIONS}")
        authority = cluster.managed_server_cas.apply(
            lambda found: "\n".join(
                "\n".join(certificate)
                for each in found
                for chain in (each["ca_certs"] if isinstance(each, dict) else each.ca_certs)
                for certificate in [chain["certificates"] if isinstance(chain, dict) else chain.certificates]
            )
        )
        return url, authority


def _whole(port: float) -> str:
    return str(int(port))
