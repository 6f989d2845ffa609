"""Open doors: everything by which something gets in, or out."""

from collections.abc import Iterator, Sequence

from compliance.declared import at
from components.balancer import CANDIDATE_HEADER
from preview.recorder import Resource
from preview.tables import table
from stack.plan import Plan


def doors_page(plan: Plan, resources: Sequence[Resource]) -> str:
    """Ways in and out, each with what stands in it."""
    return (
        f"# Open doors of {plan.config.environment}\n\n## In\n\n"
        + table(("door", "who comes in", "what stands in it"), _in(plan, resources))
        + "\n## Out\n\n"
        + table(("door", "where to", "what stands in it"), _out(resources))
    )


def _in(plan: Plan, resources: Sequence[Resource]) -> Iterator[tuple[str, str, str]]:
    for each in resources:
        inputs = each.inputs
        if each.kind == "GlobalForwardingRule":
            redirect = inputs["portRange"] == "80"
            yield (
                f"{plan.config.domain}:{inputs['portRange']}",
                "the internet",
                "a redirection to HTTPS"
                if redirect
                else "TLS 1.3, Cloud Armor, the functions' own check of callers",
            )
        elif each.type.startswith("gcp:cloudrunv2/service:"):
            behind = inputs["ingress"] == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
            unchecked = inputs["invokerIamDisabled"]
            yield (
                str(inputs["name"]),
                "the load balancer" if behind else "this project: Pub/Sub, Eventarc, other functions",
                "every caller identified by the function"
                if unchecked
                else "Google's check of the caller's token",
            )
        elif each.kind == "Firewall" and inputs["direction"] == "INGRESS":
            yield (
                f"network: {inputs['name']}",
                "nobody" if inputs.get("denies") else "see the rule",
                "a firewall rule",
            )
        elif each.kind == "WorkloadIdentityPoolProvider":
            yield "deployer", "workflows of GitHub", f"`{inputs['attributeCondition']}`"
    yield (
        f"header `{CANDIDATE_HEADER}: candidate`",
        "whoever may call the function at all",
        "the newest revision answers, before it has any traffic; same checks as ever",
    )


def _out(resources: Sequence[Resource]) -> Iterator[tuple[str, str, str]]:
    for each in resources:
        if each.kind == "Firewall" and each.inputs["direction"] == "EGRESS" and each.inputs.get("allows"):
            ports = ", ".join(
                str(at(each.inputs, "allows")[0]["ports"]).strip("[]").replace("'", "").split(", ")
            )
            yield (
                f"network: {each.inputs['name']}",
                ", ".join(each.inputs["destinationRanges"]),
                f"ports {ports}",
            )
        elif each.type.startswith("gcp:cloudrunv2/service:"):
            access = at(each.inputs, "template.vpcAccess")
            alone = access["egress"] == "ALL_TRAFFIC"
            yield (
                str(each.inputs["name"]),
                "the internet, by address translation; nothing private"
                if alone
                else "providers, by Google's own way out",
                "firewall rules of `fetch`" if alone else "private addresses go through the network",
            )
