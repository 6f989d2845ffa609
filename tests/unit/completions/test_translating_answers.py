"""Whole answers and errors carried from one dialect to the other."""

from typing import Any

import orjson
import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion

from sluicegate.completions.registry import codecs
from sluicegate.completions.translate import translator
from sluicegate.kernel import errors
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.models import Dialect

CHAT, MESSAGES = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES
CODECS = codecs()
CLOCK = FixedClock(1_000.0)


def to_openai(**fields: Any) -> dict[str, Any]:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "upstream",
        "content": [{"type": "text", "text": "Hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 2},
        **fields,
    }
    out = translator(CHAT, MESSAGES, CLOCK).response(message, "asked")
    ChatCompletion.model_validate(out, strict=True)
    assert CODECS[CHAT].usage(out) == CODECS[MESSAGES].usage(message)
    return out


def to_anthropic(finish: str | None = "stop", usage: Any = None, **message: Any) -> dict[str, Any]:
    answer = {
        "id": "c1",
        "object": "chat.completion",
        "created": 1,
        "model": "upstream",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": usage,
    }
    out = translator(MESSAGES, CHAT, CLOCK).response(answer, "asked")
    Message.model_validate(out, strict=True)
    return out


def test_text_to_openai() -> None:
    assert to_openai() == {
        "id": "msg_1",
        "object": "chat.completion",
        "created": 1000,
        "model": "asked",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hi", "refusal": None},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {
            "prompt_tokens": 3,
            "completion_tokens": 2,
            "total_tokens": 5,
            "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": 0},
        },
    }


def test_text_to_anthropic() -> None:
    usage = {
        "prompt_tokens": 100,
        "completion_tokens": 20,
        "total_tokens": 120,
        "prompt_tokens_details": {"cached_tokens": 60},
        "completion_tokens_details": {"reasoning_tokens": 5},
    }
    out = to_anthropic(content="Hi", usage=usage)
    assert out["content"] == [{"type": "text", "text": "Hi"}]
    assert (out["id"], out["model"], out["stop_reason"]) == ("c1", "asked", "end_turn")
    assert (out["usage"]["input_tokens"], out["usage"]["cache_read_input_tokens"]) == (40, 60)
    assert out["usage"]["output_tokens"] == 20
    assert out["usage"]["output_tokens_details"] == {"thinking_tokens": 5}


def test_everything_a_message_can_hold_to_openai() -> None:
    usage = {
        "input_tokens": 3,
        "output_tokens": 9,
        "cache_read_input_tokens": 5,
        "cache_creation_input_tokens": 7,
        "output_tokens_details": {"thinking_tokens": 4},
    }
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "text", "text": "One"},
        {"type": "text", "text": "Two", "citations": []},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "t2", "name": "find", "input": {}},
    ]
    out = to_openai(content=content, stop_reason="tool_use", usage=usage)
    message = out["choices"][0]["message"]
    assert message["content"] == "OneTwo"
    assert message["reasoning_content"] == "hm"
    assert message["thinking_blocks"] == content[:2]
    assert [call["function"] for call in message["tool_calls"]] == [
        {"name": "look", "arguments": '{"city":"Paris"}'},
        {"name": "find", "arguments": "{}"},
    ]
    assert out["choices"][0]["finish_reason"] == "tool_calls"
    assert out["usage"]["prompt_tokens"] == 15
    assert out["usage"]["prompt_tokens_details"] == {"cached_tokens": 5, "cache_write_tokens": 7}


def test_everything_a_choice_can_hold_to_anthropic() -> None:
    calls = [
        {"id": "t1", "type": "function", "function": {"name": "look", "arguments": '{"city":"Paris"}'}},
        {"id": "t2", "type": "function", "function": {"name": "find", "arguments": ""}},
        {"id": "t3", "type": "function", "function": {"name": "bad", "arguments": '{"city'}},
    ]
    out = to_anthropic("tool_calls", content="Hi", reasoning_content="hm", tool_calls=calls)
    assert out["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": ""},
        {"type": "text", "text": "Hi"},
        {"type": "tool_use", "id": "t1", "name": "look", "input": {"city": "Paris"}},
        {"type": "tool_use", "id": "t2", "name": "find", "input": {}},
        {"type": "tool_use", "id": "t3", "name": "bad", "input": {"invalid_json": '{"city'}},
    ]
    assert out["stop_reason"] == "tool_use"


@pytest.mark.parametrize(
    ("stop", "finish"),
    [
        ("end_turn", "stop"),
        ("max_tokens", "length"),
        ("model_context_window_exceeded", "length"),
        ("stop_sequence", "stop"),
        ("tool_use", "tool_calls"),
        ("pause_turn", "stop"),
        ("refusal", "content_filter"),
    ],
)
def test_why_it_ended_to_openai(stop: str, finish: str) -> None:
    assert to_openai(stop_reason=stop)["choices"][0]["finish_reason"] == finish


@pytest.mark.parametrize(
    ("finish", "stop"),
    [
        ("stop", "end_turn"),
        ("length", "max_tokens"),
        ("tool_calls", "tool_use"),
        ("content_filter", "refusal"),
        ("invented", "end_turn"),
        (None, "end_turn"),
    ],
)
def test_why_it_ended_to_anthropic(finish: str | None, stop: str) -> None:
    assert to_anthropic(finish, content="x")["stop_reason"] == stop


def test_a_tool_call_that_a_provider_calls_a_stop_is_a_tool_call() -> None:
    calls = [{"id": "t1", "type": "function", "function": {"name": "look", "arguments": "{}"}}]
    assert to_anthropic("stop", content=None, tool_calls=calls)["stop_reason"] == "tool_use"


def test_refusals_both_ways() -> None:
    out = to_anthropic("stop", content=None, refusal="I won't.")
    assert (out["content"], out["stop_reason"]) == ([{"type": "text", "text": "I won't."}], "refusal")
    details = {"type": "refusal", "category": "cyber", "explanation": "No."}
    back = to_openai(content=[], stop_reason="refusal", stop_details=details)
    assert back["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "No."}


@pytest.mark.parametrize("answer", [{}, {"choices": None}, {"choices": ["x"]}, {"choices": [{"message": 7}]}])
def test_an_odd_answer_of_openai_is_an_empty_one(answer: dict[str, Any]) -> None:
    out = translator(MESSAGES, CHAT).response(answer, "asked")
    Message.model_validate(out, strict=True)
    assert out["content"] == []


def test_an_odd_answer_of_anthropic_is_an_empty_one() -> None:
    for content in (None, ["x"], [{"type": "text", "text": None}], [{"type": "tool_use", "input": None}]):
        ChatCompletion.model_validate(
            translator(CHAT, MESSAGES).response({"content": content}, "asked"), strict=True
        )


@pytest.mark.parametrize(
    ("status", "body", "kind", "words"),
    [
        (400, {"error": {"message": "bad schema"}}, errors.InvalidRequestError, "bad schema"),
        (422, {"error": "text only"}, errors.InvalidRequestError, "text only"),
        (401, {"error": {"message": "wrong key sk-secret"}}, errors.UpstreamError, "operator"),
        (403, {}, errors.UpstreamError, "operator"),
        (404, {"error": {"message": "no such model"}}, errors.UpstreamError, "no such model"),
        (413, {"error": {"type": "request_too_large"}}, errors.PayloadTooLargeError, "too large"),
        (429, {"error": {"type": "rate_limit_error", "message": "slow"}}, errors.RateLimitedError, "slow"),
        (429, {"error": {"code": "insufficient_quota", "message": "pay"}}, errors.UpstreamError, "operator"),
        (500, {"message": "top level"}, errors.UpstreamError, "top level"),
        (503, [], errors.OverloadedError, "overloaded"),
        (529, {"type": "error", "error": {"type": "overloaded_error"}}, errors.OverloadedError, "overloaded"),
        (504, None, errors.UpstreamTimeoutError, "in time"),
    ],
)
def test_a_providers_error_becomes_ours(
    status: int, body: Any, kind: type[errors.SluicegateError], words: str
) -> None:
    error = translator(CHAT, MESSAGES).error(status, orjson.dumps(body))
    assert type(error) is kind
    assert words in error.message
    assert "sk-secret" not in error.message


def test_an_error_page_is_no_error_of_ours() -> None:
    error = translator(CHAT, MESSAGES).error(502, b"<html>Bad gateway</html>")
    assert type(error) is errors.UpstreamError
    assert "html" not in error.message
