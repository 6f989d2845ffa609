"""The scripted answer on OpenAI's chat completions wire, whole and streamed.

`stream_options.continuous_usage_stats` (vLLM's extension) is honoured: every chunk then carries the
usage so far, so that a stream that breaks off has said what it cost.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from sluicegate.adapters.providers.scripted.prompt import Prompt
from sluicegate.adapters.providers.scripted.script import Block, BlockKind, Choice, Figures, Finish, Script
from sluicegate.adapters.providers.scripted.steps import Piece
from sluicegate.completions.types import Json

FINGERPRINT = "fp_scripted"

_FINISH = {
    Finish.STOP: "stop",
    Finish.STOP_SEQUENCE: "stop",
    Finish.LENGTH: "length",
    Finish.TOOLS: "tool_calls",
    Finish.REFUSAL: "stop",
}
_DELTA = {
    BlockKind.TEXT: b'{"content":',
    BlockKind.REASONING: b'{"reasoning_content":',
    BlockKind.REFUSAL: b'{"refusal":',
}


def usage(figures: Figures) -> Json:
    """The `usage` object."""
    return {
        "prompt_tokens": figures.prompt,
        "completion_tokens": figures.output,
        "total_tokens": figures.prompt + figures.output,
        "prompt_tokens_details": {
            "cached_tokens": figures.cached,
            "cache_write_tokens": figures.cache_written,
            "audio_tokens": 0,
        },
        "completion_tokens_details": {
            "reasoning_tokens": figures.reasoning,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def whole_answer(prompt: Prompt, script: Script, identifier: str, created: int) -> bytes:
    """The answer as one `chat.completion`."""
    return orjson.dumps(
        {
            "id": identifier,
            "object": "chat.completion",
            "created": created,
            "model": prompt.model,
            "system_fingerprint": FINGERPRINT,
            "service_tier": "default",
            "choices": [
                {
                    "index": index,
                    "message": _message(choice, identifier, index),
                    "logprobs": _all_logprobs(choice, prompt.top_logprobs),
                    "finish_reason": _FINISH[choice.finish],
                }
                for index, choice in enumerate(script.choices)
            ],
            "usage": usage(script.reported),
        }
    )


def _message(choice: Choice, identifier: str, index: int) -> Json:
    message: Json = {"role": "assistant", "content": None, "refusal": None, "annotations": []}
    calls: list[Json] = []
    for block in choice.blocks:
        match block.kind:
            case BlockKind.TEXT:
                message["content"] = block.text()
            case BlockKind.REFUSAL:
                message["refusal"] = block.text()
            case BlockKind.REASONING:
                message["reasoning_content"] = block.text()
            case BlockKind.TOOL:
                calls.append(
                    {
                        "id": _call_id(identifier, index, block),
                        "type": "function",
                        "function": {"name": block.name, "arguments": block.text()},
                    }
                )
    if calls:
        message["tool_calls"] = calls
    elif message["content"] is None and message["refusal"] is None:
        message["content"] = ""
    return message


def _call_id(identifier: str, index: int, block: Block) -> str:
    return f"call_{identifier.rpartition('-')[2]}_{index}_{block.call}"


def _all_logprobs(choice: Choice, top: int | None) -> Json | None:
    if top is None:
        return None
    texts = [block for block in choice.blocks if block.kind is BlockKind.TEXT]
    return {"content": [_logprob(token, top) for block in texts for token in block.tokens()], "refusal": None}


def _logprob(token: str, top: int) -> Json:
    alternatives = [token, *(f"{token}~{rank}" for rank in range(1, top))][:top]
    return {
        "token": token,
        "logprob": -0.01,
        "bytes": list(token.encode()),
        "top_logprobs": [
            {"token": one, "logprob": -0.01 - 4.6 * rank, "bytes": list(one.encode())}
            for rank, one in enumerate(alternatives)
        ],
    }


def stream(prompt: Prompt, script: Script, identifier: str, created: int) -> Iterator[Piece]:
    """The answer as server-sent events, choices taking turns; one delta chunk per token."""
    head = orjson.dumps(
        {
            "id": identifier,
            "object": "chat.completion.chunk",
            "created": created,
            "model": prompt.model,
            "service_tier": "default",
            "system_fingerprint": FINGERPRINT,
        }
    )
    opening = b"data: " + head[:-1] + b',"choices":['
    running = _RunningUsage(script, continuous=prompt.continuous_usage)
    turns = [
        _choice_pieces(prompt, choice, index, opening, running, identifier)
        for index, choice in enumerate(script.choices)
    ]
    while turns:
        # Round robin: a choice that has ended leaves the circle.
        going = []
        for turn in turns:
            piece = next(turn, None)
            if piece is not None:
                yield piece
                going.append(turn)
        turns = going
    if prompt.include_usage or prompt.continuous_usage:
        yield opening + b'],"usage":' + orjson.dumps(usage(script.reported)) + b"}\n\n", 0
    yield b"data: [DONE]\n\n", 0


class _RunningUsage:
    """The end of a chunk: with the usage so far where it was asked for."""

    def __init__(self, script: Script, *, continuous: bool) -> None:
        self._continuous = continuous
        self._prompt = script.reported.prompt
        self._details = orjson.dumps(usage(script.reported)["prompt_tokens_details"])
        self._output = 0
        self._reasoning = 0

    def ending(self, tokens: int, *, reasoning: bool = False) -> bytes:
        if not self._continuous:
            return b"]}\n\n"
        self._output += tokens
        self._reasoning += tokens if reasoning else 0
        return (
            b'],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,'
            b'"prompt_tokens_details":%b,"completion_tokens_details":{"reasoning_tokens":%d}}}\n\n'
        ) % (self._prompt, self._output, self._prompt + self._output, self._details, self._reasoning)


def _choice_pieces(
    prompt: Prompt, choice: Choice, index: int, opening: bytes, running: _RunningUsage, identifier: str
) -> Iterator[Piece]:
    top = prompt.top_logprobs
    start = opening + b'{"index":%d,"delta":' % index
    rest = b',"logprobs":null,"finish_reason":null}'
    role = b'{"role":"assistant","content":"","refusal":null}'
    if any(block.kind is BlockKind.TOOL for block in choice.blocks):
        role = b'{"role":"assistant","content":null}'
    yield start + role + rest + running.ending(0), 0
    for block in choice.blocks:
        if block.kind is BlockKind.TOOL:
            pieces = _tool_deltas(block, _call_id(identifier, index, block))
            yield from ((start + delta + rest + running.ending(1), 1) for delta in pieces)
            continue
        key = _DELTA[block.kind]
        reasoning = block.kind is BlockKind.REASONING
        for token in block.tokens():
            tail = rest
            if top is not None and block.kind is BlockKind.TEXT:
                logprobs: dict[str, Any] = {"content": [_logprob(token, top)], "refusal": None}
                tail = b',"logprobs":' + orjson.dumps(logprobs) + b',"finish_reason":null}'
            delta = key + orjson.dumps(token) + b"}"
            yield start + delta + tail + running.ending(1, reasoning=reasoning), 1
    finish = b'{},"logprobs":null,"finish_reason":"%b"}' % _FINISH[choice.finish].encode()
    yield start + finish + running.ending(0), 0


def _tool_deltas(block: Block, call_id: str) -> Iterator[bytes]:
    for position, token in enumerate(block.tokens()):
        call: Json = {"index": block.call, "function": {"arguments": token}}
        if not position:
            # The first piece of the arguments travels with the name, so that deltas equal tokens.
            call = {
                "index": block.call,
                "id": call_id,
                "type": "function",
                "function": {"name": block.name, "arguments": token},
            }
        yield b'{"tool_calls":[' + orjson.dumps(call) + b"]}"
