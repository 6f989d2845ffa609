"""Answers and streams of providers that speak something else, for clients of OpenAI responses."""

from typing import Any

import orjson
import pytest
from anthropic.types import Message
from hypothesis import given
from hypothesis import strategies as st
from openai.types.chat import ChatCompletion
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from sluicegate.completions.registry import codecs
from sluicegate.completions.sse import data_event, fields, named_event
from sluicegate.completions.translate import CanonicalTranslator, translator
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import RateLimitedError
from sluicegate.kernel.models import Dialect

RESPONSES, CHAT, MESSAGES = Dialect.OPENAI_RESPONSES, Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES
CODECS = codecs()
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
WHOLE: TypeAdapter[Any] = TypeAdapter(Response)
FUNCTION = {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"},
            "strict": True}  # fmt: skip
QUESTION = {"role": "user", "content": "What colour?"}
CHAT_CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}


def carry(provider: Dialect, given: Any, **more: Any) -> Json:
    return translator(RESPONSES, provider).request({"model": "m", "input": given, **more})


def carrier(provider: Dialect, **asked: Any) -> CanonicalTranslator:
    found = translator(RESPONSES, provider, FixedClock(1_000.0))
    if asked:
        found.request({"model": "asked", "input": "x", **asked})
    return found


def facts() -> RequestFacts:
    return RequestFacts("asked", stream=True, choices=1, max_output_tokens=None, input_bound=10,
                        input_estimate=5, capabilities=frozenset(), include_usage=True)  # fmt: skip


def whole(provider: Dialect, answer: Json, **asked: Any) -> Json:
    carried = carrier(provider, **asked).response(answer, "asked")
    WHOLE.validate_python(carried)
    return carried


def streamed(provider: Dialect, data: bytes, **asked: Any) -> list[Json]:
    stream = carrier(provider, **asked).stream(facts())
    out = b"".join(stream.feed(data[at : at + 50]) for at in range(0, len(data), 50)) + stream.close()
    events = []
    for event in out.split(b"\n\n"):
        if event:
            name, content = fields(event)
            parsed = orjson.loads(content)
            EVENT.validate_python(parsed)
            assert parsed["type"].encode() == name
            events.append(parsed)
    numbered = [event["sequence_number"] for event in events if event["type"] != "error"]
    assert numbered == list(range(len(numbered)))
    return events


def chat_answer(finish: str = "stop", **message: Any) -> Json:
    answer = {
        "id": "chatcmpl-Ab-9",
        "object": "chat.completion",
        "created": 5,
        "model": "up",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", **message},
                "logprobs": None,
                "finish_reason": finish,
            }
        ],
        "usage": {
            "prompt_tokens": 10,
            "completion_tokens": 6,
            "total_tokens": 16,
            "prompt_tokens_details": {"cached_tokens": 4},
            "completion_tokens_details": {"reasoning_tokens": 2},
        },
    }
    ChatCompletion.model_validate(
        {
            **answer,
            "choices": [
                {**answer["choices"][0], "message": {"content": None, **answer["choices"][0]["message"]}}
            ],
        }
    )
    return answer


def message_answer(stop: str, *blocks: Json, **more: Any) -> Json:
    answer = {
        "id": "msg_01Xy",
        "type": "message",
        "role": "assistant",
        "model": "up",
        "content": list(blocks),
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": {"input_tokens": 6, "cache_read_input_tokens": 4, "output_tokens": 6},
        **more,
    }
    Message.model_validate(answer)
    return answer


def test_an_answer_of_text_from_chat() -> None:
    answer = whole(
        CHAT, chat_answer(content="Hello"), tools=[FUNCTION], metadata={"a": "b"}, temperature=0.5,
        text={"verbosity": "low"}, instructions="Be kind.", store=True,
    )  # fmt: skip
    assert answer["id"] == "resp_Ab9"
    assert (answer["status"], answer["model"], answer["created_at"]) == ("completed", "asked", 1_000)
    assert answer["incomplete_details"] is None
    assert answer["output"] == [
        {
            "id": "msg_Ab900",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": "Hello", "annotations": [], "logprobs": []}],
        }
    ]
    assert answer["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 6,
        "output_tokens_details": {"reasoning_tokens": 2},
        "total_tokens": 16,
    }
    assert (answer["tools"], answer["metadata"], answer["temperature"]) == ([FUNCTION], {"a": "b"}, 0.5)
    assert (answer["instructions"], answer["store"]) == ("Be kind.", False)


def test_nothing_of_one_request_is_in_the_answer_to_another() -> None:
    whole(CHAT, chat_answer(content="a"), metadata={"secret": "1"})
    assert whole(CHAT, chat_answer(content="b"))["metadata"] == {}


@pytest.mark.parametrize(
    ("provider", "answer", "status", "reason"),
    [
        (CHAT, chat_answer("length", content="Hel"), "incomplete", "max_output_tokens"),
        (CHAT, chat_answer("content_filter", content="Hel"), "incomplete", "content_filter"),
        (CHAT, chat_answer("stop", content=None, refusal="No."), "completed", None),
        (CHAT, chat_answer("tool_calls", content=None, tool_calls=[CHAT_CALL]), "completed", None),
        (
            MESSAGES,
            message_answer("max_tokens", {"type": "text", "text": "Hel"}),
            "incomplete",
            "max_output_tokens",
        ),
        (MESSAGES, message_answer("refusal"), "incomplete", "content_filter"),
        (MESSAGES, message_answer("stop_sequence", {"type": "text", "text": "Hel"}), "completed", None),
    ],
)
def test_why_an_answer_ended(provider: Dialect, answer: Json, status: str, reason: str | None) -> None:
    carried = whole(provider, answer)
    assert carried["status"] == status
    assert (carried["incomplete_details"] or {}).get("reason") == reason
    events = streamed(provider, CODECS[provider].replay(answer, include_usage=True))
    assert events[-1]["type"] == f"response.{status}"
    assert events[-1]["response"] == carried


def test_reasoning_with_its_proof_comes_back_to_its_provider() -> None:
    blocks: list[Json] = [
        {"type": "thinking", "thinking": "Hm.", "signature": "sig=="},
        {"type": "redacted_thinking", "data": "secret"},
        {"type": "text", "text": "Let me see."},
        {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": 1}},
    ]
    answer = whole(MESSAGES, message_answer("tool_use", *blocks))
    shown = answer["output"][0]
    assert shown["content"] == [{"type": "reasoning_text", "text": "Hm."}]
    assert shown["summary"] == []
    summed = whole(MESSAGES, message_answer("tool_use", *blocks), reasoning={"summary": "auto"})
    assert summed["output"][0]["summary"] == [{"type": "summary_text", "text": "Hm."}]
    for output in (answer["output"], summed["output"]):
        result = {"type": "function_call_output", "call_id": "toolu_1", "output": "blue"}
        body = carry(MESSAGES, [QUESTION, *output, result], tools=[FUNCTION])
        assert body["messages"][1] == {"role": "assistant", "content": blocks}
        at_chat = carry(CHAT, [QUESTION, *output, result], tools=[FUNCTION])["messages"][1]
        assert at_chat["content"] == "Let me see."
        assert len(at_chat["tool_calls"]) == 1


def test_the_exact_events_of_text_then_a_call() -> None:
    answer = chat_answer("tool_calls", content="Hi", tool_calls=[CHAT_CALL])
    events = streamed(CHAT, CODECS[CHAT].replay(answer, include_usage=True))
    assert [event["type"].removeprefix("response.") for event in events] == [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "output_item.added",
        "function_call_arguments.delta",
        "function_call_arguments.done",
        "output_item.done",
        "completed",
    ]
    assert events[0]["response"]["status"] == "in_progress"
    assert events[2]["item"] == {
        "id": "msg_Ab900", "type": "message", "role": "assistant", "status": "in_progress", "content": []
    }  # fmt: skip
    assert events[8]["item"]["status"] == "in_progress"
    assert events[8]["item"]["arguments"] == ""
    assert events[10]["arguments"] == '{"a":1}'
    assert {event.get("item_id", "msg_Ab900") for event in events[2:8]} == {"msg_Ab900"}
    assert [event["output_index"] for event in events[2:12]] == [0] * 6 + [1] * 4


def test_the_exact_events_of_a_summary() -> None:
    blocks: list[Json] = [{"type": "thinking", "thinking": "Hm.", "signature": "sig"},
                          {"type": "text", "text": "Hi"}]  # fmt: skip
    data = CODECS[MESSAGES].replay(message_answer("end_turn", *blocks))
    asked = {"reasoning": {"summary": "auto"}}
    assert [event["type"].removeprefix("response.") for event in streamed(MESSAGES, data, **asked)][2:8] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    shown = [event["type"].removeprefix("response.") for event in streamed(MESSAGES, data)][2:8]
    assert shown[1:5] == [
        "content_part.added",
        "reasoning_text.delta",
        "reasoning_text.done",
        "content_part.done",
    ]


def test_calls_that_take_turns_stay_apart() -> None:
    def chunk(index: int, arguments: str, **more: Any) -> bytes:
        call = {"index": index, "function": {"arguments": arguments, **more.pop("function", {})}, **more}
        return data_event({"id": "c-1", "choices": [{"index": 0, "delta": {"tool_calls": [call]}}]})

    data = (
        chunk(0, '{"a"', id="x", function={"name": "f"})
        + chunk(1, '{"b"', id="y", function={"name": "g"})
        + chunk(0, ":1}")
        + chunk(1, ":2}")
        + chunk(2, "", id="z", function={"name": "h"})
        + data_event({"id": "c-1", "choices": [{"index": 0, "delta": {}, "finish_reason": "tool_calls"}]})
        + b"data: [DONE]\n\n"
    )
    events = streamed(CHAT, data)
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert [(item["call_id"], item["arguments"]) for item in done] == [
        ("x", '{"a":1}'),
        ("y", '{"b":2}'),
        ("z", "{}"),
    ]
    deltas: dict[str, str] = {}
    for event in events:
        if event["type"] == "response.function_call_arguments.delta":
            deltas[event["item_id"]] = deltas.get(event["item_id"], "") + event["delta"]
    assert deltas == {item["id"]: item["arguments"] for item in done}
    assert events[-1]["response"]["output"] == done


def test_a_call_cut_by_the_limit_is_incomplete() -> None:
    call = {"id": "t", "type": "function", "function": {"name": "f", "arguments": '{"a'}}
    answer = chat_answer("length", content=None, tool_calls=[call])
    events = streamed(CHAT, CODECS[CHAT].replay(answer, include_usage=True))
    assert events[-1]["response"]["output"][0]["status"] == "incomplete"
    assert events[-1]["response"]["output"][0]["arguments"] == '{"a'
    assert events[-1]["response"] == whole(CHAT, answer)


def test_an_error_in_the_stream_is_told_in_this_dialect() -> None:
    error = {"type": "error", "error": {"type": "rate_limit_error", "message": "slow"}}
    stream = carrier(MESSAGES).stream(facts())
    out = stream.feed(named_event("error", error))
    assert isinstance(stream.failed, RateLimitedError)
    name, content = fields(out)
    assert name == b"error"
    assert orjson.loads(content)["error"]["code"] == "rate_limit_exceeded"


TEXT = st.text(min_size=1, max_size=600).filter(lambda text: text < "\ud800" or True)
ARGUMENTS = st.dictionaries(st.text(max_size=4), st.text(max_size=300), max_size=2).map(
    lambda given: orjson.dumps(given).decode()
)
CALLS = st.lists(ARGUMENTS, max_size=3).map(
    lambda many: [
        {"id": f"call_{number}", "type": "function", "function": {"name": "f", "arguments": text}}
        for number, text in enumerate(many)
    ]
)


@given(content=TEXT | st.none(), thought=TEXT | st.none(), calls=CALLS, summary=st.booleans(),
       finish=st.sampled_from(["stop", "length", "content_filter"]))  # fmt: skip
def test_streamed_or_whole_an_answer_from_chat_is_the_same(
    content: str | None, thought: str | None, calls: list[Json], *, summary: bool, finish: str
) -> None:
    # In the order in which it is streamed.
    message: Json = {} if thought is None else {"reasoning_content": thought}
    message["content"] = content
    if calls:
        message["tool_calls"] = calls
    answer = chat_answer(finish, **message)
    asked: Json = {"reasoning": {"summary": "auto"}} if summary else {}
    events = streamed(CHAT, CODECS[CHAT].replay(answer, include_usage=True), **asked)
    assert events[-1]["response"] == whole(CHAT, answer, **asked)


BLOCKS = st.lists(
    st.one_of(
        st.builds(lambda text: {"type": "text", "text": text}, TEXT),
        st.builds(lambda text: {"type": "thinking", "thinking": text, "signature": "s" + text}, TEXT),
        st.builds(lambda text: {"type": "redacted_thinking", "data": text}, TEXT),
        st.builds(
            lambda text: {"type": "tool_use", "id": "t" + text, "name": "f", "input": {"a": text}}, TEXT
        ),
    ),
    max_size=5,
)


@given(blocks=BLOCKS)
def test_streamed_or_whole_an_answer_from_anthropic_is_the_same(blocks: list[Json]) -> None:
    answer = message_answer("end_turn", *blocks)
    events = streamed(MESSAGES, CODECS[MESSAGES].replay(answer))
    assert events[-1]["response"] == whole(MESSAGES, answer)
