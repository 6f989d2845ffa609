"""State at a provider is everyone's: references to it are refused."""

import orjson
import pytest

from sluicegate.completions.pipeline.provider_state import refuse_references
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

CHAT, RESPONSES = Dialect.OPENAI_CHAT, Dialect.OPENAI_RESPONSES
MESSAGES = Dialect.ANTHROPIC_MESSAGES


def said(*content, **more):
    return {"messages": [{"role": "user", "content": list(content), **more}]}


@pytest.mark.parametrize(
    ("dialect", "body", "param"),
    [
        (RESPONSES, {"previous_response_id": "resp_1"}, "previous_response_id"),
        (RESPONSES, {"conversation": {"id": "conv_1"}}, "conversation"),
        (RESPONSES, {"prompt": {"id": "pmpt_1"}}, "prompt"),
        (RESPONSES, {"background": True}, "background"),
        (RESPONSES, {"input": ["x", {"type": "item_reference", "id": "msg_1"}]}, "input.1"),
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
        (MESSAGES, said() | {"container": "container_1"}, "container"),
    ],
)
def test_a_reference_is_refused_by_name(dialect, body, param):
    with pytest.raises(InvalidRequestError) as error:
        refuse_references(dialect, body, orjson.dumps(body))
    assert error.value.param == param


def test_a_key_written_with_escapes_is_seen():
    raw = rb'{"messages":[{"role":"user","content":[{"type":"file","file":{"file\u005fid":"file-1"}}]}]}'
    with pytest.raises(InvalidRequestError):
        refuse_references(CHAT, orjson.loads(raw), raw)


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
    ],
)
def test_a_request_that_stands_by_itself_passes(dialect, body):
    refuse_references(dialect, body, orjson.dumps(body))
