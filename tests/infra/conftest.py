import copy
import sys
import warnings
from dataclasses import replace
from functools import lru_cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
FIXTURES = Path(__file__).resolve().parent / "fixtures" / "functions"

pulumi = pytest.importorskip("pulumi", reason="pulumi is not installed")
sys.path.insert(0, str(ROOT / "infra"))  # as Pulumi does

with warnings.catch_warnings():
    # Pulumi's own, at import, about names of its own.
    warnings.filterwarnings("ignore", message=r"gcp\.", category=DeprecationWarning)
    from preview import recorder

from compliance.declared import Stack  # noqa: E402
from sluicegate.manifest import read_manifests  # noqa: E402
from stack.plan import Plan  # noqa: E402


@lru_cache(maxsize=1)
def every_manifest():
    """The functions there are, and fixtures for those that come later by their function.toml alone."""
    there = read_manifests(ROOT / "functions")
    names = {each.name for each in there}
    return there + tuple(each for each in read_manifests(FIXTURES) if each.name not in names)


@lru_cache(maxsize=8)
def make_plan(stack):
    config = recorder.stack_config(stack)
    images = config.images.model_copy(update={"inference": config.images.sluicegate})
    return Plan(config.model_copy(update={"images": images}), every_manifest())


@lru_cache(maxsize=8)
def make_record(stack):
    return recorder.record(make_plan(stack))


@pytest.fixture(params=recorder.STACKS)
def stack_name(request):
    return request.param


@pytest.fixture
def plan(stack_name):
    return make_plan(stack_name)


@pytest.fixture
def record(stack_name):
    """What the stack declares, with all functions of the fixtures."""
    return make_record(stack_name)


@pytest.fixture
def production():
    return make_record("production")


@pytest.fixture
def production_plan():
    return make_plan("production")


@pytest.fixture
def declared():
    """A stack for the rules, with copies that a test may change: `declared(environment)`."""

    def make(environment="production"):
        plan = make_plan(environment)
        resources = [
            replace(each, inputs=copy.deepcopy(dict(each.inputs)))
            for each in make_record(environment).resources
        ]
        return Stack(environment, tuple(resources), plan.manifests)

    return make


@pytest.fixture
def replan():
    """The production plan with another configuration: `replan(field=value)`."""

    def make(stack="production", manifests=None, **changes):
        plan = make_plan(stack)
        return Plan(plan.config.model_copy(update=changes), manifests or plan.manifests)

    return make


@pytest.fixture
def all_types():
    """Every type that any stack uses."""
    return {each.type for stack in recorder.STACKS for each in make_record(stack).resources}


@pytest.fixture
def deploy():
    return recorder.record
