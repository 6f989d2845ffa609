"""The ledger is told which version of a model answered, in the provider's own words."""

import orjson
import pytest

from sluicegate.completions.pipeline.version import streamed_version, version_of
from sluicegate.completions.types import UpstreamFailure

NAME = "gpt-4o-2024-08-06"


def event(content, name=b""):
    return (b"event: " + name + b"\n" if name else b"") + b"data: " + orjson.dumps(content) + b"\n\n"


@pytest.mark.parametrize(
    "answer",
    [
        {"model": NAME},
        {"type": "message_start", "message": {"model": NAME}},
        {"type": "response.created", "response": {"model": NAME, "metadata": {"model": "mine"}}},
    ],
)
def test_each_dialect_says_it_in_its_place(answer):
    assert version_of(answer) == NAME
    begun = event({"type": "ping"}) + event(answer, b"x") + event({"model": "later"})
    assert streamed_version(begun) == NAME
    assert streamed_version(begun.replace(b"\n", b"\r\n")) == NAME


@pytest.mark.parametrize(
    "answer",
    [{}, {"model": None}, {"model": 5}, {"model": ""}, {"model": "a\nb"}, {"model": "x" * 129},
     {"model": "é"}, {"message": "model"}, {"metadata": {"model": NAME}}],
)  # fmt: skip
def test_what_is_no_name_is_no_version(answer):
    assert version_of(answer) is None
    assert streamed_version(event(answer)) is None


def test_text_that_looks_like_a_model_is_none():
    said = {"choices": [{"delta": {"content": '"model": "evil"'}}]}
    assert streamed_version(event(said)) is None
    assert streamed_version(event(said)[:-10]) is None
    assert streamed_version(b'data: {"model": "cut off') is None


async def test_a_whole_answers_version_is_in_the_row(build, wire):
    bench = build()
    whole = orjson.loads(wire.whole()) | {"model": NAME}
    bench.alpha.scripts = [wire.Script(pieces=(orjson.dumps(whole),))]
    await bench.ask()
    [(_, _, row)] = bench.admission.events
    assert (row["model"], row["version"]) == ("first", NAME)


async def test_a_streams_version_is_in_the_row_however_it_is_cut(build, wire):
    for size in (7, 1_000):
        bench = build()
        stream = event({"model": NAME, "choices": [{"index": 0, "delta": {"content": "hi"}}]}) + wire.ending()
        pieces = tuple(stream[at : at + size] for at in range(0, len(stream), size))
        bench.alpha.scripts = [wire.Script(pieces=pieces)]
        answer = await bench.ask(stream=True)
        assert b"".join([chunk async for chunk in answer.stream]).endswith(b"[DONE]\n\n")
        [(_, _, row)] = bench.admission.events
        assert row["version"] == NAME


async def test_a_fallbacks_row_never_has_the_first_ones_version(build, wire):
    bench = build()
    refused = {"model": NAME, "error": {"message": "no", "code": "server_error"}}
    bench.alpha.scripts = [wire.Script(pieces=(orjson.dumps(refused),))]
    silent = orjson.loads(wire.whole())
    silent.pop("model", None)
    bench.beta.scripts = [wire.Script(pieces=(orjson.dumps(silent),))]
    await bench.ask()
    [(_, _, row)] = bench.admission.events
    assert (row["model"], row["version"]) == ("second", None)
    bench = build()
    bench.alpha.scripts = [wire.Script(pieces=(orjson.dumps(refused),))]
    bench.beta.scripts = [wire.Script(fails=UpstreamFailure("head", "reset", sent=True))]
    with pytest.raises(Exception, match="provider"):
        await bench.ask()
    assert {row["version"] for _, _, row in bench.admission.events} == {None}
