"""Tool use through Anthropic's SDK, against every kind of provider."""

import pytest

WEATHER = {
    "name": "weather",
    "description": "The weather now",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city"],
    },
}
TIME = {"name": "time", "input_schema": {"type": "object", "properties": {"zone": {"type": "string"}}}}
TWO = 'Go [[tool weather {"city": "Brest", "days": 3}]] [[tool time {"zone": "UTC"}]]'
EXPECTED = [("weather", {"city": "Brest", "days": 3}), ("time", {"zone": "UTC"})]


def ask(sdk, model, messages, **fields):
    if isinstance(messages, str):
        messages = [{"role": "user", "content": messages}]
    fields = {"max_tokens": 200, "tools": [WEATHER, TIME], **fields}
    return sdk.call("messages.create", model=model, messages=messages, **fields)


def uses(message):
    return [(block.name, block.input) for block in message.content if block.type == "tool_use"]


def test_parallel_calls_and_the_round_trip_of_their_results(anthropic_sdk, model):
    messages = [{"role": "user", "content": TWO}]
    first = ask(anthropic_sdk, model, messages)
    assert first.stop_reason == "tool_use"
    assert uses(first) == EXPECTED
    ids = [block.id for block in first.content if block.type == "tool_use"]
    assert len(set(ids)) == 2
    results = [
        {"type": "tool_result", "tool_use_id": ids[0], "content": "rain and wind"},
        {"type": "tool_result", "tool_use_id": ids[1], "content": [{"type": "text", "text": "noon"}]},
    ]
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    second = ask(anthropic_sdk, model, messages)
    assert second.stop_reason == "end_turn"
    assert "noon" in second.content[0].text
    assert second.usage.input_tokens > first.usage.input_tokens


def test_a_failed_result_reaches_the_model(anthropic_sdk, model):
    messages = [{"role": "user", "content": '[[tool time {"zone": "UTC"}]]'}]
    first = ask(anthropic_sdk, model, messages)
    result = {
        "type": "tool_result",
        "tool_use_id": first.content[-1].id,
        "content": "no clock here",
        "is_error": True,
    }
    messages += [{"role": "assistant", "content": first.content}, {"role": "user", "content": [result]}]
    assert "no clock here" in ask(anthropic_sdk, model, messages).content[0].text


def test_input_streams_in_pieces(anthropic_sdk, model):
    events, final = anthropic_sdk.watch(
        "messages.stream",
        "get_final_message",
        model=model,
        max_tokens=200,
        messages=[{"role": "user", "content": TWO}],
        tools=[WEATHER, TIME],
    )
    assert uses(final) == EXPECTED
    assert final.stop_reason == "tool_use"
    pieces = [event for event in events if event.type == "input_json"]
    assert len(pieces) > 2, "the input came at once"
    blocks = [event.index for event in events if event.type == "content_block_start"]
    assert blocks == list(range(len(blocks)))


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ({"type": "any"}, ["weather"]),
        ({"type": "tool", "name": "time"}, ["time"]),
        ({"type": "none"}, []),
        ({"type": "auto"}, []),
    ],
    ids=["any", "named", "none", "auto"],
)
def test_the_choice_of_tools_is_respected(anthropic_sdk, model, choice, expected):
    message = ask(anthropic_sdk, model, "Go", tool_choice=choice)
    assert [name for name, _ in uses(message)] == expected
    assert message.content
