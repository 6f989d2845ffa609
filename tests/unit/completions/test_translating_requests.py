"""Requests carried from one dialect to the other: what stays as it was meant."""

import base64
from typing import Any

import orjson
import pytest
from anthropic.types.message_create_params import MessageCreateParamsBase
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from pydantic import ConfigDict, TypeAdapter, with_config

from sluicegate.completions.anthropic.encode import DEFAULT_MAX_TOKENS
from sluicegate.completions.anthropic.form import MessagesForm
from sluicegate.completions.openai_chat.form import ChatForm
from sluicegate.completions.registry import codecs
from sluicegate.completions.translate import CanonicalTranslator, translator
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

CHAT, MESSAGES = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES
CODECS = codecs()
CHAT_BODY: TypeAdapter[Any] = TypeAdapter(with_config(ConfigDict(strict=False))(CompletionCreateParamsBase))
MESSAGES_BODY: TypeAdapter[Any] = TypeAdapter(with_config(ConfigDict(strict=False))(MessageCreateParamsBase))
PNG = base64.b64encode(b"png").decode()
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def to_anthropic(**fields: Any) -> dict[str, Any]:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **fields}
    CODECS[CHAT].inspect(body, 1_000)
    out = translator(CHAT, MESSAGES).request(body)
    MESSAGES_BODY.validate_python(out)
    CODECS[MESSAGES].inspect(out, 1_000)
    return out


def to_openai(**fields: Any) -> dict[str, Any]:
    body = {"model": "m", "max_tokens": 9, "messages": [{"role": "user", "content": "Hello"}], **fields}
    CODECS[MESSAGES].inspect(body, 1_000)
    out = translator(MESSAGES, CHAT).request(body)
    CHAT_BODY.validate_python(out)
    CODECS[CHAT].inspect(out, 1_000)
    return out


def user(*parts: Any) -> dict[str, Any]:
    return {"role": "user", "content": list(parts)}


def test_a_plain_question_to_anthropic() -> None:
    assert to_anthropic(stream=True, stream_options={"include_usage": True}) == {
        "model": "m",
        "max_tokens": DEFAULT_MAX_TOKENS,
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
    }


def test_a_plain_question_to_openai() -> None:
    assert to_openai(stream=True) == {
        "model": "m",
        "max_completion_tokens": 9,
        "messages": [{"role": "user", "content": "Hello"}],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_system_messages_come_first_in_their_order() -> None:
    messages = [
        {"role": "system", "content": "One"},
        {"role": "developer", "content": [{"type": "text", "text": "Two"}]},
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"},
        {"role": "developer", "content": "Three"},
        {"role": "user", "content": "Go"},
    ]
    out = to_anthropic(messages=messages)
    assert [block["text"] for block in out["system"]] == ["One", "Two", "Three"]
    assert [message["role"] for message in out["messages"]] == ["user", "assistant", "user"]
    keeping = CanonicalTranslator(ChatForm(), MessagesForm(keep_system_turns=True), FixedClock())
    out = keeping.request({"model": "m", "messages": messages})
    assert [block["text"] for block in out["system"]] == ["One", "Two"]
    assert out["messages"][2] == {"role": "system", "content": "Three"}


def test_a_system_prompt_to_openai() -> None:
    assert to_openai(system="Be brief")["messages"][0] == {"role": "system", "content": "Be brief"}
    blocks = [
        {"type": "text", "text": "A", "cache_control": {"type": "ephemeral"}},
        {"type": "text", "text": "B"},
    ]
    assert to_openai(system=blocks)["messages"][0]["content"] == [
        {"type": "text", "text": "A"},
        {"type": "text", "text": "B"},
    ]
    middle = [
        {"role": "user", "content": "a"},
        {"role": "system", "content": "b"},
        {"role": "user", "content": "c"},
    ]
    assert to_openai(messages=middle)["messages"] == middle


def test_images_both_ways() -> None:
    inline = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}", "detail": "low"}}
    linked = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    out = to_anthropic(messages=[user(inline, linked)])
    blocks = [
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
        {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
    ]
    assert out["messages"][0]["content"] == blocks
    inline["image_url"].pop("detail")
    assert to_openai(messages=[user(*blocks)])["messages"][0]["content"] == [inline, linked]


def test_documents_both_ways() -> None:
    file = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{PNG}", "filename": "a.pdf"}}
    note = base64.b64encode("grüß".encode()).decode()
    text = {"type": "file", "file": {"file_data": f"data:text/plain;base64,{note}", "filename": "a.txt"}}
    pdf_block, text_block = to_anthropic(messages=[user(file, text)])["messages"][0]["content"]
    assert pdf_block == {
        "type": "document",
        "source": {"type": "base64", "media_type": "application/pdf", "data": PNG},
        "title": "a.pdf",
    }
    assert text_block["source"] == {"type": "text", "media_type": "text/plain", "data": "grüß"}
    nested = {
        "type": "document",
        "title": "T",
        "source": {"type": "content", "content": [{"type": "text", "text": "inner"}]},
    }
    out = to_openai(messages=[user(pdf_block, text_block, nested)])["messages"][0]["content"]
    assert out == [
        file,
        {"type": "text", "text": "a.txt\n\ngrüß"},
        {"type": "text", "text": "T"},
        {"type": "text", "text": "inner"},
    ]


def call(call_id: str, arguments: str, name: str = "look") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def test_parallel_tool_calls_and_their_results() -> None:
    messages = [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": "Let me see.",
            "tool_calls": [call("c1", '{"city":"Paris"}'), call("c2", "")],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "rain"}]},
        {"role": "user", "content": "Thanks"},
    ]
    out = to_anthropic(messages=messages)["messages"]
    assert out == [
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Let me see."},
                {"type": "tool_use", "id": "c1", "name": "look", "input": {"city": "Paris"}},
                {"type": "tool_use", "id": "c2", "name": "look", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "c1", "content": "sunny"},
                {"type": "tool_result", "tool_use_id": "c2", "content": "rain"},
                {"type": "text", "text": "Thanks"},
            ],
        },
    ]
    back = to_openai(messages=out)["messages"]
    messages[1]["tool_calls"][1]["function"]["arguments"] = "{}"  # type: ignore[index]
    messages[3]["content"] = "rain"
    assert back == messages


def test_results_with_pictures_and_errors() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}}
    calls = [{"type": "tool_use", "id": name, "name": "look", "input": {}} for name in ("t1", "t2", "t3")]
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": calls},
        user(
            {"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "text", "text": "see"}, image]},
            {"type": "tool_result", "tool_use_id": "t2", "content": "it broke", "is_error": True},
            {"type": "tool_result", "tool_use_id": "t3"},
        ),
    ]
    out = to_openai(messages=messages)["messages"]
    assert out[1]["content"] is None
    assert out[2:5] == [
        {"role": "tool", "tool_call_id": "t1", "content": "see"},
        {"role": "tool", "tool_call_id": "t2", "content": "Error: it broke"},
        {"role": "tool", "tool_call_id": "t3", "content": ""},
    ]
    assert [part["type"] for part in out[5]["content"]] == ["text", "image_url"]
    assert "t1" in out[5]["content"][0]["text"]


def test_ids_that_anthropic_does_not_take_are_replaced_alike_everywhere() -> None:
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [call("call.1/ä", "{}")]},
        {"role": "tool", "tool_call_id": "call.1/ä", "content": "y"},
    ]
    out = to_anthropic(messages=messages)["messages"]
    assert out[1]["content"][0]["id"] == out[2]["content"][0]["tool_use_id"]
    assert out[1]["content"][0]["id"].replace("_", "").isalnum()


def test_tools_both_ways() -> None:
    tools = [
        {
            "type": "function",
            "function": {"name": "look", "description": "d", "parameters": SCHEMA, "strict": True},
        },
        {"type": "function", "function": {"name": "bare"}},
    ]
    out = to_anthropic(tools=tools)
    assert out["tools"] == [
        {"name": "look", "description": "d", "input_schema": SCHEMA, "strict": True},
        {"name": "bare", "input_schema": {"type": "object", "properties": {}}},
    ]
    assert "tool_choice" not in out
    assert to_openai(tools=out["tools"][:1])["tools"] == tools[:1]


TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("look", "find")]


@pytest.mark.parametrize(
    ("openai", "anthropic"),
    [
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        (
            {"tool_choice": {"type": "function", "function": {"name": "look"}}},
            {"type": "tool", "name": "look"},
        ),
        (
            {"tool_choice": "required", "parallel_tool_calls": False},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        (
            {"tool_choice": "auto", "parallel_tool_calls": True},
            {"type": "auto", "disable_parallel_tool_use": False},
        ),
    ],
)
def test_tool_choice_both_ways(openai: dict[str, Any], anthropic: dict[str, Any]) -> None:
    out = to_anthropic(tools=TOOLS, **openai)
    assert out["tool_choice"] == anthropic
    back = to_openai(tools=out["tools"], tool_choice=anthropic)
    assert {name: back[name] for name in openai} == openai


def test_single_calls_without_a_choice_and_allowed_tools() -> None:
    out = to_anthropic(tools=TOOLS, parallel_tool_calls=False)
    assert out["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "find"}}]}
    out = to_anthropic(tools=TOOLS, tool_choice={"type": "allowed_tools", "allowed_tools": allowed})
    assert [tool["name"] for tool in out["tools"]] == ["find"]
    assert out["tool_choice"] == {"type": "any"}


def test_sampling_both_ways() -> None:
    out = to_anthropic(temperature=0.5, top_p=0.9, stop=["a", "b"], max_tokens=7, user="u", seed=1)
    assert {name: out[name] for name in ("temperature", "top_p", "stop_sequences", "max_tokens")} == {
        "temperature": 0.5,
        "top_p": 0.9,
        "stop_sequences": ["a", "b"],
        "max_tokens": 7,
    }
    assert out["metadata"] == {"user_id": "u"}
    back = to_openai(temperature=0.5, top_p=0.9, stop_sequences=["a"], metadata={"user_id": "u"})
    assert (back["temperature"], back["top_p"], back["stop"], back["user"]) == (0.5, 0.9, ["a"], "u")
    assert to_anthropic(stop="x")["stop_sequences"] == ["x"]
    assert to_anthropic(temperature=1.7)["temperature"] == 1
    assert to_anthropic(service_tier="default")["service_tier"] == "standard_only"
    assert to_openai(service_tier="standard_only")["service_tier"] == "default"


def test_a_schema_for_the_answer_both_ways() -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA, "strict": True}}
    out = to_anthropic(response_format=wanted)
    assert out["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert to_openai(output_config=out["output_config"])["response_format"] == wanted
    assert "output_config" not in to_anthropic(response_format={"type": "text"})


@pytest.mark.parametrize(
    ("effort", "thinking", "config"),
    [
        ("none", {"type": "disabled"}, None),
        ("minimal", {"type": "adaptive"}, {"effort": "low"}),
        ("high", {"type": "adaptive"}, {"effort": "high"}),
    ],
)
def test_effort_to_anthropic(effort: str, thinking: dict[str, Any], config: dict[str, Any] | None) -> None:
    out = to_anthropic(reasoning_effort=effort)
    assert (out["thinking"], out.get("output_config")) == (thinking, config)


def test_thinking_takes_no_temperature_and_gives_way_to_a_forced_tool() -> None:
    assert "temperature" not in to_anthropic(reasoning_effort="low", temperature=0.3)
    out = to_anthropic(reasoning_effort="low", tools=TOOLS, tool_choice="required")
    assert "thinking" not in out
    assert out["output_config"] == {"effort": "low"}


@pytest.mark.parametrize(
    ("fields", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 30000}}, "high"),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "max"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "disabled"}}, None),
    ],
)
def test_thinking_to_openai(fields: dict[str, Any], effort: str | None) -> None:
    assert to_openai(**fields).get("reasoning_effort") == effort


def test_reasoning_travels_with_its_proof_only() -> None:
    blocks = [
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "xyz"},
        {"type": "thinking", "thinking": "unproven", "signature": ""},
    ]
    said = {"role": "assistant", "content": "a", "reasoning_content": "hm", "thinking_blocks": blocks}
    plain = {"role": "assistant", "content": "b", "reasoning_content": "another model's"}
    question = {"role": "user", "content": "x"}
    out = to_anthropic(messages=[question, said, question, plain, question])["messages"]
    assert out[1]["content"] == [*blocks[:2], {"type": "text", "text": "a"}]
    assert out[3]["content"] == "b"
    back = to_openai(messages=out)["messages"]
    assert back[1] == {"role": "assistant", "content": "a"}


def test_cache_marks_are_carried_where_they_can_be() -> None:
    part = {"type": "text", "text": "x", "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "12h"}}
    block = to_anthropic(messages=[user(part)])["messages"][0]["content"][0]
    assert block["cache_control"] == {"type": "ephemeral", "ttl": "1h"}
    assert to_openai(messages=[user(block)])["messages"][0]["content"] == "x"


def test_harmless_fields_are_left_out() -> None:
    out = to_anthropic(
        seed=7, store=True, metadata={"a": "b"}, prompt_cache_key="k", prediction={"type": "content"},
        vendor=1, n=1, logprobs=False, logit_bias={}, presence_penalty=0, frequency_penalty=0.0,
        modalities=["text"],
    )  # fmt: skip
    assert out.keys() == {"model", "max_tokens", "messages"}
    out = to_openai(
        cache_control={"type": "ephemeral"}, vendor=1, speed="standard", service_tier="auto",
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]}, fallbacks="default",
    )  # fmt: skip
    assert out.keys() == {"model", "max_completion_tokens", "messages", "service_tier"}


@pytest.mark.parametrize("role", ["system", "developer"])
def test_where_there_are_only_instructions_the_last_is_the_question(role: str) -> None:
    one = to_anthropic(messages=[{"role": role, "content": "Say hello"}])
    assert one["messages"] == [{"role": "user", "content": "Say hello"}]
    assert "system" not in one
    two = to_anthropic(messages=[{"role": "system", "content": "Be kind"}, {"role": role, "content": "Hi"}])
    assert (two["system"], two["messages"]) == ("Be kind", [{"role": "user", "content": "Hi"}])


def test_empty_texts_vanish_and_neighbours_of_one_role_become_one() -> None:
    messages = [
        {"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "a"}]},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "b"},
    ]
    out = to_anthropic(messages=messages)["messages"]
    assert out == [user({"type": "text", "text": "a"}, {"type": "text", "text": "b"})]


QUESTION = {"role": "user", "content": "x"}


def test_the_clients_body_is_left_alone() -> None:
    body = {"model": "m", "messages": [QUESTION], "tools": TOOLS, "vendor": {"a": 1}}
    before = orjson.dumps(body)
    translator(CHAT, MESSAGES).request(body)
    assert orjson.dumps(body) == before


@pytest.mark.parametrize("other", [CHAT, MESSAGES, Dialect.OPENAI_RESPONSES])
def test_embeddings_are_never_translated(other: Dialect) -> None:
    for client, provider in ((Dialect.OPENAI_EMBEDDINGS, other), (other, Dialect.OPENAI_EMBEDDINGS)):
        with pytest.raises(InvalidRequestError) as caught:
            translator(client, provider)
        assert caught.value.param == "model"
