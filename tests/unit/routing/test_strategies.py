"""The order of candidates under each strategy."""

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from sluicegate.kernel.models import Capability, Model, Prices
from sluicegate.routing.policy import LoadFactors
from sluicegate.routing.strategies import (
    LoadReport,
    Rotation,
    SmoothRoundRobin,
    by_cost,
    by_latency,
    load_score,
)
from sluicegate.routing.types import Candidate


def candidate(name, estimated=100, weight=1, quality=0.5):
    model = Model(
        id=name,
        provider="p",
        upstream=name,
        prices=Prices(1, 1, 1, 1, 1),
        capabilities=frozenset({Capability.CHAT}),
        context_tokens=1_000,
        output_tokens_limit=100,
        tokens_per_request=100,
        weight=weight,
        quality={"default": quality},
    )
    return Candidate(model, estimated, float(estimated))


def names(candidates):
    return [each.model.id for each in candidates]


def test_cheapest_first_then_better_then_by_name():
    given_ = [candidate("c", 5), candidate("b", 5), candidate("a", 9), candidate("d", 5, quality=0.9)]
    assert names(by_cost(given_)) == ["d", "b", "c", "a"]


@given(st.dictionaries(st.text("abcdef", min_size=1), st.integers(1, 20), min_size=1, max_size=6))
def test_smooth_round_robin_is_exact_over_a_cycle(weights):
    turns = SmoothRoundRobin()
    total = sum(weights.values())
    for _ in range(2):
        assert Counter(turns.next(weights) for _ in range(total)) == Counter(weights)


def test_smooth_round_robin_spreads_as_nginx_does():
    turns = SmoothRoundRobin()
    assert [turns.next({"a": 5, "b": 1, "c": 1}) for _ in range(7)] == list("aabacaa")


def test_a_member_that_leaves_does_not_disturb_the_others():
    turns = SmoothRoundRobin()
    for _ in range(5):
        turns.next({"a": 1, "b": 1, "c": 1})
    assert Counter(turns.next({"a": 1, "b": 1}) for _ in range(100)) == Counter(a=50, b=50)


def test_weighted_follows_static_weights_under_equal_load():
    rotation = Rotation()
    pool = [candidate("a", weight=3), candidate("b", weight=1)]
    firsts = Counter(
        names(rotation.weighted("g", pool, lambda _: LoadReport(), LoadFactors()))[0] for _ in range(400)
    )
    assert firsts == Counter(a=300, b=100)


def test_the_four_factors_count_as_the_documents_say():
    free = LoadReport(cpu=0, memory=0, active_requests=0, response_s=0.0)
    factors = LoadFactors()
    assert load_score(free, factors, 10, 2.0) == pytest.approx(1.0)
    assert load_score(LoadReport(1, 0, 0, 0.0), factors, 10, 2.0) == pytest.approx(0.7)
    assert load_score(LoadReport(0, 1, 0, 0.0), factors, 10, 2.0) == pytest.approx(0.8)
    assert load_score(LoadReport(0, 0, 10, 0.0), factors, 10, 2.0) == pytest.approx(0.7)
    assert load_score(LoadReport(0, 0, 0, 2.0), factors, 10, 2.0) == pytest.approx(0.8)
    assert load_score(LoadReport(), factors, 0, 0.0) == pytest.approx(1 - 0.15 - 0.1 - 0.1)


def test_factors_must_add_up_to_a_hundred():
    with pytest.raises(ValidationError, match="add up to 100, not 110"):
        LoadFactors(cpu=40)


def test_a_busy_model_gets_less():
    rotation = Rotation()
    loads = {"a": LoadReport(active_requests=10, response_s=2.0), "b": LoadReport(response_s=0.2)}
    firsts = Counter(
        names(rotation.weighted("g", [candidate("a"), candidate("b")], loads.get, LoadFactors()))[0]
        for _ in range(100)
    )
    assert firsts["b"] > firsts["a"] > 0


def test_latency_never_starts_with_the_slowest_of_three_and_prefers_the_quicker_of_any_two():
    loads = {
        "a": LoadReport(response_s=1.0),
        "b": LoadReport(response_s=2.0),
        "c": LoadReport(response_s=3.0),
    }
    pool = [candidate(name) for name in "cab"]
    rng = random.Random(4)
    firsts = Counter(names(by_latency(pool, loads.get, rng))[0] for _ in range(600))
    assert set(firsts) == {"a", "b"}
    assert firsts["a"] > firsts["b"]
    assert names(by_latency(pool[:2], loads.get, rng)) == ["a", "c"]


def test_requests_under_way_count_as_waiting():
    loads = {"a": LoadReport(active_requests=9, response_s=1.0), "b": LoadReport(response_s=2.0)}
    ordered = by_latency([candidate("a"), candidate("b")], loads.get, random.Random(1))
    assert [(each.model.id, each.score) for each in ordered] == [("b", 2.0), ("a", 10.0)]


def test_a_model_without_observations_gets_its_chance():
    loads = {"a": LoadReport(response_s=1.0), "new": LoadReport()}
    scores = {
        each.model.id: each.score
        for each in by_latency([candidate("a"), candidate("new")], loads.get, random.Random(1))
    }
    assert scores["new"] == scores["a"]


def test_the_memory_of_turns_is_bounded():
    rotation = Rotation()
    for group in range(2_000):
        rotation.round_robin(str(group), [candidate("a")])
    assert len(rotation._turns) <= 512
