"""The rules hold for all stacks, and each of them notices when it is broken."""

import dataclasses

import pytest

from compliance.rules import RULES, violations
from policies.pack import environment_of, named_rules, stack_of
from preview.recorder import ROOT, Resource, record, stack_plan

PUBLIC = "allUsers"


def test_no_rule_is_broken(stack_name, declared):
    assert violations(declared(stack_name)) == []


def test_no_rule_is_broken_without_the_fixtures(stack_name):
    plan = stack_plan(stack_name)
    given = [(each.type, each.name, each.inputs) for each in record(plan).resources]
    stack = stack_of(given, environment_of(given), ROOT / "functions")
    assert stack.environment == stack_name
    assert [(name, found) for name, rule in named_rules().items() for found in rule(stack)] == []


def find(stack, kind, name):
    (found,) = [each for each in stack.resources if each.kind == kind and each.name == name]
    return found.inputs


def put(kind, name, path, value):
    """A change of one input; `None` takes it away."""

    def change(stack):
        at = find(stack, kind, name)
        *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
        for step in steps:
            at = at[step]
        if value is None:
            del at[last]
        else:
            at[last] = value
        return stack

    return change


def add(kind, name, **inputs):
    """One more resource."""
    return lambda stack: dataclasses.replace(
        stack, resources=(*stack.resources, Resource(f"gcp:{kind}", name, inputs))
    )


def remove(kind, name):
    """One resource less."""
    return lambda stack: dataclasses.replace(
        stack, resources=tuple(each for each in stack.resources if (each.kind, each.name) != (kind, name))
    )


def account(name):
    return f"serviceAccount:sluicegate-{name}@your-project.iam.gserviceaccount.com"


PROJECT_GRANT = "projects/iAMMember:IAMMember"
GATEWAY = ("Service", "service-gateway")
MAIN = "template.containers.0"

BROKEN = [
    ("no-basic-roles", add(PROJECT_GRANT, "x", role="roles/editor", member=account("gateway"))),
    (
        "project-wide-grants-are-listed",
        add(PROJECT_GRANT, "x", role="roles/storage.admin", member=account("audit")),
    ),
    (
        "project-wide-grants-are-listed",
        add(PROJECT_GRANT, "x", role="roles/run.admin", member=account("gateway")),
    ),
    (
        "custom-roles-are-narrow",
        put("IAMCustomRole", "identity-gateway-runtime", "permissions", ["storage.*"]),
    ),
    (
        "custom-roles-are-narrow",
        put("IAMCustomRole", "identity-gateway-runtime", "permissions", ["iam.serviceAccounts.actAs"]),
    ),
    ("document-grants-have-a-condition", put("IAMMember", "identity-gateway-documents", "condition", None)),
    ("no-keys", add("serviceaccount/key:Key", "x", serviceAccountId="y")),
    ("nobody-is-everybody", put("BucketIAMMember", "bucket-files-workers-objectUser", "member", PUBLIC)),
    (
        "nobody-is-everybody",
        add("cloudrunv2/serviceIamMember:ServiceIamMember", "x", role="roles/run.invoker", member=PUBLIC),
    ),
    (
        "every-function-is-itself",
        put(*GATEWAY, "template.serviceAccount", "1-compute@developer.gserviceaccount.com"),
    ),
    ("every-function-is-itself", put("Job", "job-inference", "template.template.serviceAccount", None)),
    ("grants-are-those-of-the-manifests", remove("SecretIamMember", "secret-OPENAI_API_KEY-gateway")),
    (
        "grants-are-those-of-the-manifests",
        add(
            "secretmanager/secretIamMember:SecretIamMember",
            "x",
            secretId="sluicegate-openai-api-key",
            member=account("audit"),
            role="roles/secretmanager.secretAccessor",
        ),
    ),
    (
        "grants-are-those-of-the-manifests",
        add(
            "pubsub/topicIAMMember:TopicIAMMember",
            "x",
            topic="sluicegate-alerts",
            member=account("gateway"),
            role="roles/pubsub.publisher",
        ),
    ),
    ("grants-are-those-of-the-manifests", remove("TopicIAMMember", "topic-events-workers")),
    (
        "grants-are-those-of-the-manifests",
        put("BucketIAMMember", "bucket-log-ops-objectCreator", "role", "roles/storage.admin"),
    ),
    (
        "grants-are-those-of-the-manifests",
        remove("CryptoKeyIAMMember", "key-tenants-ops-cryptoKeyEncrypterDecrypter"),
    ),
    ("grants-are-those-of-the-manifests", remove("JobIamMember", "run-inference-workers")),
    ("grants-are-those-of-the-manifests", remove("ServiceIamMember", "call-fetch-workers")),
    ("mounted-secrets-are-readable", remove("SecretIamMember", "secret-METRICS_TOKEN-gateway")),
    ("functions-are-behind-the-balancer", put(*GATEWAY, "ingress", "INGRESS_TRAFFIC_ALL")),
    ("functions-are-behind-the-balancer", put("Service", "service-audit", "invokerIamDisabled", True)),
    ("buckets-are-private", put("Bucket", "bucket-cache", "publicAccessPrevention", "inherited")),
    ("buckets-are-private", put("Bucket", "bucket-cache", "uniformBucketLevelAccess", False)),
    ("firewall-denies", remove("Firewall", "network-deny-egress")),
    ("firewall-denies", put("Firewall", "network-fetch-to-web", "targetTags", None)),
    ("firewall-denies", put("Firewall", "network-deny-ingress", "logConfig", None)),
    (
        "firewall-denies",
        add(
            "compute/firewall:Firewall",
            "x",
            direction="INGRESS",
            allows=[{"protocol": "tcp"}],
            sourceRanges=["0.0.0.0/0"],
            logConfig={"metadata": "x"},
        ),
    ),
    ("networks-are-our-own", put("Network", "network", "autoCreateSubnetworks", True)),
    ("networks-are-our-own", put("Subnetwork", "network-fetch", "logConfig", None)),
    ("networks-are-our-own", put("Subnetwork", "network-functions", "privateIpGoogleAccess", False)),
    (
        "only-one-subnetwork-reaches-the-internet",
        put("RouterNat", "network-nat", "sourceSubnetworkIpRangesToNat", "ALL_SUBNETWORKS_ALL_IP_RANGES"),
    ),
    ("only-one-subnetwork-reaches-the-internet", put(*GATEWAY, "template.vpcAccess.egress", "ALL_TRAFFIC")),
    ("transport-is-encrypted", put("SSLPolicy", "balancer", "minTlsVersion", "TLS_1_2")),
    ("transport-is-encrypted", put("TargetHttpsProxy", "balancer", "sslPolicy", None)),
    ("transport-is-encrypted", put("URLMap", "balancer-redirect", "defaultUrlRedirect.httpsRedirect", False)),
    ("transport-is-encrypted", put("Cluster", "counters", "authorizationMode", "AUTH_MODE_DISABLED")),
    ("everything-public-has-armor", put("BackendService", "balancer-gateway", "securityPolicy", None)),
    ("everything-public-has-armor", put("SecurityPolicy", "armor", "rules.2.preview", True)),
    ("no-secret-in-the-open", put(*GATEWAY, f"{MAIN}.envs.0", {"name": "API_TOKEN", "value": "x"})),
    ("no-secret-in-the-open", put(*GATEWAY, f"{MAIN}.envs.0", {"name": "BASE", "value": "sk-proj-abc"})),
    (
        "no-secret-in-the-open",
        put(*GATEWAY, f"{MAIN}.envs.0", {"name": "BASE", "value": "redis://:pw@10.0.0.3"}),
    ),
    (
        "messages-are-authenticated",
        put("Subscription", "delivery-audit-events-push", "pushConfig.oidcToken", None),
    ),
    (
        "messages-are-authenticated",
        put("Subscription", "delivery-audit-events-push", "deadLetterPolicy", None),
    ),
    ("images-are-pinned", put(*GATEWAY, f"{MAIN}.image", "example.com/x:latest")),
    ("stores-have-our-keys", put("Bucket", "bucket-files", "encryption", None)),
    ("stores-have-our-keys", put("Topic", "topic-requests", "kmsKeyName", None)),
    ("stores-have-our-keys", put("Database", "documents", "cmekConfig", None)),
    ("stores-have-our-keys", put("Secret", "secret-REDIS_CA", "replication", {"auto": {}})),
    ("keys-rotate", put("CryptoKey", "keys-objects", "rotationPeriod", "31536000s")),
    (
        "keys-rotate",
        put("CryptoKey", "keys-log-signing", "versionTemplate.algorithm", "RSA_SIGN_PSS_2048_SHA256"),
    ),
    ("api-keys-are-due", put("Secret", "secret-OPENAI_API_KEY", "rotation", None)),
    ("api-keys-are-due", put("Secret", "secret-OPENAI_API_KEY", "topics", None)),
    ("logs-are-kept", put("ProjectBucketConfig", "logs", "retentionDays", 30)),
    ("logs-are-kept", put("Bucket", "bucket-log", "retentionPolicy.isLocked", False)),
    (
        "reads-are-audited",
        put("IAMAuditConfig", "logs-audit", "auditLogConfigs.1.exemptedMembers", ["user:a@b.c"]),
    ),
    (
        "state-is-protected",
        put("Database", "documents", "deleteProtectionState", "DELETE_PROTECTION_DISABLED"),
    ),
    ("state-is-protected", put("Bucket", "bucket-payloads", "deletionPolicy", "DELETE")),
    ("state-is-protected", put("Bucket", "bucket-payloads", "forceDestroy", True)),
    ("documents-can-be-restored", remove("BackupSchedule", "documents-daily")),
    ("redis-forgets-nothing", put("Cluster", "counters", "persistenceConfig.mode", "RDB")),
    ("redis-forgets-nothing", put("Cluster", "counters", "redisConfigs.maxmemory-policy", "allkeys-lru")),
    ("things-are-labelled", put("Topic", "topic-alerts", "labels.environment", None)),
    ("alerts-say-what-to-do", put("AlertPolicy", "alerts-uptime", "notificationChannels", [])),
    ("alerts-say-what-to-do", put("AlertPolicy", "alerts-uptime", "documentation.content", "good luck")),
]


@pytest.mark.parametrize(
    ("rule", "change"), BROKEN, ids=[f"{name}-{n}" for n, (name, _) in enumerate(BROKEN)]
)
def test_a_broken_rule_is_noticed(declared, rule, change):
    assert rule in {name for name, _ in violations(change(declared()))}


def test_every_rule_has_been_broken_once():
    assert {name for name, _ in BROKEN} == set(RULES)


def test_every_rule_says_what_it_is_for():
    assert all(rule.__doc__ for rule in RULES.values())


def test_dev_may_be_deleted(declared):
    stack = put("Database", "documents", "deleteProtectionState", "DELETE_PROTECTION_DISABLED")(
        declared("dev")
    )
    assert violations(stack) == []
