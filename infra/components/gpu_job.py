"""A function as a Cloud Run job, on a GPU if its manifest asks for one."""

from typing import Any

import pulumi
from pulumi_gcp import cloudrunv2

from components.base import Component
from components.containers import container, network_access, volumes
from components.identities import Identities
from components.keys import Keys
from components.network import Network
from sluicegate.manifest import Manifest
from stack.plan import Plan

_LEAST_GPU_CPU, _LEAST_GPU_GIB = 4, 16


class Job(Component):
    """A job. A GPU has no zonal redundancy: a batch that waits costs nothing, a spare GPU would."""

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
        name = f"job-{manifest.name}"
        super().__init__("Job", name, plan, opts)
        resources = manifest.resources
        _check(manifest)
        task: dict[str, Any] = {
            "service_account": identities.accounts[manifest.name].email,
            "execution_environment": "EXECUTION_ENVIRONMENT_GEN2",
            "timeout": f"{resources.timeout_seconds}s",
            "max_retries": resources.retries,
            "encryption_key": keys.keys["services"].id,
            "containers": [container(plan, manifest)],
            "volumes": volumes(plan, manifest),
            "vpc_access": network_access(manifest, network),
        }
        if resources.gpu is not None:
            task |= {"node_selector": {"accelerator": resources.gpu}, "gpu_zonal_redundancy_disabled": True}
        self.job = cloudrunv2.Job(
            name,
            name=plan.name(manifest.name),
            project=self.project,
            location=self.region,
            deletion_protection=plan.figures.protected,
            labels={**plan.labels, "function": manifest.name},
            template={
                "task_count": resources.tasks,
                "parallelism": min(resources.tasks, plan.figures.most_instances, resources.max_instances),
                "labels": {**plan.labels, "function": manifest.name},
                "template": task,
            },
            opts=self.after(*grants, *keys.grants["services"], ignore=("client", "clientVersion")),
        )
        self.register_outputs({"job": self.job.name})


def _check(manifest: Manifest) -> None:
    resources = manifest.resources
    if resources.gpu is None:
        return
    memory = int(resources.memory[:-2]) / (1 if resources.memory.endswith("Gi") else 1024)
    if float(resources.cpu) < _LEAST_GPU_CPU or memory < _LEAST_GPU_GIB:
        raise ValueError(
            f"functions/{manifest.name}/function.toml: resources: an L4 needs at least {_LEAST_GPU_CPU} CPUs "
            f"and {_LEAST_GPU_GIB}Gi"
        )
