"""OpenAI's SDK, sync and async, against every kind of provider."""

import pytest
from pydantic import BaseModel

PIXEL = (
    "data:image/png;base64,"
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def user(content):
    return [{"role": "user", "content": content}]


def ask(sdk, model, content="hello", **fields):
    return sdk.call("chat.completions.create", model=model, messages=user(content), **fields)


def test_a_chat_is_answered_with_usage_and_governed_headers(openai_sdk, model, provider):
    headers, answer = openai_sdk.raw(
        "chat.completions", model=model, messages=user("one two [[say Good day.]]")
    )
    assert answer.object == "chat.completion"
    assert answer.model
    choice = answer.choices[0]
    assert (choice.message.role, choice.message.content) == ("assistant", "Good day.")
    assert choice.finish_reason == "stop"
    # Of the words, those in the directive count too.
    assert answer.usage.prompt_tokens == 5
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer._request_id == headers["x-sluicegate-request-id"]
    assert answer._request_id.startswith("req_")
    assert headers["x-sluicegate-model"] == model
    assert headers["x-sluicegate-provider"] == provider
    assert headers["x-sluicegate-cache"] == "none"
    assert 0 < float(headers["x-sluicegate-cost-usd"]) < 0.01
    assert 0 < float(headers["x-sluicegate-budget-remaining-usd"]) <= 50


def test_a_stream_has_the_whole_answers_text(openai_sdk, model):
    text = "[[say The quick brown fox jumps.]]"
    whole = ask(openai_sdk, model, text).choices[0].message.content
    chunks = ask(openai_sdk, model, text, stream=True)
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices) == whole
    assert chunks[0].choices[0].delta.role == "assistant"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1
    assert all(chunk.object == "chat.completion.chunk" for chunk in chunks)
    assert sum(1 for c in chunks if c.choices and c.choices[0].delta.content) > 1


@pytest.mark.parametrize("wanted", [True, False, None])
def test_a_stream_says_its_usage_only_when_asked(openai_sdk, model, wanted):
    options = {} if wanted is None else {"stream_options": {"include_usage": wanted}}
    chunks = ask(openai_sdk, model, "[[tokens 7]]", stream=True, **options)
    said = [chunk.usage for chunk in chunks if chunk.usage is not None]
    if not wanted:
        assert said == []
        assert all(chunk.choices for chunk in chunks)
        return
    assert len(said) == 1
    assert chunks[-1].choices == []
    assert (said[0].prompt_tokens, said[0].completion_tokens) == (2, 7)


def test_the_stream_helper_gathers_the_completion(openai_sdk, model):
    events, final = openai_sdk.watch(
        "chat.completions.stream", "get_final_completion", model=model, messages=user("[[say a b c]]")
    )
    assert final.choices[0].message.content == "a b c"
    deltas = [event.delta for event in events if event.type == "content.delta"]
    assert "".join(deltas) == "a b c"
    assert events[-1].type in {"content.done", "chunk"}


class Weather(BaseModel):
    city: str
    degrees: int
    wind: list[str]


def test_structured_output_is_parsed(openai_sdk, model):
    answer = openai_sdk.call(
        "chat.completions.parse", model=model, messages=user("Weather?"), response_format=Weather
    )
    assert isinstance(answer.choices[0].message.parsed, Weather)


def test_structured_output_streams(openai_sdk, model):
    _, final = openai_sdk.watch(
        "chat.completions.stream",
        "get_final_completion",
        model=model,
        messages=user("Weather?"),
        response_format=Weather,
    )
    assert isinstance(final.choices[0].message.parsed, Weather)


@pytest.mark.parametrize("url", [PIXEL, "https://example.com/cat.png"], ids=["data", "https"])
def test_images_reach_the_model(openai_sdk, model, url):
    image = {"type": "image_url", "image_url": {"url": url}}
    answer = ask(openai_sdk, model, [{"type": "text", "text": "What is this?"}, image])
    assert answer.usage.prompt_tokens == 3 + 85


def test_a_system_message_and_earlier_turns_reach_the_model(openai_sdk, model):
    messages = [
        {"role": "system", "content": "Be very brief."},
        {"role": "user", "content": "What is two and two?"},
        {"role": "assistant", "content": "Four."},
        {"role": "user", "content": "And three? [[say Seven.]]"},
    ]
    answer = openai_sdk.call("chat.completions.create", model=model, messages=messages)
    assert answer.choices[0].message.content == "Seven."
    assert answer.usage.prompt_tokens == 3 + 5 + 1 + 4


@pytest.mark.parametrize("field", ["max_tokens", "max_completion_tokens"])
def test_the_length_is_bounded(openai_sdk, model, field):
    answer = ask(openai_sdk, model, "[[tokens 50]]", **{field: 5})
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5


def test_a_stop_sequence_ends_the_answer(openai_sdk, model):
    answer = ask(openai_sdk, model, "[[say one two three four]]", stop=["three"])
    assert answer.choices[0].message.content.strip() == "one two"
    assert answer.choices[0].finish_reason == "stop"


def test_several_choices(openai_sdk, model, kind):
    if kind in {"anthropic", "vertex-claude"}:
        with pytest.raises(Exception, match="choices") as refused:
            ask(openai_sdk, model, "[[tokens 3]]", n=3)
        assert refused.value.status_code == 400
        return
    answer = ask(openai_sdk, model, "[[tokens 3]]", n=3)
    assert [choice.index for choice in answer.choices] == [0, 1, 2]
    assert answer.usage.completion_tokens == 9


@pytest.mark.parametrize("stream", [False, True])
def test_log_probabilities(openai_sdk, model, kind, stream):
    fields = {"logprobs": True, "top_logprobs": 2, "stream": stream}
    if kind not in {"scripted", "openai"}:
        with pytest.raises(Exception, match="logprobs") as refused:
            ask(openai_sdk, model, "[[tokens 3]]", **fields)
        assert refused.value.status_code == 400
        return
    answer = ask(openai_sdk, model, "[[tokens 3]]", **fields)
    found = [c.choices[0] for c in answer if c.choices] if stream else [answer.choices[0]]
    tokens = [token for choice in found if choice.logprobs for token in choice.logprobs.content]
    assert len(tokens) == 3
    assert all(len(token.top_logprobs) == 2 for token in tokens)


def test_reasoning_is_counted(openai_sdk):
    answer = ask(openai_sdk, "gpt-5.1", "[[reasoning 9]] [[tokens 4]]", reasoning_effort="low")
    assert answer.usage.completion_tokens_details.reasoning_tokens == 9
    assert answer.usage.completion_tokens == 13


def test_a_refusal_is_passed_on(openai_sdk, model, kind):
    choice = ask(openai_sdk, model, "[[refuse]]").choices[0]
    if kind in {"anthropic", "vertex-claude"}:
        # Anthropic refuses by the reason for which the answer ends.
        assert choice.finish_reason == "content_filter"
    else:
        assert choice.message.refusal
        assert choice.message.content is None


def test_unknown_fields_pass_through(openai_sdk):
    answer = ask(openai_sdk, "gpt-4.1", "[[tokens 2]]", extra_body={"some_new_field": {"a": 1}})
    assert answer.usage.completion_tokens == 2
