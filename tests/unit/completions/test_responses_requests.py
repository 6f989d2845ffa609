"""The OpenAI responses codec on requests: what they ask for, what is wrong with them, what goes out."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.completions import bounds
from sluicegate.completions.canonical import Thinking
from sluicegate.completions.limits import RequestLimits
from sluicegate.completions.openai_responses.codec import ResponsesCodec
from sluicegate.completions.openai_responses.reasoning import reasoning_item
from sluicegate.completions.types import Json, RequestFacts
from sluicegate.kernel.errors import BudgetExceededError, InvalidRequestError
from sluicegate.kernel.models import Capability, Usage

CODEC = ResponsesCodec()


def inspect(body: Json, codec: ResponsesCodec = CODEC) -> RequestFacts:
    return codec.inspect(body, len(orjson.dumps(body)))


def ask(*items: Json, **more: Any) -> Json:
    return {"model": "m", "input": list(items), **more}


def user(*parts: Json) -> Json:
    return {"role": "user", "content": list(parts)}


def test_the_facts_of_a_plain_request() -> None:
    body = {
        "model": "m",
        "input": "Hello",
        "max_output_tokens": 50,
        "stream": True,
        "safety_identifier": "u1",
    }
    facts = inspect(body)
    assert (facts.model, facts.stream, facts.choices, facts.max_output_tokens) == ("m", True, 1, 50)
    assert facts.capabilities == {Capability.CHAT, Capability.STREAMING}
    assert facts.input_bound == len(orjson.dumps(body)) + bounds.FRAMING_TOKENS
    assert facts.include_usage
    assert facts.end_user == "u1"


@pytest.mark.parametrize(
    ("more", "needed"),
    [
        ({"tools": [{"type": "function", "name": "f", "parameters": {}}]}, Capability.TOOLS),
        ({"tools": [{"type": "web_search"}]}, Capability.TOOLS),
        ({"text": {"format": {"type": "json_schema", "name": "a", "schema": {}}}}, Capability.JSON_SCHEMA),
        ({"reasoning": {"effort": "low"}}, Capability.REASONING),
        ({"include": ["message.output_text.logprobs"]}, Capability.LOGPROBS),
        ({"top_logprobs": 3}, Capability.LOGPROBS),
    ],
)
def test_wishes_are_capabilities(more: Json, needed: Capability) -> None:
    assert inspect({"model": "m", "input": "x", **more}).capabilities == {Capability.CHAT, needed}


def test_wishes_for_nothing_are_no_capabilities() -> None:
    body = {
        "model": "m",
        "input": "x",
        "reasoning": {"effort": "none"},
        "text": {"format": {"type": "text"}, "verbosity": "low"},
        "tools": [],
        "top_logprobs": 0,
        "include": ["reasoning.encrypted_content"],
    }
    assert inspect(body).capabilities == {Capability.CHAT}


def test_media_count_as_what_they_are() -> None:
    data = "A" * 100_000
    body = ask(
        user(
            {"type": "input_image", "image_url": "data:image/png;base64," + data},
            {"type": "input_image", "file_id": "file-1", "detail": "low"},
            {"type": "input_file", "file_id": "file-2"},
            {"type": "input_file", "file_url": "https://a.b/c.pdf"},
            {"type": "input_audio", "input_audio": {"data": data, "format": "wav"}},
        ),
        {
            "type": "function_call_output",
            "call_id": "c",
            "output": [{"type": "input_image", "image_url": "x"}],
        },
    )
    facts = inspect(body)
    assert facts.images == 3
    assert facts.capabilities == {Capability.CHAT, Capability.VISION, Capability.DOCUMENTS, Capability.AUDIO}
    media = 3 * bounds.IMAGE_TOKENS + 2 * bounds.DOCUMENT_TOKENS + bounds.audio_tokens(len(data))
    assert media < facts.input_bound < media + 1_000


def test_tools_are_named_and_bounded() -> None:
    tools = [
        {"type": "function", "name": "f", "parameters": {}},
        {"type": "custom", "name": "g"},
        {"type": "web_search"},
    ]
    bare, facts = inspect(ask(user(), tools=[])), inspect(ask(user(), tools=tools))
    assert facts.tool_names == ("f", "g", "web_search")
    added = bounds.TOOLS_PREAMBLE_TOKENS + bounds.PROVIDER_TOOL_TOKENS
    assert facts.input_bound - bare.input_bound == added + len(orjson.dumps(tools)) - 2


@pytest.mark.parametrize(
    "body",
    [
        {"model": "m", "previous_response_id": "resp_1"},
        {"model": "m", "input": "x", "conversation": {"id": "conv_1"}},
        {"model": "m", "prompt": {"id": "pmpt_1"}},
        {"model": "m", "input": [{"type": "item_reference", "id": "msg_1"}]},
        {"model": "m", "input": [{"id": "msg_1"}]},
    ],
)
def test_what_the_provider_keeps_is_held_at_a_whole_context(body: Json) -> None:
    facts = inspect(body)
    assert facts.input_bound > bounds.KEPT_TOKENS
    assert facts.input_estimate < 10_000


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({"input": "x"}, "model"),
        ({"model": "m"}, "input"),
        ({"model": "m", "input": ""}, "input"),
        ({"model": "m", "input": []}, "input"),
        ({"model": "m", "input": 3}, "input"),
        ({"model": "m", "input": 3, "previous_response_id": "r"}, "input"),
        (ask("x"), "input.0"),  # type: ignore[arg-type]
        (ask({"role": "tool", "content": "x"}), "input.0.role"),
        (ask({"type": 5}), "input.0.type"),
        (ask({"role": "user"}), "input.0.content"),
        (ask(user({"type": "input_text"})), "input.0.content.0.text"),
        (ask(user({"text": "x"})), "input.0.content.0.type"),
        (ask(user({"type": "input_image"})), "input.0.content.0"),
        (ask(user({"type": "input_image", "image_url": {"url": "x"}})), "input.0.content.0.image_url"),
        (ask(user({"type": "input_file", "filename": "x"})), "input.0.content.0"),
        (ask(user({"type": "input_audio", "input_audio": "x"})), "input.0.content.0.input_audio"),
        (ask({"type": "function_call", "call_id": "c", "name": "f"}), "input.0.arguments"),
        (ask({"type": "function_call_output", "output": "x"}), "input.0.call_id"),
        (ask({"type": "function_call_output", "call_id": "c"}), "input.0.output"),
        (ask(user(), instructions=3), "instructions"),
        (ask(user(), max_output_tokens=0), "max_output_tokens"),
        (ask(user(), max_output_tokens="9"), "max_output_tokens"),
        (ask(user(), stream="yes"), "stream"),
        (ask(user(), background=1), "background"),
        (ask(user(), service_tier="priority"), "service_tier"),
        (ask(user(), tools=[{"type": "function"}]), "tools.0.name"),
        (ask(user(), tools=[{"name": "f"}]), "tools.0.type"),
        (ask(user(), tools=[{}] * 200), "tools"),
        (ask(user(), text={"format": {"type": "xml"}}), "text.format.type"),
        (ask(user(), text="short"), "text"),
        (ask(user(), reasoning={"effort": 3}), "reasoning.effort"),
        (ask(user(), top_logprobs=21), "top_logprobs"),
        (ask(user(), user=3), "user"),
    ],
)
def test_a_bad_field_is_named(body: Json, param: str) -> None:
    with pytest.raises(InvalidRequestError) as caught:
        inspect(body)
    assert caught.value.param == param


def test_limits_are_kept() -> None:
    codec = ResponsesCodec(RequestLimits(messages=2, images=1))
    picture = {"type": "input_image", "image_url": "https://a.b/c"}
    for body in (ask(user(), user(), user()), ask(user(picture, picture))):
        with pytest.raises(InvalidRequestError) as caught:
            inspect(body, codec)
        assert caught.value.param == "input"


def test_items_not_known_here_pass() -> None:
    inspect(ask({"type": "computer_call", "anything": {}}, {"type": "reasoning", "id": "rs", "summary": []}))


def test_prepare_keeps_everything_but_the_model_and_the_limit() -> None:
    body = {"model": "m", "input": "x", "store": False, "vendor": {"a": 1}, "max_output_tokens": 500}
    assert orjson.loads(CODEC.prepare(body, "up", None)) == {**body, "model": "up"}
    assert orjson.loads(CODEC.prepare(body, "up", 70)) == {**body, "model": "up", "max_output_tokens": 70}
    assert body["model"] == "m"


def test_prepare_leaves_out_reasoning_that_only_another_provider_can_read() -> None:
    signed = reasoning_item("rs_1", Thinking("Hm.", "signature"), summary=False)
    redacted = reasoning_item("rs_2", Thinking(redacted="data"), summary=False)
    own = {"type": "reasoning", "id": "rs_3", "summary": [], "encrypted_content": "gAAAA"}
    bare = {"type": "reasoning", "id": "rs_4", "summary": []}
    body = ask(user(), signed, own, redacted, bare)
    assert orjson.loads(CODEC.prepare(body, "m", None))["input"] == [user(), own, bare]
    assert len(body["input"]) == 5


@pytest.mark.parametrize(
    ("figures", "usage"),
    [
        (None, None),
        ({}, None),
        ({"input_tokens": 5, "output_tokens": 2}, Usage(input_tokens=5, output_tokens=2)),
        (
            {"input_tokens": 5, "input_tokens_details": {"cached_tokens": 9}, "output_tokens": 2},
            Usage(cached_input_tokens=5, output_tokens=2),
        ),
        (
            {"input_tokens": 5, "output_tokens": 2, "output_tokens_details": {"reasoning_tokens": 7}},
            Usage(input_tokens=5, output_tokens=2, reasoning_tokens=2),
        ),
    ],
)
def test_usage_is_read(figures: Json | None, usage: Usage | None) -> None:
    assert CODEC.usage({"usage": figures}) == usage


def test_errors_look_as_in_chat() -> None:
    body = orjson.loads(CODEC.error(BudgetExceededError("no", param="model", details={"scope": "key"}), "r"))
    assert body["error"] == {
        "message": "no",
        "type": "insufficient_quota",
        "param": "model",
        "code": "budget_exceeded",
        "details": {"scope": "key"},
    }


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "text", "name", "output", "call_id", "image_url", "format"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    body=st.dictionaries(
        st.sampled_from(["input", "tools", "text", "reasoning", "include", "stream", "instructions"]), JSON
    )
)
def test_any_body_is_understood_or_refused(body: Json) -> None:
    try:
        facts = inspect({"model": "m", **body})
    except InvalidRequestError:
        return
    assert facts.input_bound >= facts.input_estimate
