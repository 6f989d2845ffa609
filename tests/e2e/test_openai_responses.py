"""The responses and embeddings of OpenAI's SDK, against every kind of provider."""

import json

import openai
import pytest
from pydantic import BaseModel

WEATHER = {
    "type": "function",
    "name": "weather",
    "description": "The weather now",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
        "required": ["city", "days"],
        "additionalProperties": False,
    },
    "strict": True,
}
TWO = 'Go [[tool weather {"city": "Brest", "days": 3}]] [[tool weather {"city": "Metz", "days": 1}]]'


class Place(BaseModel):
    city: str
    days: int


def calls(response):
    return [item for item in response.output if item.type == "function_call"]


def test_text(openai_sdk, model):
    response = openai_sdk.call(
        "responses.create", model=model, input="Hello [[say Good day]]", instructions="Be kind."
    )
    assert response.output_text == "Good day"
    assert (response.status, response.object, response.instructions) == ("completed", "response", "Be kind.")
    assert response.usage.total_tokens == response.usage.input_tokens + response.usage.output_tokens
    assert response.usage.output_tokens > 0


def test_a_stream_through_the_helper(openai_sdk, model):
    events, final = openai_sdk.watch(
        "responses.stream", "get_final_response", model=model, input="Hello [[say Good day to you]]"
    )
    assert events[0].type == "response.created"
    assert events[-1].type == "response.completed"
    assert "".join(event.delta for event in events if event.type == "response.output_text.delta") == (
        "Good day to you"
    )
    assert final.output_text == "Good day to you"
    assert final.usage.output_tokens > 0


def test_a_parsed_answer(openai_sdk, model):
    response = openai_sdk.call("responses.parse", model=model, input="Where?", text_format=Place)
    assert isinstance(response.output_parsed, Place)


def test_calls_and_the_round_trip_of_their_results(openai_sdk, model):
    asked = [{"role": "user", "content": TWO}]
    first = openai_sdk.call("responses.create", model=model, input=asked, tools=[WEATHER])
    assert [json.loads(call.arguments) for call in calls(first)] == [
        {"city": "Brest", "days": 3},
        {"city": "Metz", "days": 1},
    ]
    asked += [item.model_dump(exclude_none=True) for item in first.output]
    asked += [
        {"type": "function_call_output", "call_id": call.call_id, "output": "rain"} for call in calls(first)
    ]
    second = openai_sdk.call("responses.create", model=model, input=asked, tools=[WEATHER])
    assert second.output_text
    assert not calls(second)


def test_calls_in_a_stream(openai_sdk, model):
    events, final = openai_sdk.watch(
        "responses.stream", "get_final_response", model=model, input=TWO, tools=[WEATHER]
    )
    done = [event for event in events if event.type == "response.function_call_arguments.done"]
    assert [json.loads(event.arguments)["city"] for event in done] == ["Brest", "Metz"]
    assert len(calls(final)) == 2


def test_reasoning_is_shown_and_sent_back(openai_sdk, model):
    events, final = openai_sdk.watch(
        "responses.stream",
        "get_final_response",
        model=model,
        input="Hm [[reasoning 5]] [[say Yes]]",
        reasoning={"summary": "auto"},
    )
    assert "response.reasoning_summary_text.delta" in {event.type for event in events}
    assert final.output[0].type == "reasoning"
    assert final.output[0].summary[0].text
    assert final.output_text == "Yes"
    history = [
        {"role": "user", "content": "Hm"},
        *(item.model_dump(exclude_none=True) for item in final.output),
    ]
    again = openai_sdk.call(
        "responses.create", model=model, input=[*history, {"role": "user", "content": "[[say So]]"}]
    )
    assert again.output_text == "So"


def test_a_cut_answer_is_incomplete(openai_sdk, model):
    response = openai_sdk.call(
        "responses.create", model=model, input="Hello [[tokens 50]]", max_output_tokens=16
    )
    assert response.status == "incomplete"
    assert response.incomplete_details.reason == "max_output_tokens"
    assert response.usage.output_tokens == 16


def test_a_picture(openai_sdk, model):
    parts = [
        {"type": "input_text", "text": "What is it? [[say A dot]]"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"},
    ]
    response = openai_sdk.call("responses.create", model=model, input=[{"role": "user", "content": parts}])
    assert response.output_text == "A dot"


def test_an_error_in_mid_stream_is_raised(openai_sdk, model):
    with pytest.raises(openai.APIError) as caught:
        openai_sdk.call("responses.create", model=model, input="Hello [[error after 3]]", stream=True)
    assert caught.value.body["code"]


def test_what_only_openai_keeps_is_refused_by_name(gateway, model):
    # Whatever the provider keeps may fill a whole context, which the limits of a free plan do not pay.
    key = gateway.make_key(plan="enterprise", tenant="keeper")["key"]
    with (
        gateway.openai(key) as client,
        pytest.raises(openai.BadRequestError) as caught,
    ):
        client.responses.create(model=model, input="x", previous_response_id="resp_1")
    assert caught.value.param == "previous_response_id"


@pytest.mark.parametrize("name", ["scripted-embed", "text-embedding-3-small"])
def test_embeddings(openai_sdk, name):
    one = openai_sdk.call(
        "embeddings.create", model=name, input=["the sea", "the sea", "a fork"], dimensions=32
    )
    assert [len(item.embedding) for item in one.data] == [32] * 3
    assert one.data[0].embedding == one.data[1].embedding != one.data[2].embedding
    assert one.usage.prompt_tokens == one.usage.total_tokens > 0
    numbers = openai_sdk.call("embeddings.create", model=name, input=[[1, 2], [3]], encoding_format="float")
    assert len(numbers.data) == 2


def test_embeddings_cost_their_input_alone_and_come_from_the_cache(openai_sdk):
    asked = {"model": "scripted-embed", "input": "a sentence that is embedded twice"}
    openai_sdk.raw("embeddings", **asked)
    second, _ = openai_sdk.raw("embeddings", **asked)
    assert second["x-sluicegate-cache"] != "none"
    assert float(second["x-sluicegate-cost-usd"]) == 0


@pytest.mark.parametrize(
    ("method", "arguments"),
    [
        ("embeddings.create", {"model": "scripted-small", "input": "x"}),
        ("responses.create", {"model": "scripted-embed", "input": "x"}),
    ],
)
def test_a_model_without_the_capability_is_not_asked(openai_sdk, method, arguments):
    with pytest.raises(openai.BadRequestError):
        openai_sdk.call(method, **arguments)
