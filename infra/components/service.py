"""A function as a Cloud Run service, built from its `function.toml`."""

from typing import Any

import pulumi
from pulumi_gcp import cloudrunv2

from components.base import Component
from components.containers import container, network_access, variables, volumes
from components.identities import Identities
from components.keys import Keys
from components.network import Network
from sluicegate.manifest import Manifest
from stack.plan import Plan

PORT = 8080
CANDIDATE = "candidate"
"""The tag of the newest revision, whatever share of the traffic it has: how it is tried before it has any."""

LATEST = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
REVISION = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"


class Service(Component):
    """A service with its own identity, its secrets by reference, and no way in but its trigger's."""

    def __init__(
        self,
        manifest: Manifest,
        plan: Plan,
        network: Network,
        keys: Keys,
        identities: Identities,
        grants: list[pulumi.Resource],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        name = f"service-{manifest.name}"
        super().__init__("Service", name, plan, opts)
        web = bool(manifest.trigger.http)
        pushed = bool(manifest.trigger.deliveries) or manifest.trigger.object is not None
        self.service = cloudrunv2.Service(
            name,
            name=plan.name(manifest.name),
            project=self.project,
            location=self.region,
            description=manifest.description,
            ingress="INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER" if web else "INGRESS_TRAFFIC_INTERNAL_ONLY",
            # A public function identifies every caller itself; only the load balancer reaches it.
            invoker_iam_disabled=manifest.trigger.public,
            # Pub/Sub delivers to the service's own address, which only the inside of Google Cloud reaches.
            default_uri_disabled=web and not pushed,
            deletion_protection=plan.figures.protected,
            labels={**plan.labels, "function": manifest.name},
            template=self._template(manifest, network, keys, identities),
            traffics=_traffic(plan, manifest),
            # Nothing of a release in flight is undone by an unrelated change.
            opts=self.after(*grants, *keys.grants["services"], ignore=("client", "clientVersion")),
        )
        self.register_outputs({"service": self.service.name})

    def _template(
        self, manifest: Manifest, network: Network, keys: Keys, identities: Identities
    ) -> dict[str, Any]:
        plan, resources = self.plan, manifest.resources
        least, most = instances(plan, manifest)
        return {
            "service_account": identities.accounts[manifest.name].email,
            "execution_environment": "EXECUTION_ENVIRONMENT_GEN2",
            "timeout": f"{resources.timeout_seconds}s",
            "max_instance_request_concurrency": resources.concurrency,
            "scaling": {"min_instance_count": least, "max_instance_count": most},
            "encryption_key": keys.keys["services"].id,
            "session_affinity": False,
            "labels": {**plan.labels, "function": manifest.name},
            "containers": [_main(plan, manifest), *_collector(plan, manifest)],
            "volumes": volumes(plan, manifest),
            "vpc_access": network_access(manifest, network),
        }


def instances(plan: Plan, manifest: Manifest) -> tuple[int, int]:
    """The least and the most instances of a function in this environment."""
    least = plan.figures.hot_instances if manifest.resources.min_instances else 0
    most = min(manifest.resources.max_instances, plan.figures.most_instances)
    return min(least, most), most


def _main(plan: Plan, manifest: Manifest) -> dict[str, Any]:
    made = container(plan, manifest)
    made["resources"] |= {
        "cpu_idle": not manifest.resources.cpu_always_allocated,
        "startup_cpu_boost": True,
    }
    made["ports"] = {
        "container_port": PORT,
        "name": "h2c" if manifest.trigger.protocol == "grpc" else "http1",
    }
    if manifest.trigger.protocol == "grpc":
        # The gRPC health protocol, by its own name.
        return made | {
            "startup_probe": {"grpc": {"port": PORT}, "period_seconds": 1, "failure_threshold": 30},
            "liveness_probe": {"grpc": {"port": PORT}, "period_seconds": 10, "failure_threshold": 3},
        }
    # Traffic only once what it needs answers; a restart only when the process itself does not.
    return made | {
        "startup_probe": {
            "http_get": {"path": manifest.probes.startup, "port": PORT},
            "period_seconds": 1,
            "failure_threshold": 30,
        },
        "liveness_probe": {
            "http_get": {"path": manifest.probes.liveness, "port": PORT},
            "period_seconds": 10,
            "timeout_seconds": 5,  # A14
            "failure_threshold": 3,
        },
    }


def _collector(plan: Plan, manifest: Manifest) -> list[dict[str, Any]]:
    """Managed Prometheus beside a function that has metrics; it asks on the loopback, as /metrics demands."""
    image = plan.config.images.collector if plan.config.images else None
    if image is None or "/metrics" not in manifest.trigger.http:
        return []
    return [
        {
            "name": "collector",
            "image": image,
            "depends_ons": [manifest.name],
            "resources": {"limits": {"cpu": "0.5", "memory": "256Mi"}, "cpu_idle": False},
        }
    ]


def _traffic(plan: Plan, manifest: Manifest) -> list[dict[str, Any]]:
    rollout = plan.config.rollout.get(manifest.name)
    if rollout is None:
        return [{"type": LATEST, "percent": 100, "tag": CANDIDATE}]
    return [
        {"type": REVISION, "revision": rollout.stable, "percent": 100 - rollout.percent, "tag": "stable"},
        {"type": LATEST, "percent": rollout.percent, "tag": CANDIDATE},
    ]


__all__ = ["CANDIDATE", "Service", "instances", "variables"]
