"""A client that leaves: what is under way is finished or cut, charged once, and never begun anew."""

import asyncio

import pytest

from sluicegate.completions.pipeline.departure import ClientLeftError
from sluicegate.completions.types import UpstreamFailure

FOREVER_S = 3_600.0
AT_ONCE = {"abandoned_seconds": 0}
REFUSED = UpstreamFailure("connect", "refused", sent=False)


async def turns(number=5):
    for _ in range(number):
        await asyncio.sleep(0)


async def until(condition):
    while not condition():  # noqa: ASYNC110 - what it looks at has no event
        await asyncio.sleep(0)


def row_of(bench):
    ((_, nano, row),) = bench.admission.events
    return nano, row


async def test_a_silent_stream_is_cut_and_charged_once_its_client_has_left(build, wire):
    bench = build(AT_ONCE)
    script = wire.Script(pieces=(wire.delta("a"), wire.delta("b")), piece_delay_s=FOREVER_S)
    bench.alpha.scripts = [script]
    taken = []

    async def relay():
        async for chunk in (await bench.ask(stream=True)).stream:
            taken.append(chunk)  # noqa: PERF401 - seen while it grows

    relaying = asyncio.create_task(relay())
    await until(lambda: taken)
    await turns()
    bench.departure.leave()
    with pytest.raises(asyncio.CancelledError):
        await relaying
    await bench.pipeline.drain(5)
    nano, row = row_of(bench)
    assert (row["outcome"], row["estimated"]) == ("aborted", True)
    assert row["output_tokens"] == 2  # the last piece was on its way
    assert nano == row["input_tokens"] * 1_000 + 2 * 2_000
    assert bench.admission.held == 0


async def test_a_stream_that_goes_on_is_read_on_and_not_interrupted(build, wire):
    bench = build({"abandoned_seconds": 60})
    bench.alpha.scripts = [wire.Script(pieces=(wire.delta("a"), wire.delta("b"), wire.ending()))]
    answer = await bench.ask(stream=True)
    await anext(answer.stream)
    bench.departure.leave()
    await answer.stream.aclose()
    await bench.pipeline.drain(5)
    nano, row = row_of(bench)
    assert (nano, row["estimated"], row["outcome"]) == (10 * 1_000 + 5 * 2_000, False, "aborted")


async def test_the_patience_with_a_stream_counts_from_the_leaving(build, wire):
    bench = build({"abandoned_seconds": 60})
    departure = (await begun(bench, wire)).departure
    assert departure.left_s(60) == 60
    departure.leave()
    departure.gone_at -= 45
    assert 14 < departure.left_s(60) <= 15
    departure.gone_at -= 45
    assert departure.left_s(60) == 0


async def begun(bench, wire):
    bench.alpha.scripts = [wire.Script(pieces=(wire.whole(),))]
    await bench.ask()
    return bench


@pytest.mark.parametrize("charge", ["nothing", "prompt"])
async def test_a_stream_that_has_not_begun_is_given_up(build, wire, charge):
    bench = build(AT_ONCE | {"lost_tries": charge})
    bench.alpha.scripts = [wire.Script(delay_s=FOREVER_S)]
    asking = asyncio.create_task(bench.ask(stream=True))
    await until(lambda: bench.alpha.calls)
    bench.departure.leave()
    with pytest.raises(asyncio.CancelledError):
        await asking
    nano, row = row_of(bench)
    assert row["outcome"] == "aborted"
    assert nano == row["input_tokens"] * 1_000
    assert row["estimated"] is (nano > 0) is (charge == "prompt")
    assert bench.admission.held == 0
    assert not bench.beta.calls


async def test_what_a_stream_said_before_its_first_words_is_charged(build, wire):
    bench = build(AT_ONCE | {"lost_tries": "nothing"})
    bench.alpha.scripts = [wire.Script(pieces=(b'data: {"id"', b""), piece_delay_s=FOREVER_S)]
    asking = asyncio.create_task(bench.ask(stream=True))
    await until(lambda: bench.alpha.calls)
    await turns()
    bench.departure.leave()
    with pytest.raises(asyncio.CancelledError):
        await asking
    nano, row = row_of(bench)
    assert nano == row["input_tokens"] * 1_000 > 0


async def test_a_whole_answer_is_waited_for_and_charged(build, wire):
    bench = build(AT_ONCE)
    bench.alpha.scripts = [wire.Script(pieces=(wire.whole(),), delay_s=0.02)]
    asking = asyncio.create_task(bench.ask())
    await until(lambda: bench.alpha.calls)
    bench.departure.leave()
    assert (await asking).status == 200
    nano, row = row_of(bench)
    assert (nano, row["outcome"], row["estimated"]) == (10 * 1_000 + 5 * 2_000, "success", False)


@pytest.mark.parametrize("scripts", [{"fails": REFUSED}, {"status": 503, "pieces": (b"{}",)}])
async def test_nobody_else_is_asked_once_the_client_has_left(build, wire, scripts):
    bench = build()
    bench.alpha.scripts = [wire.Script(delay_s=0.02, **scripts)]
    bench.beta.scripts = [wire.Script(pieces=(wire.whole(),))]
    asking = asyncio.create_task(bench.ask())
    await until(lambda: bench.alpha.calls)
    bench.departure.leave()
    with pytest.raises(ClientLeftError):
        await asking
    assert (len(bench.alpha.calls), len(bench.beta.calls)) == (1, 0)
    nano, row = row_of(bench)
    assert (nano, row["outcome"], row["attempts"]) == (0, "aborted", 1)
    assert bench.admission.held == 0


async def test_no_provider_is_asked_for_a_client_that_left_while_money_was_held(build, wire, monkeypatch):
    bench = build()
    admit = bench.admission.admit

    async def slow(ask):
        bench.departure.leave()
        return await admit(ask)

    monkeypatch.setattr(bench.admission, "admit", slow)
    with pytest.raises(ClientLeftError):
        await bench.ask()
    assert not bench.alpha.calls
    nano, row = row_of(bench)
    assert (nano, row["outcome"], row["attempts"]) == (0, "aborted", 0)
    assert bench.admission.held == 0
