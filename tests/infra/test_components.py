"""What each component makes of a manifest."""

import pytest

from components.balancer import routes
from components.service import instances
from sluicegate import settings
from stack.config import Rollout

ACCOUNT = "sluicegate-{}@your-project.iam.gserviceaccount.com"


def service(record, name):
    return record.named("Service", f"service-{name}")


def main_container(record, name):
    (found,) = [each for each in service(record, name)["template"]["containers"] if each["name"] == name]
    return found


def test_sizes_are_the_manifest_s(production, production_plan):
    for manifest in production_plan.services:
        template = service(production, manifest.name)["template"]
        resources = manifest.resources
        assert template["timeout"] == f"{resources.timeout_seconds}s"
        assert template["maxInstanceRequestConcurrency"] == resources.concurrency
        assert template["executionEnvironment"] == "EXECUTION_ENVIRONMENT_GEN2"
        container = main_container(production, manifest.name)
        assert container["resources"]["limits"] == {"cpu": resources.cpu, "memory": resources.memory}
        assert container["resources"]["cpuIdle"] is not resources.cpu_always_allocated
        assert container["resources"]["startupCpuBoost"] is True
        assert instances(production_plan, manifest) == tuple(
            template["scaling"][each] for each in ("minInstanceCount", "maxInstanceCount")
        )


def test_the_probes_ask_what_they_should(production):
    gateway = main_container(production, "gateway")
    assert gateway["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert gateway["livenessProbe"]["httpGet"]["path"] == "/healthz"
    assert main_container(production, "rpc")["startupProbe"]["grpc"] == {"port": 8080}


def test_who_is_reached_from_where(production):
    assert service(production, "gateway")["ingress"] == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    assert service(production, "gateway")["defaultUriDisabled"] is True
    assert service(production, "gateway")["invokerIamDisabled"] is True
    for inside in ("audit", "workers", "fetch"):
        assert service(production, inside)["ingress"] == "INGRESS_TRAFFIC_INTERNAL_ONLY"
        assert service(production, inside)["invokerIamDisabled"] is False
        # Pub/Sub and other functions call it by its own address.
        assert service(production, inside)["defaultUriDisabled"] is False


def test_secrets_are_references_and_never_values(production):
    by_name = {each["name"]: each for each in main_container(production, "gateway")["envs"]}
    for name in ("REDIS_URL", "OPENAI_API_KEY", "METRICS_TOKEN"):
        assert "value" not in by_name[name]
        reference = by_name[name]["valueSource"]["secretKeyRef"]
        assert reference == {"secret": f"sluicegate-{name.lower().replace('_', '-')}", "version": "latest"}
    # Optional, and without a value: mounting it would keep every instance from starting.
    assert "ANTHROPIC_API_KEY" not in by_name


def test_the_settings_class_accepts_the_environment_it_gets(record, plan):
    for manifest in plan.services:
        schema = getattr(settings, manifest.settings.name)
        given = {
            each["name"].lower(): each.get("value", "rediss://10.0.0.3/a-long-enough-value")
            for each in main_container(record, manifest.name)["envs"]
        }
        assert set(given) <= set(schema.model_fields), manifest.name
        assert not schema(**given).embedded


def test_redis_is_told_with_its_certificate(production):
    template = service(production, "gateway")["template"]
    (volume,) = [each for each in template["volumes"] if each["name"] == "redis-ca"]
    assert volume["secret"]["secret"] == "sluicegate-redis-ca"
    mounts = {
        each["name"]: each["mountPath"] for each in main_container(production, "gateway")["volumeMounts"]
    }
    assert mounts["redis-ca"] == "/etc/sluicegate/redis"
    assert "redis-ca" not in {each["name"] for each in service(production, "fetch")["template"]["volumes"]}


def test_metrics_are_collected_beside_the_function(production):
    names = [each["name"] for each in service(production, "gateway")["template"]["containers"]]
    assert names == ["gateway", "collector"]
    assert [each["name"] for each in service(production, "audit")["template"]["containers"]] == ["audit"]


def test_a_release_gets_the_share_that_is_set(replan, deploy):
    plan = replan(rollout={"gateway": Rollout(stable="sluicegate-gateway-00007-abc", percent=10)})
    stable, candidate = service(deploy(plan), "gateway")["traffics"]
    assert (stable["revision"], stable["percent"]) == ("sluicegate-gateway-00007-abc", 90)
    assert (candidate["type"][-6:], candidate["percent"], candidate["tag"]) == ("LATEST", 10, "candidate")


def test_the_gpu_job(production):
    job = production.named("Job", "job-inference")
    task = job["template"]["template"]
    assert job["template"]["taskCount"] == 4
    assert task["nodeSelector"] == {"accelerator": "nvidia-l4"}
    assert task["gpuZonalRedundancyDisabled"] is True
    assert task["containers"][0]["resources"]["limits"] == {
        "cpu": "8",
        "memory": "32Gi",
        "nvidia.com/gpu": "1",
    }
    assert (task["timeout"], task["maxRetries"]) == ("7200s", 2)


def test_a_gpu_needs_enough_beside_it(production_plan, replan, deploy):
    (job,) = production_plan.jobs
    small = job.model_copy(update={"resources": job.resources.model_copy(update={"memory": "8Gi"})})
    others = tuple(each for each in production_plan.manifests if each is not job)
    with pytest.raises(ValueError, match="an L4 needs at least 4 CPUs and 16Gi"):
        deploy(replan(manifests=(*others, small)))


def test_messages_are_pushed_with_a_token_and_kept_when_they_fail(production):
    push = production.named("Subscription", "delivery-audit-events-push")
    assert push["topic"] == "projects/your-project/topics/sluicegate-events"
    assert push["pushConfig"]["pushEndpoint"] == "https://sluicegate-audit-preview.a.run.app/events"
    assert push["pushConfig"]["oidcToken"] == {
        "serviceAccountEmail": ACCOUNT.format("deliverer"),
        "audience": "https://sluicegate-audit-preview.a.run.app",
    }
    assert push["ackDeadlineSeconds"] == 540
    dead = "projects/your-project/topics/sluicegate-audit-events-dead"
    assert push["deadLetterPolicy"] == {"deadLetterTopic": dead, "maxDeliveryAttempts": 5}
    kept = production.named("Subscription", "delivery-audit-events-kept")
    assert kept["topic"] == dead
    assert "pushConfig" not in kept
    agent = "serviceAccount:service-100000000003@gcp-sa-pubsub.iam.gserviceaccount.com"
    assert production.named("TopicIAMMember", "delivery-audit-events-dead")["member"] == agent
    assert (
        production.named("SubscriptionIAMMember", "delivery-audit-events-dead")["role"]
        == "roles/pubsub.subscriber"
    )
    assert production.named("IAMMember", "delivery-audit-events-token")["member"] == agent


def test_a_filter_holds_for_its_own_topic_only(production):
    assert production.named("Subscription", "delivery-workers-requests-push")["filter"]
    assert "filter" not in production.named("Subscription", "delivery-workers-alerts-push")
    assert production.named("Subscription", "delivery-workers-alerts-push")["pushConfig"][
        "pushEndpoint"
    ].endswith("/alerts")


def test_our_topics_have_the_schema_and_google_s_do_not(production):
    ours = production.named("Topic", "topic-events")["schemaSettings"]
    assert ours == {"schema": "projects/your-project/schemas/sluicegate-cloud-event", "encoding": "JSON"}
    for foreign in ("alerts", "rotation", "operations", "budget-notices"):
        assert "schemaSettings" not in production.named("Topic", f"topic-{foreign}")


def test_the_clock_publishes_to_the_function_s_topic(production):
    job = production.named("Job", "schedule-ops")
    assert (job["schedule"], job["timeZone"]) == ("*/5 * * * *", "Etc/UTC")
    assert job["pubsubTarget"]["topicName"] == "projects/your-project/topics/sluicegate-operations"


def test_an_object_starts_a_function(production):
    trigger = production.named("Trigger", "objects-workers")
    assert {each["attribute"]: each["value"] for each in trigger["matchingCriterias"]} == {
        "type": "google.cloud.storage.object.v1.finalized",
        "bucket": "your-project-sluicegate-files",
    }
    assert trigger["destination"]["cloudRunService"]["path"] == "/objects"


def test_paths_lead_to_their_functions_the_most_exact_first(production, production_plan):
    found = routes(production_plan.web)
    assert ("/v1/*", "gateway") in found
    exact = [path for path, _ in found if not path.endswith("/*")]
    assert [path for path, _ in found][: len(exact)] == exact
    lengths = [len(path) for path, _ in found[len(exact) :]]
    assert lengths == sorted(lengths, reverse=True)
    rules = production.named("URLMap", "balancer")["pathMatchers"][0]["routeRules"]
    assert len(rules) == 2 * len(found)
    assert [rule["priority"] for rule in rules] == list(range(1, len(rules) + 1))
    candidate, stable = rules[0], rules[1]
    assert candidate["matchRules"][0]["headerMatches"] == [
        {"headerName": "x-sluicegate-revision", "exactMatch": "candidate"}
    ]
    assert candidate["service"] == stable["service"] + "-candidate"


def test_two_functions_cannot_claim_one_path(production_plan):
    gateway = production_plan.named("gateway")
    twin = gateway.model_copy(update={"name": "twin"})
    with pytest.raises(ValueError, match="claimed by gateway and twin"):
        routes((gateway, twin))


def test_prompts_are_no_attack(production):
    (policy,) = production.of("SecurityPolicy")
    for rule in policy["rules"]:
        expression = rule["match"].get("expr", {}).get("expression", "")
        if "evaluatePreconfiguredWaf" in expression and "scannerdetection" not in expression:
            assert expression.startswith("!request.path.startsWith('/v1/') && ")


def test_fetch_reaches_the_internet_and_nothing_else_does(production):
    def egress(name):
        access = service(production, name)["template"]["vpcAccess"]
        return access["egress"], access["networkInterfaces"][0]["subnetwork"].rpartition("/")[2]

    assert egress("fetch") == ("ALL_TRAFFIC", "sluicegate-fetch")
    for name in ("gateway", "audit", "workers"):
        assert egress(name) == ("PRIVATE_RANGES_ONLY", "sluicegate-functions")
    rules = {each["name"].removeprefix("sluicegate-"): each for each in production.of("Firewall")}
    assert rules["fetch-not-private"]["priority"] < rules["fetch-to-web"]["priority"]
    assert "10.0.0.0/8" in rules["fetch-not-private"]["destinationRanges"]
    assert "169.254.0.0/16" in rules["fetch-not-private"]["destinationRanges"]


def test_the_log_cannot_be_rewritten_and_payloads_can_be_erased(production):
    buckets = {
        each["name"].removeprefix("your-project-sluicegate-"): each for each in production.of("Bucket")
    }
    assert buckets["log"]["retentionPolicy"] == {"retentionPeriod": str(365 * 86_400), "isLocked": True}
    assert "retentionPolicy" not in buckets["payloads"]
    assert buckets["payloads"]["softDeletePolicy"] == {"retentionDurationSeconds": 0}
    assert buckets["payloads"]["versioning"] == {"enabled": False}
    assert {"action": {"type": "Delete"}, "condition": {"age": 7}} in buckets["cache"]["lifecycleRules"]
    assert (
        production.named("CryptoKey", "keys-log-signing")["versionTemplate"]["algorithm"] == "EC_SIGN_ED25519"
    )


def test_a_role_that_nobody_narrowed_is_refused(production_plan, replan, deploy):
    gateway = production_plan.named("gateway")
    greedy = gateway.model_copy(
        update={"identity": gateway.identity.model_copy(update={"roles": ("roles/editor",)})}
    )
    with pytest.raises(Exception, match="roles/editor is not in the table NARROWED"):
        deploy(replan(manifests=(greedy,)))


def test_indexes_are_those_of_the_code(production):
    from sluicegate.ledger.indexes import COMPOSITE_INDEXES, EXPIRIES, UNINDEXED

    made = production.of("Index")
    assert len(made) == len(COMPOSITE_INDEXES)
    assert {each["collection"] for each in made} == {each.collection for each in COMPOSITE_INDEXES}
    fields = {(each["collection"], each["field"]): each for each in production.of("Field")}
    assert {(each.collection, field) for each in UNINDEXED for field in each.fields} <= set(fields)
    for expiry in EXPIRIES:
        assert fields[expiry.collection, expiry.field]["ttlConfig"] == {}
    assert {each["queryScope"] for each in made} == {"COLLECTION", "COLLECTION_GROUP"}


def test_consumers_pull_what_the_adapter_asks_for(production):
    from sluicegate.adapters.gcp.pubsub_names import PubSubNames

    names = PubSubNames("your-project")
    pull = production.named("Subscription", "consumers-ledger-pull")
    assert names.subscription("ledger").endswith("/" + pull["name"])
    assert pull["topic"] == names.topic
    assert pull["filter"] == 'NOT attributes:recipient OR attributes.recipient = "ledger"'
    assert "pushConfig" not in pull
    assert pull["deadLetterPolicy"]["deadLetterTopic"] == names.dead_topic("ledger")
    assert names.kept("ledger").endswith(
        "/" + production.named("Subscription", "consumers-ledger-kept")["name"]
    )
    member = "serviceAccount:" + ACCOUNT.format("books")
    for grant in ("consumers-ledger-pull", "consumers-ledger-kept"):
        assert production.named("SubscriptionIAMMember", f"{grant}-books")["member"] == member
    assert production.named("TopicIAMMember", "consumers-ledger-dead-books")["member"] == member


def test_the_schema_has_every_attribute_of_an_event():
    import json
    import re

    from components.topics import SCHEMA
    from sluicegate.kernel.events import Event

    fields = set(re.findall(r"^  \w+ (\w+) = \d+;", SCHEMA.read_text("utf-8"), re.MULTILINE))
    written = json.loads(Event("1", "s", "t", 0.0, "acme", subject="x").to_json())
    assert set(written) - {"data"} == fields - {"data_base64"}
