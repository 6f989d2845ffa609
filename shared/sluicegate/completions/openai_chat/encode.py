"""From the canonical form to OpenAI chat's JSON."""

from collections.abc import Sequence
from typing import Any

from sluicegate.completions.canonical import (
    Audio,
    CacheMark,
    ChoiceMode,
    Document,
    Image,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Response,
    ResponseFormat,
    Role,
    Stop,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from sluicegate.completions.fields import invalid
from sluicegate.completions.openai_chat.media import encode_audio, encode_file, encode_image
from sluicegate.completions.openai_chat.usage import encode_usage
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Dialect

_DIALECT = Dialect.OPENAI_CHAT
_STOPS_LIMIT = 4
# A thinking budget in tokens as an effort: up to so many tokens is that effort, more is `high`.
_EFFORT_BY_BUDGET = ((2_048, "low"), (8_192, "medium"))
_TIERS = {"standard_only": "default", "auto": "auto"}
FINISH_REASONS = {
    Stop.END: "stop",
    Stop.STOP_SEQUENCE: "stop",
    Stop.LENGTH: "length",
    Stop.TOOL_CALLS: "tool_calls",
    Stop.REFUSAL: "content_filter",
    Stop.PAUSE: "stop",
}


def encode_request(request: Request) -> Json:
    """`request` for a provider that speaks OpenAI chat.

    Raises:
        InvalidRequestError: it asks for something that has no place there; `param` says what.
    """
    own = request.dialect is _DIALECT
    last = request.turns[-1] if request.turns else None
    if not own and last is not None and last.role is Role.ASSISTANT:
        raise invalid(last.path, "begins the answer for the model, which this provider cannot continue")
    body: Json = dict(request.extra_for(_DIALECT))
    body["model"] = request.model
    body["messages"] = [message for turn in request.turns for message in _messages(turn, own=own)]
    optional: Json = {
        "max_completion_tokens": request.max_output_tokens,
        "response_format": _response_format(request.response_format),
        "reasoning_effort": _effort(request.reasoning),
        "verbosity": request.verbosity,
        "user": request.user,
        "metadata": request.metadata,
        "service_tier": request.service_tier if own else _TIERS.get(request.service_tier or ""),
        **_sampling(request),
    }
    if request.tools:
        optional["tools"] = [_tool(tool, f"tools.{index}") for index, tool in enumerate(request.tools)]
        optional["tool_choice"] = _tool_choice(request.tool_choice, request.tools)
        optional["parallel_tool_calls"] = request.tool_choice.parallel
    body.update((name, value) for name, value in optional.items() if value is not None)
    if request.stream:
        body["stream"] = True
        if request.include_usage:
            body["stream_options"] = {"include_usage": True}
    return body


def _sampling(request: Request) -> Json:
    sampling = request.sampling
    if sampling.top_k is not None:
        raise invalid("top_k", "has no counterpart at this provider; leave it out")
    if len(sampling.stop) > _STOPS_LIMIT and request.dialect is not _DIALECT:
        raise invalid("stop_sequences", f"has more than the {_STOPS_LIMIT} sequences this provider takes")
    return {
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stop": sampling.stop or None,
        "seed": sampling.seed,
        "frequency_penalty": sampling.frequency_penalty,
        "presence_penalty": sampling.presence_penalty,
        "logit_bias": sampling.logit_bias,
        "logprobs": sampling.logprobs or None,
        "top_logprobs": sampling.top_logprobs,
        "n": sampling.choices if sampling.choices > 1 else None,
    }


def _response_format(wanted: ResponseFormat | None) -> Json | None:
    if wanted is None:
        return None
    if wanted.kind != "json_schema":
        return {"type": wanted.kind}
    inner: Json = {"name": wanted.name or "answer", "schema": wanted.schema}
    if wanted.description is not None:
        inner["description"] = wanted.description
    if wanted.strict is not None:
        inner["strict"] = wanted.strict
    return {"type": "json_schema", "json_schema": inner}


def _effort(reasoning: Reasoning | None) -> str | None:
    if reasoning is None:
        return None
    if reasoning.effort is not None:
        return reasoning.effort
    if reasoning.budget_tokens is None:
        return None
    budget = reasoning.budget_tokens
    return next((effort for most, effort in _EFFORT_BY_BUDGET if budget <= most), "high")


def _tool(tool: Tool, path: str) -> Json:
    if tool.raw is not None:
        if tool.dialect is not _DIALECT:
            raise invalid(path, f"is a tool ('{tool.name}') that only its own provider has")
        return tool.raw
    function: Json = {"name": tool.name}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.schema is not None:
        function["parameters"] = tool.schema
    if tool.strict is not None:
        function["strict"] = tool.strict
    return {"type": "function", "function": function}


def _tool_choice(choice: ToolChoice, tools: list[Tool]) -> Any:
    if choice.mode is ChoiceMode.NAMED:
        named = next((tool for tool in tools if tool.name == choice.name), None)
        kind = "custom" if named is not None and named.raw is not None else "function"
        return {"type": kind, kind: {"name": choice.name}}
    if choice.allowed is not None:
        allowed = [{"type": "function", "function": {"name": name}} for name in choice.allowed]
        return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": allowed}}
    return None if choice.mode is None else choice.mode.value


def _messages(turn: Turn, *, own: bool) -> list[Json]:
    """The messages that `turn` becomes: one, or one for each tool result and one for the rest."""
    name: Json = {} if turn.name is None else {"name": turn.name}
    if turn.role is Role.ASSISTANT:
        return [_assistant(turn, own=own) | name]
    results = [part for part in turn.parts if isinstance(part, ToolResult)]
    messages: list[Json] = []
    pictures: list[Json] = []
    for result in results:
        content, shown = _result(result, turn.path, own=own)
        messages.append({"role": "tool", "tool_call_id": result.call_id, "content": content})
        pictures += shown
    rest = [part for part in turn.parts if not isinstance(part, ToolResult)]
    if pictures:
        messages.append({"role": "user", "content": pictures})
    if rest or not results:
        content = _content(rest, f"{turn.path}.content", own=own)
        messages.append({"role": turn.role.value, "content": content} | name)
    return messages


def _result(result: ToolResult, path: str, *, own: bool) -> tuple[Any, list[Json]]:
    """The content of a tool message, and what only a user's message may hold: its pictures and files."""
    texts: list[Json] = []
    pictures: list[Json] = []
    for part in result.parts:
        for piece in _pieces(part, f"{path}.content", own=own):
            (texts if piece["type"] == "text" else pictures).append(piece)
    if result.is_error:
        texts.insert(0, {"type": "text", "text": "Error: "})
        texts = [{"type": "text", "text": "".join(part["text"] for part in texts)}]
    if pictures:
        about = f"The tool call {result.call_id} also gave this back:"
        pictures.insert(0, {"type": "text", "text": about})
    return _folded(texts), pictures


def _assistant(turn: Turn, *, own: bool) -> Json:
    message: Json = {"role": "assistant"}
    content = [part for part in turn.parts if not isinstance(part, ToolCall | Thinking) and part != Text("")]
    calls = [part for part in turn.parts if isinstance(part, ToolCall)]
    if content or not calls:
        message["content"] = _content(content, f"{turn.path}.content", own=own)
    else:
        message["content"] = None
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]
    return message


def _call(call: ToolCall) -> Json:
    if call.custom:
        return {"id": call.id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _content(parts: Sequence[Part], path: str, *, own: bool) -> Any:
    return _folded([piece for part in parts for piece in _pieces(part, path, own=own)])


def _pieces(part: Part, path: str, *, own: bool) -> list[Json]:
    if isinstance(part, Document) and part.parts is not None:
        about = [{"type": "text", "text": line} for line in (part.title, part.context) if line]
        _refuse_citations(part, path)
        return [*about, *(_encoded(inner, path, own=own) for inner in part.parts)]
    return [_encoded(part, path, own=own)]


def _folded(pieces: list[Json]) -> Any:
    """The simplest content that says the same: plain text where there is nothing else to it."""
    if not pieces:
        return ""
    if len(pieces) == 1 and pieces[0].keys() == {"type", "text"}:
        return pieces[0]["text"]
    return pieces


def _encoded(part: Part, path: str, *, own: bool) -> Json:
    if isinstance(part, Text):
        return {"type": "text", "text": part.text} | _breakpoint(part.cache, own=own)
    if isinstance(part, Image):
        return encode_image(part, path) | _breakpoint(part.cache, own=own)
    if isinstance(part, Audio):
        return encode_audio(part) | _breakpoint(part.cache, own=own)
    if isinstance(part, Document):
        _refuse_citations(part, path)
        return encode_file(part, path, own=own) | _breakpoint(part.cache, own=own)
    if isinstance(part, Refusal):
        return {"type": "refusal", "refusal": part.text}
    if isinstance(part, Opaque):
        if part.dialect is _DIALECT:
            return part.content
        raise invalid(path, f"has a '{part.content.get('type')}' block, which this provider does not know")
    raise invalid(path, "has a part in a place where this provider does not take it")


def _refuse_citations(document: Document, path: str) -> None:
    if document.citations:
        raise invalid(path, "asks for citations, which this provider cannot give")


def _breakpoint(cache: CacheMark | None, *, own: bool) -> Json:
    # OpenAI caches by itself, and many compatible providers refuse the field.
    if cache is None or not own:
        return {}
    return {"prompt_cache_breakpoint": {"mode": "explicit", **({"ttl": "12h"} if cache.ttl_s else {})}}


def encode_response(response: Response, requested_model: str, created: int) -> Json:
    """`response` as a chat completion.

    Reasoning is given as `reasoning_content`, the way of the open models' servers, and as
    `thinking_blocks`, with what its provider needs to take it back.
    """
    answer: Json = {
        "id": response.id,
        "object": "chat.completion",
        "created": created,
        "model": requested_model,
        "choices": [
            {
                "index": choice.index,
                "message": _answer(choice.parts),
                "logprobs": None,
                "finish_reason": FINISH_REASONS[choice.stop],
            }
            for choice in response.choices
        ],
    }
    if response.usage is not None:
        answer["usage"] = encode_usage(response.usage)
    return answer


def _answer(parts: list[Part]) -> Json:
    texts = [part.text for part in parts if isinstance(part, Text)]
    refusals = [part.text for part in parts if isinstance(part, Refusal)]
    thoughts = [part for part in parts if isinstance(part, Thinking)]
    calls = [part for part in parts if isinstance(part, ToolCall)]
    message: Json = {
        "role": "assistant",
        "content": "".join(texts) if texts else None,
        "refusal": "".join(refusals) if refusals else None,
    }
    if thoughts:
        text = "".join(thought.text for thought in thoughts)
        if text:
            message["reasoning_content"] = text
        message["thinking_blocks"] = [thinking_block(thought) for thought in thoughts]
    if calls:
        message["tool_calls"] = [_call(call) for call in calls]
    return message


def thinking_block(thought: Thinking) -> Json:
    """Reasoning with its proof, for a client to send back as it is."""
    if thought.redacted is not None:
        return {"type": "redacted_thinking", "data": thought.redacted}
    return {"type": "thinking", "thinking": thought.text, "signature": thought.signature or ""}
