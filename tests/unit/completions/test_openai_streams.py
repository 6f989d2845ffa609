"""The OpenAI chat codec on answers: metering, assembling, replaying, usage, errors."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.shared import ErrorObject

from sluicegate.completions.openai_chat.codec import ChatCodec
from sluicegate.completions.openai_chat.meter import ChatMeter
from sluicegate.completions.sse import EVENT_LIMIT
from sluicegate.completions.types import RequestFacts
from sluicegate.kernel.errors import BudgetExceededError, InvalidRequestError, RateLimitedError
from sluicegate.kernel.models import Usage

CODEC = ChatCodec()
USAGE = {
    "prompt_tokens": 100,
    "completion_tokens": 20,
    "total_tokens": 120,
    "prompt_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 8},
}
SAID = Usage(
    input_tokens=30, cached_input_tokens=60, cache_write_tokens=10, output_tokens=20, reasoning_tokens=8
)


def facts(*, include_usage: bool = False, choices: int = 1) -> RequestFacts:
    return RequestFacts(
        model="m",
        stream=True,
        choices=choices,
        max_output_tokens=None,
        input_bound=10,
        input_estimate=5,
        capabilities=frozenset(),
        include_usage=include_usage,
    )


def chunk(delta: dict[str, Any] | None, finish: str | None = None, index: int = 0, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": index, "delta": delta, "finish_reason": finish}]
    head = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    return b"data: " + orjson.dumps({**head, "choices": choices, **more}) + b"\n\n"


OPENING = chunk({"role": "assistant", "content": ""}, usage=None)
TEXTS = [chunk({"content": text}, usage=None) for text in ("He", "llo", ' "you"')]
ENDING = chunk({}, "stop", usage=None)
FIGURES = chunk(None, usage=USAGE)
DONE = b"data: [DONE]\n\n"
STREAM = b"".join([OPENING, *TEXTS, ENDING, FIGURES, DONE])


def run(meter: ChatMeter, data: bytes) -> bytes:
    return meter.feed(data) + meter.close()


def test_a_stream_is_counted_charged_and_forwarded_without_the_figures_nobody_asked_for() -> None:
    meter = CODEC.meter(facts())
    before = [meter.feed(piece) for piece in (OPENING, *TEXTS)]
    assert meter.produced_tokens == 3
    assert meter.usage is None
    after = [meter.feed(piece) for piece in (ENDING, FIGURES, DONE)]
    assert b"".join(before + after) == b"".join([OPENING, *TEXTS, ENDING, DONE])
    assert meter.usage == SAID
    assert meter.produced_tokens == 20
    assert meter.finished
    assert meter.failed is None


def test_a_client_that_asked_for_usage_gets_it() -> None:
    assert run(CODEC.meter(facts(include_usage=True)), STREAM) == STREAM


def test_usage_on_a_chunk_with_choices_is_taken_and_the_chunk_forwarded() -> None:
    last = chunk({}, "stop", usage=USAGE)
    meter = CODEC.meter(facts())
    assert run(meter, OPENING + last + DONE) == OPENING + last + DONE
    assert meter.usage == SAID


@given(st.lists(st.integers(0, 10_000)), st.sampled_from([b"\n", b"\r\n"]))
def test_any_split_gives_the_same(cuts: list[int], end: bytes) -> None:
    data = (b": keep-alive\n\n" + STREAM).replace(b"\n", end)
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    meter = CODEC.meter(facts())
    out = b"".join(meter.feed(data[a:b]) for a, b in pairwise(edges)) + meter.close()
    assert out == b": keep-alive\n\n" + STREAM.replace(FIGURES, b"")
    assert (meter.usage, meter.produced_tokens, meter.finished) == (SAID, 20, True)


@pytest.mark.parametrize(
    ("delta", "tokens"),
    [
        ({"content": "x"}, 1),
        ({"content": ""}, 0),
        ({"content": None}, 0),
        ({"role": "assistant"}, 0),
        ({"refusal": "no"}, 1),
        ({"reasoning_content": "hm"}, 1),
        ({"content": "", "reasoning": "hm"}, 1),
        ({"content": '"'}, 1),
        ({"content": 'text with "usage":{ and "error" in it'}, 10),
        ({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": ""}}]}, 0),
        ({"tool_calls": [{"index": 0, "function": {"arguments": '{"a'}}]}, 1),
        ({"content": "words " * 40}, 60),
    ],
)
def test_deltas_are_counted(delta: dict[str, Any], tokens: int) -> None:
    meter = CODEC.meter(facts())
    event = chunk(delta)
    assert meter.feed(event) == event
    assert meter.produced_tokens == tokens
    spaced = CODEC.meter(facts())
    spaced.feed(event.replace(b'":', b'": '))
    assert spaced.produced_tokens == tokens


def test_every_choice_in_a_chunk_counts() -> None:
    choices = [{"index": index, "delta": {"content": "x"}, "finish_reason": None} for index in range(3)]
    meter = CODEC.meter(facts(choices=3))
    meter.feed(chunk(None) + b"data: " + orjson.dumps({"choices": choices}) + b"\n\n")
    assert meter.produced_tokens == 3


def test_the_word_done_in_a_text_ends_nothing() -> None:
    meter = CODEC.meter(facts())
    meter.feed(chunk({"content": "[DONE]"}))
    assert not meter.finished


def test_nothing_is_forwarded_after_the_end() -> None:
    meter = CODEC.meter(facts())
    assert run(meter, ENDING + DONE + TEXTS[0]) == ENDING + DONE
    assert meter.feed(TEXTS[0]) == b""


@pytest.mark.parametrize(
    "words", ['"type":"rate_limit_error"', '"type":"tokens","code":"rate_limit_exceeded"', '"code":429']
)
def test_an_error_event_fails_the_stream_and_reaches_the_client_once(words: str) -> None:
    event = b'data: {"error":{"message":"slow down",' + words.encode() + b"}}\n\n"
    meter = CODEC.meter(facts())
    assert run(meter, OPENING + event + TEXTS[0]) == OPENING + event
    assert isinstance(meter.failed, RateLimitedError)
    assert not meter.finished


def test_an_endless_event_fails_the_stream() -> None:
    meter = CODEC.meter(facts())
    out = meter.feed(b"data: " + b"x" * (EVENT_LIMIT + 1))
    assert orjson.loads(out.removeprefix(b"data: "))["error"]["code"] == "upstream_error"
    assert meter.failed is not None
    assert meter.feed(DONE) == b""


def test_a_stream_cut_in_the_middle_of_an_event_forwards_whole_events_only() -> None:
    meter = CODEC.meter(facts())
    assert run(meter, OPENING + TEXTS[0] + TEXTS[1][:40]) == OPENING + TEXTS[0]
    assert not meter.finished
    assert meter.produced_tokens == 1


def test_a_missing_last_blank_line_is_forgiven() -> None:
    meter = CODEC.meter(facts())
    assert run(meter, ENDING + b"data: [DONE]") == ENDING + DONE
    assert meter.finished


@pytest.mark.parametrize("figures", [None, {}, [], {"prompt_tokens": "7"}, {"prompt_tokens": 1.5}])
def test_missing_figures_are_none(figures: Any) -> None:
    assert CODEC.usage({"usage": figures}) is None
    assert CODEC.usage({}) is None


def test_figures_never_overlap() -> None:
    figures = {
        "prompt_tokens": 10,
        "completion_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 50, "cache_write_tokens": True},
        "completion_tokens_details": {"reasoning_tokens": None},
    }
    assert CODEC.usage({"usage": figures}) == Usage(cached_input_tokens=10)


def test_reasoning_that_a_provider_leaves_out_of_its_output_is_added() -> None:
    figures = {
        "prompt_tokens": 10,
        "completion_tokens": 5,
        "total_tokens": 35,
        "completion_tokens_details": {"reasoning_tokens": 20},
    }
    assert CODEC.usage({"usage": figures}) == Usage(input_tokens=10, output_tokens=25, reasoning_tokens=20)


def events(stream: bytes) -> list[dict[str, Any]]:
    lines = [line.removeprefix(b"data: ") for line in stream.split(b"\n\n") if line]
    assert lines[-1] == b"[DONE]"
    return [orjson.loads(line) for line in lines[:-1]]


ANSWER = {
    "id": "c1",
    "object": "chat.completion",
    "created": 1,
    "model": "m",
    "system_fingerprint": "fp",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "long " * 200,
                "refusal": None,
                "reasoning_content": "hm",
                "tool_calls": [
                    {"id": "t1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
                    {"id": "t2", "type": "function", "function": {"name": "g", "arguments": ""}},
                ],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        },
        {
            "index": 1,
            "message": {"role": "assistant", "content": "Hi", "refusal": None},
            "logprobs": {"content": [{"token": "Hi", "logprob": -0.5, "bytes": None, "top_logprobs": []}]},
            "finish_reason": "stop",
        },
    ],
    "usage": USAGE,
}


def test_a_replayed_answer_is_a_stream_that_assembles_to_the_answer() -> None:
    stream = CODEC.replay(ANSWER)
    for event in events(stream):
        ChatCompletionChunk.model_validate(event, strict=True)
        assert "usage" not in event
    assembler = CODEC.assembler(1 << 20)
    for start in range(0, len(stream), 1000):
        assembler.feed(stream[start : start + 1000])
    answer = assembler.answer(SAID)
    assert answer == ANSWER
    ChatCompletion.model_validate(answer, strict=True)


def test_a_replay_ends_with_usage_where_it_was_asked_for() -> None:
    replayed = events(CODEC.replay(ANSWER, include_usage=True))
    assert replayed[-1]["choices"] == []
    assert replayed[-1]["usage"] == USAGE
    assert all(event["usage"] is None for event in replayed[:-1])


def test_what_a_meter_forwards_assembles() -> None:
    meter, assembler = CODEC.meter(facts()), CODEC.assembler(1 << 20)
    for start in range(0, len(STREAM), 37):
        assembler.feed(meter.feed(STREAM[start : start + 37]))
    answer = assembler.answer(meter.usage)
    assert answer is not None
    ChatCompletion.model_validate(answer, strict=True)
    assert answer["choices"][0]["message"]["content"] == 'Hello "you"'
    assert answer["usage"] == USAGE


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        OPENING + TEXTS[0],
        OPENING + TEXTS[0] + DONE,
        OPENING + ENDING + b'data: {"error":{"message":"x"}}\n\n' + DONE,
    ],
)
def test_what_did_not_end_well_is_no_answer(stream: bytes) -> None:
    assembler = CODEC.assembler(1 << 20)
    assembler.feed(stream)
    assert assembler.answer(None) is None


def test_a_stream_beyond_the_bound_is_no_answer() -> None:
    assembler = CODEC.assembler(len(STREAM) - 1)
    assembler.feed(STREAM[:100])
    assembler.feed(STREAM[100:])
    assert assembler.answer(SAID) is None


def test_errors_are_openais() -> None:
    body = orjson.loads(CODEC.error(InvalidRequestError("'n' is wrong.", param="n"), "req_1"))
    assert body == {
        "error": {
            "message": "'n' is wrong.",
            "type": "invalid_request_error",
            "param": "n",
            "code": "invalid_request",
        }
    }
    ErrorObject.model_validate(body["error"], strict=True)


def test_details_of_an_error_are_shown() -> None:
    error = BudgetExceededError("no money", details={"scope": "workspace"})
    event = CODEC.stream_error(error, "req_1")
    assert event.startswith(b"data: {")
    assert event.endswith(b"}\n\n")
    content = orjson.loads(event[6:])["error"]
    assert content["details"] == {"scope": "workspace"}
    assert content["code"] == "budget_exceeded"
