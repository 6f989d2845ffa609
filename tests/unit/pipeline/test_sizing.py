"""Holds: sound for every answer within the cap, and the cap within the hold."""

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.completions.pipeline.sizing import affordable_cap, size
from sluicegate.completions.types import RequestFacts
from sluicegate.kernel.models import Capability, Model, Prices, Usage


def model(**changes):
    prices = Prices(input=2_500_000, output=10_000_000, cached_input=1, cache_write=1, cache_write_1h=1)
    fields = {
        "id": "m",
        "provider": "p",
        "upstream": "m",
        "prices": prices,
        "capabilities": frozenset({Capability.CHAT}),
        "context_tokens": 100_000,
        "output_tokens_limit": 8_000,
        "tokens_per_request": 4_000,
    }
    return Model(**(fields | changes))


def facts(**changes):
    fields = {
        "model": "m",
        "stream": False,
        "choices": 1,
        "max_output_tokens": None,
        "input_bound": 1_000,
        "input_estimate": 250,
        "capabilities": frozenset({Capability.CHAT}),
    }
    return RequestFacts(**(fields | changes))


def test_the_cap_is_the_least_of_request_policy_model_and_context():
    assert size(model(), facts(), 16, 4_096).cap == 4_000
    assert size(model(), facts(max_output_tokens=50), 16, 4_096).cap == 50
    assert size(model(output_tokens_limit=100), facts(), 16, 4_096).cap == 100
    assert size(model(context_tokens=300), facts(), 16, 4_096).cap == 50


def test_choices_multiply_and_images_cost_what_the_model_says():
    one = size(model(), facts(max_output_tokens=100), 16, 4_096)
    three = size(model(), facts(max_output_tokens=100, choices=3), 16, 4_096)
    assert three.want_nano - one.want_nano == 200 * 10_000
    plain = size(model(image_tokens=1_600), facts(images=2, input_bound=3_300), 16, 4_096)
    dearer = size(model(image_tokens=2_000), facts(images=2, input_bound=3_300), 16, 4_096)
    assert dearer.input_bound - plain.input_bound == 800


def test_only_a_stream_longer_than_a_slice_is_sliced():
    assert not size(model(), facts(stream=True), 16, 4_096).sliced
    assert not size(model(tokens_per_request=50_000), facts(), 16, 4_096).sliced
    sliced = size(model(tokens_per_request=8_000), facts(stream=True), 16, 4_096)
    assert sliced.sliced
    assert sliced.tokens == 1_000 + 4_096


def test_a_prompt_is_never_held_beyond_the_context_but_embeddings_are():
    assert size(model(context_tokens=500), facts(input_bound=10_000), 16, 4_096).input_bound == 500
    several = facts(input_bound=10_000, capabilities=frozenset({Capability.EMBEDDINGS}))
    assert size(model(context_tokens=500), several, 16, 4_096).tokens == 10_000


@given(
    st.integers(1, 50_000),
    st.integers(1, 8),
    st.none() | st.integers(1, 10_000),
    st.booleans(),
    st.integers(0, 10**12),
)
def test_what_is_affordable_within_a_hold_costs_no_more_than_it(bound, choices, asked, stream, nano):
    request = facts(
        input_bound=bound, input_estimate=bound // 4, choices=choices, max_output_tokens=asked, stream=stream
    )
    wanted = size(model(), request, 16, 4_096)
    assert wanted.floor_nano <= wanted.want_nano
    assert wanted.floor_tokens <= wanted.tokens
    cap = affordable_cap(model(), request, wanted, nano)
    assert cap <= wanted.cap
    if cap:
        worst = Usage(input_tokens=wanted.input_bound, output_tokens=cap * choices)
        assert model().prices.cost(worst) <= nano
    if not wanted.sliced:
        full = Usage(input_tokens=wanted.input_bound, output_tokens=wanted.cap * choices)
        assert model().prices.cost(full) <= wanted.want_nano
