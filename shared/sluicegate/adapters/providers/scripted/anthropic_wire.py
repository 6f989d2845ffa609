"""The scripted answer on Anthropic's messages wire, whole and streamed.

Every `content_block_delta` is one output token; the signature that ends a thinking block is one too,
so N reasoning tokens are N - 1 thinking deltas and a signature.
"""

from collections.abc import Iterator

import orjson

from sluicegate.adapters.providers.scripted.prompt import Prompt
from sluicegate.adapters.providers.scripted.script import Block, BlockKind, Choice, Figures, Finish, Script
from sluicegate.adapters.providers.scripted.steps import Piece
from sluicegate.completions.types import Json

SIGNATURE = "c2NyaXB0ZWQ="

_STOP = {
    Finish.STOP: "end_turn",
    Finish.STOP_SEQUENCE: "stop_sequence",
    Finish.LENGTH: "max_tokens",
    Finish.TOOLS: "tool_use",
    Finish.REFUSAL: "refusal",
}


def usage(figures: Figures, output: int) -> Json:
    """The `usage` object with `output` tokens so far; `input_tokens` leaves cached tokens out."""
    return {
        "input_tokens": figures.uncached,
        "cache_creation_input_tokens": figures.cache_written,
        "cache_read_input_tokens": figures.cached,
        "cache_creation": {
            "ephemeral_5m_input_tokens": figures.cache_written,
            "ephemeral_1h_input_tokens": 0,
        },
        "output_tokens": output,
        "service_tier": "standard",
    }


def whole_answer(prompt: Prompt, script: Script, identifier: str) -> bytes:
    """The answer as one `message`."""
    choice = script.choices[0]
    return orjson.dumps(
        {
            **_shell(prompt, identifier),
            "content": [_content(block, identifier) for block in choice.blocks],
            "stop_reason": _STOP[choice.finish],
            "stop_sequence": choice.stopped_by,
            "usage": {
                **usage(script.reported, script.reported.output),
                "output_tokens_details": {"thinking_tokens": script.reported.reasoning},
            },
        }
    )


def _shell(prompt: Prompt, identifier: str) -> Json:
    return {"id": identifier, "type": "message", "role": "assistant", "model": prompt.model}


def _content(block: Block, identifier: str) -> Json:
    match block.kind:
        case BlockKind.TOOL:
            text = block.text()
            try:
                arguments = orjson.loads(text)
            except orjson.JSONDecodeError:
                # Cut by max_tokens: what arrived is no object, and the wire allows only objects.
                arguments = {}
            return {
                "type": "tool_use",
                "id": _call_id(identifier, block),
                "name": block.name,
                "input": arguments,
            }
        case BlockKind.REASONING:
            words = list(block.tokens())[:-1]
            return {"type": "thinking", "thinking": "".join(words), "signature": SIGNATURE}
        case _:
            return {"type": "text", "text": block.text()}


def _call_id(identifier: str, block: Block) -> str:
    return f"toolu_{identifier.rpartition('_')[2]}_{block.call}"


def _event(name: bytes, content: Json) -> bytes:
    return b"event: " + name + b"\ndata: " + orjson.dumps(content) + b"\n\n"


def stream(prompt: Prompt, script: Script, identifier: str) -> Iterator[Piece]:
    """The answer as server-sent events."""
    choice = script.choices[0]
    message = {
        **_shell(prompt, identifier),
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage(script.reported, 0),
    }
    yield _event(b"message_start", {"type": "message_start", "message": message}), 0
    yield b'event: ping\ndata: {"type":"ping"}\n\n', 0
    for index, block in enumerate(choice.blocks):
        yield from _block_pieces(index, block, identifier)
    yield _ending(choice, script), 0
    yield b'event: message_stop\ndata: {"type":"message_stop"}\n\n', 0


def _block_pieces(index: int, block: Block, identifier: str) -> Iterator[Piece]:
    opening: Json
    match block.kind:
        case BlockKind.TOOL:
            kind, key = b"input_json_delta", b"partial_json"
            opening = {
                "type": "tool_use",
                "id": _call_id(identifier, block),
                "name": block.name,
                "input": {},
            }
        case BlockKind.REASONING:
            kind, key = b"thinking_delta", b"thinking"
            opening = {"type": "thinking", "thinking": "", "signature": ""}
        case _:
            kind, key = b"text_delta", b"text"
            opening = {"type": "text", "text": ""}
    start = {"type": "content_block_start", "index": index, "content_block": opening}
    yield _event(b"content_block_start", start), 0
    before = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":' % index
    delta = before + b'{"type":"' + kind + b'","' + key + b'":'
    last = block.count - 1 if block.kind is BlockKind.REASONING else -1
    for position, token in enumerate(block.tokens()):
        if position == last:
            signature = b'{"type":"signature_delta","signature":"%b"}}\n\n' % SIGNATURE.encode()
            yield before + signature, 1
        else:
            yield delta + orjson.dumps(token) + b"}}\n\n", 1
    stop = b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % index
    yield stop, 0


def _ending(choice: Choice, script: Script) -> bytes:
    figures = script.reported
    return _event(
        b"message_delta",
        {
            "type": "message_delta",
            "delta": {"stop_reason": _STOP[choice.finish], "stop_sequence": choice.stopped_by},
            "usage": {
                "input_tokens": figures.uncached,
                "cache_creation_input_tokens": figures.cache_written,
                "cache_read_input_tokens": figures.cached,
                "output_tokens": figures.output,
                "output_tokens_details": {"thinking_tokens": figures.reasoning},
            },
        },
    )
