"""Long streams hold money slice by slice, ahead of whatever comes next."""

import dataclasses
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.admission.types import Grant
from sluicegate.completions.pipeline.slices import BURSTS_REMEMBERED_S, Slices
from sluicegate.kernel.errors import BudgetExceededError
from sluicegate.kernel.models import Prices, Usage

SLICE = 64
QUARTER = SLICE // 4
LONG = {"stream": True, "max_tokens": 1_000}
PROMPT_NANO, TOKEN_NANO = 10 * 1_000, 2_000


def burst(wire, tokens):
    return b"".join(wire.delta("x") for _ in range(tokens))


async def collect(answer):
    return b"".join([chunk async for chunk in answer.stream])


def kept_below_their_holds(bench):
    """Whether every hold was at least what was settled against it."""
    held = {grant.hold_id: grant.held_nano for grant in bench.admission.grants}
    return [held[hold] >= nano for hold, nano, _ in bench.admission.events]


async def test_what_the_first_read_brought_is_held_for_before_more_is_read(build, wire):
    bench = build({"stream_slice_tokens": SLICE})
    read = QUARTER - 1
    bench.alpha.scripts = [wire.Script(pieces=(burst(wire, read), burst(wire, read), wire.ending()))]
    stream = (await bench.ask(**LONG)).stream
    grant = bench.admission.grants[0]
    before = grant.held_nano
    bench.admission.refuse_growth = True
    await anext(stream)
    assert grant.held_nano == before
    await stream.aclose()

    bench = build({"stream_slice_tokens": SLICE})
    bench.alpha.scripts = [wire.Script(pieces=(burst(wire, QUARTER + 1), wire.ending()))]
    stream = (await bench.ask(**LONG)).stream
    grant = bench.admission.grants[0]
    before = grant.held_nano
    await anext(stream)
    assert grant.held_nano == before + 4 * (QUARTER + 1) * TOKEN_NANO
    await stream.aclose()
    await bench.pipeline.drain(5)


async def test_a_model_that_sends_in_bursts_has_larger_slices(build, wire):
    bench = build({"stream_slice_tokens": SLICE})
    answer = burst(wire, 500) + wire.ending(output=500)
    bench.alpha.scripts = [wire.Script(pieces=(answer,))]
    for _ in range(3):
        await collect(await bench.ask(**LONG))
    # The first came as a surprise: when it was seen, it had been produced.
    assert kept_below_their_holds(bench) == [False, True, True]
    assert bench.admission.settled == 3 * (PROMPT_NANO + 500 * TOKEN_NANO)
    assert bench.admission.held == 0


async def test_a_burst_within_one_read_is_held_for_however_many_slices_it_has(build, wire):
    bench = build({"stream_slice_tokens": SLICE})
    bench.alpha.scripts = [
        wire.Script(pieces=(burst(wire, 5 * SLICE), burst(wire, 5 * SLICE), wire.ending(output=10 * SLICE)))
    ]
    await collect(await bench.ask(**LONG))
    assert kept_below_their_holds(bench) == [True]


async def test_what_the_provider_bills_at_the_end_unseen_counts_as_a_burst(build, wire):
    bench = build({"stream_slice_tokens": SLICE})
    bench.alpha.scripts = [wire.Script(pieces=(wire.delta("x"), wire.ending(output=500)))]
    for _ in range(2):
        await collect(await bench.ask(**LONG))
    assert kept_below_their_holds(bench) == [False, True]


async def test_a_stream_that_is_over_is_never_cut_short(build, wire):
    bench = build({"stream_slice_tokens": SLICE})
    bench.admission.refuse_growth = True
    last = burst(wire, SLICE - 1) + wire.ending(output=SLICE)
    bench.alpha.scripts = [wire.Script(pieces=(wire.delta("x"), last))]
    received = await collect(await bench.ask(**LONG))
    assert received.endswith(b"data: [DONE]\n\n")
    assert bench.admission.events[0][2]["outcome"] == "success"


async def test_a_stream_that_is_cut_passes_on_all_that_was_read(build, wire):
    bench = build({"stream_slice_tokens": SLICE})
    bench.admission.refuse_growth = True
    bench.alpha.scripts = [wire.Script(pieces=tuple(burst(wire, 5) for _ in range(20)))]
    answer = await bench.ask(**LONG)
    received = await collect(answer)
    # Half a slice was passed with the seventh read.
    assert received.count(b'"content":"x"') == 35
    assert b"budget_exceeded" in received


async def test_growth_stops_at_the_longest_answer_and_pays_what_a_long_prompt_costs(build, wire, monkeypatch):
    bench = build({"stream_slice_tokens": SLICE})
    plan = bench.router.plan

    def dearer(*args, **keywords):
        found = plan(*args, **keywords)
        first = found.candidates[0]
        prices = first.model.prices
        long = dataclasses.replace(prices, input=3 * prices.input, output=3 * prices.output)
        prices = dataclasses.replace(prices, long_context_above=10, long_context=long)
        model = dataclasses.replace(first.model, prices=prices)
        return dataclasses.replace(found, candidates=[dataclasses.replace(first, model=model)])

    monkeypatch.setattr(bench.router, "plan", dearer)
    pieces = tuple(wire.delta("x") for _ in range(100))
    bench.alpha.scripts = [wire.Script(pieces=(*pieces, wire.ending(prompt=11, output=100)))]
    await collect(await bench.ask(stream=True, max_tokens=100))
    grant = bench.admission.grants[0]
    assert bench.admission.events[0][1] == 11 * 3_000 + 100 * 6_000
    bound = grant.held_tokens - 100
    assert grant.held_nano == bound * 3_000 + 100 * 6_000


@given(
    reads=st.lists(st.integers(0, QUARTER - 1), max_size=60),
    under_way=st.integers(0, QUARTER - 1),
    room=st.integers(0, 600),
)
async def test_no_stream_of_small_reads_passes_its_hold(reads, under_way, room):
    completion, admission = long_stream(room)
    slices = Slices(admission, SLICE)
    followed = slices.follow(completion)
    meter = Meter()
    for tokens in reads:
        meter.produced_tokens += tokens
        try:
            await followed.read(meter)
        except BudgetExceededError:
            meter.produced_tokens += under_way  # comes while the provider stops
            break
    cost = PROMPT_NANO + meter.produced_tokens * TOKEN_NANO
    assert cost <= completion.grant.held_nano or meter.produced_tokens > 1_000


def test_bursts_are_forgotten():
    now = 0.0
    completion, admission = long_stream(0)
    model = completion.model
    slices = Slices(admission, SLICE, lambda: now)
    slices.note(model, QUARTER)
    assert slices.tokens(model) == SLICE
    slices.note(model, 100)
    slices.note(model, 50)
    assert slices.tokens(model) == 400
    now = BURSTS_REMEMBERED_S
    assert slices.tokens(model) == 400
    slices.note(model, 60)
    now = 2 * BURSTS_REMEMBERED_S
    assert slices.tokens(model) == 240
    now = 5 * BURSTS_REMEMBERED_S
    assert slices.tokens(model) == SLICE


@pytest.mark.parametrize(("most", "followed"), [(SLICE, False), (SLICE + 1, True)])
def test_only_streams_that_may_be_longer_than_a_slice_are_followed(most, followed):
    completion, admission = long_stream(0)
    completion.size.sliced, completion.cap = False, most
    assert (Slices(admission, SLICE).follow(completion) is not None) == followed


@dataclasses.dataclass
class Meter:
    produced_tokens: int = 0
    finished: bool = False
    failed: None = None


@dataclasses.dataclass
class Room:
    """An admission with room for so many tokens more."""

    tokens: int

    async def grow(self, grant, nano, tokens=0):
        if tokens > self.tokens:
            return False
        self.tokens -= tokens
        grant.held_nano += nano
        grant.held_tokens += tokens
        return True


def long_stream(room):
    """A stream of at most 1 000 tokens that holds its first slice, and an admission with room for `room`."""
    prices = Prices(1_000_000, 2_000_000, 1_000_000, 1_000_000, 1_000_000)
    grant = Grant("r", None, PROMPT_NANO + SLICE * TOKEN_NANO, 10 + SLICE, room * TOKEN_NANO, "g")
    return SimpleNamespace(
        grant=grant,
        size=SimpleNamespace(input_bound=10, sliced=True),
        facts=SimpleNamespace(choices=1, images=0),
        model=SimpleNamespace(id="m", prices=prices),
        spent=Usage(),
        spent_nano=0,
        cap=1_000,
    ), Room(room)
