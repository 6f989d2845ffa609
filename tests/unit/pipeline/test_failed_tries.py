"""Tries that began to answer and failed: what they used is held, charged once, and told as an estimate."""

import pytest

from sluicegate.completions.types import UpstreamFailure
from sluicegate.kernel.errors import UpstreamError, UpstreamTimeoutError

ANSWER = 10 * 1_000 + 5 * 2_000  # nano-dollars of ten tokens in and five out at the first model
REFUSED = UpstreamFailure("connect", "refused", sent=False)
ONE_TRY = {"retry_timeouts": False}
SILENT = UpstreamFailure("head", "nothing arrived in time", sent=True, timeout=True)


def row_of(bench):
    ((_, nano, row),) = bench.admission.events
    return nano, row


async def test_a_try_without_an_answer_of_success_costs_nothing(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(fails=REFUSED), wire.Script(pieces=(wire.whole(),))]
    await bench.ask()
    nano, row = row_of(bench)
    assert (nano, row["estimated"], row["attempts"]) == (ANSWER, False, 2)


async def test_a_broken_try_is_charged_with_the_answer_that_follows(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(b"no JSON",)), wire.Script(pieces=(wire.whole(),))]
    await bench.ask()
    nano, row = row_of(bench)
    prompt = row["input_tokens"] - 10
    assert prompt > 0
    assert (nano, row["estimated"], row["outcome"]) == (ANSWER + prompt * 1_000, True, "success")
    assert row["output_tokens"] == 5
    assert (bench.admission.held, bench.admission.settled) == (0, nano)


async def test_broken_tries_are_charged_even_when_no_answer_follows(build, wire):
    bench = build(retry={"attempts_per_model": 2})
    bench.alpha.scripts = [wire.Script(pieces=(b"no JSON",)), wire.Script(pieces=(b"nor this",))]
    bench.beta.scripts = [wire.Script(status=500, pieces=(b"{}",))]
    with pytest.raises(UpstreamError):
        await bench.ask()
    nano, row = row_of(bench)
    assert nano == row["input_tokens"] * 1_000 > 0
    assert (row["estimated"], row["outcome"]) == (True, "failure")
    assert (bench.admission.held, bench.admission.settled) == (0, nano)


async def test_the_hold_covers_the_broken_try_and_the_next_one(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(b"no JSON",)), wire.Script(pieces=(wire.whole(),))]
    await bench.ask(max_tokens=1_000)
    (grant,) = bench.admission.grants
    _, row = row_of(bench)
    prompt = row["input_tokens"] - 10
    assert grant.held_nano >= prompt * 1_000 + 1_000 * 2_000
    assert row["held_nano"] == grant.held_nano


async def test_without_money_for_more_the_next_try_is_shorter(build, wire):
    bench = build()
    bench.admission.refuse_growth = True
    bench.alpha.scripts = [wire.Script(pieces=(b"no JSON",)), wire.Script(pieces=(wire.whole(),))]
    await bench.ask(max_tokens=1_000)
    first, second = (
        int(call.body.split(b'"max_tokens":')[1].split(b",")[0].strip(b"}")) for call in bench.alpha.calls
    )
    _, row = row_of(bench)
    prompt = row["input_tokens"] - 10
    assert first == 1_000
    assert second == 1_000 - prompt  # its tokens are reserved too, and are the tighter here
    assert bench.admission.settled <= row["held_nano"]


async def test_an_answer_without_figures_is_weighed_not_given_away(build, wire):
    bench = build()
    body = b'{"id":"c","choices":[{"index":0,"message":{"role":"assistant","content":"%b"}}]}' % (b"x" * 400)
    bench.alpha.scripts = [wire.Script(pieces=(body,))]
    await bench.ask()
    nano, row = row_of(bench)
    assert row["estimated"]
    assert row["output_tokens"] >= 100
    assert nano == row["input_tokens"] * 1_000 + row["output_tokens"] * 2_000


@pytest.mark.parametrize(("policy", "output"), [("prompt", 0), ("everything", 2 * 100)])
async def test_a_try_that_was_silent_for_too_long_may_be_billed_and_is_charged(build, wire, policy, output):
    bench = build({"lost_tries": policy}, retry=ONE_TRY)
    bench.alpha.scripts = [wire.Script(fails=SILENT)]
    with pytest.raises(UpstreamTimeoutError):
        await bench.ask(max_tokens=100, n=2)
    nano, row = row_of(bench)
    assert row["input_tokens"] > 0
    assert row["output_tokens"] == output
    assert nano == row["input_tokens"] * 1_000 + output * 2_000
    assert (row["estimated"], row["outcome"], row["error"]) == (True, "failure", "upstream_timeout")
    assert nano <= row["held_nano"]
    assert (bench.admission.held, bench.admission.settled) == (0, nano)


async def test_policy_may_leave_silent_tries_uncharged(build, wire):
    bench = build({"lost_tries": "nothing"}, retry=ONE_TRY)
    bench.alpha.scripts = [wire.Script(fails=SILENT)]
    with pytest.raises(UpstreamTimeoutError):
        await bench.ask()
    nano, row = row_of(bench)
    assert (nano, row["input_tokens"], row["estimated"]) == (0, 0, False)


async def test_a_silent_try_is_charged_with_the_answer_that_follows(build, wire):
    bench = build(retry={"retry_timeouts": True})
    bench.alpha.scripts = [wire.Script(fails=SILENT), wire.Script(pieces=(wire.whole(),))]
    await bench.ask()
    nano, row = row_of(bench)
    prompt = row["input_tokens"] - 10
    assert prompt > 0
    assert (nano, row["estimated"], row["attempts"]) == (ANSWER + prompt * 1_000, True, 2)


async def test_a_try_whose_connection_broke_before_an_answer_costs_nothing(build, wire):
    bench = build()
    broken = UpstreamFailure("head", "the server closed the connection", sent=True)
    bench.alpha.scripts = [wire.Script(fails=broken), wire.Script(pieces=(wire.whole(),))]
    await bench.ask()
    nano, row = row_of(bench)
    assert (nano, row["estimated"]) == (ANSWER, False)
