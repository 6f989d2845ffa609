"""The pipeline's order of things: holds before asking, one settlement whatever happens."""

import asyncio

import orjson
import pytest

from sluicegate.completions.types import UpstreamFailure
from sluicegate.kernel.errors import BudgetExceededError, InvalidRequestError, UpstreamError

FIRST = 10 * 1_000 + 5 * 2_000  # nano-dollars of ten tokens in and five out
SECOND = 10 * FIRST
BROKEN = UpstreamFailure("head", "reset", sent=True)


async def collect(answer):
    return b"".join([chunk async for chunk in answer.stream])


def rows(bench):
    return [(row["outcome"], row["model"], nano) for _, nano, row in bench.admission.events]


async def test_a_whole_answer_is_passed_on_and_settled_at_its_exact_cost(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(wire.whole(),))]
    answer = await bench.ask(max_tokens=100)
    assert (answer.status, answer.body) == (200, wire.whole())
    headers = dict(answer.headers)
    assert headers[b"x-sluicegate-cost-usd"] == b"0.00002"
    assert headers[b"x-sluicegate-provider"] == b"alpha"
    assert bench.admission.held == 0
    assert rows(bench) == [("success", "first", FIRST)]
    sent = orjson.loads(bench.alpha.calls[0].body)
    assert (sent["model"], sent["max_tokens"]) == ("first", 100)


async def test_retries_then_falls_back_at_the_fallbacks_own_price(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(status=503, pieces=(b"{}",)), wire.Script(fails=BROKEN)]
    bench.beta.scripts = [wire.Script(pieces=(wire.whole(),))]
    answer = await bench.ask()
    assert dict(answer.headers)[b"x-sluicegate-model"] == b"second"
    assert len(bench.alpha.calls) == 2
    assert rows(bench) == [("success", "second", SECOND)]
    assert (bench.admission.held, bench.admission.settled) == (0, SECOND)


async def test_a_fallback_that_the_budget_does_not_pay_is_not_asked(build, wire):
    bench = build()
    bench.admission.budget = 400_000
    bench.alpha.scripts = [wire.Script(fails=BROKEN)]
    with pytest.raises(UpstreamError):
        await bench.ask(max_tokens=20)
    assert bench.beta.calls == []
    assert rows(bench) == [("failure", "first", 0)]
    assert bench.admission.held == 0


async def test_a_fallback_replaces_the_hold_of_the_model_it_stands_in_for(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(fails=BROKEN)]
    bench.beta.scripts = [wire.Script(pieces=(wire.whole(),))]
    await bench.ask(max_tokens=20)
    first, second = bench.admission.grants
    assert bench.admission.replaced == [first]
    # The purse pays the dearer model only without the hold of the cheaper one.
    bench = build()
    bench.admission.budget = second.held_nano + first.held_nano // 2
    bench.alpha.scripts = [wire.Script(fails=BROKEN)]
    bench.beta.scripts = [wire.Script(pieces=(wire.whole(),))]
    answer = await bench.ask(max_tokens=20)
    assert dict(answer.headers)[b"x-sluicegate-model"] == b"second"
    assert orjson.loads(bench.beta.calls[0].body)["max_tokens"] == 20
    assert (bench.admission.held, bench.admission.settled) == (0, SECOND)


async def test_a_request_cut_between_two_models_is_settled_with_what_is_known(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(fails=BROKEN)]
    bench.admission.hangs_on_fallback = True
    asking = asyncio.create_task(bench.ask(max_tokens=20))
    await bench.admission.hanging.wait()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    assert rows(bench) == [("aborted", "first", 0)]
    assert bench.admission.held == 0


async def test_a_usage_row_has_the_time_of_its_admission(build, wire):
    bench = build(retry={"attempts_per_model": 1})
    bench.alpha.scripts = [wire.Script(fails=BROKEN)]
    bench.beta.scripts = [wire.Script(pieces=(wire.whole(),))]
    await bench.ask()
    ((hold, _, row),) = bench.admission.events
    assert hold == "h1"
    assert row["at"] == bench.admission.grants[1].at


async def test_the_clients_own_mistake_is_told_and_not_repeated(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(status=400, pieces=(b'{"error":{"message":"bad temperature"}}',))]
    with pytest.raises(InvalidRequestError, match="bad temperature"):
        await bench.ask()
    assert (len(bench.alpha.calls), len(bench.beta.calls)) == (1, 0)
    assert bench.admission.held == 0


async def test_a_short_purse_shortens_the_answer(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(wire.whole(),))]
    await bench.ask(max_tokens=1_000)
    full = bench.admission.grants[0].held_nano
    bench = build()
    bench.admission.budget = full - 500 * 2_000
    bench.alpha.scripts = [wire.Script(pieces=(wire.whole(),))]
    await bench.ask(max_tokens=1_000)
    assert orjson.loads(bench.alpha.calls[0].body)["max_tokens"] == 500
    bench.admission.budget = bench.admission.settled + 100
    with pytest.raises(BudgetExceededError):
        await bench.ask(max_tokens=1_000)


async def test_a_stream_is_settled_before_its_last_bytes_are_given_out(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(wire.delta("a"), wire.delta("b") + wire.ending()))]
    answer = await bench.ask(stream=True)
    received = b""
    async for chunk in answer.stream:
        received += chunk
        if b"[DONE]" in chunk:
            assert rows(bench) == [("success", "first", FIRST)]
    assert received.count(b'"content"') == 2
    assert b'"usage"' not in received  # asked for by the gateway, not by the client
    assert bench.admission.held == 0


async def test_a_stream_that_breaks_ends_in_an_error_and_is_charged_for_what_came(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(wire.delta("a"), wire.delta("b")), breaks=True)]
    received = await collect(await bench.ask(stream=True))
    assert b'"error"' in received.rpartition(b"data: ")[2]
    (_, nano, row) = bench.admission.events[0]
    assert (row["outcome"], row["estimated"], row["output_tokens"]) == ("failure", True, 2)
    assert nano == row["input_tokens"] * 1_000 + 2 * 2_000
    assert bench.admission.held == 0


async def test_a_stream_failing_before_its_first_piece_is_asked_elsewhere(build, wire):
    bench = build(retry={"attempts_per_model": 1})
    bench.alpha.scripts = [wire.Script(pieces=(), breaks=True)]
    bench.beta.scripts = [wire.Script(pieces=(wire.delta("a"), wire.ending()))]
    received = await collect(await bench.ask(stream=True))
    assert b'"content":"a"' in received
    # The broken try had been accepted, so its prompt was read and is charged, as an estimate.
    (_, nano, row) = bench.admission.events[0]
    prompt = row["input_tokens"] - 10
    assert (nano, row["estimated"]) == (SECOND + prompt * 1_000, True)
    assert prompt > 0


async def test_a_client_that_leaves_a_stream_pays_the_providers_own_figure(build, wire):
    bench = build()
    bench.alpha.scripts = [
        wire.Script(pieces=(wire.delta("a"), wire.delta("b"), wire.delta("c"), wire.ending()))
    ]
    answer = await bench.ask(stream=True)
    await anext(answer.stream)
    await answer.stream.aclose()
    await bench.pipeline.drain(5)
    (_, nano, row) = bench.admission.events[0]
    assert (nano, row["outcome"], row["estimated"]) == (FIRST, "aborted", False)
    assert bench.admission.held == 0


async def test_a_left_stream_that_goes_on_for_long_is_cut_and_charged_for_what_was_produced(build, wire):
    bench = build({"abandoned_seconds": 0.02, "linger_seconds": 0})
    pieces = (wire.delta("a"), wire.delta("b"), wire.delta("c"), wire.ending())
    bench.alpha.scripts = [wire.Script(pieces=pieces, piece_delay_s=1)]
    answer = await bench.ask(stream=True)
    await anext(answer.stream)
    await answer.stream.aclose()
    await bench.pipeline.drain(5)
    (_, nano, row) = bench.admission.events[0]
    # What had been produced came with the cancellation, the provider's own figures among it.
    assert (nano, row["estimated"]) == (FIRST, False)
    assert bench.alpha.cancelled


async def test_a_long_stream_holds_slice_by_slice_and_ends_when_no_more_is_granted(build, wire):
    bench = build({"stream_slice_tokens": 64})
    pieces = tuple(wire.delta("x") for _ in range(200))
    bench.alpha.scripts = [wire.Script(pieces=(*pieces, wire.ending(output=200)))]
    await collect(await bench.ask(stream=True, max_tokens=1_000))
    grant = bench.admission.grants[0]
    assert grant.held_nano >= 200 * 2_000
    assert rows(bench) == [("success", "first", 10 * 1_000 + 200 * 2_000)]

    bench = build({"stream_slice_tokens": 64})
    bench.admission.refuse_growth = True
    bench.alpha.scripts = [wire.Script(pieces=(*pieces, wire.ending(output=200)))]
    received = await collect(await bench.ask(stream=True, max_tokens=1_000))
    assert b"budget_exceeded" in received
    assert received.count(b'"content":"x"') < 64
    assert bench.admission.held == 0
    assert bench.admission.events[0][2]["outcome"] == "failure"


HEDGE = {"enabled": True, "after_s": 0.02, "max_ratio": 1.0}


async def test_a_hedge_answers_for_a_silent_first_and_both_are_paid_for(build, wire):
    bench = build(hedge=HEDGE)
    bench.alpha.scripts = [wire.Script(pieces=(wire.whole(),), delay_s=5)]
    bench.beta.scripts = [wire.Script(pieces=(wire.whole(),))]
    answer = await bench.ask(max_tokens=100)
    assert dict(answer.headers)[b"x-sluicegate-model"] == b"second"
    loser, winner = bench.admission.events
    assert (loser[1], loser[2]["estimated"]) == (bench.admission.grants[0].held_nano, True)
    assert loser[2]["request_id"] != winner[2]["request_id"] == "req_1"
    assert (winner[1], winner[2]["model"]) == (SECOND, "second")
    assert bench.admission.held == 0


async def test_a_first_that_answers_after_all_keeps_its_place(build, wire):
    bench = build(hedge=HEDGE)
    bench.alpha.scripts = [wire.Script(pieces=(wire.whole(),), delay_s=0.06)]
    bench.beta.scripts = [wire.Script(pieces=(wire.whole(),), delay_s=5)]
    answer = await bench.ask(max_tokens=100)
    assert dict(answer.headers)[b"x-sluicegate-model"] == b"first"
    assert sorted(nano for _, nano, _ in bench.admission.events) == sorted(
        [FIRST, bench.admission.grants[1].held_nano]
    )
    assert bench.admission.held == 0


async def test_of_two_failures_the_firsts_is_told_and_nothing_is_charged_for_the_second(build, wire):
    bench = build(hedge=HEDGE, retry={"attempts_per_model": 1})
    bench.alpha.scripts = [wire.Script(status=503, pieces=(b"{}",), delay_s=0.06)]
    bench.beta.scripts = [wire.Script(status=500, pieces=(b"{}",))]
    with pytest.raises(Exception, match="overloaded") as error:
        await bench.ask(max_tokens=100)
    assert error.value.status == 503
    assert bench.admission.settled == 0
    assert bench.admission.held == 0


async def test_a_quick_first_is_never_hedged(build, wire):
    bench = build(hedge=HEDGE)
    bench.alpha.scripts = [wire.Script(pieces=(wire.whole(),))]
    bench.beta.scripts = [wire.Script(pieces=(wire.whole(),))]
    await asyncio.gather(*(bench.ask() for _ in range(5)))
    assert bench.beta.calls == []
