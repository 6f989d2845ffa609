"""What a request asks for that the other dialect has no place for: refused by the field's name."""

import base64
from typing import Any

import pytest

from sluicegate.completions.registry import codecs
from sluicegate.completions.translate import translator
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

CHAT, MESSAGES = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES
CODECS = codecs()
QUESTION = {"role": "user", "content": "x"}
PNG = base64.b64encode(b"png").decode()


def to_anthropic(**fields: Any) -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **fields}
    CODECS[CHAT].inspect(body, 1_000)
    translator(CHAT, MESSAGES).request(body)


def to_openai(**fields: Any) -> None:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}], **fields}
    CODECS[MESSAGES].inspect(body, 1_000)
    translator(MESSAGES, CHAT).request(body)


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def call(call_id: str, arguments: str, name: str = "look") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"logit_bias": {"1": 5}}, "logit_bias"),
        ({"presence_penalty": 0.5}, "presence_penalty"),
        ({"frequency_penalty": 0.5}, "frequency_penalty"),
        ({"verbosity": "low"}, "verbosity"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema.schema"),
        ({"modalities": ["text", "audio"], "audio": {}}, "audio"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"tools": [{"type": "custom", "custom": {"name": "f"}}]}, "tools.0"),
        (
            {"tools": [{"type": "function", "function": {"name": "f", "parameters": 7}}]},
            "tools.0.function.parameters",
        ),
        ({"tool_choice": 7}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": 2.5}, "temperature"),
        ({"seed": 1.5}, "seed"),
        ({"messages": [{"role": "system", "content": ""}]}, "messages"),
        ({"messages": [user({"type": "text", "text": ""})]}, "messages.0.content"),
        ({"messages": [QUESTION, {"role": "assistant", "content": "y"}]}, "messages.1"),
        (
            {"messages": [QUESTION, {"role": "assistant", "tool_calls": [call("c", "{broken")]}, QUESTION]},
            "messages.1.content",
        ),
        (
            {"messages": [user({"type": "input_audio", "input_audio": {"data": "", "format": "wav"}})]},
            "messages.0.content",
        ),
        ({"messages": [user({"type": "file", "file": {"file_id": "f"}})]}, "messages.0.content"),
        (
            {"messages": [user({"type": "image_url", "image_url": {"url": "data:image/tiff;base64,AA"}})]},
            "messages.0.content",
        ),
        (
            {"messages": [user({"type": "image_url", "image_url": {"url": "data:nothing"}})]},
            "messages.0.content.0.image_url.url",
        ),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, "messages.0.role"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_to_anthropic_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        to_anthropic(**fields)
    assert caught.value.param == param


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"top_k": 5}, "top_k"),
        ({"stop_sequences": list("abcde")}, "stop_sequences"),
        ({"container": "c"}, "container"),
        ({"thread": {"type": "continue", "previous_message_id": "msg_1"}}, "thread"),
        ({"compaction": {"type": "compaction"}}, "compaction"),
        ({"inference_geo": "eu"}, "inference_geo"),
        ({"mcp_servers": [{}]}, "mcp_servers"),
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, "tools.0"),
        ({"messages": [QUESTION, {"role": "assistant", "content": "Sure, "}]}, "messages.1"),
        ({"messages": [user({"type": "search_result", "content": []})]}, "messages.0.content"),
        (
            {"messages": [user({"type": "image", "source": {"type": "file", "file_id": "f"}})]},
            "messages.0.content",
        ),
        (
            {"messages": [user({"type": "document", "source": {"type": "url", "url": "u"}})]},
            "messages.0.content",
        ),
        (
            {
                "messages": [
                    user(
                        {
                            "type": "document",
                            "source": {"type": "text", "media_type": "text/plain", "data": "x"},
                            "citations": {"enabled": True},
                        }
                    )
                ]
            },
            "messages.0.content",
        ),
        ({"tool_choice": {"type": "some"}}, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, "tool_choice.name"),
        ({"output_config": {"format": {"type": "json_schema"}}}, "output_config.format.schema"),
        ({"temperature": 1.5}, "temperature"),
    ],
)  # fmt: skip
def test_what_cannot_be_carried_to_openai_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        to_openai(**fields)
    assert caught.value.param == param
