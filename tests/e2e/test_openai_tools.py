"""Tool calls through OpenAI's SDK, against every kind of provider."""

import json

import openai
import pytest
from pydantic import BaseModel

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather now",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city"],
        },
    },
}
TIME = {
    "type": "function",
    "function": {
        "name": "time",
        "parameters": {"type": "object", "properties": {"zone": {"type": "string"}}},
    },
}
BREST = {"city": "Brest", "days": 3}
TWO = 'Go [[tool weather {"city": "Brest", "days": 3}]] [[tool time {"zone": "UTC"}]]'


def user(content):
    return [{"role": "user", "content": content}]


def called(message):
    return [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]


def test_a_single_call(openai_sdk, model):
    answer = openai_sdk.call(
        "chat.completions.create",
        model=model,
        messages=user('Go [[tool weather {"city": "Brest", "days": 3}]]'),
        tools=[WEATHER, TIME],
    )
    choice = answer.choices[0]
    assert choice.finish_reason == "tool_calls"
    assert called(choice.message) == [("weather", BREST)]
    assert choice.message.tool_calls[0].id


def test_parallel_calls_and_the_round_trip_of_their_results(openai_sdk, model):
    messages = user(TWO)
    first = openai_sdk.call("chat.completions.create", model=model, messages=messages, tools=[WEATHER, TIME])
    message = first.choices[0].message
    assert called(message) == [("weather", BREST), ("time", {"zone": "UTC"})]
    assert len({call.id for call in message.tool_calls}) == 2
    messages.append(message.model_dump(exclude_none=True))
    messages += [
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain and wind"},
        {"role": "tool", "tool_call_id": message.tool_calls[1].id, "content": "noon"},
    ]
    second = openai_sdk.call("chat.completions.create", model=model, messages=messages, tools=[WEATHER, TIME])
    assert second.choices[0].finish_reason == "stop"
    assert "noon" in second.choices[0].message.content
    assert second.usage.prompt_tokens > first.usage.prompt_tokens


def test_arguments_stream_in_pieces(openai_sdk, model):
    chunks = openai_sdk.call(
        "chat.completions.create", model=model, messages=user(TWO), tools=[WEATHER, TIME], stream=True
    )
    calls: dict[int, dict] = {}
    pieces = 0
    for chunk in chunks:
        for delta in (chunk.choices[0].delta.tool_calls or []) if chunk.choices else []:
            call = calls.setdefault(delta.index, {"arguments": ""})
            if delta.id:
                assert "id" not in call
                call["id"], call["name"] = delta.id, delta.function.name
            call["arguments"] += delta.function.arguments or ""
            pieces += 1
    found = [(calls[index]["name"], json.loads(calls[index]["arguments"])) for index in sorted(calls)]
    assert found == [("weather", BREST), ("time", {"zone": "UTC"})]
    assert pieces > len(calls), "the arguments came at once"
    reasons = [chunk.choices[0].finish_reason for chunk in chunks if chunk.choices]
    assert reasons[-1] == "tool_calls"


class weather(BaseModel):  # noqa: N801 - the tool's name
    city: str
    days: int = 1


def test_the_stream_helper_parses_strict_arguments(openai_sdk, model):
    events, final = openai_sdk.watch(
        "chat.completions.stream",
        "get_final_completion",
        model=model,
        messages=user('Go [[tool weather {"city": "Brest", "days": 3}]]'),
        tools=[openai.pydantic_function_tool(weather)],
    )
    call = final.choices[0].message.tool_calls[0].function
    assert call.parsed_arguments == weather(**BREST)
    assert [event.name for event in events if event.type == "tool_calls.function.arguments.done"] == [
        "weather"
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("required", "weather"),
        ({"type": "function", "function": {"name": "time"}}, "time"),
        ("none", None),
        ("auto", None),
    ],
    ids=["required", "named", "none", "auto"],
)
def test_the_choice_of_tools_is_respected(openai_sdk, model, choice, expected):
    answer = openai_sdk.call(
        "chat.completions.create", model=model, messages=user("Go"), tools=[WEATHER, TIME], tool_choice=choice
    )
    message = answer.choices[0].message
    if expected is None:
        assert not message.tool_calls
        assert message.content
    else:
        assert [name for name, _ in called(message)] == [expected]


def test_an_agents_loop_of_calls_with_text_and_results_ends(openai_sdk, model):
    messages = user('[[tool time {"zone": "UTC"}]]')
    for turn in range(3):
        answer = openai_sdk.call("chat.completions.create", model=model, messages=messages, tools=[TIME])
        message = answer.choices[0].message
        messages.append(message.model_dump(exclude_none=True))
        if not message.tool_calls:
            break
        messages += [
            {"role": "tool", "tool_call_id": call.id, "content": [{"type": "text", "text": f"turn {turn}"}]}
            for call in message.tool_calls
        ]
    assert turn == 1
    assert "turn 0" in message.content
