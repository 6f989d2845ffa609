"""What can be reached from where, and what stands in the open."""

import re
from collections.abc import Iterator

from compliance.declared import Stack, at, containers

_SECRET_NAME = re.compile(r"(KEY|TOKEN|SECRET|PASSWORD|CREDENTIAL)S?$|^REDIS_URL$")
_SECRET_VALUE = re.compile(r"sk-[A-Za-z0-9]|AIza[0-9A-Za-z_-]{10}|-----BEGIN|://[^/@\s]*:[^/@\s]+@|xox[bp]-")
_ANYWHERE = {"0.0.0.0/0", "::/0"}


def functions_are_behind_the_balancer(stack: Stack) -> Iterator[str]:
    """No service answers the internet by itself; without Google's check of callers none is even inside."""
    for each in stack.of("cloudrunv2/service:Service"):
        ingress = each.inputs.get("ingress")
        if ingress not in {"INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER", "INGRESS_TRAFFIC_INTERNAL_ONLY"}:
            yield f"{each.name}: ingress {ingress}; only the load balancer or the inside may reach it"
        if each.inputs.get("invokerIamDisabled") and ingress != "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER":
            yield f"{each.name}: takes callers unchecked without being behind the load balancer"


def buckets_are_private(stack: Stack) -> Iterator[str]:
    """CIS 5.1, 5.2."""
    for each in stack.of("storage/bucket:Bucket"):
        if each.inputs.get("publicAccessPrevention") != "enforced":
            yield f"{each.name}: public access is not prevented"
        if each.inputs.get("uniformBucketLevelAccess") is not True:
            yield f"{each.name}: access is not uniform"


def firewall_denies(stack: Stack) -> Iterator[str]:
    """CIS 3.6, 3.7: nothing comes in; everything is denied both ways unless a rule says otherwise."""
    denied = set()
    for each in stack.of("compute/firewall:Firewall"):
        direction, inputs = each.inputs.get("direction"), each.inputs
        ranges = inputs.get("sourceRanges" if direction == "INGRESS" else "destinationRanges") or []
        if direction == "INGRESS" and inputs.get("allows"):
            yield f"{each.name}: lets something in"
        if direction == "EGRESS" and inputs.get("allows") and not inputs.get("targetTags"):
            yield f"{each.name}: lets everything out; name the tag it is for"
        if (
            inputs.get("denies") == [{"protocol": "all"}]
            and _ANYWHERE & set(ranges)
            and not inputs.get("targetTags")
        ):
            denied.add(direction)
        if not at(inputs, "logConfig.metadata"):
            yield f"{each.name}: is not logged"
    for direction in sorted({"INGRESS", "EGRESS"} - denied):
        yield f"network: no rule that denies all {direction.lower()}"


def networks_are_our_own(stack: Stack) -> Iterator[str]:
    """CIS 3.1, 3.2, 3.8, and private Google access."""
    for each in stack.of("compute/network:Network"):
        if each.inputs.get("autoCreateSubnetworks") is not False:
            yield f"{each.name}: makes subnetworks by itself"
    for each in stack.of("compute/subnetwork:Subnetwork"):
        if each.inputs.get("privateIpGoogleAccess") is not True:
            yield f"{each.name}: reaches Google through the internet"
        if not each.inputs.get("logConfig"):
            yield f"{each.name}: flows are not logged"


def only_one_subnetwork_reaches_the_internet(stack: Stack) -> Iterator[str]:
    """Address translation is for `fetch` alone, and nothing private is in its reach."""
    for each in stack.of("compute/routerNat:RouterNat"):
        names = [str(part["name"]) for part in each.inputs.get("subnetworks", [])]
        if each.inputs.get("sourceSubnetworkIpRangesToNat") != "LIST_OF_SUBNETWORKS":
            yield f"{each.name}: translates for every subnetwork"
        if any(not name.endswith("sluicegate-fetch") for name in names):
            yield f"{each.name}: translates for {', '.join(names)}"
    for each in stack.of("cloudrunv2/service:Service", "cloudrunv2/job:Job"):
        template = "template" if each.type.endswith(":Service") else "template.template"
        access = at(each.inputs, f"{template}.vpcAccess") or {}
        alone = any("fetch" in str(part.get("subnetwork")) for part in access.get("networkInterfaces", []))
        if alone != (access.get("egress") == "ALL_TRAFFIC"):
            yield f"{each.name}: `fetch` and all traffic through the network belong together"


def transport_is_encrypted(stack: Stack) -> Iterator[str]:
    """TLS 1.3 at the front (A3), TLS to Redis, and plain HTTP is only ever redirected."""
    for each in stack.of("compute/sSLPolicy:SSLPolicy"):
        if each.inputs.get("minTlsVersion") != "TLS_1_3" or each.inputs.get("profile") != "RESTRICTED":
            yield f"{each.name}: takes TLS below 1.3"
    for each in stack.of("compute/targetHttpsProxy:TargetHttpsProxy"):
        if not each.inputs.get("sslPolicy"):
            yield f"{each.name}: has no TLS policy"
    redirects = {
        str(each.inputs.get("name"))
        for each in stack.of("compute/uRLMap:URLMap")
        if at(each.inputs, "defaultUrlRedirect.httpsRedirect")
    }
    for each in stack.of("compute/targetHttpProxy:TargetHttpProxy"):
        if str(each.inputs.get("urlMap")).rpartition("/")[2] not in redirects:
            yield f"{each.name}: serves plain HTTP"
    for each in stack.of("redis/instance:Instance"):
        if each.inputs.get("transitEncryptionMode") != "SERVER_AUTHENTICATION" or not each.inputs.get(
            "authEnabled"
        ):
            yield f"{each.name}: no TLS, or no password"
    for each in stack.of("redis/cluster:Cluster"):
        tls = each.inputs.get("transitEncryptionMode") == "TRANSIT_ENCRYPTION_MODE_SERVER_AUTHENTICATION"
        if not tls or each.inputs.get("authorizationMode") == "AUTH_MODE_DISABLED":
            yield f"{each.name}: no TLS, or no identity asked for"


def everything_public_has_armor(stack: Stack) -> Iterator[str]:
    """Cloud Armor stands before every backend, and limits floods."""
    for each in stack.of("compute/backendService:BackendService"):
        if not each.inputs.get("securityPolicy"):
            yield f"{each.name}: no security policy"
        if not at(each.inputs, "logConfig.enable"):
            yield f"{each.name}: requests are not logged"
    for each in stack.of("compute/securityPolicy:SecurityPolicy"):
        actions = {rule["action"] for rule in each.inputs.get("rules", [])}
        if not actions & {"rate_based_ban", "throttle"}:
            yield f"{each.name}: floods are not limited"
        for rule in each.inputs.get("rules", []):
            if rule.get("preview") and stack.environment == "production":
                yield f"{each.name}: rule {rule['priority']} only watches"


def no_secret_in_the_open(stack: Stack) -> Iterator[str]:
    """Secrets are references, whatever they are called."""
    for each in stack.of("cloudrunv2/service:Service", "cloudrunv2/job:Job"):
        for container in containers(each):
            for variable in container.get("envs", []):
                value = variable.get("value")
                if value is None:
                    continue
                if _SECRET_NAME.search(variable["name"]) or _SECRET_VALUE.search(str(value)):
                    yield f"{each.name}: {variable['name']} is given in plain text"


def messages_are_authenticated(stack: Stack) -> Iterator[str]:
    """Every push carries a token for its receiver, is tried again, and never gets lost."""
    for each in stack.of("pubsub/subscription:Subscription"):
        push = each.inputs.get("pushConfig")
        if not push:
            continue
        if not at(push, "oidcToken.serviceAccountEmail") or not at(push, "oidcToken.audience"):
            yield f"{each.name}: pushes without a token"
        if not str(push.get("pushEndpoint")).startswith("https://"):
            yield f"{each.name}: pushes in the clear"
        if not each.inputs.get("deadLetterPolicy") or not each.inputs.get("retryPolicy"):
            yield f"{each.name}: no dead letters, or no retries"


def images_are_pinned(stack: Stack) -> Iterator[str]:
    """What runs is named by digest."""
    for each in stack.of("cloudrunv2/service:Service", "cloudrunv2/job:Job"):
        for container in containers(each):
            if "@sha256:" not in str(container.get("image")):
                yield f"{each.name}: {container.get('image')} can change"
