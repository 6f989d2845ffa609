"""Plans: who is tried, in which order, and what a caller hears when nobody is left."""

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sluicegate.kernel.errors import (
    BudgetExceededError,
    ConfigurationError,
    InvalidRequestError,
    ModelNotFoundError,
    OverloadedError,
    PermissionDeniedError,
)
from sluicegate.kernel.models import Capability
from sluicegate.routing.complexity import load_classifier
from sluicegate.routing.policy import RoutingPolicy
from sluicegate.routing.selection import estimate
from sluicegate.routing.service import Router
from sluicegate.routing.types import RouteQuery

HARD = (
    "Prove that every bounded monotone sequence converges, show where completeness is used, and construct "
    "a counterexample over the rationals; then discuss which weaker axioms would still suffice and why."
)
NOTHING_REAL = {"alpha": "no key", "beta": "no key"}


def ask(model, **fields):
    capabilities = frozenset(fields.pop("capabilities", {Capability.CHAT}))
    return RouteQuery(
        model=model,
        capabilities=capabilities,
        input_tokens=fields.pop("input_tokens", 1_000),
        output_tokens=fields.pop("output_tokens", 500),
        **fields,
    )


def names(plan):
    return [candidate.model.id for candidate in plan.candidates]


def open_breaker(router, model):
    for _ in range(router.policy.health.breaker.consecutive_failures):
        trial = router.begin(model)
        router.report(trial, ok=False, kind="503")
        router.end(trial)


def test_a_name_an_alias_and_a_snapshot_give_that_model_then_its_fallbacks(router):
    for name, first in (("large", "large"), ("big", "large"), ("large-2025-01-01", "large-2025-01-01")):
        assert names(router.plan(ask(name))) == [first, "middle", "small"]


def test_the_estimate_is_exact_and_clamped_to_what_the_model_may_give(router):
    model = router.resolve("small")
    assert estimate(model, 1_000, 500) == 1_000 * 1_000 + 500 * 2_000
    assert estimate(model, 1_000, 50_000) == 1_000 * 1_000 + 4_000 * 2_000
    assert router.plan(ask("small")).candidates[0].estimated_nano == 2_000_000


def test_an_answer_without_a_bound_is_taken_for_a_usual_one(router):
    model = router.resolve("small")
    assert estimate(model, 1_000, 0) == estimate(model, 1_000, 500)


def test_near_the_limit_of_the_context_the_provider_of_a_named_model_judges(router):
    assert names(router.plan(ask("small", input_tokens=15_000))) == ["small"]
    with pytest.raises(InvalidRequestError, match="tokens are needed and 10000 fit"):
        router.plan(ask("auto", prompt="hi", input_tokens=15_000))


def test_an_unknown_model_is_told_with_its_neighbours(router):
    with pytest.raises(ModelNotFoundError, match="did you mean large"):
        router.plan(ask("larg"))


def test_each_rejection_names_the_test(router):
    unready = {"beta": "BETA_KEY is not set"}
    plan = router.plan(ask("auto", quality=0.65, max_cost_nano=5_000_000), unready=unready, explain=True)
    assert {rejection.model: rejection.test for rejection in plan.rejections} == {
        "play": "rehearsal",
        "old": "retired",
        "small": "quality",
        "middle": "cost",
        "large": "cost",
    }
    assert router.plan(ask("auto", quality=0.65), unready=unready).rejections == ()
    fell_ready = router.plan(ask("large"), unready=unready, explain=True)
    assert [(r.model, r.test) for r in fell_ready.rejections] == [("middle", "ready")]
    assert "BETA_KEY is not set" in fell_ready.rejections[0].reason


@pytest.mark.parametrize(
    ("fields", "test"),
    [
        ({"capabilities": {Capability.CHAT, Capability.VISION}}, "capability"),
        ({"input_tokens": 19_900}, "context"),
        ({"quality": 0.99}, "quality"),
        ({"region": "europe-west4"}, "region"),
    ],
)
def test_what_no_model_can_do_is_the_requests_fault(router, fields, test):
    with pytest.raises(InvalidRequestError) as caught:
        router.plan(ask("large", **fields))
    assert {entry["test"] for entry in caught.value.details["rejected"]} == {test}


def test_a_quality_floor_falls_through_to_a_fallback_that_holds_it(router):
    assert names(router.plan(ask("large", task="code", quality=0.65))) == ["large", "middle"]


def test_a_ceiling_that_cannot_pay_the_prompt_is_a_budget_error(router):
    with pytest.raises(BudgetExceededError) as caught:
        router.plan(ask("small", max_cost_nano=1_000))
    assert caught.value.details["scope"] == "request"
    assert names(router.plan(ask("small", max_cost_nano=1_100_000))) == ["small"]


def test_a_ceiling_of_exactly_the_estimate_is_enough_for_auto(router):
    plan = router.plan(ask("auto", prompt="hi", max_cost_nano=2_000_000))
    assert (plan.strategy, names(plan)) == ("cost", ["small"])
    assert router.plan(ask("auto", prompt="hi", max_cost_nano=1_999_999)).strategy == "fallback"


def test_models_outside_the_keys_patterns_do_not_exist_for_it(router):
    with pytest.raises(PermissionDeniedError):
        router.plan(ask("large", allowed=("gpt-*",)))
    assert names(router.plan(ask("large", allowed=("sm*",)))) == ["small"]
    assert names(router.plan(ask("big", allowed=("big",)))) == ["large"]
    assert [model.id for model in router.models(("m*",))] == ["middle", "manual"]
    assert len(router.models()) == len(router.catalogue)


def test_names_of_models_a_key_may_not_use_are_not_told(router):
    with pytest.raises(InvalidRequestError) as caught:
        router.plan(ask("large", allowed=("small",), input_tokens=19_990))
    assert "middle" not in str(caught.value)


def test_an_unready_provider_is_passed_over_and_if_all_are_the_caller_may_come_back(router):
    assert names(router.plan(ask("large"), unready={"alpha": "no key"})) == ["middle"]
    with pytest.raises(OverloadedError) as caught:
        router.plan(ask("large"), unready=NOTHING_REAL)
    assert caught.value.retry_after


def test_an_open_breaker_passes_a_model_over_until_a_probe_succeeds(router, clock):
    open_breaker(router, "large")
    assert names(router.plan(ask("large"))) == ["middle", "small"]
    assert router.begin("large") is None
    clock.advance(5.1)
    assert names(router.plan(ask("large")))[0] == "large"
    for _ in range(2):
        trial = router.begin("large")
        assert router.begin("large") is None
        assert names(router.plan(ask("large"))) == ["middle", "small"]
        router.report(trial, ok=True, latency_s=0.1)
        router.end(trial)
    assert router.begin("large").ticket == 0


def test_when_every_candidate_is_open_the_error_says_when_to_return(router):
    for model in ("large", "middle", "small"):
        open_breaker(router, model)
    with pytest.raises(OverloadedError) as caught:
        router.plan(ask("large"))
    assert 1.0 <= caught.value.retry_after <= 5.0


def test_auto_gives_low_prompts_to_the_low_tier_and_hard_ones_to_the_high(router):
    easy = router.plan(ask("auto", prompt="hi there"))
    hard = router.plan(ask("auto", prompt=HARD))
    assert (easy.complexity, names(easy)[0]) == ("low", "small")
    assert (hard.complexity, names(hard)[0]) == ("high", "large")


def test_auto_holds_the_tasks_floor_even_for_a_low_prompt(catalogue, clock):
    policy = RoutingPolicy.model_validate({"quality": {"default": 0.5, "tasks": {"code": 0.9}}})
    router = Router(catalogue, policy, load_classifier(), clock, random.Random(1))
    assert names(router.plan(ask("auto", prompt="hi", task="code"))) == ["large"]
    assert names(router.plan(ask("auto", prompt="hi")))[0] == "small"


def test_scripted_models_answer_auto_only_while_nothing_real_is_set_up(router):
    assert "play" not in names(router.plan(ask("auto", prompt="hi")))
    assert names(router.plan(ask("auto", prompt="hi"), unready=NOTHING_REAL)) == ["play"]
    for model in ("large", "middle", "small"):
        open_breaker(router, model)
    with pytest.raises(OverloadedError):
        router.plan(ask("auto", prompt="hi"))


def test_without_a_model_good_and_cheap_enough_the_policys_fallback_answers(router):
    plan = router.plan(ask("auto", prompt="hi", quality=0.99), explain=True)
    assert (names(plan)[0], plan.strategy) == ("small", "fallback")
    assert {"small", "middle", "large"} <= {r.model for r in plan.rejections if r.test == "quality"}
    assert names(router.plan(ask("auto", prompt="hi", max_cost_nano=1)))[0] == "small"


def test_the_fallback_is_refused_to_a_key_that_may_not_use_it(router):
    with pytest.raises(InvalidRequestError):
        router.plan(ask("auto", quality=0.99, allowed=("large", "middle")))


def test_auto_never_chooses_an_embedding_model(router):
    with pytest.raises(InvalidRequestError, match="name an embedding model"):
        router.plan(ask("auto", capabilities={Capability.EMBEDDINGS}))


def test_a_retired_model_is_still_served_by_its_name(router):
    assert names(router.plan(ask("old"))) == ["old"]


def test_a_fallback_model_that_does_not_exist_is_a_configuration_error(catalogue, clock):
    with pytest.raises(ConfigurationError, match="nobody"):
        Router(
            catalogue,
            RoutingPolicy(fallback_models=("nobody",)),
            load_classifier(),
            clock,
            random.Random(1),
        )


def test_a_pool_takes_turns_and_an_unknown_strategy_is_refused(router):
    firsts = [names(router.plan(ask("mixed")))[0] for _ in range(6)]
    assert sorted(firsts) == ["large", "large", "middle", "middle", "small", "small"]
    with pytest.raises(InvalidRequestError, match="strategy"):
        router.plan(ask("mixed", strategy="chance"))
    assert names(router.plan(ask("mixed", strategy="cost"))) == ["small", "middle", "large"]


def test_ending_a_trial_twice_counts_once(router):
    trial = router.begin("small")
    assert router.health.load("small").active_requests == 1
    router.end(trial)
    router.end(trial)
    assert router.health.load("small").active_requests == 0


def test_failed_checks_take_a_provider_out_and_a_good_one_brings_it_back(router):
    for _ in range(3):
        router.health.checked("beta", "connection refused")
    plan = router.plan(ask("large"), explain=True)
    assert names(plan) == ["large", "small"]
    assert plan.rejections[0].reason == "beta fails its health check"
    router.health.checked("beta", None)
    assert "middle" in names(router.plan(ask("large")))


QUERIES = st.builds(
    ask,
    st.just("auto"),
    input_tokens=st.integers(0, 12_000),
    output_tokens=st.integers(1, 9_000),
    quality=st.none() | st.floats(0, 1),
    max_cost_nano=st.none() | st.integers(0, 200_000_000),
    task=st.sampled_from([None, "code", "reasoning"]),
    prompt=st.sampled_from(["hi", "Write a short letter to my aunt about the garden.", HARD]),
    allowed=st.sampled_from([(), ("s*",), ("large", "middle")]),
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(QUERIES, st.sampled_from([{}, {"alpha": "x"}, {"beta": "x"}, NOTHING_REAL]))
def test_auto_takes_the_cheapest_of_the_preferred_that_qualify(router, query, unready):
    def qualifies(model):
        floor = query.quality if query.quality is not None else router.policy.quality.default
        cost = estimate(model, query.input_tokens, query.output_tokens)
        return (
            (not query.allowed or any(model.id.startswith(p.rstrip("*")) for p in query.allowed))
            and model.quality_for(query.task) >= floor
            and query.input_tokens + min(query.output_tokens, 4_000) <= model.context_tokens
            and (query.max_cost_nano is None or cost <= query.max_cost_nano)
            and model.provider not in unready
        )

    eligible = ["play"] if unready == NOTHING_REAL else []
    eligible += ["small", "middle", "large"]
    qualifying = [m for m in map(router.resolve, eligible) if qualifies(m)]
    try:
        plan = router.plan(query, unready=unready)
    except (InvalidRequestError, PermissionDeniedError, OverloadedError, BudgetExceededError):
        assert not qualifying
        return
    assert plan == router.plan(query, unready=unready)
    if plan.strategy == "fallback":
        assert not qualifying
        return
    assert set(names(plan)) == {model.id for model in qualifying}
    tier = {"low": "low", "medium": "mid", "high": "high"}[plan.complexity]
    preferred = [model for model in qualifying if model.tier == tier] or qualifying
    cheapest = min(estimate(m, query.input_tokens, query.output_tokens) for m in preferred)
    assert plan.candidates[0].estimated_nano == cheapest
    assert plan.candidates[0].model in preferred
