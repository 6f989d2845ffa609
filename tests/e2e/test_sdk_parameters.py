"""What the published SDKs can send: every parameter is carried, or refused by its name."""

import anthropic
import openai
import pytest

LOOK = {"name": "look", "description": "Looks.", "parameters": {"type": "object", "properties": {}}}
SCORES = {"model": "moderator", "policy": {"input": {"mode": "score"}, "output": {"mode": "score"}}}
CHAT = {
    "audio": {"format": "wav", "voice": "alloy"},
    "frequency_penalty": -2,
    "function_call": "none",
    "functions": [LOOK],
    "logit_bias": {"1": 0},
    "logprobs": True,
    "max_completion_tokens": 40,
    "max_tokens": 40,
    "metadata": {"a": "b"},
    "modalities": ["text"],
    "moderation": SCORES,
    "n": 1,
    "parallel_tool_calls": True,
    "prediction": {"type": "content", "content": "Yes"},
    "presence_penalty": -2,
    "prompt_cache_key": "k",
    "prompt_cache_options": {"mode": "implicit", "ttl": "30m"},
    "prompt_cache_retention": "in_memory",
    "reasoning_effort": "none",
    "response_format": {"type": "text"},
    "safety_identifier": "someone",
    "seed": -(2**53) + 1,
    "service_tier": "auto",
    "stop": "\n",
    "store": True,
    "stream_options": {"include_obfuscation": True, "include_usage": True},
    "temperature": 1,
    "tool_choice": "none",
    "tools": [{"type": "function", "function": {**LOOK, "strict": True}}],
    "top_logprobs": 0,
    "top_p": 1,
    "user": "someone",
    "verbosity": "low",
    "web_search_options": {"search_context_size": "low"},
}
RESPONSES = {
    "context_management": [{"type": "compaction", "compact_threshold": 1_000}],
    "include": ["file_search_call.results", "reasoning.encrypted_content"],
    "instructions": "Be kind.",
    "max_output_tokens": 40,
    "max_tool_calls": 3,
    "metadata": {"a": "b"},
    "parallel_tool_calls": True,
    "prompt_cache_key": "k",
    "reasoning": {"effort": "none", "summary": "auto"},
    "safety_identifier": "someone",
    "service_tier": "auto",
    "store": True,
    "temperature": 1,
    "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto",
    "tools": [{"type": "function", "strict": True, **LOOK}],
    "top_logprobs": 0,
    "top_p": 1,
    "truncation": "auto",
    "user": "someone",
}
MESSAGES = {
    "cache_control": {"type": "ephemeral", "ttl": "5m"},
    "context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]},
    "fallbacks": "default",
    "metadata": {"user_id": "someone"},
    "service_tier": "auto",
    "speed": "standard",
    "stop_sequences": ["never"],
    "system": [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral"}}],
    "temperature": 1,
    "tool_choice": {"type": "auto", "disable_parallel_tool_use": True},
    "tools": [{"name": "look", "description": "Looks.", "input_schema": {"type": "object"}, "strict": True}],
}
# Each is a thing of its own that the gateway has not got; the answer must still be the SDK's own exception.
ABSENT = [
    ("files.list", {}),
    ("batches.list", {}),
    ("vector_stores.list", {}),
    ("fine_tuning.jobs.list", {}),
    ("responses.retrieve", {"response_id": "resp_1"}),
    ("responses.input_items.list", {"response_id": "resp_1"}),
    ("conversations.create", {}),
    ("chat.completions.retrieve", {"completion_id": "chatcmpl-1"}),
    ("images.generate", {"prompt": "x"}),
    ("moderations.create", {"input": "x"}),
    ("completions.create", {"model": "scripted-small", "prompt": "x"}),
]


def user(content: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": content}]


@pytest.mark.parametrize("name", ["scripted-small", "gpt-6-astra"])
def test_every_parameter_of_a_chat(openai_sdk, name):
    asked = {"model": name, "messages": user("Hello [[say Good day]]"), **CHAT}
    whole = openai_sdk.call("chat.completions.create", **asked)
    assert whole.choices[0].message.content == "Good day"
    assert whole.choices[0].logprobs is not None
    chunks = openai_sdk.call("chat.completions.create", stream=True, **asked)
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "Good day"
    assert chunks[-1].usage.completion_tokens == whole.usage.completion_tokens


def test_every_parameter_of_a_response(openai_sdk, model):
    response = openai_sdk.call("responses.create", model=model, input="Hello [[say Good day]]", **RESPONSES)
    assert response.output_text == "Good day"
    assert response.metadata == {"a": "b"}
    events = openai_sdk.call(
        "responses.create", model=model, input="Hello [[say Good day]]", stream=True, **RESPONSES
    )
    assert events[-1].response.output_text == "Good day"


def test_every_parameter_of_a_message(anthropic_sdk, model):
    asked = {
        "model": model,
        "max_tokens": 40,
        "messages": user("Hello [[say Good day]]"),
        "extra_body": MESSAGES,
    }
    for method in ("messages.create", "beta.messages.create"):
        message = anthropic_sdk.call(method, **asked)
        assert message.content[0].text == "Good day"
        assert anthropic_sdk.call(method, stream=True, **asked)[-1].type == "message_stop"


def test_instructions_alone_are_answered(openai_sdk, model):
    for role in ("system", "developer"):
        said = openai_sdk.call(
            "chat.completions.create", model=model, messages=[{"role": role, "content": "Say hello"}]
        )
        assert said.choices[0].message.content


@pytest.mark.parametrize("name", ["scripted-small", "claude-sonnet-4-6"])
def test_an_answer_of_nothing_costs_its_prompt_alone(openai_sdk, anthropic_sdk, name):
    headers, nothing = openai_sdk.raw(
        "chat.completions", model=name, messages=user("one two three"), max_completion_tokens=0, max_tokens=0
    )
    assert not nothing.choices[0].message.content
    assert (nothing.choices[0].finish_reason, nothing.usage.completion_tokens) == ("length", 0)
    assert 0 < float(headers["x-sluicegate-cost-usd"]) < 0.0001
    _, message = anthropic_sdk.raw("messages", model=name, messages=user("one two three"), max_tokens=0)
    assert (message.content, message.stop_reason, message.usage.output_tokens) == ([], "max_tokens", 0)


@pytest.mark.parametrize(
    ("method", "fields", "param"),
    [
        ("chat.completions.create", {"messages": user("x"), "service_tier": "priority"}, "service_tier"),
        ("responses.create", {"input": "x", "service_tier": "fast"}, "service_tier"),
    ],
)
def test_what_openai_bills_above_its_prices_is_refused(openai_sdk, model, method, fields, param):
    with pytest.raises(openai.BadRequestError) as refused:
        openai_sdk.call(method, model=model, **fields)
    assert refused.value.param == param
    assert "budgets" in refused.value.message


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"speed": "fast"}, "speed"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"fallbacks": [{"model": "claude-fable-5-2"}]}, "fallbacks"),
    ],
)
def test_what_anthropic_bills_at_other_prices_is_refused(anthropic_sdk, model, fields, param):
    with pytest.raises(anthropic.BadRequestError) as refused:
        anthropic_sdk.call(
            "messages.create", model=model, max_tokens=9, messages=user("x"), extra_body=fields
        )
    assert refused.value.body["error"]["details"]["param"] == param


@pytest.mark.parametrize(("method", "arguments"), ABSENT, ids=[method for method, _ in ABSENT])
def test_what_is_not_here_is_told_in_openais_form(openai_sdk, method, arguments):
    with pytest.raises(openai.NotFoundError) as missing:
        openai_sdk.call(method, **arguments)
    assert (missing.value.code, missing.value.type) == ("not_found", "invalid_request_error")
    assert missing.value.request_id


def test_what_is_not_here_is_told_in_anthropics_form(anthropic_sdk):
    with pytest.raises(anthropic.NotFoundError) as missing:
        anthropic_sdk.call("messages.batches.list")
    assert missing.value.body["error"]["type"] == "not_found_error"
