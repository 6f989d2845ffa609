"""Anthropic's SDK, sync and async, against every kind of provider."""

import pytest
from pydantic import BaseModel

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def ask(sdk, model, content="hello", **fields):
    fields = {"max_tokens": 200, **fields}
    return sdk.call("messages.create", model=model, messages=[{"role": "user", "content": content}], **fields)


def text_of(message):
    return "".join(block.text for block in message.content if block.type == "text")


def test_a_message_is_answered_with_usage_and_governed_headers(anthropic_sdk, model, provider):
    prompt = [{"role": "user", "content": "one two [[say Good day.]]"}]
    headers, message = anthropic_sdk.raw("messages", model=model, max_tokens=200, messages=prompt)
    assert (message.type, message.role) == ("message", "assistant")
    assert [block.type for block in message.content] == ["text"]
    assert text_of(message) == "Good day."
    assert message.stop_reason == "end_turn"
    assert message.usage.input_tokens == 5
    assert message.usage.output_tokens > 0
    assert headers["x-sluicegate-model"] == model
    assert headers["x-sluicegate-provider"] == provider
    assert 0 < float(headers["x-sluicegate-cost-usd"]) < 0.01
    assert message._request_id == headers["x-sluicegate-request-id"]
    assert message._request_id.startswith("req_")


def test_a_stream_keeps_to_the_order_of_events(anthropic_sdk, model):
    text = "[[say The quick brown fox jumps.]]"
    whole = ask(anthropic_sdk, model, text)
    events = ask(anthropic_sdk, model, text, stream=True)
    kinds = [event.type for event in events if event.type != "ping"]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    assert "".join(e.delta.text for e in events if e.type == "content_block_delta") == text_of(whole)
    ending = next(event for event in events if event.type == "message_delta")
    assert ending.delta.stop_reason == "end_turn"
    assert ending.usage.output_tokens == whole.usage.output_tokens


def test_the_stream_helper_gathers_the_message_with_its_usage(anthropic_sdk, model):
    events, final = anthropic_sdk.watch(
        "messages.stream",
        "get_final_message",
        model=model,
        max_tokens=100,
        messages=[{"role": "user", "content": "[[say a b c]]"}],
    )
    assert text_of(final) == "a b c"
    assert "".join(event.text for event in events if event.type == "text") == "a b c"
    assert final.usage.input_tokens == 4
    assert final.usage.output_tokens > 0


def test_a_system_prompt_reaches_the_model(anthropic_sdk, model):
    plain = ask(anthropic_sdk, model, system="Be very brief.")
    blocks = ask(anthropic_sdk, model, system=[{"type": "text", "text": "Be very brief."}])
    assert plain.usage.input_tokens == blocks.usage.input_tokens == 4


def test_a_cache_mark_is_accepted_everywhere(anthropic_sdk, model):
    block = {"type": "text", "text": "a b c", "cache_control": {"type": "ephemeral"}}
    assert ask(anthropic_sdk, model, [block]).usage.input_tokens == 3


def test_cached_tokens_are_told_apart(anthropic_sdk, model):
    usage = ask(anthropic_sdk, model, "a b c d [[cached 4]]").usage
    assert usage.cache_read_input_tokens == 4
    assert usage.input_tokens == 2


@pytest.mark.parametrize(
    "source",
    [
        {"type": "base64", "media_type": "image/png", "data": PIXEL},
        {"type": "url", "url": "https://example.com/cat.png"},
    ],
    ids=["base64", "url"],
)
def test_images_reach_the_model(anthropic_sdk, model, source):
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    assert ask(anthropic_sdk, model, content).usage.input_tokens == 3 + 85


def test_the_length_is_bounded(anthropic_sdk, model):
    message = ask(anthropic_sdk, model, "[[tokens 50]]", max_tokens=5)
    assert message.stop_reason == "max_tokens"
    assert message.usage.output_tokens == 5


def test_a_stop_sequence_ends_the_answer(anthropic_sdk, model, kind):
    message = ask(anthropic_sdk, model, "[[say one two three four]]", stop_sequences=["three"])
    assert text_of(message).strip() == "one two"
    # OpenAI's protocol does not tell which end it was.
    assert message.stop_reason == ("end_turn" if kind in {"openai", "vertex-gemini"} else "stop_sequence")


def test_sampling_parameters_are_accepted(anthropic_sdk, model):
    # As a body: newer SDKs no longer name them all.
    fields = {"temperature": 0.5, "top_p": 0.9, "metadata": {"user_id": "u-1"}}
    assert text_of(ask(anthropic_sdk, model, "[[say fine]]", extra_body=fields)) == "fine"


class Weather(BaseModel):
    city: str
    degrees: int


def test_structured_output_is_parsed(anthropic_sdk, model):
    message = anthropic_sdk.call(
        "messages.parse",
        model=model,
        max_tokens=200,
        messages=[{"role": "user", "content": "Weather?"}],
        output_format=Weather,
    )
    assert isinstance(message.parsed_output, Weather)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["scripted-small", "claude-sonnet-4-6", "claude-haiku-5-5@vertex"])
def test_thinking_comes_with_its_signature(anthropic_sdk, model, stream):
    fields = {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 2000}
    prompt = [{"role": "user", "content": "[[reasoning 9]] [[say done]]"}]
    if stream:
        _, message = anthropic_sdk.watch(
            "messages.stream", "get_final_message", model=model, messages=prompt, **fields
        )
    else:
        message = anthropic_sdk.call("messages.create", model=model, messages=prompt, **fields)
    assert [block.type for block in message.content] == ["thinking", "text"]
    assert message.content[0].signature
    again = [*prompt, {"role": "assistant", "content": message.content}, {"role": "user", "content": "go on"}]
    assert anthropic_sdk.call("messages.create", model=model, messages=again, **fields).content


def test_unknown_fields_pass_through(anthropic_sdk):
    message = ask(anthropic_sdk, "claude-sonnet-4-6", "[[tokens 2]]", extra_body={"some_new_field": 1})
    assert message.usage.output_tokens == 2


def test_a_refusal_says_so(anthropic_sdk, model):
    assert ask(anthropic_sdk, model, "[[refuse]]").stop_reason == "refusal"
