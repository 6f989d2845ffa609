"""The Anthropic messages codec on requests."""

from typing import Any

import orjson
import pytest

from sluicegate.completions import bounds
from sluicegate.completions.anthropic.codec import MessagesCodec
from sluicegate.completions.types import RequestFacts
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Capability

CODEC = MessagesCodec()
TOOL = {"name": "look", "input_schema": {"type": "object"}}


def request(**fields: Any) -> dict[str, Any]:
    return {"model": "claude", "max_tokens": 64, "messages": [{"role": "user", "content": "Hello"}], **fields}


def inspect(body: dict[str, Any]) -> RequestFacts:
    return CODEC.inspect(body, len(orjson.dumps(body)))


def user(*blocks: Any) -> list[Any]:
    return [{"role": "user", "content": list(blocks)}]


def test_a_small_chat() -> None:
    body = request(system="Be brief", metadata={"user_id": "u1"})
    facts = inspect(body)
    assert (facts.model, facts.stream, facts.choices, facts.max_output_tokens) == ("claude", False, 1, 64)
    assert facts.capabilities == {Capability.CHAT}
    assert facts.end_user == "u1"
    assert facts.input_bound == len(orjson.dumps(body)) + bounds.FRAMING_TOKENS


@pytest.mark.parametrize(
    ("fields", "needed"),
    [
        ({"stream": True}, Capability.STREAMING),
        ({"tools": [TOOL]}, Capability.TOOLS),
        ({"output_config": {"format": {"type": "json_schema", "schema": {}}}}, Capability.JSON_SCHEMA),
        ({"output_config": {"effort": "low"}}, Capability.REASONING),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, Capability.REASONING),
        ({"thinking": {"type": "adaptive"}}, Capability.REASONING),
    ],
)
def test_fields_ask_for_capabilities(fields: dict[str, Any], needed: Capability) -> None:
    assert inspect(request(**fields)).capabilities == {Capability.CHAT, needed}


def test_thinking_turned_off_asks_for_nothing() -> None:
    assert inspect(request(thinking={"type": "disabled"})).capabilities == {Capability.CHAT}


def test_media_are_found_wherever_they_are() -> None:
    data = "A" * 40_000
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": data}}
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": data}}
    result = {"type": "tool_result", "tool_use_id": "t1", "content": [image, {"type": "text", "text": "x"}]}
    facts = inspect(request(messages=user(image, pdf, result)))
    assert facts.images == 2
    assert facts.capabilities == {Capability.CHAT, Capability.VISION, Capability.DOCUMENTS}
    media = 2 * bounds.IMAGE_TOKENS + 30_000
    assert media < facts.input_bound < media + 1_000


def test_tools_of_the_provider_count_for_more_than_their_bytes() -> None:
    body = request(tools=[TOOL, {"type": "web_search_20250305", "name": "web_search"}])
    facts = inspect(body)
    assert facts.tool_names == ("look", "web_search")
    assert facts.input_bound > len(orjson.dumps(body)) + bounds.PROVIDER_TOOL_TOKENS


def test_blocks_not_known_here_pass() -> None:
    assert inspect(request(messages=user({"type": "search_result", "content": []}))).model


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"max_tokens": "64"}, "max_tokens"),
        ({"messages": []}, "messages"),
        ({"messages": [7]}, "messages.0"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0.content"),
        ({"messages": user("x")}, "messages.0.content.0.type"),
        ({"messages": user({"type": "text"})}, "messages.0.content.0.text"),
        ({"messages": user({"type": "image"})}, "messages.0.content.0.source"),
        (
            {"messages": user({"type": "image", "source": {"type": "base64"}})},
            "messages.0.content.0.source.data",
        ),
        ({"messages": user({"type": "tool_result"})}, "messages.0.content.0.tool_use_id"),
        (
            {"messages": user({"type": "tool_result", "tool_use_id": "t", "content": [{}]})},
            "messages.0.content.0.content.0.type",
        ),
        ({"messages": user({"type": "tool_use", "id": "t"})}, "messages.0.content.0"),
        (
            {"messages": user({"type": "tool_use", "id": "t", "name": "n", "input": "{}"})},
            "messages.0.content.0.input",
        ),
        ({"system": 7}, "system"),
        ({"system": ["x"]}, "system.0"),
        ({"tools": [{"name": "x"}]}, "tools.0.input_schema"),
        ({"tools": [{"input_schema": {}}]}, "tools.0.name"),
        ({"tools": [7]}, "tools.0"),
        ({"thinking": "on"}, "thinking"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"stop_sequences": [7]}, "stop_sequences.0"),
        ({"metadata": {"user_id": 7}}, "metadata.user_id"),
        ({"stream": "true"}, "stream"),
        ({"speed": "fast"}, "speed"),
        ({"speed": 7}, "speed"),
        ({"inference_geo": "us"}, "inference_geo"),
        ({"fallbacks": [{"model": "claude-dearer"}]}, "fallbacks"),
        ({"thread": 7}, "thread"),
        ({"tools": [{"type": "advisor_20260301", "name": "advisor", "model": "dear"}]}, "tools.0.model"),
        ({"context_management": 7}, "context_management"),
        ({"context_management": {"edits": 7}}, "edits"),
    ],
)
def test_a_wrong_shape_names_the_field(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        CODEC.inspect(request(**fields), 500)
    assert caught.value.param == param


def test_preparing_changes_only_what_must_change() -> None:
    body = request(vendor={"kept": 1}, stream=True)
    assert orjson.loads(CODEC.prepare(body, "claude-up", 10)) == {
        **body,
        "model": "claude-up",
        "max_tokens": 10,
    }
    assert orjson.loads(CODEC.prepare(body, "claude-up", None))["max_tokens"] == 64


def test_what_costs_no_more_than_the_list_price_passes_as_it_is() -> None:
    body = request(speed="standard", inference_geo="global", service_tier="auto", vendor=1)
    CODEC.inspect(body, 500)
    assert orjson.loads(CODEC.prepare(body, "m", None)) == {**body, "model": "m"}


def test_the_providers_own_fallbacks_are_not_asked_for() -> None:
    body = request(fallbacks="default")
    CODEC.inspect(body, 500)
    assert orjson.loads(CODEC.prepare(body, "m", None)) == request(model="m")


def test_summing_up_is_held_as_one_more_reading_of_the_conversation() -> None:
    plain = inspect(request(context_management={"edits": [{"type": "another_20260112"}]}))
    summed = inspect(request(context_management={"edits": [{"type": "compact_20260112"}]}))
    assert summed.input_bound == 2 * plain.input_bound


def test_a_conversation_kept_by_the_provider_is_held_at_a_whole_context() -> None:
    kept = inspect(request(thread={"type": "continue", "previous_message_id": "msg_1"}))
    assert kept.input_bound > bounds.KEPT_TOKENS
    assert inspect(request(thread={"type": "create"})).input_bound < 1_000


@pytest.mark.parametrize(
    ("clamp", "thinking"),
    [
        (9_000, {"type": "enabled", "budget_tokens": 8_000}),
        (5_000, {"type": "enabled", "budget_tokens": 4_999}),
        (1_024, {"type": "disabled"}),
    ],
)
def test_a_clamp_keeps_the_thinking_budget_below_it(clamp: int, thinking: dict[str, Any]) -> None:
    body = request(max_tokens=10_000, thinking={"type": "enabled", "budget_tokens": 8_000})
    assert orjson.loads(CODEC.prepare(body, "m", clamp))["thinking"] == thinking


def test_an_odd_budget_of_a_kind_of_thinking_not_known_here_is_left_to_the_provider() -> None:
    body = request(thinking={"type": "sideways", "budget_tokens": "x"})
    CODEC.inspect(body, 500)
    assert orjson.loads(CODEC.prepare(body, "m", 3))["thinking"] == body["thinking"]
