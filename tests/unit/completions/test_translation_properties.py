"""What holds for every request: there and back keeps its meaning; nothing odd is ever an accident."""

import copy
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.completions.anthropic.decode import decode_request as decode_messages
from sluicegate.completions.canonical import ChoiceMode, Request, ToolCall, ToolChoice, Turn
from sluicegate.completions.openai_chat.decode import decode_request as decode_chat
from sluicegate.completions.registry import codecs
from sluicegate.completions.translate import translator
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

CHAT, MESSAGES = Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES
CODECS = codecs()
DECODE = {CHAT: decode_chat, MESSAGES: decode_messages}

words = st.text(min_size=1, max_size=12)
names = st.from_regex(r"[a-z]{1,8}", fullmatch=True)
arguments = st.dictionaries(names, words | st.integers(-9, 9) | st.booleans() | st.none(), max_size=3)
images = st.sampled_from([
    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
    {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA", "filename": "a.pdf"}},
])  # fmt: skip
text_parts = words.map(lambda text: {"type": "text", "text": text})
contents = words | st.lists(text_parts | images, min_size=1, max_size=3)
schemas = st.just({"type": "object", "properties": {"a": {"type": "string"}}})


@st.composite
def chats(draw: st.DrawFn) -> dict[str, Any]:
    """Requests in OpenAI's dialect that hold nothing but what both dialects know."""
    messages: list[Any] = [{"role": "system", "content": draw(words)}] if draw(st.booleans()) else []
    messages.append({"role": "user", "content": draw(contents)})
    for turn in range(draw(st.integers(0, 3))):
        calls = [
            {
                "id": f"call_{turn}_{number}",
                "type": "function",
                "function": {"name": draw(names), "arguments": orjson.dumps(draw(arguments)).decode()},
            }
            for number in range(draw(st.integers(0, 3)))
        ]
        said = draw(words) if not calls or draw(st.booleans()) else None
        messages.append({"role": "assistant", "content": said, **({"tool_calls": calls} if calls else {})})
        messages += [{"role": "tool", "tool_call_id": call["id"], "content": draw(words)} for call in calls]
        if not calls or draw(st.booleans()):
            messages.append({"role": "user", "content": draw(contents)})
    body: dict[str, Any] = {"model": draw(names), "messages": messages, "max_tokens": draw(st.integers(1, 9))}
    optional = {
        "temperature": st.floats(0, 1),
        "top_p": st.floats(0, 1),
        "stop": st.lists(words, min_size=1, max_size=4),
        "user": words,
        "stream": st.just(value=True),
        "stream_options": st.just({"include_usage": True}),
        "parallel_tool_calls": st.booleans(),
        "response_format": st.just(
            {"type": "json_schema", "json_schema": {"name": "answer", "schema": {}, "strict": True}}
        ),
    }
    body |= {name: draw(values) for name, values in optional.items() if draw(st.booleans())}
    body["tools"] = [
        {
            "type": "function",
            "function": {"name": f"tool{number}", "description": draw(words), "parameters": draw(schemas)},
        }
        for number in range(draw(st.integers(0, 2)))
    ]
    if body["tools"] and draw(st.booleans()):
        named = {"type": "function", "function": {"name": "tool0"}}
        body["tool_choice"] = draw(st.sampled_from(["auto", "none", "required", named]))
    return body


def meaning(request: Request) -> Request:
    """`request` without what is only the way of saying it."""
    choice = request.tool_choice
    mode = ChoiceMode.AUTO if choice.mode is None else choice.mode
    parallel = False if choice.parallel is False and mode is not ChoiceMode.NONE else None
    return replace(
        request,
        dialect=CHAT,
        turns=[
            Turn(turn.role, [plain(part) for part in turn.parts], "", turn.name) for turn in request.turns
        ],
        tool_choice=ToolChoice(mode, choice.name, parallel=parallel) if request.tools else ToolChoice(),
        include_usage=True,
    )


def plain(part: Any) -> Any:
    return replace(part, arguments=orjson.loads(part.arguments)) if isinstance(part, ToolCall) else part


@given(chats())
def test_there_and_back_keeps_the_meaning_of_a_chat(body: dict[str, Any]) -> None:
    there = translator(CHAT, MESSAGES).request(body)
    CODECS[MESSAGES].inspect(there, 1_000)
    back = translator(MESSAGES, CHAT).request(there)
    CODECS[CHAT].inspect(back, 1_000)
    assert meaning(decode_chat(back)) == meaning(decode_chat(body))


@given(chats())
def test_there_and_back_keeps_the_meaning_of_a_message(body: dict[str, Any]) -> None:
    message = translator(CHAT, MESSAGES).request(body)
    again = translator(CHAT, MESSAGES).request(translator(MESSAGES, CHAT).request(message))
    assert meaning(decode_messages(again)) == meaning(decode_messages(message))


@given(chats())
def test_what_is_needed_of_a_model_is_the_same_in_both_dialects(body: dict[str, Any]) -> None:
    there = translator(CHAT, MESSAGES).request(body)
    assert CODECS[MESSAGES].inspect(there, 500).capabilities == CODECS[CHAT].inspect(body, 500).capabilities


RICH: dict[Dialect, dict[str, Any]] = {
    CHAT: {
        "model": "m", "max_tokens": 5, "stream": True, "stream_options": {"include_usage": True}, "n": 1,
        "temperature": 0.5, "stop": ["a"], "user": "u", "metadata": {"a": "b"}, "service_tier": "auto",
        "tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": False,
        "reasoning_effort": "low", "logit_bias": {}, "verbosity": "medium", "seed": 1,
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "a", "schema": {}, "strict": True},
        },
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}, "strict": True}}],
        "messages": [
            {"role": "developer", "content": [{"type": "text", "text": "x"}]},
            {
                "role": "user",
                "name": "n",
                "content": [
                    {
                        "type": "text",
                        "text": "x",
                        "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"},
                    },
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA", "detail": "low"}},
                    {"type": "file", "file": {"file_data": "data:text/plain;base64,QUFB", "filename": "a"}},
                ],
            },
            {
                "role": "assistant",
                "content": None,
                "refusal": "no",
                "thinking_blocks": [{"type": "thinking", "thinking": "h", "signature": "s"}],
                "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
            },
            {"role": "tool", "tool_call_id": "c", "content": [{"type": "text", "text": "x"}]},
        ],
    },
    MESSAGES: {
        "model": "m", "max_tokens": 5, "stream": True, "temperature": 0.5, "stop_sequences": ["a"],
        "system": [{"type": "text", "text": "x", "cache_control": {"type": "ephemeral", "ttl": "1h"}}],
        "metadata": {"user_id": "u"}, "service_tier": "auto", "top_p": 0.5,
        "thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"},
        "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
        "tool_choice": {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        "tools": [{"name": "f", "description": "d", "input_schema": {}, "strict": True, "type": "custom"}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "x", "citations": []},
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
                    {
                        "type": "document",
                        "title": "t",
                        "context": "c",
                        "citations": {"enabled": False},
                        "source": {"type": "content", "content": [{"type": "text", "text": "x"}]},
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "h", "signature": "s"},
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "tool_use", "id": "c", "name": "f", "input": {"a": 1}},
                ],
            },
            {
                "role": "user",
                "content": [{"type": "tool_result", "tool_use_id": "c", "is_error": True, "content": "x"}],
            },
        ],
    },
}  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else []
    return [(*path, key) for key in keys] + [at for key in keys for at in places(value[key], (*path, key))]


MISSING = object()
ODD: list[Any] = [
    None, True, False, 0, -1, 1.5, 1e21, "", "x", "data:", [], [None], ["x"], {}, {"type": "text"},
    {"type": []}, {"a": {}}, [[]], [{}], [{"type": "text"}], [{"type": "image", "source": {"type": "text"}}],
    MISSING,
]  # fmt: skip


def with_odd(body: dict[str, Any], changes: list[tuple[tuple[Any, ...], Any]]) -> dict[str, Any]:
    body = copy.deepcopy(body)
    for path, value in changes:
        holder: Any = body
        try:
            for step in path[:-1]:
                holder = holder[step]
            if value is MISSING:
                del holder[path[-1]]
            else:
                holder[path[-1]] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took this place away
    return body


def never_an_accident(body: dict[str, Any], client: Dialect, provider: Dialect) -> None:
    try:
        CODECS[client].inspect(body, 2_000)
        CODECS[client].prepare(body, "m", 3)
        there = translator(client, provider).request(body)
        CODECS[provider].prepare(there, "m", 3)
    except InvalidRequestError as error:
        assert error.param  # noqa: PT017 - most odd bodies raise, some may pass


@pytest.mark.parametrize(("client", "provider"), [(CHAT, MESSAGES), (MESSAGES, CHAT)])
def test_with_any_one_field_odd_a_request_is_refused_or_carried(client: Dialect, provider: Dialect) -> None:
    for place in places(RICH[client]):
        for value in ODD:
            never_an_accident(with_odd(RICH[client], [(place, value)]), client, provider)


@given(st.data(), st.sampled_from([(CHAT, MESSAGES), (MESSAGES, CHAT)]))
def test_with_several_odd_fields_too(data: st.DataObject, pair: tuple[Dialect, Dialect]) -> None:
    change = st.tuples(st.sampled_from(places(RICH[pair[0]])), st.sampled_from(ODD))
    changes = data.draw(st.lists(change, min_size=2, max_size=4))
    never_an_accident(with_odd(RICH[pair[0]], changes), *pair)


def test_the_rich_requests_can_be_carried() -> None:
    for client, provider in ((CHAT, MESSAGES), (MESSAGES, CHAT)):
        CODECS[client].inspect(RICH[client], 2_000)
        assert translator(client, provider).request(RICH[client])["messages"]
