"""However a stream ends, or never begins, its hold is settled once."""

import asyncio
from dataclasses import replace

import pytest

from sluicegate.completions.pipeline.controls import Controls
from sluicegate.kernel.errors import UpstreamError

IMAGE_NANO = 1_000_000


async def test_a_stream_that_nobody_takes_from_is_settled_when_it_is_closed(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(wire.delta("a"), wire.delta("b"), wire.ending()))]
    answer = await bench.ask(stream=True)
    await answer.stream.aclose()
    await bench.pipeline.drain(5)
    (_, nano, row) = bench.admission.events[0]
    assert (nano, row["outcome"], row["estimated"]) == (10 * 1_000 + 5 * 2_000, "aborted", False)
    assert bench.admission.held == 0


async def test_a_failed_stream_is_charged_even_if_its_task_is_cancelled_while_it_is_cut(
    build, wire, monkeypatch
):
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(wire.delta("a"), wire.delta("b")), breaks=True)]
    answer = await bench.ask(stream=True)
    cutting, go_on = asyncio.Event(), asyncio.Event()

    async def slow_cancel(_reply, _linger_s):
        cutting.set()
        await go_on.wait()
        return b""

    monkeypatch.setattr(wire.Reply, "cancel", slow_cancel)

    async def read():
        async for _ in answer.stream:
            pass

    reading = asyncio.create_task(read())
    await cutting.wait()
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    go_on.set()
    await bench.pipeline.drain(5)
    ((_, _, row),) = bench.admission.events
    assert (row["outcome"], row["estimated"], row["output_tokens"]) == ("failure", True, 2)
    assert bench.admission.held == 0


async def test_a_failed_stream_whose_rest_cannot_be_read_is_charged_for_what_was(build, wire, monkeypatch):
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(wire.delta("a"),), breaks=True)]

    async def broken_cancel(_reply, _linger_s):
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(wire.Reply, "cancel", broken_cancel)
    answer = await bench.ask(stream=True)
    received = b"".join([chunk async for chunk in answer.stream])
    assert b"upstream_error" in received
    ((_, _, row),) = bench.admission.events
    assert (row["outcome"], row["output_tokens"]) == ("failure", 1)
    assert bench.admission.held == 0


async def test_the_callers_own_limit_bounds_a_long_stream_where_there_is_no_budget(build, wire, monkeypatch):
    bench = build({"stream_slice_tokens": 64})
    admit = bench.admission.admit

    async def unbudgeted(ask):
        grant = await admit(ask)
        grant.remaining_nano = None
        return grant

    monkeypatch.setattr(bench.admission, "admit", unbudgeted)
    bench.alpha.scripts = [wire.Script(pieces=(wire.delta("a"), wire.ending()))]
    await collect(await bench.ask(stream=True, max_tokens=10_000))
    assert b'"max_tokens":10000' in bench.alpha.calls[0].body
    limit = bench.admission.grants[0].held_nano + 100 * 2_000
    await collect(await bench.ask(Controls(max_cost_nano=limit), stream=True, max_tokens=10_000))
    assert b'"max_tokens":164' in bench.alpha.calls[1].body


async def test_a_fallback_that_cannot_carry_the_request_is_passed_over(build, wire, monkeypatch):
    bench = build(retry={"attempts_per_model": 1})
    bench.alpha.scripts = [wire.Script(status=500, pieces=(b"{}",))]
    bench.beta.scripts = [wire.Script(pieces=(wire.whole(),))]
    monkeypatch.setattr(bench.beta, "spoken", lambda _model: (wire.ANTHROPIC,))
    # What failed is the first provider; the caller did nothing wrong.
    with pytest.raises(UpstreamError):
        await bench.ask(frequency_penalty=1)
    assert bench.beta.calls == []
    assert bench.admission.held == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_a_price_per_image_is_charged(build, wire, monkeypatch, stream):
    bench = build()
    pieces = (wire.delta("a"), wire.ending()) if stream else (wire.whole(),)
    bench.alpha.scripts = [wire.Script(pieces=pieces)]
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    plan = bench.router.plan

    def priced(*args, **keywords):
        found = plan(*args, **keywords)
        first = found.candidates[0]
        model = replace(first.model, prices=replace(first.model.prices, image_nano=IMAGE_NANO))
        return replace(found, candidates=[replace(first, model=model)])

    monkeypatch.setattr(bench.router, "plan", priced)
    answer = await bench.ask(stream=stream, messages=[{"role": "user", "content": [picture, picture]}])
    if stream:
        await collect(answer)
    ((_, nano, _),) = bench.admission.events
    assert nano == 10 * 1_000 + 5 * 2_000 + 2 * IMAGE_NANO
    assert bench.admission.held == 0


async def collect(answer):
    return b"".join([chunk async for chunk in answer.stream])
