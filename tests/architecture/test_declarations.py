"""What is declared in one place must be wired, read or documented in the others."""

import inspect
import re
from typing import get_args

import pytest
import yaml
from prometheus_client.metrics import MetricWrapperBase
from pydantic import SecretStr

from sluicegate import settings
from sluicegate.adapters.web.http_client import HttpClient
from sluicegate.cli.policy import CHECKS
from sluicegate.kernel.policy_files import PolicyModel, PolicySet
from sluicegate.kernel.telemetry.metrics import REGISTRY
from sluicegate.manifest import read_manifest
from sluicegate.routing.catalogue_policy import ProviderPolicy
from sluicegate.wiring import providers as provider_wiring

SHIPPED = sorted(path.stem for path in PolicySet().files())
MOST_CODE_LINES = 12


def settings_classes():
    found = [each for _, each in inspect.getmembers(settings, inspect.isclass)]
    return [each for each in found if issubclass(each, settings.Settings)]


def variables():
    return {name.upper() for each in settings_classes() for name in each.model_fields}


# --- policies


def test_every_policy_file_has_a_reader_and_every_reader_a_file():
    assert set(SHIPPED) == set(CHECKS)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_policy_is_read_into_a_type_that_knows_every_field(name, tmp_path):
    CHECKS[name](PolicySet(), name)
    content = yaml.safe_load(PolicySet().path(name).read_text("utf-8"))
    (tmp_path / f"{name}.yaml").write_text(yaml.safe_dump({**content, "surplus": 1}))
    with pytest.raises(settings.ConfigurationError, match="surplus"):
        CHECKS[name](PolicySet(tmp_path), name)


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_policy_is_documented(name, documents):
    assert f"| `{name}.yaml` |" in documents["docs/operations.md"]


@pytest.mark.parametrize("name", SHIPPED)
def test_the_gateway_reads_it(name, package):
    readers = [
        source.name
        for source in package
        if not source.name.startswith("sluicegate.cli") and f'load("{name}"' in source.path.read_text("utf-8")
    ]
    assert readers


def test_policies_are_frozen():
    def below(kind):
        for each in kind.__subclasses__():
            yield each
            yield from below(each)

    kinds = list(below(PolicyModel))
    assert len(kinds) > 10
    assert all(kind.model_config["frozen"] and kind.model_config["extra"] == "forbid" for kind in kinds)


def test_the_limits_page_tells_the_limits_in_force(documents):
    page = documents["docs/limits.md"]
    limits = yaml.safe_load(PolicySet().path("limits").read_text("utf-8"))
    budgets = yaml.safe_load(PolicySet().path("budgets").read_text("utf-8"))["budgets"]
    rules = [rule for kind in ("rates", "tokens", "concurrency") for rule in limits[kind]]
    for rule in (*[rule for rule in rules if rule["scope"] != "agent"], *budgets):
        limit = rule.get("limit", rule.get("limit_usd"))
        figures = [limit, *(rule["plans"][plan] for plan in ("pro", "studio", "enterprise"))]
        shown = " | ".join("none" if each is None else f"{each:,}".replace(",", " ") for each in figures)
        assert f"| {shown} |" in page, rule


# --- settings


def test_the_example_environment_has_every_setting_and_nothing_else(root):
    example = (root / ".env.example").read_text("utf-8")
    listed = re.findall(r"^(?:# )?([A-Z][A-Z0-9_]+)=", example, re.MULTILINE)
    assert len(listed) == len(set(listed))
    assert set(listed) == variables()


def test_the_example_environment_shows_the_defaults(root):
    example = (root / ".env.example").read_text("utf-8")
    shown = dict(re.findall(r"^# ([A-Z][A-Z0-9_]+)=(.+)$", example, re.MULTILINE))
    for name, field in settings.GatewaySettings.model_fields.items():
        text, default = shown.get(name.upper()), field.default
        if text is not None and type(default) in (int, float, str, bool):
            assert text == (f"{default:g}" if type(default) is float else str(default)).lower() or (
                text == default
            ), name


def test_every_setting_is_read_by_something(package, root):
    code = "\n".join(
        source.path.read_text("utf-8") for source in package if source.name != "sluicegate.settings"
    )
    catalogue = (root / "shared" / "policies" / "models.yaml").read_text("utf-8")
    for name in variables():
        assert re.search(rf"\b{name.lower()}\b", code) or re.search(rf"\b{name}\b", catalogue), name


def test_secrets_are_typed_as_secrets():
    for each in settings_classes():
        for name, field in each.model_fields.items():
            if re.search(r"key|secret|password|token|redis_url", name):
                assert SecretStr in get_args(field.annotation), f"{each.__name__}.{name}"


def test_what_the_catalogue_takes_from_the_settings_exists():
    catalogue = yaml.safe_load(PolicySet().path("models").read_text("utf-8"))
    named = {
        provider[field]
        for provider in catalogue["providers"]
        for field in ("credential", "base_url_setting")
        if field in provider
    }
    assert named <= variables()


# --- metrics


def declared_metrics():
    """The labels of every metric, by the name it has when scraped."""
    found = {}
    for collector in REGISTRY._collector_to_names:
        for each in [collector] if isinstance(collector, MetricWrapperBase) else collector.collect():
            kind = each._type if isinstance(each, MetricWrapperBase) else each.type
            name = each._name if isinstance(each, MetricWrapperBase) else each.name
            found[f"{name}_total" if kind == "counter" else name] = set(each._labelnames)
    return found


def test_metrics_and_their_labels_are_documented(documents):
    row = re.compile(r"^\| `(sluicegate_\w+)` \| \w+ \|([^|]*)\|", re.MULTILINE)
    rows = {
        name: set(re.findall(r"`(\w+)`", labels))
        for name, labels in row.findall(documents["docs/operations.md"])
    }
    assert rows == declared_metrics()


# --- functions


def folders(root):
    return sorted(
        path for path in (root / "functions").iterdir() if path.is_dir() and path.name != "__pycache__"
    )


def test_every_function_has_a_manifest_and_a_short_main(root):
    assert folders(root)
    assert {path.parent for path in (root / "functions").glob("*/function.toml")} == set(folders(root))
    for folder in folders(root):
        manifest = read_manifest(folder / "function.toml")
        assert manifest.name == folder.name
        source = (folder / "main.py").read_text("utf-8")
        code = [
            line
            for line in source.splitlines()
            if line.strip() and not line.lstrip().startswith(("#", '"""'))
        ]
        assert len(code) <= MOST_CODE_LINES, folder


def test_every_manifest_names_settings_that_exist_and_secrets_they_know(root):
    for folder in folders(root):
        manifest = read_manifest(folder / "function.toml")
        schema = getattr(settings, manifest.settings.name)
        assert issubclass(schema, settings.Settings)
        known = {name.upper() for name in schema.model_fields}
        assert {*manifest.secrets.required, *manifest.secrets.optional} <= known


def test_the_gateway_drains_within_what_cloud_run_gives():
    assert settings.GatewaySettings.model_fields["drain_seconds"].default < 10


# --- providers


def test_every_kind_of_provider_is_wired():
    config = settings.GatewaySettings(environment="development", gcp_project_id="p")
    kinds = get_args(ProviderPolicy.model_fields["kind"].annotation)
    for kind in kinds:
        entry = ProviderPolicy(name=kind, kind=kind, base_url="http://127.0.0.1:9", dialects=("openai.chat",))
        made = provider_wiring.provider(entry, config, HttpClient())
        assert made.kind == kind
        assert made.name == kind


# --- scripts


def test_every_lua_script_states_keys_arguments_and_replies(root):
    scripts = sorted((root / "shared/sluicegate/adapters/redis/scripts").glob("*.lua"))
    assert scripts
    for script in scripts:
        header = script.read_text("utf-8").partition("\n\n")[0]
        assert all(line.startswith("--") for line in header.splitlines()), script
        for part in ("KEYS", "ARGV", "Reply"):
            assert re.search(rf"^-- {part}\b", header, re.MULTILINE), f"{script.name} does not state {part}"


def test_every_lua_script_is_used(root, package):
    code = "\n".join(source.path.read_text("utf-8") for source in package)
    for script in (root / "shared/sluicegate/adapters/redis/scripts").glob("*.lua"):
        assert re.search(rf"\b{script.stem}\b", code), script.name
