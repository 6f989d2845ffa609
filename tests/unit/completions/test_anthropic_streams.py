"""The Anthropic messages codec on answers: metering, assembling, replaying, usage, errors."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.shared import ErrorResponse
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from sluicegate.completions.anthropic.codec import MessagesCodec
from sluicegate.completions.sse import EVENT_LIMIT, fields
from sluicegate.completions.types import RequestFacts
from sluicegate.kernel import errors
from sluicegate.kernel.models import Usage

CODEC = MessagesCodec()
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
FACTS = RequestFacts(
    model="m",
    stream=True,
    choices=1,
    max_output_tokens=64,
    input_bound=10,
    input_estimate=5,
    capabilities=frozenset(),
)


def event(kind: str, **content: Any) -> bytes:
    data = orjson.dumps({"type": kind, **content})
    return b"event: " + kind.encode() + b"\ndata: " + data + b"\n\n"


def delta(index: int, kind: str, **content: Any) -> bytes:
    return event("content_block_delta", index=index, delta={"type": kind, **content})


START = event(
    "message_start",
    message={
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {
            "input_tokens": 30,
            "cache_read_input_tokens": 60,
            "cache_creation_input_tokens": 10,
            "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 3},
            "output_tokens": 1,
        },
    },
)
BODY = b"".join(
    [
        event("ping"),
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        delta(0, "text_delta", text="He"),
        delta(0, "text_delta", text='l"lo'),
        event("content_block_stop", index=0),
        event(
            "content_block_start",
            index=1,
            content_block={"type": "tool_use", "id": "t1", "name": "f", "input": {}},
        ),
        delta(1, "input_json_delta", partial_json=""),
        delta(1, "input_json_delta", partial_json='{"a":'),
        delta(1, "input_json_delta", partial_json="1}"),
        event("content_block_stop", index=1),
    ]
)
ENDING = event(
    "message_delta",
    delta={"stop_reason": "tool_use", "stop_sequence": None},
    usage={"output_tokens": 20, "output_tokens_details": {"thinking_tokens": 8}},
)
STOP = event("message_stop")
STREAM = START + BODY + ENDING + STOP
SAID = Usage(
    input_tokens=30,
    cached_input_tokens=60,
    cache_write_tokens=7,
    cache_write_1h_tokens=3,
    output_tokens=20,
    reasoning_tokens=8,
)


def test_a_stream_is_counted_as_it_goes_and_charged_as_the_provider_says() -> None:
    meter = CODEC.meter(FACTS)
    assert meter.feed(START) == START
    assert meter.usage is not None
    assert (meter.usage.input_tokens, meter.usage.output_tokens) == (30, 0)
    assert meter.feed(BODY) == BODY
    assert meter.produced_tokens == meter.usage.output_tokens == 4
    assert meter.feed(ENDING + STOP) == ENDING + STOP
    assert meter.usage == SAID
    assert meter.produced_tokens == 20
    assert meter.finished
    assert meter.failed is None


@given(st.lists(st.integers(0, 10_000)), st.sampled_from([b"\n", b"\r\n"]))
def test_any_split_gives_the_same(cuts: list[int], end: bytes) -> None:
    data = STREAM.replace(b"\n", end)
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    meter = CODEC.meter(FACTS)
    out = b"".join(meter.feed(data[a:b]) for a, b in pairwise(edges)) + meter.close()
    assert out == STREAM
    assert (meter.usage, meter.produced_tokens, meter.finished) == (SAID, 20, True)


def test_figures_of_the_ending_overlay_those_of_the_start() -> None:
    meter = CODEC.meter(FACTS)
    last = event(
        "message_delta",
        delta={"stop_reason": "end_turn"},
        usage={"output_tokens": 5, "input_tokens": 31, "cache_read_input_tokens": None},
    )
    meter.feed(START + last)
    assert meter.usage is not None
    assert (meter.usage.input_tokens, meter.usage.cached_input_tokens, meter.usage.output_tokens) == (
        31,
        60,
        5,
    )


def test_events_without_names_are_understood() -> None:
    meter = CODEC.meter(FACTS)
    for part in STREAM.split(b"\n\n"):
        if part:
            meter.feed(b"data: " + fields(part)[1] + b"\n\n")
    assert (meter.usage, meter.finished) == (SAID, True)


def test_thinking_counts_and_signatures_do_not() -> None:
    meter = CODEC.meter(FACTS)
    meter.feed(delta(0, "thinking_delta", thinking="hm") + delta(0, "signature_delta", signature="s" * 400))
    assert meter.produced_tokens == 1


def test_an_error_event_fails_the_stream_and_is_its_last() -> None:
    failure = event("error", error={"type": "overloaded_error", "message": "Overloaded"})
    meter = CODEC.meter(FACTS)
    assert meter.feed(START + failure + STOP) == START + failure
    assert isinstance(meter.failed, errors.OverloadedError)
    assert not meter.finished
    assert meter.feed(STOP) == b""


def test_nothing_is_forwarded_after_the_end() -> None:
    meter = CODEC.meter(FACTS)
    assert meter.feed(STREAM + START) == STREAM
    assert meter.close() == b""


def test_an_endless_event_fails_the_stream() -> None:
    meter = CODEC.meter(FACTS)
    out = meter.feed(b"event: x\ndata: " + b"x" * (EVENT_LIMIT + 1))
    assert out.startswith(b"event: error\n")
    assert meter.failed is not None


def test_a_missing_last_blank_line_is_forgiven() -> None:
    meter = CODEC.meter(FACTS)
    assert meter.feed(STREAM[:-1]) + meter.close() == STREAM
    assert meter.finished


def test_a_stream_cut_in_an_event_forwards_whole_events_only() -> None:
    meter = CODEC.meter(FACTS)
    assert meter.feed(START + STOP[:-20]) + meter.close() == START
    assert not meter.finished


@pytest.mark.parametrize("figures", [None, {}, 7, {"input_tokens": None}])
def test_missing_figures_are_none(figures: Any) -> None:
    assert CODEC.usage({"usage": figures}) is None


def test_cache_writes_without_an_age_are_short_lived() -> None:
    figures = {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_creation_input_tokens": 9,
        "cache_creation": None,
    }
    assert CODEC.usage({"usage": figures}) == Usage(input_tokens=1, output_tokens=2, cache_write_tokens=9)


ANSWER = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "m",
    "content": [
        {"type": "thinking", "thinking": "hm " * 200, "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "Hello " * 100},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1, {"b": "ü"}]}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 30,
        "cache_creation_input_tokens": 10,
        "cache_read_input_tokens": 60,
        "cache_creation": {"ephemeral_5m_input_tokens": 7, "ephemeral_1h_input_tokens": 3},
        "output_tokens": 20,
        "output_tokens_details": {"thinking_tokens": 8},
    },
}


def test_a_replayed_answer_is_a_stream_that_assembles_to_the_answer() -> None:
    stream = CODEC.replay(ANSWER)
    for part in stream.split(b"\n\n")[:-1]:
        name, data = fields(part)
        assert EVENT.validate_json(data, strict=True).type == name.decode()
    meter, assembler = CODEC.meter(FACTS), CODEC.assembler(1 << 20)
    for start in range(0, len(stream), 777):
        assembler.feed(meter.feed(stream[start : start + 777]))
    assert meter.usage == SAID
    answer = assembler.answer(meter.usage)
    assert answer == ANSWER
    Message.model_validate(answer, strict=True)


@pytest.mark.parametrize(
    "stream",
    [
        b"",
        START + BODY + ENDING,
        BODY.replace(b"1}", b"1") and START + BODY.replace(b'"1}"', b'"1"') + ENDING + STOP,
        START + event("error", error={"type": "api_error", "message": "x"}),
    ],
)
def test_what_did_not_end_well_is_no_answer(stream: bytes) -> None:
    assembler = CODEC.assembler(1 << 20)
    assembler.feed(stream)
    assert assembler.answer(None) is None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.InvalidRequestError("x"), "invalid_request_error"),
        (errors.AuthenticationError("x"), "authentication_error"),
        (errors.BudgetExceededError("x"), "billing_error"),
        (errors.PermissionDeniedError("x"), "permission_error"),
        (errors.ModelNotFoundError("x"), "not_found_error"),
        (errors.RateLimitedError("x"), "rate_limit_error"),
        (errors.UpstreamError("x"), "api_error"),
        (errors.OverloadedError("x"), "overloaded_error"),
        (errors.DependencyUnavailableError("x"), "api_error"),
        (errors.UpstreamTimeoutError("x"), "timeout_error"),
    ],
)
def test_errors_are_anthropics(error: errors.SluicegateError, kind: str) -> None:
    body = CODEC.error(error, "req_1")
    said = ErrorResponse.model_validate_json(body, strict=True)
    assert said.error.type == kind
    assert said.request_id == "req_1"
    assert orjson.loads(body)["error"]["details"] == {"error_code": error.code}
    assert CODEC.stream_error(error, "req_1") == b"event: error\ndata: " + body + b"\n\n"


def test_errors_beyond_the_sdks_list_keep_the_documented_word() -> None:
    body = orjson.loads(CODEC.error(errors.PayloadTooLargeError("x"), "req_1"))
    assert body["error"]["type"] == "request_too_large"
    body = orjson.loads(CODEC.error(errors.IdempotencyConflictError("x"), "req_1"))
    assert body["error"]["type"] == "conflict_error"
