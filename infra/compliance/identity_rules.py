"""Who may do what: no basic roles, nothing project-wide but what is listed, nothing beyond the manifests."""

from collections.abc import Iterator

from compliance.declared import Stack, at, containers, grants, members
from stack.roles import (
    BUCKET_ROLES,
    DEPLOYER_ROLES,
    EVENT_RECEIVER,
    INVOKER,
    PUBLISHER,
    SUBSCRIBER,
    secret_name,
)

BASIC = frozenset({"roles/owner", "roles/editor", "roles/viewer"})
EVERYBODY = frozenset({"allUsers", "allAuthenticatedUsers"})
_PREFIX = "sluicegate-"


def no_basic_roles(stack: Stack) -> Iterator[str]:
    """CIS 1.5: no role that spans services."""
    for each in grants(stack.resources):
        if each.inputs.get("role") in BASIC:
            yield f"{each.name}: {each.inputs['role']} is a basic role; grant the single permissions"


def project_wide_grants_are_listed(stack: Stack) -> Iterator[str]:
    """On the project: custom roles for functions, the deployer's, and the two that Eventarc needs."""
    for each in stack.of("projects/iAMMember:IAMMember"):
        role, member = str(each.inputs.get("role")), str(each.inputs.get("member"))
        custom = "/roles/sluicegate." in role
        deployer = role in DEPLOYER_ROLES and f":{_PREFIX}deployer@" in member
        eventarc = (role == EVENT_RECEIVER and f":{_PREFIX}deliverer@" in member) or (
            role == PUBLISHER and "@gs-project-accounts." in member
        )
        if not (custom or deployer or eventarc):
            yield f"{each.name}: {role} on the whole project; grant it on the thing itself"


def custom_roles_are_narrow(stack: Stack) -> Iterator[str]:
    """No wildcard, and nothing that changes policies or identities."""
    for each in stack.of("projects/iAMCustomRole:IAMCustomRole"):
        for permission in each.inputs.get("permissions", []):
            if "*" in permission or permission.endswith("setIamPolicy") or permission.startswith("iam."):
                yield f"{each.name}: {permission} is not for a function"


def document_grants_have_a_condition(stack: Stack) -> Iterator[str]:
    """A function's role on Firestore holds for our database alone."""
    for each in stack.of("projects/iAMMember:IAMMember"):
        if str(each.inputs.get("role")).endswith(".documents") and not at(
            each.inputs, "condition.expression"
        ):
            yield f"{each.name}: needs a condition that names the database"


def no_keys(stack: Stack) -> Iterator[str]:
    """CIS 1.4: no user-managed key of a service account."""
    for each in stack.resources:
        if each.type.endswith(":Key") and "serviceaccount" in each.type:
            yield f"{each.name}: a key of a service account; the metadata server or federation vouches for it"


def nobody_is_everybody(stack: Stack) -> Iterator[str]:
    """CIS 5.1: nothing is granted to the public."""
    for each in grants(stack.resources):
        if EVERYBODY & set(members(each)):
            yield f"{each.name}: granted to everybody"


def every_function_is_itself(stack: Stack) -> Iterator[str]:
    """One account per function, and it is its own."""
    for each in stack.of("cloudrunv2/service:Service", "cloudrunv2/job:Job"):
        template = "template" if each.type.endswith(":Service") else "template.template"
        account = str(at(each.inputs, f"{template}.serviceAccount") or "")
        if not account.startswith(f"{each.inputs['name']}@"):
            yield f"{each.name}: runs as {account or 'the default account'}, not as itself"


def grants_are_those_of_the_manifests(stack: Stack) -> Iterator[str]:
    """Each function's secrets, topics, buckets, keys and calls, and nothing more."""
    wanted, found = _wanted(stack), _found(stack)
    for grant in sorted(wanted - found):
        yield f"{' '.join(grant)}: asked for by function.toml and not granted"
    for grant in sorted(found - wanted):
        yield f"{' '.join(grant)}: granted and not asked for by function.toml"


def mounted_secrets_are_readable(stack: Stack) -> Iterator[str]:
    """What a container is given it can read: otherwise no instance starts."""
    readable = {
        (str(each.inputs.get("secretId")), member.partition(":")[2].partition("@")[0])
        for each in stack.of("secretmanager/secretIamMember:SecretIamMember")
        for member in members(each)
    }
    for each in stack.of("cloudrunv2/service:Service", "cloudrunv2/job:Job"):
        for container in containers(each):
            for variable in container.get("envs", []):
                secret = at(variable, "valueSource.secretKeyRef.secret")
                if secret is not None and (secret, each.inputs["name"]) not in readable:
                    yield f"{each.name}: {secret} is mounted and cannot be read"


def _wanted(stack: Stack) -> set[tuple[str, ...]]:
    deployed = {
        str(each.inputs["name"]) for each in stack.of("cloudrunv2/service:Service", "cloudrunv2/job:Job")
    }
    wanted: set[tuple[str, ...]] = set()
    for manifest in stack.manifests:
        account = f"{_PREFIX}{manifest.name}"
        if account not in deployed:
            continue
        secrets = {*manifest.secrets.required, *manifest.secrets.optional}
        secrets |= {"REDIS_CA"} if "REDIS_URL" in secrets else set()
        topics = {*manifest.access.publishes}
        topics |= {"events"} if "roles/pubsub.publisher" in manifest.identity.roles else set()
        pulls = manifest.trigger.pulls
        topics |= {*pulls.values(), *(f"{group}-dead" for group in pulls)}
        wanted |= {
            ("pull", f"{_PREFIX}{group}-{part}", account) for group in pulls for part in ("pull", "kept")
        }
        wanted |= {("secret", secret_name(each), account) for each in secrets}
        wanted |= {("topic", f"{_PREFIX}{each}", account) for each in topics}
        wanted |= {("call", f"{_PREFIX}{each}", account) for each in manifest.access.calls}
        wanted |= {("run", f"{_PREFIX}{each}", account) for each in manifest.access.runs}
        wanted |= {("key", key, account) for key in manifest.access.keys}
        asked: dict[str, str] = dict(manifest.access.buckets)
        wanted |= {
            ("bucket", purpose, role, account)
            for purpose, what in asked.items()
            for role in BUCKET_ROLES[what]
        }
    return wanted


def _found(stack: Stack) -> set[tuple[str, ...]]:
    functions = {f"{_PREFIX}{each.name}" for each in stack.manifests}
    found: set[tuple[str, ...]] = set()
    for each in grants(stack.resources):
        inputs, role = each.inputs, str(each.inputs.get("role"))
        for member in members(each):
            account = member.partition(":")[2].partition("@")[0]
            if account not in functions:
                continue
            match each.type.rpartition(":")[2]:
                case "SecretIamMember":
                    found.add(("secret", str(inputs["secretId"]), account))
                case "TopicIAMMember" if role == PUBLISHER:
                    found.add(("topic", str(inputs["topic"]), account))
                case "SubscriptionIAMMember" if role == SUBSCRIBER:
                    found.add(("pull", str(inputs["subscription"]), account))
                case "BucketIAMMember":
                    found.add(("bucket", str(inputs["bucket"]).partition(f"-{_PREFIX}")[2], role, account))
                case "CryptoKeyIAMMember":
                    found.add(("key", str(inputs["cryptoKeyId"]).rpartition("/")[2], account))
                case "ServiceIamMember" if role == INVOKER:
                    found.add(("call", str(inputs["name"]), account))
                case "JobIamMember":
                    found.add(("run", str(inputs["name"]), account))
                case "IAMMember" if each.type.startswith("gcp:projects/"):
                    pass  # see project_wide_grants_are_listed
                case _:
                    found.add(("other", each.name, role, account))
    return found
