"""The engine's bytes, read back with the published SDKs' own types, and its accounts by counting."""

from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from anthropic.types import Message
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from sluicegate.adapters.providers.scripted.engine import Performance, ScriptedEngine
from sluicegate.adapters.providers.scripted.steps import After
from sluicegate.kernel.models import Dialect

CHAT, MESSAGES, EMBEDDINGS = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES, Dialect.OPENAI_EMBEDDINGS
WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def perform(
    dialect: Dialect, prompt: str, engine: ScriptedEngine | None = None, **fields: Any
) -> Performance:
    body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": prompt}], **fields}
    if dialect is MESSAGES:
        body.setdefault("max_tokens", 100_000)
    return (engine or ScriptedEngine()).perform(dialect, orjson.dumps(body))


def body_of(performance: Performance) -> bytes:
    return b"".join(step.data for step in performance.steps)


def events(data: bytes) -> Iterator[Any]:
    for event in data.decode().split("\n\n"):
        for line in event.splitlines():
            if line.startswith("data: ") and line != "data: [DONE]":
                yield orjson.loads(line[6:])


def chat(prompt: str, **fields: Any) -> ChatCompletion:
    return ChatCompletion.model_validate_json(body_of(perform(CHAT, prompt, **fields)), strict=False)


def chunks(prompt: str, **fields: Any) -> list[ChatCompletionChunk]:
    data = body_of(perform(CHAT, prompt, stream=True, **fields))
    assert data.endswith(b"data: [DONE]\n\n")
    return [ChatCompletionChunk.model_validate(event) for event in events(data)]


def deltas(found: list[ChatCompletionChunk]) -> int:
    return sum(
        1
        for chunk in found
        for choice in chunk.choices
        if choice.delta.content
        or choice.delta.tool_calls
        or choice.delta.refusal
        or (choice.delta.model_extra or {}).get("reasoning_content")
    )


@pytest.mark.parametrize(
    "prompt",
    [
        "hi",
        "[[tokens 50]]",
        "[[say hello there]]",
        "[[reasoning 7]]",
        "[[refuse]]",
        '[[tool a {"b": 1}]] [[tool c]]',
    ],
)
@pytest.mark.parametrize("limit", [None, 1, 3, 100])
@pytest.mark.parametrize("n", [1, 3])
def test_streamed_deltas_equal_reported_output_tokens(prompt: str, limit: int | None, n: int) -> None:
    fields = {"n": n} | ({"max_completion_tokens": limit} if limit else {})
    whole = chat(prompt, **fields)
    found = chunks(prompt, stream_options={"include_usage": True}, **fields)
    usage = found[-1].usage
    assert whole.usage is not None
    assert usage == whole.usage
    assert found[-1].choices == []
    assert deltas(found) == usage.completion_tokens
    assert [choice.finish_reason for choice in whole.choices] == [
        next(
            c.finish_reason for chunk in found for c in chunk.choices if c.index == index and c.finish_reason
        )
        for index in range(n)
    ]
    for choice in whole.choices:
        text = "".join(
            c.delta.content or "" for chunk in found for c in chunk.choices if c.index == choice.index
        )
        assert text == (choice.message.content or "")


@pytest.mark.parametrize(
    "prompt", ["hi", "[[reasoning 5]] [[tokens 9]]", "[[refuse]]", '[[tool a {"b": 1}]]', "[[reasoning 1]]"]
)
@pytest.mark.parametrize("limit", [100, 3])
def test_anthropic_streams_equal_whole_answers(prompt: str, limit: int) -> None:
    whole = Message.model_validate_json(body_of(perform(MESSAGES, prompt, max_tokens=limit)))
    found = list(events(body_of(perform(MESSAGES, prompt, max_tokens=limit, stream=True))))
    assert found[0]["type"] == "message_start"
    assert found[-1]["type"] == "message_stop"
    counted = sum(1 for event in found if event["type"] == "content_block_delta")
    ending = found[-2]
    assert counted == ending["usage"]["output_tokens"] == whole.usage.output_tokens
    assert ending["delta"]["stop_reason"] == whole.stop_reason
    assert found[0]["message"]["usage"]["input_tokens"] == whole.usage.input_tokens
    text = "".join(
        event["delta"].get("text", "") for event in found if event["type"] == "content_block_delta"
    )
    assert text == "".join(block.text for block in whole.content if block.type == "text")


def test_prompt_tokens_are_the_words_of_all_text() -> None:
    answer = chat(
        "one two three",
        tools=[{"type": "function", "function": {"name": "f", "description": "four five"}}],
    )
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 5
    image = [{"type": "text", "text": "look here"}, {"type": "image_url", "image_url": {"url": "https://x"}}]
    answer = ChatCompletion.model_validate_json(
        body_of(perform(CHAT, "", messages=[{"role": "user", "content": image}]))
    )
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == 87
    assert "1 attachments" in (answer.choices[0].message.content or "")


def test_limits_and_stops_end_an_answer_with_the_right_reason() -> None:
    assert chat("[[tokens 5]]", max_tokens=5).choices[0].finish_reason == "stop"
    assert chat("[[tokens 6]]", max_tokens=5).choices[0].finish_reason == "length"
    stopped = chat("[[say one two three four]]", stop=["e t", "four"])
    assert stopped.choices[0].message.content == "on"
    assert stopped.choices[0].finish_reason == "stop"
    assert stopped.usage is not None
    assert stopped.usage.completion_tokens == 1
    message = Message.model_validate_json(
        body_of(perform(MESSAGES, "[[say one two three]]", stop_sequences=["two"]))
    )
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "two")
    assert message.usage.output_tokens == 2


def test_structured_output_is_a_valid_instance_in_both_dialects() -> None:
    schema = {"type": "json_schema", "json_schema": {"name": "w", "schema": WEATHER}}
    content = chat("hi", response_format=schema).choices[0].message.content
    assert orjson.loads(content or "") == {"city": "scripted"}
    assert orjson.loads(chat("hi", response_format={"type": "json_object"}).choices[0].message.content or "")
    config = {"format": {"type": "json_schema", "schema": WEATHER}}
    message = Message.model_validate_json(body_of(perform(MESSAGES, "hi", output_config=config)))
    assert message.content[0].type == "text"
    assert orjson.loads(message.content[0].text) == {"city": "scripted"}


def test_a_json_object_can_be_put_into_its_mouth() -> None:
    said = chat('hi [[say {"city": "Brest"}]]', response_format={"type": "json_object"})
    assert orjson.loads(said.choices[0].message.content or "") == {"city": "Brest"}
    other = chat("hi [[say Brest]]", response_format={"type": "json_object"})
    assert orjson.loads(other.choices[0].message.content or "")["answer"] == "Brest"


def test_an_answer_of_no_tokens() -> None:
    none = chat("hi [[tokens 5]]", max_completion_tokens=0)
    assert (none.choices[0].message.content, none.choices[0].finish_reason) == ("", "length")
    assert none.usage is not None
    assert none.usage.completion_tokens == 0
    assert deltas(chunks("hi", max_tokens=0)) == 0
    message = Message.model_validate_json(body_of(perform(MESSAGES, "hi", max_tokens=0)))
    assert (message.content, message.stop_reason, message.usage.output_tokens) == ([], "max_tokens", 0)


def test_required_and_named_tools_are_called_with_minimal_arguments() -> None:
    tools = [
        {"type": "function", "function": {"name": name, "parameters": WEATHER}}
        for name in ("first", "second")
    ]
    for choice, expected in [
        ("required", "first"),
        ({"type": "function", "function": {"name": "second"}}, "second"),
    ]:
        answer = chat("hi", tools=tools, tool_choice=choice).choices[0]
        assert answer.finish_reason == "tool_calls"
        call = (answer.message.tool_calls or [])[0]
        assert call.type == "function"
        assert (call.function.name, call.function.arguments) == (expected, '{"city":"scripted"}')
    assert chat("hi", tools=tools).choices[0].finish_reason == "stop"
    assert perform(CHAT, "hi", tool_choice="required").status == 400


def test_a_tool_directive_is_spent_once_its_result_is_there() -> None:
    call = {"id": "c", "type": "function", "function": {"name": "t", "arguments": "{}"}}
    messages = [
        {"role": "user", "content": "[[tool t {}]]"},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c", "content": "sunny"},
    ]
    answer = chat("", messages=messages).choices[0]
    assert answer.finish_reason == "stop"
    assert "sunny" in (answer.message.content or "")
    turns = [
        messages[0],
        {"role": "assistant", "content": [{"type": "tool_use", "id": "c", "name": "t", "input": {}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c", "content": "sunny"}]},
    ]
    message = Message.model_validate_json(body_of(perform(MESSAGES, "", messages=turns)))
    assert message.stop_reason == "end_turn"


def test_logprobs_are_given_for_each_token() -> None:
    content = chat("[[tokens 3]]", logprobs=True, top_logprobs=2).choices[0].logprobs
    assert content is not None
    assert content.content is not None
    assert [len(one.top_logprobs) for one in content.content] == [2, 2, 2]
    streamed = chunks("[[tokens 3]]", logprobs=True)
    assert sum(1 for chunk in streamed if chunk.choices and chunk.choices[0].logprobs) == 3


def test_cached_and_wrong_usage() -> None:
    usage = chat("one two three four [[cached 3]] [[cache-write 50]]").usage
    assert usage is not None
    assert usage.prompt_tokens_details is not None
    assert usage.prompt_tokens == 8
    assert usage.prompt_tokens_details.cached_tokens == 3
    assert usage.prompt_tokens_details.cache_write_tokens == 5
    performance = perform(CHAT, "[[wrong-usage]] [[tokens 10]]")
    assert performance.figures.output == 10
    assert orjson.loads(body_of(performance))["usage"]["completion_tokens"] == 27


def test_continuous_usage_counts_up_to_the_final_figures() -> None:
    found = chunks("[[tokens 4]] [[reasoning 2]]", n=2, stream_options={"continuous_usage_stats": True})
    counts = [chunk.usage.completion_tokens for chunk in found if chunk.usage]
    assert len(counts) == len(found)
    assert counts == sorted(counts)
    assert counts[-1] == counts[-2] == 12


def test_failures_count_down_per_prompt_and_can_name_a_model() -> None:
    engine = ScriptedEngine()
    statuses = [perform(CHAT, "a [[fail 500 times 2]]", engine).status for _ in range(4)]
    assert statuses == [500, 500, 200, 200]
    assert perform(CHAT, "b [[fail 500 times 2]]", engine).status == 500
    assert perform(CHAT, "[[fail 503 model other]]").status == 200
    failed = perform(CHAT, "[[fail 429 retry-after 2]]")
    assert (failed.status, dict(failed.headers)[b"retry-after"]) == (429, b"2")
    assert orjson.loads(body_of(failed))["error"]["type"] == "rate_limit_error"
    assert orjson.loads(body_of(perform(MESSAGES, "[[fail 529]]")))["error"]["type"] == "overloaded_error"


@pytest.mark.parametrize("dialect", [CHAT, MESSAGES])
def test_stream_faults_come_after_exactly_that_many_tokens(dialect: Dialect) -> None:
    for fault, after in [("stall", After.STALL), ("cut", After.CUT)]:
        steps = list(perform(dialect, f"[[tokens 9]] [[{fault} after 4]]", stream=True).steps)
        assert sum(step.tokens for step in steps) == 4
        assert steps[-1].after is after
    data = body_of(perform(dialect, "[[tokens 9]] [[error after 4]]", stream=True))
    assert "error" in list(events(data))[-1]
    steps = list(perform(dialect, "[[tokens 9]] [[garbage after 2]]", stream=True).steps)
    assert sum(step.tokens for step in steps) == 2
    assert b"\x00\xff" in steps[-1].data


def test_faults_in_whole_answers() -> None:
    assert perform(CHAT, "[[error after 4]]").status == 500
    cut = perform(CHAT, "[[cut after 4]]")
    steps = list(cut.steps)
    assert (len(steps), steps[0].after, steps[0].tokens) == (1, After.CUT, 0)
    assert cut.length is not None
    assert len(steps[0].data) < cut.length
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(body_of(perform(CHAT, "[[garbage after 4]]")))


def test_delays_are_put_before_each_token() -> None:
    steps = list(perform(CHAT, "[[tokens 3]] [[delay 20ms]]", stream=True).steps)
    assert [step.wait_s for step in steps if step.tokens] == [0.02, 0.02, 0.02]
    assert next(iter(perform(CHAT, "[[tokens 3]] [[delay 20ms]]").steps)).wait_s == pytest.approx(0.06)
    assert perform(CHAT, "[[first 300ms]]").wait_s == pytest.approx(0.3)


def test_a_fast_answer_is_one_write() -> None:
    assert len(list(perform(CHAT, "[[tokens 20]]", stream=True).steps)) == 1


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": []},
        {"messages": "x"},
        {"model": ""},
        {"max_tokens": -1},
        {"n": 129},
        {"tools": 3},
        {"messages": ["x"]},
        {"stop": ["x"] * 65},
    ],
)
def test_wrong_requests_are_answered_in_the_dialect(fields: dict[str, Any]) -> None:
    performance = perform(CHAT, "hi", **fields)
    assert performance.status == 400
    assert orjson.loads(body_of(performance))["error"]["type"] == "invalid_request_error"


def test_bodies_that_are_no_json_objects() -> None:
    for raw in (b"", b"[]", b"{", b"\xff"):
        assert ScriptedEngine().perform(CHAT, raw).status == 400
        assert orjson.loads(body_of(ScriptedEngine().perform(MESSAGES, raw)))["type"] == "error"
