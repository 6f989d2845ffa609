"""The OpenAI responses codec on streams: metering, assembling, replaying, errors."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from sluicegate.completions.openai_responses.codec import ResponsesCodec
from sluicegate.completions.openai_responses.meter import EVENT_LIMIT
from sluicegate.completions.sse import fields, named_event
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.errors import (
    BudgetExceededError,
    InvalidRequestError,
    RateLimitedError,
    SluicegateError,
    UpstreamError,
    UpstreamTimeoutError,
)
from sluicegate.kernel.models import Usage

CODEC = ResponsesCodec()
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 10},
    "output_tokens": 20,
    "output_tokens_details": {"reasoning_tokens": 8},
    "total_tokens": 120,
}
SAID = Usage(
    input_tokens=30, cached_input_tokens=60, cache_write_tokens=10, output_tokens=20, reasoning_tokens=8
)
CITATION = {"type": "url_citation", "start_index": 0, "end_index": 2, "title": "t", "url": "https://a.b"}
OUTPUT: list[Json] = [
    {
        "id": "rs_1",
        "type": "reasoning",
        "summary": [{"type": "summary_text", "text": "So it is. " * 40}],
        "content": [{"type": "reasoning_text", "text": "Hm."}],
        "encrypted_content": "gAAAA",
    },
    {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "phase": "commentary",
        "content": [
            {"type": "output_text", "text": "Héllo " * 100, "annotations": [CITATION], "logprobs": []},
            {"type": "refusal", "refusal": "No more."},
        ],
    },
    {
        "id": "fc_1",
        "type": "function_call",
        "status": "completed",
        "call_id": "call_1",
        "name": "look",
        "arguments": '{"city":"Paris"}',
    },
    {"id": "ctc_1", "type": "custom_tool_call", "call_id": "call_2", "name": "run", "input": "print(1)"},
    {"id": "ws_1", "type": "web_search_call", "status": "completed",
     "action": {"type": "search", "query": "q", "queries": ["q"]}},
]  # fmt: skip
ANSWER: Json = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1_000,
    "status": "completed",
    "model": "m",
    "output": OUTPUT,
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [{"type": "function", "name": "look", "parameters": {"delta": "text"}, "strict": True}],
    "metadata": {"delta": "no text of the answer"},
    "error": None,
    "incomplete_details": None,
    "usage": USAGE,
}
FACTS = RequestFacts("m", stream=True, choices=1, max_output_tokens=None, input_bound=10, input_estimate=5,
                     capabilities=frozenset(), include_usage=True)  # fmt: skip


def events_of(data: bytes) -> list[Json]:
    """The events in `data`, each valid by the SDK, named by its type, numbered from zero."""
    found = []
    for event in data.split(b"\n\n"):
        if event:
            name, content = fields(event)
            parsed = orjson.loads(content)
            EVENT.validate_python(parsed)
            assert parsed["type"].encode() == name
            found.append(parsed)
    assert [event["sequence_number"] for event in found] == list(range(len(found)))
    return found


def read_by_sdk(events: list[Json]) -> Response | None:
    """The final response as the SDK's stream helper puts it together."""
    state: Any = ResponseStreamState(text_format=omit, input_tools=omit)
    for event in events:
        state.handle_event(EVENT.validate_python(event))
    completed: Response | None = state._completed_response
    return completed


def event(kind: str, **content: Any) -> bytes:
    return named_event(kind, {"type": kind, "sequence_number": 0, **content})


def text_delta(text: str) -> bytes:
    place = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
    return event("response.output_text.delta", **place, delta=text, logprobs=[], obfuscation="xxxxxxxxxxxx")


def test_a_replay_is_a_legal_stream_that_says_the_answer() -> None:
    events = events_of(CODEC.replay(ANSWER))
    kinds = [event["type"] for event in events]
    assert kinds[:3] == ["response.created", "response.in_progress", "response.output_item.added"]
    assert kinds[-1] == "response.completed"
    assert events[0]["response"]["status"] == "in_progress"
    assert events[0]["response"]["output"] == []
    assert events[0]["response"]["usage"] is None
    assert events[-1]["response"] == ANSWER
    assert [event["item"] for event in events if event["type"].endswith("item.done")] == OUTPUT
    said = {"text": "", "call": "", "input": "", "refusal": "", "summary": "", "reasoning": ""}
    names = {
        "response.output_text.delta": "text",
        "response.refusal.delta": "refusal",
        "response.function_call_arguments.delta": "call",
        "response.custom_tool_call_input.delta": "input",
        "response.reasoning_summary_text.delta": "summary",
        "response.reasoning_text.delta": "reasoning",
    }
    for found in events:
        if found["type"] in names:
            said[names[found["type"]]] += found["delta"]
    assert said == {
        "text": "Héllo " * 100,
        "call": '{"city":"Paris"}',
        "input": "print(1)",
        "refusal": "No more.",
        "summary": "So it is. " * 40,
        "reasoning": "Hm.",
    }
    assert kinds.count("response.output_text.annotation.added") == 1
    whole = read_by_sdk(events)
    assert whole is not None
    assert whole.output_text == "Héllo " * 100


@pytest.mark.parametrize("status", ["incomplete", "failed"])
def test_a_replay_ends_as_the_answer_did(status: str) -> None:
    answer = {**ANSWER, "status": status, "error": None}
    assert events_of(CODEC.replay(answer))[-1] == {
        "type": f"response.{status}",
        "sequence_number": len(events_of(CODEC.replay(answer))) - 1,
        "response": answer,
    }


@given(cuts=st.lists(st.integers(0, 20_000), max_size=12))
def test_what_is_replayed_is_metered_and_assembled_at_any_split(cuts: list[int]) -> None:
    data = CODEC.replay(ANSWER)
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    meter, assembler = CODEC.meter(FACTS), CODEC.assembler(len(data))
    out = b""
    for start, end in pairwise(edges):
        forwarded = meter.feed(data[start:end])
        assembler.feed(forwarded)
        out += forwarded
    assembler.feed(meter.close())
    assert out == data
    assert meter.finished
    assert meter.usage == SAID
    assert assembler.answer(meter.usage) == ANSWER


def test_tokens_are_counted_as_they_come_and_never_in_what_is_repeated() -> None:
    meter = CODEC.meter(FACTS)
    meter.feed(
        event("response.created", response=ANSWER) + event("response.output_item.done", item=OUTPUT[1])
    )
    assert meter.produced_tokens == 0
    meter.feed(text_delta("He") + text_delta('"\\'))
    assert meter.produced_tokens == 2
    meter.feed(text_delta("x" * 400))
    assert meter.produced_tokens == 102
    meter.feed(event("response.function_call_arguments.delta", delta='{"a":1}', item_id="fc", output_index=1))
    meter.feed(event("response.reasoning_summary_text.delta", delta="So", item_id="rs", output_index=1))
    assert meter.produced_tokens == 104
    assert meter.usage is None
    meter.feed(event("response.completed", response=ANSWER))
    assert meter.produced_tokens == 20


def test_events_without_a_name_are_understood() -> None:
    meter = CODEC.meter(FACTS)
    unnamed = [
        piece.split(b"\n", 1)[1] for piece in (text_delta("He"), event("response.completed", response=ANSWER))
    ]
    meter.feed(b"".join(unnamed))
    assert meter.finished
    assert meter.usage == SAID


def test_nothing_follows_the_last_event_and_it_may_lack_its_blank_line() -> None:
    last = event("response.incomplete", response={**ANSWER, "status": "incomplete"})
    meter = CODEC.meter(FACTS)
    assert meter.feed(text_delta("He") + last + b"data: [DONE]\n\n") == text_delta("He") + last
    assert meter.finished
    assert not meter.feed(text_delta("more"))
    meter = CODEC.meter(FACTS)
    assert not meter.feed(last[:-2])
    assert meter.close() == last
    assert meter.finished
    meter = CODEC.meter(FACTS)
    assert not meter.feed(last[:-9])
    assert not meter.close()
    assert not meter.finished


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        ({"code": "rate_limit_exceeded", "message": "slow"}, RateLimitedError),
        ({"code": "server_error", "message": "sorry"}, UpstreamError),
        ({"code": "invalid_prompt", "message": "no"}, InvalidRequestError),
        ({"code": "image_too_large", "message": "no"}, InvalidRequestError),
        ({"code": "vector_store_timeout", "message": "late"}, UpstreamTimeoutError),
        ({"code": "something_new", "message": "?"}, UpstreamError),
        (None, UpstreamError),
    ],
)
def test_a_failed_response_is_forwarded_and_known(
    error: Json | None, expected: type[SluicegateError]
) -> None:
    failed = event("response.failed", response={**ANSWER, "status": "failed", "error": error})
    meter = CODEC.meter(FACTS)
    assert meter.feed(text_delta("He") + failed) == text_delta("He") + failed
    assert type(meter.failed) is expected
    assert not meter.finished
    assert meter.usage == SAID


@pytest.mark.parametrize(
    "content",
    [
        {"code": "rate_limit_exceeded", "message": "slow", "param": None},
        {"error": {"type": "rate_limit_error", "code": None, "message": "slow", "param": None}},
        {"error": {"type": "requests", "code": "rate_limit_exceeded", "message": "slow", "param": None}},
    ],
)
def test_a_providers_error_event_is_forwarded_and_known(content: Json) -> None:
    meter = CODEC.meter(FACTS)
    assert meter.feed(event("error", **content)) == event("error", **content)
    assert type(meter.failed) is RateLimitedError
    assert "slow" in meter.failed.message


def test_an_endless_event_and_bytes_that_are_no_text_end_the_stream() -> None:
    meter = CODEC.meter(FACTS)
    meter.feed(b"data: ")
    out = b""
    for _ in range(EVENT_LIMIT // (1 << 20) + 1):
        out += meter.feed(b"x" * (1 << 20))
    assert isinstance(meter.failed, UpstreamError)
    EVENT.validate_json(fields(out)[1])
    meter = CODEC.meter(FACTS)
    out = meter.feed(text_delta("é") + b"\xff\xfe\n\n" + text_delta("more"))
    assert out.startswith(text_delta("é"))
    assert out.count(b"\n\n") == 2
    assert isinstance(meter.failed, UpstreamError)


def test_an_error_of_ours_suits_the_reference_and_makes_the_sdk_raise() -> None:
    data = CODEC.stream_error(
        BudgetExceededError("no money", param="model", details={"scope": "key"}), "req_1"
    )
    name, content = fields(data)
    parsed = orjson.loads(content)
    assert name == b"error"
    EVENT.validate_python(parsed)
    assert (parsed["code"], parsed["message"], parsed["param"]) == ("budget_exceeded", "no money", "model")
    assert parsed["error"]["details"] == {"scope": "key"}
    assert parsed["sequence_number"] > 1_000_000


def test_only_a_whole_stream_within_the_bound_is_assembled() -> None:
    data = CODEC.replay(ANSWER)
    short = CODEC.assembler(len(data) - 1)
    short.feed(data)
    assert short.answer(SAID) is None
    cut = CODEC.assembler(1 << 20)
    cut.feed(data[: data.index(b"event: response.completed")])
    assert cut.answer(SAID) is None
    failed = CODEC.assembler(1 << 20)
    failed.feed(CODEC.replay({**ANSWER, "status": "failed"}))
    assert failed.answer(SAID) is None


ODD = st.recursive(
    st.none()
    | st.integers(-2, 2)
    | st.sampled_from(["message", "reasoning", "function_call", "output_text"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "id", "content", "summary", "arguments", "text", "annotations", "usage"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(output=ODD, usage=ODD, status=ODD)
def test_an_odd_answer_is_replayed_and_assembled_without_complaint(
    output: Any, usage: Any, status: Any
) -> None:
    answer = {"id": "r", "output": output, "usage": usage, "status": status}
    data = CODEC.replay(answer)
    meter, assembler = CODEC.meter(FACTS), CODEC.assembler(len(data))
    assembler.feed(meter.feed(data))
    assert meter.finished
    assert assembler.answer(None) == answer


def test_figures_that_cannot_be_are_not_believed() -> None:
    for figures in ({"input_tokens": 10**12, "output_tokens": 1}, {"input_tokens": 5, "output_tokens": -1}):
        assert CODEC.usage({"usage": figures}) is None


def test_a_last_event_without_the_output_is_no_whole_answer() -> None:
    assembler = CODEC.assembler(1 << 20)
    assembler.feed(event("response.output_item.done", item=OUTPUT[0], output_index=0))
    assembler.feed(event("response.completed", response={**ANSWER, "output": []}))
    assert assembler.answer(SAID) is None
