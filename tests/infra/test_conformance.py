"""Every resource of the three stacks against Google's own API documents, and proof that it finds mistakes."""

import copy

import pytest

from conformance.discovery import UndocumentedError, schema
from conformance.mapping import RENAMES, TYPES
from conformance.stack_conformance import all_problems, resource_problems
from conformance.translation import UnmappedError, target_of

pytest.importorskip("googleapiclient", reason="google-api-python-client is not installed")


def test_google_would_take_all_of_it(record):
    assert all_problems((each.type, each.name, each.inputs) for each in record.resources) == []


def test_every_type_has_a_mapping(record):
    for each in record.resources:
        target_of(each.type)


def test_a_type_without_a_mapping_fails():
    with pytest.raises(UnmappedError, match="gcp:spanner/instance:Instance: no entry"):
        resource_problems("gcp:spanner/instance:Instance", {})


def test_every_mapping_leads_to_a_schema():
    for target in TYPES.values():
        assert schema(target.document, target.schema).properties


def test_no_mapping_is_left_over(all_types):
    assert set(TYPES) == all_types


def test_renames_are_of_schemas_that_exist():
    documents = {target.document for target in TYPES.values()}
    for name in RENAMES:
        found = []
        for document in documents:
            try:
                found.append(schema(document, name.partition(".")[0]))
            except UndocumentedError:
                continue
        assert found, name


def change(inputs, path, value):
    """`inputs` with `value` at `path`; a step of digits is a place in a list, `None` as value removes."""
    changed = copy.deepcopy(inputs)
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    at = changed
    for step in steps:
        at = at[step]
    if value is None:
        del at[last]
    else:
        at[last] = value
    return changed


MUTATIONS = [
    # kind, name, path, value, what is said of it
    # a misspelt field
    ("Service", "service-gateway", "template.serviceAcount", "x", "has no field serviceAcount"),
    ("Service", "service-gateway", "template.containers.0.startup_prob", {}, "has no field startup_prob"),
    ("Topic", "topic-events", "kmsKey", "k", "has no field kmsKey"),
    ("Subscription", "delivery-audit-events-push", "pushConfig.oidcTokn", {}, "has no field oidcTokn"),
    ("Bucket", "bucket-log", "lifecycleRules.0.condition.ageDays", 3, "has no field ageDays"),
    ("CryptoKey", "keys-documents", "versionTemplate.algoritm", "x", "has no field algoritm"),
    ("AlertPolicy", "alerts-error-rate", "documentation.mime", "x", "has no field mime"),
    ("SecurityPolicy", "armor", "rules.0.match.exp", {}, "has no field exp"),
    ("Job", "job-inference", "template.template.maxRetry", 1, "has no field maxRetry"),
    # a wrong unit
    ("Service", "service-gateway", "template.timeout", "300", "is not a duration in seconds"),
    ("Service", "service-gateway", "template.timeout", "300000ms", "is not a duration in seconds"),
    ("Service", "service-gateway", "template.timeout", "7200s", "outside 1 to 3600 s"),
    (
        "Service",
        "service-gateway",
        "template.containers.0.resources.limits.memory",
        "512MB",
        "does not look like",
    ),
    ("Subscription", "delivery-audit-events-push", "ackDeadlineSeconds", 540_000, "outside 10 to 600 s"),
    ("Topic", "topic-events", "messageRetentionDuration", "7d", "is not a duration in seconds"),
    ("CryptoKey", "keys-documents", "rotationPeriod", "90d", "is not a duration in seconds"),
    ("CryptoKey", "keys-documents", "rotationPeriod", "90s", "outside 86400"),
    ("BackupSchedule", "documents-daily", "retention", "30", "is not a duration in seconds"),
    ("Secret", "secret-OPENAI_API_KEY", "rotation.nextRotationTime", "tomorrow", "is not a time"),
    ("ProjectBucketConfig", "logs", "retentionDays", 365 * 86_400, "outside 1 to 3650 days"),
    ("Budget", "watch-budget", "thresholdRules.0.thresholdPercent", 80, "outside 0 to 10"),
    # a wrong word
    ("Service", "service-gateway", "ingress", "INGRESS_TRAFFIC_INTERNAL", "is none of"),
    ("Service", "service-gateway", "template.vpcAccess.egress", "PRIVATE", "is none of"),
    ("Service", "service-gateway", "traffics.0.type", "LATEST", "is none of"),
    ("Bucket", "bucket-log", "storageClass", "ARCHIVED", "is none of"),
    ("Bucket", "bucket-log", "publicAccessPrevention", "enabled", "is none of"),
    ("CryptoKey", "keys-log-signing", "versionTemplate.algorithm", "ED25519", "is none of"),
    ("Database", "documents", "type", "NATIVE", "is none of"),
    ("Index", None, "fields.0.order", "ASC", "is none of"),
    ("SSLPolicy", "balancer", "minTlsVersion", "TLS_1.3", "is none of"),
    ("Firewall", "network-deny-ingress", "direction", "IN", "is none of"),
    ("SecurityPolicy", "armor", "rules.0.action", "deny", "is none of"),
    ("AlertPolicy", "alerts-error-rate", "severity", "HIGH", "is none of"),
    ("Cluster", "counters", "persistenceConfig.mode", "AOF_ALWAYS", "is none of"),
    ("NotificationChannel", "alerts-email", "type", "mail", "is none of"),
    # a wrong type
    ("Service", "service-gateway", "template.maxInstanceRequestConcurrency", "80", "must be a whole number"),
    ("Service", "service-gateway", "defaultUriDisabled", "true", "must be true or false"),
    ("Service", "service-gateway", "template.containers", {}, "must be a list"),
    ("Topic", "topic-events", "labels", "x", "must be an object"),
    ("UptimeCheckConfig", "watch-gateway", "httpCheck.port", 44.3, "must be a whole number"),
    # what is required, and what cannot be set
    ("Service", "service-gateway", "template", None, "template: is required"),
    ("Service", "service-gateway", "template.containers.0.image", None, "image: is required"),
    ("Subscription", "delivery-audit-events-push", "topic", None, "topic: is required"),
    ("Database", "documents", "locationId", None, "locationId: is required"),
    ("CryptoKey", "keys-documents", "versionTemplate.algorithm", None, "algorithm: is required"),
    (
        "AlertPolicy",
        "alerts-error-rate",
        "conditions.0.conditionPrometheusQueryLanguage.query",
        None,
        "is required",
    ),
    ("Job", "schedule-ops", "schedule", None, "schedule: is required"),
    ("Trigger", "objects-workers", "matchingCriterias.0.value", None, "value: is required"),
    ("ProjectBucketConfig", "logs", "createTime", "2027-01-01T00:00:00Z", "is an output"),
    ("Service", "service-gateway", "uri", "https://example.com", "is an output"),
]


@pytest.mark.parametrize(("kind", "name", "path", "value", "said"), MUTATIONS)
def test_a_mistake_is_found(production, kind, name, path, value, said):
    (resource, *_) = [
        each for each in production.resources if each.kind == kind and (name is None or each.name == name)
    ]
    assert resource_problems(resource.type, resource.inputs) == []
    found = resource_problems(resource.type, change(dict(resource.inputs), path, value))
    assert any(said in each for each in found), found


def test_a_dashboard_is_checked_inside(production):
    resource = next(each for each in production.resources if each.kind == "Dashboard")
    wrong = resource.inputs["dashboardJson"].replace('"prometheusQuery"', '"promQuery"')
    assert any("promQuery" in each for each in resource_problems(resource.type, {"dashboardJson": wrong}))
