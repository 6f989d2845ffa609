"""The table of all resources."""

from collections import Counter
from collections.abc import Sequence

from preview.recorder import Resource
from preview.tables import table
from stack.plan import Plan

# What says most about a thing, in this order.
_TELLING = (
    "role", "ingress", "schedule", "topic", "ipCidrRange", "direction", "purpose", "rotationPeriod", "tier",
    "nodeType", "severity", "retentionDays", "locationId", "serviceAccount", "filter",
)  # fmt: skip


def resources_page(plan: Plan, resources: Sequence[Resource]) -> str:
    """All resources by type, with what says most about each."""
    counts = Counter(each.type for each in resources)
    rows = [
        (each.type.removeprefix("gcp:").partition(":")[0], each.name, _own_name(each), _detail(each))
        for each in sorted(resources, key=lambda each: (each.type, each.name))
    ]
    return (
        f"# Resources of {plan.config.environment}\n\n"
        f"{len(resources)} resources of {len(counts)} types, as Pulumi's mocks recorded them.\n\n"
        + table(
            ("type", "number"),
            sorted((k.removeprefix("gcp:").partition(":")[0], v) for k, v in counts.items()),
        )
        + "\n"
        + table(("type", "in the program", "in the project", "detail"), rows)
    )


def _own_name(resource: Resource) -> str:
    for key in (
        "name",
        "accountId",
        "secretId",
        "roleId",
        "bucketId",
        "repositoryId",
        "displayName",
        "service",
    ):
        if key in resource.inputs:
            return str(resource.inputs[key])
    return ""


def _detail(resource: Resource) -> str:
    told = [
        f"{key}: {str(resource.inputs[key]).rpartition('/')[2]}"
        for key in _TELLING
        if isinstance(resource.inputs.get(key), str | int)
    ]
    return ", ".join(told)[:120]
