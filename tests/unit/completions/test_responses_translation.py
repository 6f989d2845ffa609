"""Requests of OpenAI responses clients, carried to providers that speak something else."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.completions.registry import codecs
from sluicegate.completions.translate import translator
from sluicegate.completions.types import Json
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

RESPONSES, CHAT, MESSAGES = Dialect.OPENAI_RESPONSES, Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES
CODECS = codecs()
PNG = "data:image/png;base64,QUJD"
FUNCTION = {"type": "function", "name": "look", "description": "Looks.", "parameters": {"type": "object"},
            "strict": True}  # fmt: skip
CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "look", "arguments": '{"a":1}'}
CALL_OUTPUT = {"type": "function_call_output", "call_id": "call_1", "output": "blue"}
QUESTION = {"role": "user", "content": "What colour?"}
CHAT_CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": '{"a":1}'}}


def shown(part: Json) -> Json:
    return {"role": "user", "content": [part]}


def carry(provider: Dialect, given: Any = "Hello", **more: Any) -> Json:
    body = {"model": "m", "input": given, **more}
    CODECS[RESPONSES].inspect(body, 10)
    before = orjson.dumps(body)
    carried = translator(RESPONSES, provider).request(body)
    assert orjson.dumps(body) == before
    CODECS[provider].inspect(carried, 10)
    return carried


def test_a_plain_request_at_chat() -> None:
    body = carry(CHAT, instructions="Be kind.", max_output_tokens=9, temperature=0.5, top_p=0.9, user="u",
                 stream=True, text={"verbosity": "low"}, reasoning={"effort": "low", "summary": "auto"},
                 metadata={"a": "b"}, store=True, truncation="auto", prompt_cache_key="k")  # fmt: skip
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hello"}],
        "max_completion_tokens": 9,
        "temperature": 0.5,
        "top_p": 0.9,
        "user": "u",
        "verbosity": "low",
        "reasoning_effort": "low",
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_compaction_is_left_out_since_it_only_shortens() -> None:
    managed = carry(CHAT, context_management=[{"type": "compaction", "compact_threshold": 1_000}])
    assert managed == carry(CHAT)


def test_a_plain_request_at_anthropic() -> None:
    body = carry(MESSAGES, instructions="Be kind.", max_output_tokens=9, safety_identifier="u",
                 reasoning={"effort": "low"}, service_tier="default")  # fmt: skip
    assert body == {
        "model": "m",
        "system": "Be kind.",
        "messages": [{"role": "user", "content": "Hello"}],
        "max_tokens": 9,
        "metadata": {"user_id": "u"},
        "thinking": {"type": "adaptive"},
        "output_config": {"effort": "low"},
        "service_tier": "standard_only",
    }


def test_a_conversation_with_tools_at_chat() -> None:
    body = carry(
        CHAT,
        [
            {"role": "developer", "content": "Use tools."},
            {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hi"}]},
            {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"},
            {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
             "content": [{"type": "output_text", "text": "Let me see.", "annotations": []}]},
            CALL,
            {**CALL, "call_id": "call_2"},
            CALL_OUTPUT,
            {**CALL_OUTPUT, "call_id": "call_2", "output": [{"type": "input_text", "text": "red"}]},
            {"role": "assistant", "content": "Blue."},
            {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
            QUESTION,
        ],
        tools=[FUNCTION],
        tool_choice={"type": "function", "name": "look"},
        parallel_tool_calls=False,
    )  # fmt: skip
    assert body["messages"] == [
        {"role": "developer", "content": "Use tools."},
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [CHAT_CALL, {**CHAT_CALL, "id": "call_2"}],
        },
        {"role": "tool", "tool_call_id": "call_1", "content": "blue"},
        {"role": "tool", "tool_call_id": "call_2", "content": "red"},
        {"role": "assistant", "content": "Blue."},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]},
        QUESTION,
    ]
    assert body["tools"] == [
        {
            "type": "function",
            "function": {key: FUNCTION[key] for key in ("name", "description", "parameters", "strict")},
        }
    ]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert body["parallel_tool_calls"] is False


def test_a_message_between_a_call_and_its_result_keeps_them_together() -> None:
    said = {"role": "assistant", "content": "One moment."}
    body = carry(CHAT, [QUESTION, CALL, said, CALL_OUTPUT])
    assert [message["role"] for message in body["messages"]] == ["user", "assistant", "tool"]
    assert body["messages"][1]["content"] == "One moment."


def test_a_conversation_with_tools_at_anthropic() -> None:
    body = carry(
        MESSAGES,
        [QUESTION, CALL, CALL_OUTPUT],
        tools=[FUNCTION],
        tool_choice={"type": "allowed_tools", "mode": "required",
                     "tools": [{"type": "function", "name": "look"}]},
    )  # fmt: skip
    assert body["messages"] == [
        QUESTION,
        {
            "role": "assistant",
            "content": [{"type": "tool_use", "id": "call_1", "name": "look", "input": {"a": 1}}],
        },
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "call_1", "content": "blue"}]},
    ]
    assert body["tool_choice"] == {"type": "any"}


def test_pictures_and_files() -> None:
    text = "data:text/plain;base64,SGk="
    parts = [
        {"type": "input_image", "image_url": PNG, "detail": "low"},
        {"type": "input_image", "image_url": "https://a.b/c.png"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"},
        {"type": "input_file", "file_data": text, "filename": "a.txt"},
    ]
    at_chat = carry(CHAT, [{"role": "user", "content": parts}])["messages"][0]["content"]
    assert at_chat == [
        {"type": "image_url", "image_url": {"url": PNG, "detail": "low"}},
        {"type": "image_url", "image_url": {"url": "https://a.b/c.png"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,QUJD", "filename": "a.pdf"}},
        {"type": "text", "text": "a.txt\n\nHi"},
    ]
    at_anthropic = carry(MESSAGES, [{"role": "user", "content": parts}])["messages"][0]["content"]
    assert [block["type"] for block in at_anthropic] == ["image", "image", "document", "document"]
    assert at_anthropic[2]["title"] == "a.pdf"
    audio = {"type": "input_audio", "input_audio": {"data": "QUJD", "format": "mp3"}}
    assert carry(CHAT, [{"role": "user", "content": [audio]}])["messages"][0]["content"] == [audio]


@pytest.mark.parametrize("kind", ["text", "json_object"])
def test_simple_formats(kind: str) -> None:
    assert carry(CHAT, text={"format": {"type": kind}})["response_format"] == {"type": kind}


def test_a_schema_for_the_answer() -> None:
    schema = {"type": "object", "properties": {}, "additionalProperties": False}
    text = {
        "format": {"type": "json_schema", "name": "n", "schema": schema, "strict": True, "description": "d"}
    }
    assert carry(CHAT, text=text)["response_format"] == {
        "type": "json_schema",
        "json_schema": {"name": "n", "schema": schema, "strict": True, "description": "d"},
    }
    assert carry(MESSAGES, text=text)["output_config"] == {
        "format": {"type": "json_schema", "schema": schema}
    }


@pytest.mark.parametrize(
    ("provider", "more", "param"),
    [
        (CHAT, {"previous_response_id": "resp_1"}, "previous_response_id"),
        (CHAT, {"conversation": "conv_1"}, "conversation"),
        (CHAT, {"background": True}, "background"),
        (CHAT, {"prompt": {"id": "p"}}, "prompt"),
        (CHAT, {"include": ["message.output_text.logprobs"]}, "include"),
        (CHAT, {"top_logprobs": 2}, "top_logprobs"),
        (CHAT, {"tools": [{"type": "web_search"}]}, "tools.0"),
        (CHAT, {"tools": [{"type": "custom", "name": "run"}]}, "tools.0"),
        (CHAT, {"tools": [FUNCTION], "tool_choice": {"type": "web_search"}}, "tool_choice"),
        (CHAT, {"tools": [{**FUNCTION, "strict": "very"}]}, "tools.0.strict"),
        (CHAT, {"tools": [{**FUNCTION, "parameters": []}]}, "tools.0.parameters"),
        (CHAT, {"parallel_tool_calls": 1}, "parallel_tool_calls"),
        (CHAT, {"text": {"format": {"type": "json_schema", "name": "n"}}}, "text.format.schema"),
        (CHAT, {"temperature": 3}, "temperature"),
        (CHAT, {"given": [{"type": "item_reference", "id": "msg_1"}]}, "input.0"),
        (CHAT, {"given": [{"id": "msg_1"}]}, "input.0"),
        (CHAT, {"given": [QUESTION, {"type": "computer_call", "id": "c"}]}, "input.1"),
        (CHAT, {"given": [QUESTION, {"role": "assistant", "content": "So"}]}, "input.1"),
        (CHAT, {"given": [shown({"type": "input_image", "file_id": "f"})]}, "input.0.content"),
        (CHAT, {"given": [shown({"type": "input_video"})]}, "input.0.content.0.type"),
        (CHAT, {"given": [shown({"type": "input_image", "image_url": "data:,x"})]},
         "input.0.content.0.image_url"),
        (CHAT, {"given": [shown({"type": "input_file", "file_data": "data:text/plain;base64,/w=="})]},
         "input.0.content.0.file_data"),
        (MESSAGES, {"text": {"verbosity": "high"}}, "text.verbosity"),
        (MESSAGES, {"text": {"format": {"type": "json_object"}}}, "text.format"),
        (MESSAGES, {"given": [{"role": "system", "content": ""}]}, "input"),
        (CHAT, {"moderation": {"model": "m"}}, "moderation"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_is_refused_by_the_clients_own_name(
    provider: Dialect, more: Json, param: str
) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        carry(provider, **{"given": "Hello", **more})
    assert caught.value.param == param
    assert f"'{param}'" in caught.value.message


def test_there_is_no_way_from_elsewhere_to_a_provider_of_responses_alone() -> None:
    with pytest.raises(InvalidRequestError):
        translator(CHAT, RESPONSES)


WORDS = ["x", "user", "assistant", "input_text", "message", "reasoning", "data:a/b;base64,QQ=="]
KEYS = ["type", "role", "content", "text", "name", "summary", "image_url", "encrypted_content"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(WORDS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5),
    max_leaves=20,
)


@given(
    given=st.just("x") | st.lists(JSON, min_size=1, max_size=3),
    more=st.dictionaries(
        st.sampled_from(["tools", "tool_choice", "text", "reasoning", "top_p", "metadata"]), JSON
    ),
    provider=st.sampled_from([CHAT, MESSAGES]),
)
def test_any_request_is_carried_or_refused(given: Any, more: Json, provider: Dialect) -> None:
    body = {"model": "m", "input": given, **more}
    named: str | None = "nothing was refused"
    try:
        CODECS[RESPONSES].inspect(body, 10)
        translator(RESPONSES, provider).request(body)
    except InvalidRequestError as error:
        named = error.param
    assert named
