"""Plans by name are remembered, and never beyond what they were made for."""

import random
from dataclasses import replace

import pytest

from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import SluicegateError
from sluicegate.kernel.models import Capability
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.routing.catalogue import load_catalogue
from sluicegate.routing.complexity import load_classifier
from sluicegate.routing.policy import RoutingPolicy
from sluicegate.routing.service import Router
from sluicegate.routing.types import RouteQuery

CHAT = frozenset({Capability.CHAT})
PLAIN = RouteQuery("gpt-4o-mini", CHAT, input_tokens=100, output_tokens=50)


@pytest.fixture
def router():
    policies = PolicySet()
    policy = policies.load("routing", RoutingPolicy)
    return Router(load_catalogue(policies), policy, load_classifier(), FixedClock(), random.Random(1))


def ids(plan):
    return [candidate.model.id for candidate in plan.candidates]


def test_a_plain_request_by_name_is_planned_once(router):
    assert router.plan(PLAIN) is router.plan(replace(PLAIN, input_tokens=7))


def test_what_was_not_ready_then_may_be_now_and_the_other_way_round(router):
    nobody = {"openai": "no key"}
    assert ids(router.plan(PLAIN))[0] == "gpt-4o-mini"
    with pytest.raises(SluicegateError):
        router.plan(PLAIN, unready=nobody)
    assert ids(router.plan(PLAIN))[0] == "gpt-4o-mini"


def test_whoever_asks_for_more_is_planned_for_anew(router):
    first = router.plan(PLAIN)
    assert router.plan(PLAIN, explain=True) is not first
    assert router.plan(replace(PLAIN, quality=0.1)) is not first
    with pytest.raises(SluicegateError):
        router.plan(replace(PLAIN, max_cost_nano=1))
    with pytest.raises(SluicegateError):
        router.plan(replace(PLAIN, input_tokens=10**8))
    with pytest.raises(SluicegateError):
        router.plan(replace(PLAIN, allowed=("claude-*",)))
    with pytest.raises(SluicegateError):
        router.plan(replace(PLAIN, capabilities=frozenset({Capability.EMBEDDINGS})))
    assert router.plan(PLAIN) is first


def test_a_refusal_for_length_is_not_remembered(router):
    with pytest.raises(SluicegateError):
        router.plan(replace(PLAIN, input_tokens=10**8))
    assert ids(router.plan(PLAIN))[0] == "gpt-4o-mini"


def test_an_open_breaker_is_heeded_and_so_is_its_closing(router):
    before = router.plan(PLAIN)
    for _ in range(20):
        trial = router.begin("gpt-4o-mini")
        if trial is None:
            break
        router.report(trial, ok=False, kind="503")
        router.end(trial)
    assert not router.health.quiet
    with pytest.raises(SluicegateError) as error:  # gpt-4o-mini has no fallback
        router.plan(PLAIN)
    assert error.value.status == 503
    assert ids(before) == ["gpt-4o-mini"]
