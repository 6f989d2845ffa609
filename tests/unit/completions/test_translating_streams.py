"""Streams carried from one dialect to the other, at every split of their bytes."""

from itertools import pairwise
from typing import Any

import orjson
import pytest
from anthropic.types import Message, RawMessageStreamEvent
from hypothesis import given
from hypothesis import strategies as st
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import TypeAdapter

from sluicegate.completions.registry import codecs
from sluicegate.completions.sse import data_event, fields, named_event
from sluicegate.completions.translate import translator
from sluicegate.completions.types import RequestFacts, StreamTranslator
from sluicegate.kernel import errors
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.models import Dialect, Usage

CHAT, MESSAGES = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES
CODECS = codecs()
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
SAID = Usage(input_tokens=30, cached_input_tokens=60, output_tokens=20, reasoning_tokens=8)
CALLS = [
    {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"city":"Paris"}'}},
    {"id": "t2", "type": "function", "function": {"name": "find", "arguments": "{}"}},
]


def facts(*, include_usage: bool = True) -> RequestFacts:
    return RequestFacts(
        model="asked",
        stream=True,
        choices=1,
        max_output_tokens=None,
        input_bound=10,
        input_estimate=5,
        capabilities=frozenset(),
        include_usage=include_usage,
    )


def stream(client: Dialect, provider: Dialect, *, include_usage: bool = True) -> StreamTranslator:
    return translator(client, provider, FixedClock(1_000.0)).stream(facts(include_usage=include_usage))


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return data_event(
        {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up", "choices": choices}
        | more
    )


def piece(index: int, arguments: str, **more: Any) -> bytes:
    return chunk({"tool_calls": [{"index": index, **more, "function": {"arguments": arguments}}]})


def opening(index: int, call_id: str, name: str, arguments: str = "") -> bytes:
    function = {"name": name, "arguments": arguments}
    return chunk({"tool_calls": [{"index": index, "id": call_id, "type": "function", "function": function}]})


FIGURES = chunk(
    None,
    usage={
        "prompt_tokens": 90,
        "completion_tokens": 20,
        "total_tokens": 110,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 8},
    },
)
DONE = b"data: [DONE]\n\n"
CHAT_STREAM = b"".join(
    [
        chunk({"role": "assistant", "content": ""}),
        chunk({"reasoning_content": "hm"}),
        chunk({"content": "He"}),
        chunk({"content": 'l"lo'}),
        opening(0, "t1", "look"),
        piece(0, '{"city":'),
        piece(0, '"Paris"}'),
        opening(1, "t2", "find"),
        chunk({}, "tool_calls"),
        FIGURES,
        DONE,
    ]
)


def block(index: int, content: dict[str, Any], *deltas: dict[str, Any]) -> bytes:
    start = {"type": "content_block_start", "index": index, "content_block": content}
    return b"".join(
        [
            named_event("content_block_start", start),
            *(
                named_event(
                    "content_block_delta", {"type": "content_block_delta", "index": index, "delta": delta}
                )
                for delta in deltas
            ),
            named_event("content_block_stop", {"type": "content_block_stop", "index": index}),
        ]
    )


def start(**usage: int) -> bytes:
    message = {
        "id": "msg_1", "type": "message", "role": "assistant", "model": "up", "content": [],
        "stop_reason": None, "stop_sequence": None, "usage": {"output_tokens": 1, **usage},
    }  # fmt: skip
    return named_event("message_start", {"type": "message_start", "message": message})


def ending(stop: str, **usage: Any) -> bytes:
    delta = {"stop_reason": stop, "stop_sequence": None}
    return named_event(
        "message_delta", {"type": "message_delta", "delta": delta, "usage": usage}
    ) + named_event("message_stop", {"type": "message_stop"})


def tool(index: int, call_id: str, name: str, *arguments: str) -> bytes:
    content = {"type": "tool_use", "id": call_id, "name": name, "input": {}}
    return block(index, content, *({"type": "input_json_delta", "partial_json": text} for text in arguments))


MESSAGE_STREAM = b"".join(
    [
        start(input_tokens=30, cache_read_input_tokens=60),
        named_event("ping", {"type": "ping"}),
        block(
            0,
            {"type": "thinking", "thinking": "", "signature": ""},
            {"type": "thinking_delta", "thinking": "h"},
            {"type": "thinking_delta", "thinking": "m"},
            {"type": "signature_delta", "signature": "sig"},
        ),
        block(1, {"type": "redacted_thinking", "data": "xyz"}),
        block(
            2,
            {"type": "text", "text": ""},
            {"type": "text_delta", "text": "He"},
            {"type": "text_delta", "text": 'l"lo'},
        ),
        tool(3, "t1", "look", "", '{"city":', '"Paris"}'),
        tool(4, "t2", "find", ""),
        ending("tool_use", output_tokens=20, output_tokens_details={"thinking_tokens": 8}),
    ]
)


def chat_answer(translated: bytes, usage: Usage | None) -> dict[str, Any]:
    for event in translated.split(b"\n\n")[:-1]:
        data = fields(event)[1]
        if data != b"[DONE]":
            ChatCompletionChunk.model_validate_json(data, strict=True)
    assembler = CODECS[CHAT].assembler(1 << 20)
    assembler.feed(translated)
    answer = assembler.answer(usage)
    assert answer is not None
    ChatCompletion.model_validate(answer, strict=True)
    return answer


def message(translated: bytes, usage: Usage | None = None) -> dict[str, Any]:
    open_block: int | None = None
    for event in translated.split(b"\n\n")[:-1]:
        name, data = fields(event)
        said = EVENT.validate_json(data, strict=True)
        assert said.type == name.decode()
        if said.type == "content_block_start":
            assert open_block is None
            open_block = said.index
        elif said.type == "content_block_delta":
            assert open_block == said.index
        elif said.type == "content_block_stop":
            assert open_block == said.index
            open_block = None
    assert open_block is None
    assembler = CODECS[MESSAGES].assembler(1 << 20)
    assembler.feed(translated)
    answer = assembler.answer(usage)
    assert answer is not None
    Message.model_validate(answer, strict=True)
    return answer


@given(st.lists(st.integers(0, 10_000)), st.sampled_from([b"\n", b"\r\n"]))
def test_anthropics_stream_for_an_openai_client(cuts: list[int], end: bytes) -> None:
    meter = stream(CHAT, MESSAGES)
    out = (
        b"".join(meter.feed(part) for part in split(MESSAGE_STREAM.replace(b"\n", end), cuts)) + meter.close()
    )
    assert (meter.usage, meter.produced_tokens, meter.finished, meter.failed) == (SAID, 20, True, None)
    answer = chat_answer(out, meter.usage)
    assert (answer["id"], answer["model"], answer["created"]) == ("msg_1", "asked", 1000)
    choice = answer["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    said = choice["message"]
    assert (said["content"], said["reasoning_content"], said["tool_calls"]) == ('Hel"lo', "hm", CALLS)
    assert [{**proof, "index": None} for proof in said["thinking_blocks"]] == [
        {"index": None, "type": "thinking", "thinking": "hm", "signature": "sig"},
        {"index": None, "type": "redacted_thinking", "data": "xyz"},
    ]
    last = orjson.loads(out.split(b"\n\n")[-3].removeprefix(b"data: "))
    assert (last["choices"], last["usage"]["prompt_tokens"], last["usage"]["completion_tokens"]) == (
        [],
        90,
        20,
    )


@given(st.lists(st.integers(0, 10_000)), st.sampled_from([b"\n", b"\r\n"]))
def test_openais_stream_for_an_anthropic_client(cuts: list[int], end: bytes) -> None:
    meter = stream(MESSAGES, CHAT)
    out = b"".join(meter.feed(part) for part in split(CHAT_STREAM.replace(b"\n", end), cuts)) + meter.close()
    assert (meter.usage, meter.produced_tokens, meter.finished, meter.failed) == (SAID, 20, True, None)
    answer = message(out)
    assert (answer["id"], answer["model"], answer["stop_reason"]) == ("c1", "asked", "tool_use")
    assert answer["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": 'Hel"lo'},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "t2", "name": "find", "input": {}},
    ]
    assert CODECS[MESSAGES].usage(answer) == SAID


def test_openais_own_client_can_follow_the_translated_stream() -> None:
    state = ChatCompletionStreamState()
    for event in stream(CHAT, MESSAGES).feed(MESSAGE_STREAM).split(b"\n\n")[:-2]:
        state.handle_chunk(ChatCompletionChunk.model_validate_json(fields(event)[1]))
    answer = state.get_final_completion()
    assert answer.choices[0].message.content == 'Hel"lo'
    assert [call.function.arguments for call in answer.choices[0].message.tool_calls or []] == [
        '{"city":"Paris"}',
        "{}",
    ]
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 90


def test_what_is_said_early_is_passed_on_early() -> None:
    meter = stream(CHAT, MESSAGES)
    assert b'"role":"assistant"' in meter.feed(start(input_tokens=1))
    text = block(0, {"type": "text", "text": ""}, {"type": "text_delta", "text": "first words"})
    assert b"first words" in meter.feed(text[: text.index(b"event: content_block_stop")])
    meter = stream(MESSAGES, CHAT)
    assert b"message_start" in meter.feed(chunk({"role": "assistant", "content": ""}))
    assert b"first words" in meter.feed(chunk({"content": "first words"}))
    assert meter.produced_tokens == 1


def test_usage_is_kept_from_an_openai_client_that_did_not_ask() -> None:
    meter = stream(CHAT, MESSAGES, include_usage=False)
    out = meter.feed(MESSAGE_STREAM)
    assert b'"usage"' not in out
    assert meter.usage == SAID


def test_calls_that_take_turns_come_one_after_the_other() -> None:
    mixed = [
        opening(0, "t1", "look"),
        opening(1, "t2", "find"),
        piece(1, '{"a":'),
        piece(0, '{"city":'),
        piece(1, "1}"),
        piece(0, '"Paris"}'),
        chunk({"content": "after"}),
    ]
    meter = stream(MESSAGES, CHAT)
    out = b"".join(map(meter.feed, [*mixed, chunk({}, "tool_calls"), FIGURES, DONE]))
    assert message(out)["content"] == [
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "t2", "name": "find", "input": {"a": 1}},
        {"type": "text", "text": "after"},
    ]


def test_whole_calls_that_share_an_index_are_told_apart_by_their_ids() -> None:
    calls = opening(0, "t1", "look", '{"city":"Paris"}') + opening(0, "t2", "find", "{}")
    out = stream(MESSAGES, CHAT).feed(calls + chunk({}, "stop") + FIGURES + DONE)
    answer = message(out)
    assert [part["id"] for part in answer["content"]] == ["t1", "t2"]
    assert answer["stop_reason"] == "tool_use"


def test_figures_that_a_provider_never_says_are_counted() -> None:
    meter = stream(MESSAGES, CHAT)
    out = meter.feed(chunk({"content": "a"}) + chunk({"content": "b"}, "stop") + DONE)
    assert meter.usage is None
    assert message(out)["usage"]["output_tokens"] == meter.produced_tokens == 2


def test_refusals_both_ways() -> None:
    out = stream(MESSAGES, CHAT).feed(chunk({"refusal": "I won't."}) + chunk({}, "stop") + FIGURES + DONE)
    answer = message(out)
    assert (answer["content"], answer["stop_reason"]) == ([{"type": "text", "text": "I won't."}], "refusal")
    delta = {"stop_reason": "refusal", "stop_details": {"type": "refusal", "explanation": "No."}}
    end = named_event(
        "message_delta", {"type": "message_delta", "delta": delta, "usage": {"output_tokens": 3}}
    )
    meter = stream(CHAT, MESSAGES)
    out = meter.feed(start(input_tokens=1) + end + named_event("message_stop", {"type": "message_stop"}))
    choice = chat_answer(out, meter.usage)["choices"][0]
    assert (choice["message"]["refusal"], choice["finish_reason"]) == ("No.", "content_filter")


def test_a_providers_error_becomes_the_clients_once() -> None:
    failure = named_event(
        "error", {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    )
    meter = stream(CHAT, MESSAGES)
    out = meter.feed(start(input_tokens=1) + failure)
    assert isinstance(meter.failed, errors.OverloadedError)
    assert orjson.loads(out.split(b"\n\n")[1].removeprefix(b"data: "))["error"]["code"] == "overloaded"
    assert meter.feed(MESSAGE_STREAM) + meter.close() == b""
    meter = stream(MESSAGES, CHAT)
    out = meter.feed(
        chunk({"content": "a"}) + data_event({"error": {"message": "no", "type": "server_error"}})
    )
    assert out.count(b"event: error\n") == 1
    assert isinstance(meter.failed, errors.UpstreamError)


@pytest.mark.parametrize("client", [CHAT, MESSAGES])
def test_a_stream_that_is_cut_is_not_finished(client: Dialect) -> None:
    provider, data = (MESSAGES, MESSAGE_STREAM) if client is CHAT else (CHAT, CHAT_STREAM)
    meter = stream(client, provider)
    out = meter.feed(data[: len(data) // 2]) + meter.close()
    assert not meter.finished
    assert b"[DONE]" not in out
    assert b"message_stop" not in out


json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
NAMES = [
    "type", "index", "delta", "choices", "content", "tool_calls", "function", "arguments", "id", "usage",
    "content_block", "message", "text", "finish_reason", "error", "partial_json", "signature",
]  # fmt: skip
odd_objects = st.recursive(
    json_values, lambda inner: st.dictionaries(st.sampled_from(NAMES), inner, max_size=5), max_leaves=12
)
TYPES = ["content_block_start", "content_block_delta", "content_block_stop", "message_start", "message_delta"]


@given(st.lists(st.tuples(st.sampled_from(TYPES), odd_objects, odd_objects), max_size=8))
def test_odd_events_are_no_accident(odd: list[tuple[str, Any, Any]]) -> None:
    for client, provider in ((CHAT, MESSAGES), (MESSAGES, CHAT)):
        meter = stream(client, provider)
        for kind, first, second in odd:
            more = {"delta": second, "content_block": second, "message": second, "choices": [first, second]}
            base = first if isinstance(first, dict) else {"choices": first}
            meter.feed(named_event(kind, {**base, "type": kind, **more}))
        meter.feed(DONE + named_event("message_stop", {"type": "message_stop"}))
        meter.close()
