import asyncio

import pytest
from jsonschema import Draft202012Validator

from sluicegate.completions.types import UpstreamFailure
from sluicegate.events.registry import data_schema
from sluicegate.kernel.errors import UpstreamError
from sluicegate.kernel.events import USAGE_RECORDED

BROKEN = UpstreamFailure("head", "reset", sent=True)


async def collect(answer):
    return b"".join([chunk async for chunk in answer.stream])


def check(bench, outcomes):
    validator = Draft202012Validator(data_schema(USAGE_RECORDED))
    for _, _, data in bench.admission.events:
        validator.validate(data)
    assert [data["outcome"] for _, _, data in bench.admission.events] == outcomes


async def test_the_event_of_a_whole_answer_fits_its_schema(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(wire.whole(),))]
    await bench.ask()
    check(bench, ["success"])


async def test_the_event_of_a_stream_fits_its_schema(build, wire):
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(wire.delta("hi"), wire.ending()))]
    await collect(await bench.ask(stream=True))
    async with asyncio.timeout(5):
        while not bench.admission.events:  # noqa: ASYNC110 - the settlement follows the last byte
            await asyncio.sleep(0.001)
    check(bench, ["success"])


async def test_the_event_of_a_failure_fits_its_schema(build, wire):
    bench = build()
    bench.alpha.scripts = bench.beta.scripts = [wire.Script(fails=BROKEN)]
    with pytest.raises(UpstreamError):
        await bench.ask()
    check(bench, ["failure"])
