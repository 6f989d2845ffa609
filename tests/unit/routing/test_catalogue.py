"""The catalogue: what operators may write, and what they are told when it is wrong."""

import re

import pytest

from sluicegate.kernel.errors import ConfigurationError, ModelNotFoundError
from sluicegate.kernel.models import Capability, Prices, Usage
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.routing.catalogue import load_catalogue
from sluicegate.routing.policy import RoutingPolicy


def test_traits_come_from_the_model_then_its_profile_then_the_defaults(catalogue):
    large = catalogue.resolve("large")
    assert large.provider == "alpha"
    assert large.tier == "high"
    assert Capability.TOOLS in large.capabilities
    assert large.prices == Prices(10_000_000, 20_000_000, 1_000_000, 10_000_000, 10_000_000)
    assert large.tokens_per_request == 4000
    assert catalogue.resolve("middle").provider == "beta"


def test_an_alias_is_the_model_and_a_snapshot_is_sent_as_it_is(catalogue):
    assert catalogue.resolve("big") is catalogue.resolve("large")
    snapshot = catalogue.resolve("large-2025-01-01")
    assert (snapshot.id, snapshot.upstream) == ("large-2025-01-01", "large-2025-01-01")
    assert snapshot.prices == catalogue.resolve("large").prices
    assert "large-2025-01-01" not in catalogue.auto
    assert "manual" not in catalogue.auto


def test_the_chain_of_fallbacks_is_transitive_and_without_repetition(changed):
    catalogue = changed("middle", fallbacks=["small"])
    assert [m.id for m in catalogue.chain(catalogue.resolve("large"))] == ["large", "middle", "small"]


@pytest.mark.parametrize(
    ("model", "fields", "message"),
    [
        ("small", {"id": "middle"}, r"'middle' is already the model 'middle'"),
        ("small", {"id": "auto"}, r"'auto' is already a word of its own"),
        ("small", {"aliases": ["big"]}, r"'big' is already among the aliases of 'small'"),
        ("small", {"aliases": ["mixed"]}, r"'mixed' is already among the aliases of 'small'"),
        ("small", {"fallbacks": ["nobody"]}, r"models\.0\.fallbacks\.0: no model is called 'nobody'"),
        ("small", {"fallbacks": ["big"]}, r"fallbacks go in a circle: small → large → small"),
        ("small", {"fallbacks": ["small"]}, r"circle: small → small"),
        ("small", {"provider": "gamma"}, r"provider 'gamma' of 'small' is not under `providers`"),
        ("small", {"profile": "none"}, r"profile 'none' is not under `profiles`"),
        ("small", {"prices": {"input": 0.5, "output": "1"}}, r"prices\.input: .*not a float"),
        ("small", {"prices": {"input": "-1", "output": "1"}}, r"must lie between 0 and"),
        ("small", {"prices": None}, r"'small' has no prices; add it here"),
        ("small", {"quality": {"default": 1.5}}, r"quality\.default"),
        ("small", {"capabilities": ["telepathy"]}, r"capabilities\.0"),
        ("small", {"colour": "red"}, r"models\.0\.colour"),
        (
            "small",
            {
                "prices": {
                    "input": "1",
                    "output": "2",
                    "long_context": {"above": 5, "input": "1", "output": "1"},
                }
            },
            r"long_context\.output must not be below output",
        ),
    ],
)
def test_mistakes_are_told_with_file_and_line(changed, model, fields, message):
    with pytest.raises(ConfigurationError) as caught:
        changed(model, **fields)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert re.search(r"models\.yaml:([2-9]|[1-9]\d+): ", str(caught.value)), str(caught.value)


def test_an_unknown_name_lists_close_ones_and_stays_bounded(catalogue):
    error = catalogue.not_found("lagre")
    assert isinstance(error, ModelNotFoundError)
    assert error.details["close"] == ["large"]
    assert error.param == "model"
    assert len(catalogue.not_found("x" * 100_000).message) < 500


def test_the_shipped_policies_load_and_name_real_things():
    policies = PolicySet()
    catalogue = load_catalogue(policies)
    routing = policies.load("routing", RoutingPolicy)
    assert all(catalogue.resolve(name) for name in routing.fallback_models)
    assert routing.health.check_interval_s == 30
    assert routing.health.check_timeout_s == 5
    assert routing.health.unhealthy_threshold == 3
    factors = routing.load_factors
    assert (factors.cpu, factors.memory, factors.active_requests, factors.response_time) == (30, 20, 30, 20)
    assert routing.hedge.enabled is False
    openai_chat = catalogue.resolve("gpt-4o-2024-08-06")
    assert openai_chat.upstream == "gpt-4o-2024-08-06"
    assert openai_chat.tokens_per_request == 4000


def test_the_shipped_fallbacks_never_reach_another_vendor():
    catalogue = load_catalogue(PolicySet())
    vendors = {"openai": "openai", "anthropic": "anthropic", "scripted": "scripted"}

    def vendor(model):
        return vendors.get(model.provider) or ("anthropic" if "claude" in model.id else "google")

    for model in catalogue:
        assert {vendor(each) for each in catalogue.chain(model)} == {vendor(model)}, model.id


def test_every_shipped_price_is_dated_and_sourced_and_never_free_except_embeddings_output():
    catalogue = load_catalogue(PolicySet())
    for model in catalogue:
        note = catalogue.price_notes[model.id]
        assert note.as_of.year >= 2026
        assert note.source
        assert model.prices.input > 0
        assert model.prices.output > 0 or Capability.EMBEDDINGS in model.capabilities


def test_long_context_prices_the_whole_request_and_holds_cover_it():
    long = Prices(20, 30, 20, 20, 20, request_nano=7)
    prices = Prices(10, 20, 10, 10, 10, request_nano=7, long_context_above=1_000, long_context=long)
    assert prices.cost(Usage(input_tokens=1_000, output_tokens=100)) == 12 + 7
    assert prices.cost(Usage(input_tokens=600, cached_input_tokens=401, output_tokens=100)) == 24 + 7
    assert prices.hold(1_000, 100) == 12 + 7
    assert prices.hold(1_001, 100) == 24 + 7
    affordable = prices.affordable_output(prices.hold(2_000, 50), 2_000)
    assert affordable is not None
    assert affordable >= 50
    assert prices.hold(2_000, affordable) <= prices.hold(2_000, 50)
