from pathlib import Path

import pytest
import yaml

from stack_config import StackConfigurationError, read_stack_config

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = yaml.safe_load((ROOT / "Pulumi.dev.yaml").read_text())["config"]["sluicegate:stack"]


def test_the_example_is_valid():
    config = read_stack_config(EXAMPLE)
    assert config.secrets["OPENAI_API_KEY"].version == "1"
    assert config.secrets["REDIS_URL"].version == "latest"


@pytest.mark.parametrize(
    ("change", "place", "remedy"),
    [
        ({"image": "example.com/sluicegate:latest"}, "stack.image", "@sha256"),
        ({"image": "example.com/sluicegate@sha256:abc"}, "stack.image", "@sha256"),
        ({"region": "Europe"}, "stack.region", "pattern"),
        ({"environment": "development"}, "stack.environment", "'staging' or 'production'"),
        ({"instance_storage": False}, "instance_storage", "set it to true for a trial"),
        ({"secrets": {"REDIS_URL": {"name": "a b"}}}, "stack.secrets.REDIS_URL.name", "pattern"),
        ({"secrets": {"REDIS_URL": "redis://10.0.0.3"}}, "stack.secrets.REDIS_URL", "SecretReference"),
        ({"variables": {"REDIS_URL": "redis://10.0.0.3"}}, "REDIS_URL", "keep the secret only"),
        ({"replicas": 3}, "stack.replicas", "not permitted"),
    ],
)
def test_a_mistake_is_told_with_its_place_and_remedy(change, place, remedy):
    with pytest.raises(StackConfigurationError) as caught:
        read_stack_config({**EXAMPLE, **change})
    assert place in str(caught.value)
    assert remedy in str(caught.value)


def test_a_wrong_value_is_not_repeated():
    with pytest.raises(StackConfigurationError) as caught:
        read_stack_config({**EXAMPLE, "secrets": {"REDIS_URL": "redis://:hunter2@10.0.0.3"}})
    assert "hunter2" not in str(caught.value)


def test_nothing_configured_names_every_missing_field():
    with pytest.raises(StackConfigurationError) as caught:
        read_stack_config({})
    for name in ("project", "region", "environment", "image", "secrets"):
        assert f"sluicegate:stack.{name}: Field required" in str(caught.value)
