"""State at a provider is everyone's: references to it are refused."""

import orjson
import pytest

from sluicegate.completions.pipeline.provider_state import stand_alone
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

CHAT, RESPONSES = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES
MESSAGES = Dialect.ANTHROPIC_MESSAGES


SAID = {"role": "user", "content": "hello"}


PICTURE = "data:image/png;base64,AAAA"


def picture(url):
    return {"type": "image_url", "image_url": {"url": url}}


def said(*content, **more):
    return {"messages": [{"role": "user", "content": list(content), **more}]}


@pytest.mark.parametrize(
    ("dialect", "body", "param"),
    [
        (RESPONSES, {"previous_response_id": "resp_1"}, "previous_response_id"),
        (RESPONSES, {"conversation": {"id": "conv_1"}}, "conversation"),
        (RESPONSES, {"prompt": {"id": "pmpt_1"}}, "prompt"),
        (RESPONSES, {"background": True}, "background"),
        (RESPONSES, {"input": [SAID, {"type": "item_reference", "id": "msg_1"}]}, "input.1"),
        (
            RESPONSES,
            {"input": [{"role": "user", "content": [{"type": "input_image", "file_id": "file-1"}]}]},
            "input.0.content.0.file_id",
        ),
        (
            RESPONSES,
            {"tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
            "tools.0.vector_store_ids",
        ),
        (
            RESPONSES,
            {"tools": [{"type": "code_interpreter", "container": "cntr_1"}]},
            "tools.0.container",
        ),
        (
            RESPONSES,
            {"tools": [{"type": "code_interpreter", "container": {"type": "auto", "file_ids": ["file-1"]}}]},
            "tools.0.container.file_ids",
        ),
        (CHAT, said({"type": "file", "file": {"file_id": "file-1"}}), "messages.0.content.0.file.file_id"),
        (CHAT, said(audio={"id": "audio_1"}), "messages.0.audio"),
        (
            MESSAGES,
            said({"type": "document", "source": {"type": "file", "file_id": "file_1"}}),
            "messages.0.content.0.source.file_id",
        ),
        (CHAT, said() | {"audio": {"voice": {"id": "voice_1"}, "format": "mp3"}}, "audio.voice"),
        (
            CHAT,
            said() | {"prompt_cache_options": {"comparison_response_id": "chatcmpl-1"}},
            "prompt_cache_options.comparison_response_id",
        ),
        (CHAT, said() | {"google": {"cached_content": "cachedContents/1"}}, "google.cached_content"),
        (
            CHAT,
            said() | {"extra_body": {"google": {"cachedContent": "cachedContents/1"}}},
            "extra_body.google.cachedContent",
        ),
        (CHAT, said() | {"kv_transfer_params": {"remote_engine_id": "e"}}, "kv_transfer_params"),
        (CHAT, said(picture("gs://bucket/picture.png")), "messages.0.content.0.image_url.url"),
        (CHAT, said(picture(" S3://bucket/picture.png")), "messages.0.content.0.image_url.url"),
        (CHAT, said(picture("file:/etc/passwd")), "messages.0.content.0.image_url.url"),
        (CHAT, said(picture(PICTURE) | {"uuid": "seen-before"}), "messages.0.content.0.uuid"),
        (
            CHAT,
            said({"type": "input_audio", "input_audio": {"data": "gs://bucket/a.wav", "format": "wav"}}),
            "messages.0.content.0.input_audio.data",
        ),
        (
            CHAT,
            said({"type": "file", "file": {"file_data": "gs://bucket/a.pdf"}}),
            "messages.0.content.0.file.file_data",
        ),
        (RESPONSES, {"input": [SAID, {"id": "msg_1"}]}, "input.1"),
        (RESPONSES, {"input": [SAID, {"type": None, "id": "msg_1"}]}, "input.1"),
        (RESPONSES, {"input": [{"type": "image_generation_call", "id": "ig_1"}]}, "input.0"),
        (
            RESPONSES,
            {"prompt_cache_options": {"comparison_response_id": "resp_1"}},
            "prompt_cache_options.comparison_response_id",
        ),
        (RESPONSES, {"tools": [{"type": "mcp", "tunnel_id": "tunnel_1"}]}, "tools.0.tunnel_id"),
        (RESPONSES, {"tools": [{"type": "mcp", "connector_id": "connector_gmail"}]}, "tools.0.connector_id"),
        (
            RESPONSES,
            {"input": [{"type": "additional_tools", "tools": [{"type": "mcp", "tunnel_id": "tunnel_1"}]}]},
            "input.0.tools.0.tunnel_id",
        ),
        (
            RESPONSES,
            {"tools": [{"type": "shell", "environment": {"skills": [{"skill_id": "skill_1"}]}}]},
            "tools.0.environment.skills.0.skill_id",
        ),
        (
            RESPONSES,
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "gs://b/p.png"}]}]},
            "input.0.content.0.image_url",
        ),
        (MESSAGES, said() | {"container": "container_1"}, "container"),
        (MESSAGES, said() | {"container": {"id": "container_1", "skills": []}}, "container"),
        (
            MESSAGES,
            said() | {"container": {"skills": [{"type": "custom", "skill_id": "skill_1"}]}},
            "container.skills.0.skill_id",
        ),
        (MESSAGES, said() | {"thread": {"type": "continue", "previous_message_id": "msg_1"}}, "thread"),
        (MESSAGES, said() | {"thread": {"type": "fork"}}, "thread"),
        (
            MESSAGES,
            said() | {"thread": {"type": "create", "previous_message_id": "msg_1"}},
            "thread.previous_message_id",
        ),
        (
            MESSAGES,
            said() | {"diagnostics": {"previous_message_id": "msg_1"}},
            "diagnostics.previous_message_id",
        ),
        (
            MESSAGES,
            said({"type": "image", "source": {"type": "url", "url": "gs://bucket/picture.png"}}),
            "messages.0.content.0.source.url",
        ),
        (MESSAGES, said({"type": "container_upload", "file_id": "file_1"}), "messages.0.content.0.file_id"),
    ],
)
def test_a_reference_is_refused_by_name(dialect, body, param):
    with pytest.raises(InvalidRequestError) as error:
        stand_alone(dialect, body, orjson.dumps(body))
    assert error.value.param == param


def test_a_key_written_with_escapes_is_seen():
    raw = rb'{"messages":[{"role":"user","content":[{"type":"file","file":{"file\u005fid":"file-1"}}]}]}'
    with pytest.raises(InvalidRequestError):
        stand_alone(CHAT, orjson.loads(raw), raw)


@pytest.mark.parametrize(
    ("dialect", "body"),
    [
        (RESPONSES, {"input": "hello", "background": False, "previous_response_id": None}),
        (RESPONSES, {"input": [{"type": "message", "role": "user", "content": 'about "file_id"'}]}),
        (RESPONSES, {"tools": [{"type": "code_interpreter", "container": {"type": "auto"}}]}),
        (CHAT, {"modalities": ["audio"], "audio": {"voice": "alloy", "format": "mp3"}} | said()),
        (
            CHAT,
            {
                "tools": [
                    {
                        "type": "function",
                        "function": {"name": "f", "parameters": {"properties": {"file_id": {}}}},
                    }
                ]
            }
            | said(),
        ),
        (MESSAGES, said({"type": "tool_use", "id": "t", "name": "f", "input": {"file_id": "mine"}})),
        (
            MESSAGES,
            {"tools": [{"name": "f", "input_schema": {"properties": {"file_id": {"type": "string"}}}}]},
        ),
        (CHAT, said(picture("https://example.com/a.png"), picture("HTTP://example.com"), picture(PICTURE))),
        (CHAT, said({"type": "text", "text": "look at gs://bucket/picture.png"})),
        (CHAT, said() | {"prompt_cache_options": {"mode": "explicit", "comparison_response_id": None}}),
        (CHAT, said() | {"google": {"thinking_config": {"include_thoughts": True}}}),
        (CHAT, said({"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}})),
        (
            RESPONSES,
            {"tools": [{"type": "mcp", "connector_id": "connector_gmail", "authorization": "the-callers"}]},
        ),
        (RESPONSES, {"input": [{"type": "image_generation_call", "id": "ig_1", "result": "iVBORw0="}]}),
        (MESSAGES, said() | {"container": {"skills": [{"type": "anthropic", "skill_id": "xlsx"}]}}),
        (MESSAGES, said() | {"thread": {"type": "create"}}),
        (MESSAGES, said() | {"diagnostics": {"previous_message_id": None}}),
        (MESSAGES, said({"type": "server_tool_use", "id": "t", "name": "f", "input": {"file_id": "mine"}})),
        (
            MESSAGES,
            said(
                {"type": "document", "source": {"type": "text", "data": "gs://bucket is an address"}},
                {"type": "browser_state", "tabs": [{"tab_id": "1", "url": "chrome://newtab"}]},
                {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}},
            ),
        ),
    ],
)
def test_a_request_that_stands_by_itself_passes(dialect, body):
    assert stand_alone(dialect, body, orjson.dumps(body)) is body


def reasoning(**fields):
    return {"type": "reasoning", "id": "rs_1", "summary": [], **fields}


CALL = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": "f", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "id": "fco_1", "call_id": "call_1", "output": "1"}


def sent(*items):
    body = {"model": "m", "input": list(items)}
    return stand_alone(RESPONSES, body, orjson.dumps(body))["input"]


def test_reasoning_that_is_only_named_is_left_out_with_the_ids_that_ask_for_it():
    message = {"type": "message", "id": "msg_1", "role": "assistant", "content": []}
    items = sent(SAID, reasoning(), CALL, OUTPUT, message)
    assert "rs_1" not in str(items)
    assert items == [
        SAID,
        {name: value for name, value in CALL.items() if name != "id"},
        OUTPUT,
        {name: value for name, value in message.items() if name != "id"},
    ]


def test_reasoning_that_is_enclosed_stays_as_it_is():
    items = [SAID, reasoning(encrypted_content="gAAAA"), CALL, OUTPUT]
    assert sent(*items) == items


def test_reasoning_in_the_open_stays_without_the_id_it_could_be_looked_up_by():
    content = [{"type": "reasoning_text", "text": "hm"}]
    (item,) = sent(reasoning(content=content))
    assert item == reasoning(content=content) | {"id": "rs_0"}
