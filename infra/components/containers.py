"""What services and jobs have in common: a container, its environment, its secrets, its network."""

from typing import Any

from components.counters import CA_FILE, CA_FOLDER
from components.network import FETCH_TAG, FUNCTION_TAG, Network
from sluicegate import settings
from sluicegate.manifest import Manifest
from stack.checks import image_of
from stack.inventory import GENERATED_SECRETS
from stack.plan import Plan
from stack.roles import secret_name

DATA_FOLDER, DATA_SIZE = "/data", "64Mi"


def mounted(plan: Plan, manifest: Manifest) -> list[str]:
    """The secrets that the function gets as variables: those it names that have a value."""
    named = (*manifest.secrets.required, *manifest.secrets.optional)
    return sorted({each for each in named if each in plan.config.secrets or each in GENERATED_SECRETS})


def variables(plan: Plan, manifest: Manifest) -> list[dict[str, Any]]:
    """The container's environment: plain ones that its settings know, then secrets by reference."""
    schema = {name.upper() for name in getattr(settings, manifest.settings.name).model_fields}
    offered = {
        "HOST": "0.0.0.0",  # noqa: S104 - within the container's own network
        # The load balancer appends the caller's address and then its own to x-forwarded-for.
        "TRUSTED_PROXIES": "2",
        "LOG_LEVEL": plan.figures.log_level,
        "OTEL_SERVICE_NAME": plan.name(manifest.name),
        "SLUICEGATE_DATA_DIR": DATA_FOLDER,
        **{
            f"{purpose.upper().replace('-', '_')}_BUCKET": plan.bucket(purpose)
            for purpose in manifest.access.buckets
        },
        **{
            f"{topic.upper().replace('-', '_')}_TOPIC": plan.name(topic) for topic in plan.publishes(manifest)
        },
        **plan.config.variables,
        "ENVIRONMENT": plan.figures.settings,
        "GCP_PROJECT_ID": plan.config.project,
    }
    plain = {name: value for name, value in offered.items() if name in schema}
    return [
        *({"name": name, "value": value} for name, value in sorted(plain.items())),
        *(
            {
                "name": name,
                "value_source": {
                    "secret_key_ref": {
                        "secret": secret_name(name),
                        "version": plan.config.secrets[name].version
                        if name in plan.config.secrets
                        else "latest",
                    }
                },
            }
            for name in mounted(plan, manifest)
        ),
    ]


def container(plan: Plan, manifest: Manifest) -> dict[str, Any]:
    """The function's own container, without ports and probes."""
    resources = manifest.resources
    limits = {"cpu": resources.cpu, "memory": resources.memory}
    if resources.gpu is not None:
        limits["nvidia.com/gpu"] = "1"
    return {
        "name": manifest.name,
        "image": image_of(plan.config, manifest),
        "commands": ["python3", f"functions/{manifest.name}/main.py"],
        "envs": variables(plan, manifest),
        "resources": {"limits": limits},
        "volume_mounts": [
            {"name": "data", "mount_path": DATA_FOLDER},
            *([{"name": "redis-ca", "mount_path": CA_FOLDER}] if reads_redis(plan, manifest) else []),
        ],
    }


def volumes(plan: Plan, manifest: Manifest) -> list[dict[str, Any]]:
    """A little memory to write to, and the certificate that Redis is known by."""
    authority = {
        "name": "redis-ca",
        "secret": {
            "secret": secret_name("REDIS_CA"),
            "default_mode": 0o444,
            "items": [{"version": "latest", "path": CA_FILE}],
        },
    }
    return [
        {"name": "data", "empty_dir": {"medium": "MEMORY", "size_limit": DATA_SIZE}},
        *([authority] if reads_redis(plan, manifest) else []),
    ]


def reads_redis(plan: Plan, manifest: Manifest) -> bool:
    """Whether the function talks to Redis."""
    return "REDIS_URL" in mounted(plan, manifest)


def network_access(manifest: Manifest, network: Network) -> dict[str, Any]:
    """Direct VPC egress: into `functions` for private addresses, or everything through `fetch`."""
    alone = manifest.egress == "internet"
    return {
        "egress": "ALL_TRAFFIC" if alone else "PRIVATE_RANGES_ONLY",
        "network_interfaces": [
            {
                "network": network.network.id,
                "subnetwork": network.subnetworks["fetch" if alone else "functions"].id,
                "tags": [FETCH_TAG if alone else FUNCTION_TAG],
            }
        ],
    }
