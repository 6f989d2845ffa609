"""Who may do what on what, and why."""

from collections.abc import Iterator, Mapping, Sequence
from types import MappingProxyType

from compliance.declared import at, members
from components.identities import NARROWED
from preview.recorder import Resource
from preview.tables import table
from stack.plan import Plan

_ON: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "TopicIAMMember": ("topic", "topic"),
        "SubscriptionIAMMember": ("subscription", "subscription"),
        "BucketIAMMember": ("bucket", "bucket"),
        "CryptoKeyIAMMember": ("key", "cryptoKeyId"),
        "SecretIamMember": ("secret", "secretId"),
        "ServiceIamMember": ("service", "name"),
        "JobIamMember": ("job", "name"),
    }
)

_WHY: Mapping[str, str] = MappingProxyType(
    {
        "delivery": "dead letters and tokens of pushed messages",
        "federation": "`pulumi up` by the repository's workflow",
        "objects": "Eventarc delivers objects' events",
        "consumers": "`trigger.pulls` of its function.toml, and its dead letters",
        "keys": "Google's service encrypts with our key",
        "topic": "`access.publishes` of its function.toml",
        "bucket": "`access.buckets` of its function.toml",
        "secret": "`[secrets]` of its function.toml",
        "key": "`access.keys` of its function.toml",
        "call": "`access.calls` of its function.toml",
        "run": "`access.runs` of its function.toml",
        "identity": "`identity.roles` of its function.toml, narrowed",
    }
)


def iam_page(plan: Plan, resources: Sequence[Resource]) -> str:
    """One row per grant, by who; then what the custom roles hold."""
    roles = [each.inputs for each in resources if each.kind == "IAMCustomRole"]
    return (
        f"# Who may do what in {plan.config.environment}, and why\n\n"
        + table(("who", "may", "on", "only if", "why"), sorted(_grants(resources)))
        + "\n## Custom roles\n\n"
        + table(
            ("role", "permissions"),
            sorted((role["roleId"], "<br>".join(role["permissions"])) for role in roles),
        )
        + "\n## What predefined roles are narrowed to\n\n"
        + table(
            ("asked for", "granted"),
            ((role, len(held) or "on the thing itself") for role, held in NARROWED.items()),
        )
    )


def _grants(resources: Sequence[Resource]) -> Iterator[tuple[str, str, str, str, str]]:
    for each in resources:
        for member in members(each):
            why = _WHY.get(each.name.partition("-")[0], "")
            if (
                "@gcp-sa-" in member
                and each.kind == "TopicIAMMember"
                and not each.name.startswith("delivery")
            ):
                why = "Google's service publishes there"
            if each.kind == "IAMMember" and each.name.endswith("-acts"):
                why = "workflows of the repository, by federation, without a key"
            yield (
                _who(member),
                str(each.inputs["role"]).removeprefix("roles/").rpartition("/")[2],
                _on(each),
                str(at(each.inputs, "condition.title") or ""),
                why,
            )


def _who(member: str) -> str:
    kind, _, name = member.partition(":")
    account, _, where = name.partition("@")
    if kind == "serviceAccount" and where.startswith(("gcp-sa-", "gs-", "cloud-", "serverless-")):
        return f"Google: {where.partition('.')[0]}"
    return account if kind == "serviceAccount" else member.rpartition("/attribute.")[2] or member


def _on(resource: Resource) -> str:
    if resource.kind in _ON:
        what, field = _ON[resource.kind]
        return f"{what} {str(resource.inputs[field]).rpartition('/')[2]}"
    if "serviceAccountId" in resource.inputs:
        return f"account {str(resource.inputs['serviceAccountId']).rpartition('/')[2].partition('@')[0]}"
    return "the project"
