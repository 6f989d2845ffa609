import pytest

from preview.recorder import STACKS, stack_values
from stack.checks import check
from stack.config import StackConfigurationError, read_stack_config
from stack.environments import ENVIRONMENTS

EXAMPLE = stack_values("dev")


@pytest.mark.parametrize("stack", STACKS)
def test_the_shipped_stacks_are_valid_and_their_own(stack):
    assert read_stack_config(stack_values(stack)).environment == stack


@pytest.mark.parametrize(
    ("change", "place", "remedy"),
    [
        ({"images": {"sluicegate": "example.com/x:latest"}}, "stack.images.sluicegate", "@sha256"),
        ({"images": {"sluicegate": "example.com/x@sha256:abc"}}, "stack.images.sluicegate", "@sha256"),
        ({"region": "Europe"}, "stack.region", "pattern"),
        ({"environment": "development"}, "stack.environment", "'dev', 'staging' or 'production'"),
        ({"domain": "https://example.com"}, "stack.domain", "pattern"),
        ({"rotation_starts": "2027-01-01"}, "stack.rotation_starts", "pattern"),
        (
            {"secrets": {"OPENAI_API_KEY": {"version": "newest"}}},
            "stack.secrets.OPENAI_API_KEY.version",
            "pattern",
        ),
        ({"secrets": {"OPENAI_API_KEY": "sk-1"}}, "stack.secrets.OPENAI_API_KEY", "SecretReference"),
        ({"variables": {"OPENAI_API_KEY": "sk-1"}}, "OPENAI_API_KEY", "keep the secret only"),
        ({"rollout": {"gateway": {"stable": "r-1", "percent": 101}}}, "rollout.gateway.percent", "100"),
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
        read_stack_config({**EXAMPLE, "secrets": {"OPENAI_API_KEY": "hunter2"}})
    assert "hunter2" not in str(caught.value)


def test_nothing_configured_names_every_missing_field():
    with pytest.raises(StackConfigurationError) as caught:
        read_stack_config({})
    for name in ("project", "project_number", "region", "environment", "domain", "notifications"):
        assert f"sluicegate:stack.{name}: Field required" in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"secrets": {"OTHER_KEY": {"version": "1"}}}, "OTHER_KEY: in no function's"),
        ({"secrets": {"REDIS_URL": {"version": "1"}}}, "REDIS_URL: the stack makes this one itself"),
        ({"secrets": {}, "variables": {"ANTHROPIC_API_KEY": "x"}}, "ANTHROPIC_API_KEY: is a secret"),
        ({"variables": {"LOG_LEVLE": "INFO"}}, "LOG_LEVLE: no function has such a setting"),
        ({"rollout": {"gatewy": {"stable": "r-1"}}}, "gatewy: there is no such service"),
        (
            {"images": {"sluicegate": EXAMPLE["images"]["sluicegate"]}},
            "images.inference: needed by inference",
        ),
    ],
)
def test_what_the_manifests_do_not_know_is_refused(plan, change, message):
    config = read_stack_config({**EXAMPLE, **change})
    with pytest.raises(StackConfigurationError, match=message):
        check(type(plan)(config, plan.manifests))


def test_what_a_manifest_asks_for_must_be_there(production_plan):
    (workers,) = [each for each in production_plan.manifests if each.name == "workers"]
    for field, value in (
        ("buckets", {"attic": "read"}),
        ("keys", {"front-door": "sign"}),
        ("calls", ("nobody",)),
    ):
        wrong = workers.model_copy(update={"access": workers.access.model_copy(update={field: value})})
        with pytest.raises(StackConfigurationError, match=rf"workers/function.toml: access.{field}"):
            check(type(production_plan)(production_plan.config, (wrong,)))


def test_environments_grow_stricter():
    dev, staging, production = (ENVIRONMENTS[each] for each in STACKS)
    assert [each.protected for each in (dev, staging, production)] == [False, True, True]
    assert production.locked
    assert not staging.locked
    assert dev.most_instances < staging.most_instances < production.most_instances == 100
    assert production.hot_instances == 3
    # Nothing in the cloud may fall back to embedded parts.
    assert {each.settings for each in ENVIRONMENTS.values()} <= {"staging", "production"}
