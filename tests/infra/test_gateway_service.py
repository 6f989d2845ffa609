import runpy
from pathlib import Path

import pulumi
import pytest
import yaml

from gateway_service import GatewayService
from sluicegate.manifest import read_manifest
from stack_config import StackConfigurationError, read_stack_config

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]["sluicegate:stack"]
MANIFEST = read_manifest(ROOT / "functions" / "gateway" / "function.toml")
PROGRAM = str(ROOT / "infra" / "__main__.py")
ACCOUNT = "sluicegate-gateway@your-project.iam.gserviceaccount.com"


@pytest.fixture
def service(deploy):
    record = deploy(lambda: GatewayService("gateway", MANIFEST, read_stack_config(EXAMPLE)))
    (service,) = record.of("Service")
    return service


@pytest.fixture
def container(service):
    (container,) = service["template"]["containers"]
    return container


def test_sizes_are_the_manifest_s(service, container):
    template, resources = service["template"], MANIFEST.resources
    assert template["timeout"] == f"{resources.timeout_seconds}s"
    assert template["maxInstanceRequestConcurrency"] == resources.concurrency
    assert template["scaling"]["minInstanceCount"] == resources.min_instances
    assert template["scaling"]["maxInstanceCount"] == resources.max_instances
    assert container["resources"]["limits"] == {"cpu": resources.cpu, "memory": resources.memory}
    assert container["resources"]["cpuIdle"] is not resources.cpu_always_allocated


def test_nothing_but_the_load_balancer_reaches_it(service):
    assert service["ingress"] == "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER"
    assert service["defaultUriDisabled"] is True


def test_the_probes_ask_what_they_should(container):
    assert container["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert container["livenessProbe"]["httpGet"]["path"] == "/healthz"


def test_secrets_are_references_and_never_values(container):
    by_name = {each["name"]: each for each in container["envs"]}
    for name, reference in EXAMPLE["secrets"].items():
        assert "value" not in by_name[name]
        source = by_name[name]["valueSource"]["secretKeyRef"]
        assert source == {"secret": reference["name"], "version": reference.get("version", "latest")}


def test_the_settings_class_accepts_the_environment_it_gets(container):
    from sluicegate import settings

    schema = getattr(settings, MANIFEST.settings.name)
    given = {each["name"].lower(): each.get("value", "redis://10.0.0.3") for each in container["envs"]}
    assert set(given) <= set(schema.model_fields)
    read = schema(**given)
    assert read.environment == EXAMPLE["environment"]
    assert read.host == "0.0.0.0"  # noqa: S104 - compared, not bound


def test_it_runs_as_its_own_account_with_the_manifest_s_roles_only(deploy):
    record = deploy(lambda: GatewayService("gateway", MANIFEST, read_stack_config(EXAMPLE)))
    (service,) = record.of("Service")
    assert service["template"]["serviceAccount"] == ACCOUNT
    grants = record.of("IAMMember")
    assert {grant["role"] for grant in grants} == set(MANIFEST.identity.roles)
    assert {grant["member"] for grant in grants} == {f"serviceAccount:{ACCOUNT}"}


def test_it_may_read_exactly_the_secrets_it_is_given(deploy):
    record = deploy(lambda: GatewayService("gateway", MANIFEST, read_stack_config(EXAMPLE)))
    grants = record.of("SecretIamMember")
    assert {grant["secretId"] for grant in grants} == {each["name"] for each in EXAMPLE["secrets"].values()}
    assert {grant["role"] for grant in grants} == {"roles/secretmanager.secretAccessor"}


def test_production_cannot_be_deleted_by_mistake(deploy):
    for environment, protected in (("staging", False), ("production", True)):
        config = read_stack_config({**EXAMPLE, "environment": environment})
        (service,) = deploy(lambda config=config: GatewayService("gateway", MANIFEST, config)).of("Service")
        assert service["deletionProtection"] is protected


def test_without_a_network_there_is_no_vpc_access(deploy):
    config = read_stack_config({**EXAMPLE, "network": None})
    (service,) = deploy(lambda: GatewayService("gateway", MANIFEST, config)).of("Service")
    assert "vpcAccess" not in service["template"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"secrets": {}}, "REDIS_URL must name a secret"),
        ({"secrets": {**EXAMPLE["secrets"], "OTHER_KEY": {"name": "other"}}}, "OTHER_KEY: not in the"),
        ({"variables": {"ANTHROPIC_API_KEY": "sk-plain"}}, "ANTHROPIC_API_KEY: is a secret"),
        ({"variables": {"LOG_LEVLE": "INFO"}}, "GatewaySettings has no such setting"),
    ],
)
def test_what_the_manifest_does_not_know_is_refused(deploy, change, message):
    config = read_stack_config({**EXAMPLE, **change})
    with pytest.raises(StackConfigurationError, match=message):
        deploy(lambda: GatewayService("gateway", MANIFEST, config))


# Pulumi's own, where a mocked stack registers its outputs.
@pytest.mark.filterwarnings("ignore:NotImplemented should not be used:DeprecationWarning")
def test_the_program_deploys_the_example_stack(deploy):
    record = deploy(lambda: runpy.run_path(PROGRAM), EXAMPLE)
    assert [inputs["name"] for inputs in record.of("Service")] == ["sluicegate-gateway"]


def test_the_program_says_what_is_wrong_without_a_trace(deploy):
    with pytest.raises(pulumi.RunError, match=r"sluicegate:stack\.image"):
        deploy(lambda: runpy.run_path(PROGRAM), {**EXAMPLE, "image": "x:latest"})
