"""A whole message as a stream, and a stream as a whole message."""

from collections.abc import Iterator

import orjson

from sluicegate.completions.anthropic.usage import encode_usage
from sluicegate.completions.collector import EventCollector
from sluicegate.completions.sse import fields, json_object, named_event
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Usage

_PIECE = 256
# Block type → the field that streams, its delta's type and field, and what the block starts with.
_STREAMED = {
    "text": ("text", "text_delta", "text", ""),
    "thinking": ("thinking", "thinking_delta", "thinking", ""),
    "tool_use": ("input", "input_json_delta", "partial_json", {}),
    "server_tool_use": ("input", "input_json_delta", "partial_json", {}),
}
_DELTA_FIELDS = {"text_delta": "text", "thinking_delta": "thinking"}
_ENDINGS = ("stop_reason", "stop_sequence", "stop_details", "container")


def replay(answer: Json) -> bytes:
    """The events that a provider might have streamed for `answer`."""
    usage: Json = answer.get("usage") or {"input_tokens": 0, "output_tokens": 0}
    opening = {
        **{name: value for name, value in answer.items() if name not in ("stop_details", "container")},
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {**usage, "output_tokens": min(1, usage.get("output_tokens") or 0)},
    }
    events = [named_event("message_start", {"type": "message_start", "message": opening})]
    for index, block in enumerate(answer.get("content") or []):
        events += _block_events(index, block)
    ending = {name: answer.get(name) for name in _ENDINGS if name in answer or name in _ENDINGS[:2]}
    final = {"type": "message_delta", "delta": ending, "usage": usage}
    events += [named_event("message_delta", final), named_event("message_stop", {"type": "message_stop"})]
    return b"".join(events)


def _block_events(index: int, block: Json) -> Iterator[bytes]:
    field, kind, delta_field, empty = _STREAMED.get(str(block.get("type")), ("", "", "", ""))
    opening = {**block, field: empty} if field else dict(block)
    if "signature" in opening:
        opening["signature"] = ""
    citations = opening.pop("citations", None) if field == "text" else None

    def delta(content: Json) -> bytes:
        event = {"type": "content_block_delta", "index": index, "delta": content}
        return named_event("content_block_delta", event)

    start = {"type": "content_block_start", "index": index, "content_block": opening}
    yield named_event("content_block_start", start)
    if field:
        value = block.get(field)
        text = value if type(value) is str else _json_text(value)
        for at in range(0, len(text), _PIECE):
            yield delta({"type": kind, delta_field: text[at : at + _PIECE]})
        for citation in citations or []:
            yield delta({"type": "citations_delta", "citation": citation})
        if block.get("signature"):
            yield delta({"type": "signature_delta", "signature": block["signature"]})
    yield named_event("content_block_stop", {"type": "content_block_stop", "index": index})


def _json_text(value: object) -> str:
    return orjson.dumps(value).decode() if value else ""


class MessageAssembler:
    """The `StreamAssembler` of Anthropic messages."""

    __slots__ = ("_collector", "feed")

    def __init__(self, limit: int) -> None:
        self._collector = EventCollector(limit)
        self.feed = self._collector.feed

    def answer(self, usage: Usage | None) -> Json | None:
        message: Json | None = None
        blocks: dict[int, Json] = {}
        arguments: dict[int, str] = {}
        finished = False
        for event in self._collector.events():
            content = json_object(fields(event)[1])
            kind = None if content is None else content.get("type")
            if content is None or kind == "ping":
                continue
            if kind == "message_start":
                message = dict(content["message"])
            elif kind == "content_block_start":
                blocks[content["index"]] = dict(content["content_block"])
            elif kind == "content_block_delta":
                _add(blocks, arguments, content["index"], content["delta"])
            elif kind == "message_delta" and message is not None:
                message.update(content["delta"])
                figures = {name: value for name, value in content["usage"].items() if value is not None}
                message["usage"] = {**message["usage"], **figures}
            elif kind == "message_stop":
                finished = True
            elif kind == "error":
                return None
        if message is None or not finished or not _parse_arguments(blocks, arguments):
            return None
        message["content"] = [blocks[index] for index in sorted(blocks)]
        if usage is not None:
            message["usage"] = {**message["usage"], **encode_usage(usage)}
        return message


def _add(blocks: dict[int, Json], arguments: dict[int, str], index: int, delta: Json) -> None:
    block = blocks[index]
    kind = delta.get("type")
    if kind == "input_json_delta":
        arguments[index] = arguments.get(index, "") + delta["partial_json"]
    elif kind == "citations_delta":
        block["citations"] = [*(block.get("citations") or []), delta["citation"]]
    elif kind == "signature_delta":
        block["signature"] = delta["signature"]
    elif kind in _DELTA_FIELDS:
        field = _DELTA_FIELDS[kind]
        block[field] = (block.get(field) or "") + delta[field]


def _parse_arguments(blocks: dict[int, Json], arguments: dict[int, str]) -> bool:
    """Put the tools' inputs into their blocks; whether all were objects."""
    for index, text in arguments.items():
        if text:
            blocks[index]["input"] = json_object(text.encode())
    return all(blocks[index].get("input") is not None for index in arguments)
