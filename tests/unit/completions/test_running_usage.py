"""Figures in every chunk of an OpenAI stream: asked for, read, and kept from clients who did not ask."""

from dataclasses import replace

import orjson
import pytest

from sluicegate.completions.openai_chat.meter import ChatMeter
from sluicegate.completions.openai_chat.usage import with_running_usage
from sluicegate.completions.types import RequestFacts

FACTS = RequestFacts(
    model="m", stream=True, choices=1, max_output_tokens=None, input_bound=10, input_estimate=5,
    capabilities=frozenset(),
)  # fmt: skip


def chunk(text: str, output: int) -> bytes:
    usage = {"prompt_tokens": 7, "completion_tokens": output, "total_tokens": 7 + output}
    choice = {"index": 0, "delta": {"content": text}}
    return b"data: " + orjson.dumps({"id": "c", "choices": [choice], "usage": usage}) + b"\n\n"


def last(output: int) -> bytes:
    usage = {"prompt_tokens": 7, "completion_tokens": output, "total_tokens": 7 + output}
    return b"data: " + orjson.dumps({"id": "c", "choices": [], "usage": usage}) + b"\n\ndata: [DONE]\n\n"


def test_the_request_asks_and_keeps_what_the_client_asked_for():
    body = {"stream": True, "stream_options": {"include_usage": True}}
    asked, facts = with_running_usage(body, FACTS)
    assert asked["stream_options"] == {"include_usage": True, "continuous_usage_stats": True}
    assert facts == replace(FACTS, hide_running_usage=True)
    assert body == {"stream": True, "stream_options": {"include_usage": True}}
    own = {"stream": True, "stream_options": {"continuous_usage_stats": True}}
    assert with_running_usage(own, FACTS) == (own, FACTS)


@pytest.mark.parametrize("size", [1, 7, 10_000])
@pytest.mark.parametrize("include_usage", [True, False])
def test_clients_see_the_stream_as_if_nobody_had_asked(size, include_usage):
    meter = ChatMeter(replace(FACTS, hide_running_usage=True, include_usage=include_usage))
    sent = b": comment\n\n" + chunk("a", 1) + chunk("b", 2) + chunk("c", 3) + last(3)
    seen = b"".join(meter.feed(sent[at : at + size]) for at in range(0, len(sent), size)) + meter.close()
    events = [event for event in seen.split(b"\n\n") if event.startswith(b"data: {")]
    chunks = [orjson.loads(event[6:]) for event in events]
    assert [each["choices"][0]["delta"]["content"] for each in chunks if each["choices"]] == ["a", "b", "c"]
    assert all("usage" not in each for each in chunks if each["choices"])
    assert [bool(each["choices"]) for each in chunks].count(False) == include_usage
    assert seen.startswith(b": comment\n\n")
    assert seen.endswith(b"data: [DONE]\n\n")
    assert meter.finished
    assert (meter.usage.prompt_tokens, meter.usage.output_tokens) == (7, 3)


def test_a_stream_that_breaks_off_has_said_what_it_cost():
    meter = ChatMeter(replace(FACTS, hide_running_usage=True))
    meter.feed(chunk("a", 1) + chunk("bc", 3))
    assert not meter.finished
    assert (meter.usage.prompt_tokens, meter.usage.output_tokens, meter.produced_tokens) == (7, 3, 3)


def test_figures_that_a_provider_sends_unasked_are_passed_on():
    meter = ChatMeter(FACTS)
    assert meter.feed(chunk("a", 1)) == chunk("a", 1)
