"""The OpenAI chat codec on requests."""

from typing import Any

import orjson
import pytest

from sluicegate.completions import bounds
from sluicegate.completions.limits import RequestLimits
from sluicegate.completions.openai_chat.codec import ChatCodec
from sluicegate.completions.types import RequestFacts
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Capability

CODEC = ChatCodec()
FUNCTION = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}], **fields}


def inspect(body: dict[str, Any], codec: ChatCodec = CODEC) -> RequestFacts:
    return codec.inspect(body, len(orjson.dumps(body)))


def test_a_small_chat() -> None:
    body = request()
    facts = inspect(body)
    assert facts.model == "gpt-4o-mini"
    assert (facts.stream, facts.choices, facts.max_output_tokens, facts.images) == (False, 1, None, 0)
    assert facts.capabilities == {Capability.CHAT}
    assert facts.input_bound == len(orjson.dumps(body)) + bounds.FRAMING_TOKENS
    assert 0 < facts.input_estimate < facts.input_bound


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({"stream": True}, Capability.STREAMING),
        ({"tools": [FUNCTION]}, Capability.TOOLS),
        ({"functions": [{"name": "look"}]}, Capability.TOOLS),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, Capability.JSON_SCHEMA),
        ({"logprobs": True}, Capability.LOGPROBS),
        ({"reasoning_effort": "low"}, Capability.REASONING),
        ({"n": 2}, Capability.MULTIPLE_CHOICES),
        ({"modalities": ["text", "audio"]}, Capability.AUDIO),
    ],
)
def test_fields_ask_for_capabilities(fields: dict[str, Any], needed: Capability) -> None:
    assert inspect(request(**fields)).capabilities == {Capability.CHAT, needed}


def test_unset_and_null_fields_ask_for_nothing() -> None:
    names = (
        "stream tools functions response_format logprobs reasoning_effort n stop max_tokens user modalities"
    )
    facts = inspect(request(**dict.fromkeys(names.split()), stream_options=None, max_completion_tokens=None))
    assert facts.capabilities == {Capability.CHAT}
    assert facts.max_output_tokens is None


def test_embedded_media_count_by_their_own_bounds_not_by_their_size() -> None:
    data = "A" * 100_000
    parts = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{data}"}},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
        {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}", "filename": "a.pdf"}},
    ]
    facts = inspect(request(messages=[{"role": "user", "content": parts}]))
    assert facts.images == 2
    assert facts.capabilities == {
        Capability.CHAT,
        Capability.VISION,
        Capability.AUDIO,
        Capability.DOCUMENTS,
    }
    media = 2 * bounds.IMAGE_TOKENS + bounds.audio_tokens(100_000) + 75_000
    assert media < facts.input_bound < media + 1_500


def test_a_document_known_by_id_is_held_at_the_documented_bound() -> None:
    parts = [{"type": "file", "file": {"file_id": "file-1"}}]
    assert (
        inspect(request(messages=[{"role": "user", "content": parts}])).input_bound > bounds.DOCUMENT_TOKENS
    )


def test_names_users_and_usage_are_found() -> None:
    facts = inspect(
        request(
            stream=True,
            stream_options={"include_usage": True},
            safety_identifier="u1",
            tools=[FUNCTION, {"type": "custom", "custom": {"name": "free"}}],
            max_tokens=7,
        )
    )
    assert facts.include_usage
    assert facts.tool_names == ("look", "free")
    assert facts.end_user == "u1"
    assert facts.max_output_tokens == 7


def test_a_whole_conversation_with_tools_passes() -> None:
    messages = [
        {"role": "developer", "content": [{"type": "text", "text": "Be brief"}]},
        {"role": "user", "content": "Weather?"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [
                {"id": "c1", "type": "function", "function": {"name": "look", "arguments": ""}},
                {"id": "c2", "type": "custom", "custom": {"name": "free", "input": "x"}},
            ],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "sunny"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
        {"role": "function", "name": "old", "content": None},
    ]
    assert inspect(request(messages=messages)).model


def user(*parts: Any) -> list[Any]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"model": None}, "model"),
        ({"model": ""}, "model"),
        ({"model": "m" * 300}, "model"),
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": {}}, "messages"),
        ({"messages": ["hello"]}, "messages.0"),
        ({"messages": [{"role": "king", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": ["user"], "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": [{"role": "user", "content": 7}]}, "messages.0.content"),
        ({"messages": user("x")}, "messages.0.content.0.type"),
        ({"messages": user({"type": "hologram"})}, "messages.0.content.0.type"),
        ({"messages": user({"type": "text"})}, "messages.0.content.0.text"),
        ({"messages": user({"type": "image_url", "image_url": "x"})}, "messages.0.content.0.image_url.url"),
        ({"messages": user({"type": "input_audio"})}, "messages.0.content.0.input_audio.data"),
        ({"messages": user({"type": "file", "file": {}})}, "messages.0.content.0.file"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.tool_call_id"),
        ({"messages": [{"role": "assistant", "tool_calls": {}}]}, "messages.0.tool_calls"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f"}}]}]},
            "messages.0.tool_calls.0.function.arguments",
        ),
        ({"n": 0}, "n"),
        ({"n": 129}, "n"),
        ({"n": True}, "n"),
        ({"n": 2.0}, "n"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_completion_tokens": "9"}, "max_completion_tokens"),
        ({"max_completion_tokens": 9, "max_tokens": 8}, "max_tokens"),
        ({"max_tokens": 10**30}, "max_tokens"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"tools": {}}, "tools"),
        ({"tools": [FUNCTION] * 129}, "tools"),
        ({"tools": [{"type": "function"}]}, "tools.0.function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools.0.function.name"),
        ({"tools": [7]}, "tools.0.type"),
        ({"functions": [{}]}, "functions.0.name"),
        ({"response_format": "json"}, "response_format"),
        ({"response_format": {}}, "response_format.type"),
        ({"stop": 7}, "stop"),
        ({"stop": ["a", 7]}, "stop.1"),
        ({"user": 7}, "user"),
        ({"service_tier": 7}, "service_tier"),
        ({"service_tier": "priority"}, "service_tier"),
        ({"service_tier": "fast"}, "service_tier"),
        ({"reasoning_effort": 7}, "reasoning_effort"),
    ],
)
def test_a_wrong_shape_names_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        CODEC.inspect(request(**fields), 500)
    assert caught.value.param == param
    assert caught.value.status == 400


def test_limits_bound_lists() -> None:
    codec = ChatCodec(RequestLimits(messages=2, images=1))
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    with pytest.raises(InvalidRequestError, match="more than the 2 allowed"):
        inspect(request(messages=[{"role": "user", "content": "x"}] * 3), codec)
    with pytest.raises(InvalidRequestError, match="2 images"):
        inspect(request(messages=user(image, image)), codec)


def test_preparing_changes_only_what_must_change() -> None:
    body = request(temperature=0.5, vendor_field={"kept": [1]}, max_tokens=100)
    before = orjson.dumps(body)
    upstream = orjson.loads(CODEC.prepare(body, "gpt-upstream", 60))
    assert upstream == {**body, "model": "gpt-upstream", "max_tokens": 60}
    assert orjson.dumps(body) == before


@pytest.mark.parametrize(
    ("asked", "older", "field"),
    [
        ({}, False, "max_completion_tokens"),
        ({}, True, "max_tokens"),
        ({"max_tokens": 9}, False, "max_tokens"),
        ({"max_completion_tokens": 9}, False, "max_completion_tokens"),
        ({"max_completion_tokens": 9}, True, "max_tokens"),
        ({"max_tokens": None}, False, "max_completion_tokens"),
        ({"max_completion_tokens": 9, "max_tokens": 9}, False, "max_completion_tokens"),
        ({"max_completion_tokens": 9, "max_tokens": 9}, True, "max_tokens"),
        ({"max_completion_tokens": 9, "max_tokens": None}, False, "max_completion_tokens"),
    ],
)
def test_a_clamp_goes_where_the_client_or_the_provider_looks(
    asked: dict[str, Any], *, older: bool, field: str
) -> None:
    body = request(**asked)
    for upstream in (
        orjson.loads(ChatCodec(older_max_tokens=older).prepare(body, "m", 5)),
        orjson.loads(CODEC.prepare(body, "m", 5, older_max_tokens=older)),
    ):
        limits = {name: upstream.get(name) for name in ("max_tokens", "max_completion_tokens")}
        assert {name: value for name, value in limits.items() if value is not None} == {field: 5}


def test_a_provider_that_knows_only_the_older_field_gets_the_clients_limit_there() -> None:
    upstream = orjson.loads(CODEC.prepare(request(max_completion_tokens=9), "m", None, older_max_tokens=True))
    assert upstream["max_tokens"] == 9
    assert "max_completion_tokens" not in upstream


def test_an_answer_of_nothing_may_be_asked_for_in_both_fields_and_reaches_the_provider_in_one() -> None:
    body = request(max_completion_tokens=0, max_tokens=0)
    assert inspect(body).max_output_tokens == 0
    upstream = orjson.loads(CODEC.prepare(body, "m", None))
    assert upstream == request(max_completion_tokens=0, model="m")


@pytest.mark.parametrize("tier", ["auto", "default", "flex", None])
def test_tiers_that_cost_no_more_than_the_list_price_pass(tier: str | None) -> None:
    body = request(service_tier=tier)
    inspect(body)
    assert orjson.loads(CODEC.prepare(body, "m", None))["service_tier"] == tier


def test_without_a_clamp_no_limit_is_invented() -> None:
    assert "max_completion_tokens" not in orjson.loads(CODEC.prepare(request(), "m", None))


def test_streams_always_ask_the_provider_for_usage() -> None:
    body = request(stream=True, stream_options={"include_usage": False, "include_obfuscation": False})
    options = orjson.loads(CODEC.prepare(body, "m", None))["stream_options"]
    assert options == {"include_usage": True, "include_obfuscation": False}
    assert "stream_options" not in orjson.loads(CODEC.prepare(request(), "m", None))
