"""From Anthropic's JSON to the canonical form. Requests have passed `inspect` before."""

from typing import Any

import orjson

from sluicegate.completions import fields
from sluicegate.completions.anthropic.media import decode_document, decode_image
from sluicegate.completions.anthropic.usage import decode_usage
from sluicegate.completions.canonical import (
    CacheMark,
    Choice,
    ChoiceMode,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Request,
    Response,
    ResponseFormat,
    Role,
    Sampling,
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
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Dialect

_DIALECT = Dialect.ANTHROPIC_MESSAGES
_KNOWN = frozenset({
    "model", "messages", "system", "max_tokens", "tools", "tool_choice", "temperature", "top_p", "top_k",
    "stop_sequences", "stream", "thinking", "output_config", "metadata", "service_tier",
})  # fmt: skip
# Where it runs, what it can reach, what it remembers, a summary in its place: another answer without them.
_ESSENTIAL = ("container", "mcp_servers", "thread", "compaction", "inference_geo", "output_format")
STOPS = {
    "end_turn": Stop.END,
    "max_tokens": Stop.LENGTH,
    "model_context_window_exceeded": Stop.LENGTH,
    "stop_sequence": Stop.STOP_SEQUENCE,
    "tool_use": Stop.TOOL_CALLS,
    "pause_turn": Stop.PAUSE,
    "refusal": Stop.REFUSAL,
}
_CHOICES = {
    "auto": ChoiceMode.AUTO,
    "any": ChoiceMode.REQUIRED,
    "none": ChoiceMode.NONE,
    "tool": ChoiceMode.NAMED,
}


def decode_request(body: Json) -> Request:
    """The request `body`.

    Raises:
        InvalidRequestError: a field is of the wrong shape.
    """
    extra = {name: value for name, value in body.items() if name not in _KNOWN and value is not None}
    turns = [_turn(message, f"messages.{index}") for index, message in enumerate(body["messages"])]
    system = body.get("system")
    if system:
        turns.insert(0, Turn(Role.SYSTEM, _parts(system, "system"), "system"))
    metadata = fields.mapping(body, "metadata") or {}
    return Request(
        dialect=_DIALECT,
        model=body["model"],
        turns=turns,
        tools=[_tool(tool, f"tools.{index}") for index, tool in enumerate(body.get("tools") or [])],
        tool_choice=_tool_choice(body),
        sampling=Sampling(
            temperature=fields.number(body, "temperature", 0, 1),
            top_p=fields.number(body, "top_p", 0, 1),
            top_k=fields.count(body, "top_k", 0, 1 << 31),
            stop=list(body.get("stop_sequences") or []),
        ),
        max_output_tokens=body["max_tokens"],
        response_format=_response_format(body),
        reasoning=_reasoning(body),
        user=metadata.get("user_id"),
        service_tier=fields.word(body, "service_tier", ""),
        stream=bool(body.get("stream")),
        include_usage=True,
        extra=extra,
        essential=tuple(name for name in _ESSENTIAL if name in extra),
    )


def _turn(message: Json, path: str) -> Turn:
    return Turn(Role(message["role"]), _parts(message["content"], f"{path}.content"), path)


def _parts(content: Any, path: str) -> list[Part]:
    if content is None:
        return []
    if type(content) is str:
        return [Text(content)]
    return [_part(block, f"{path}.{index}") for index, block in enumerate(content)]


def _part(block: Json, path: str) -> Part:
    kind = block.get("type", "text")
    cache = _cache(block, path)
    if kind == "text":
        citations = block.get("citations")
        return Text(block["text"], cache, citations if type(citations) is list and citations else None)
    if kind == "image":
        return decode_image(block, path, cache) or Opaque(_DIALECT, block)
    if kind == "document":
        return decode_document(block, path, cache, _parts) or Opaque(_DIALECT, block)
    if kind == "thinking":
        text = fields.word(block, "thinking", path) or ""
        return Thinking(text, fields.word(block, "signature", path) or None)
    if kind == "redacted_thinking":
        return Thinking(redacted=fields.word(block, "data", path) or "")
    if kind == "tool_use":
        arguments = orjson.dumps(block["input"]).decode()
        return ToolCall(block["id"], block["name"], arguments, cache=cache)
    if kind == "tool_result":
        parts = _parts(block.get("content"), f"{path}.content")
        return ToolResult(block["tool_use_id"], parts, fields.flag(block, "is_error"), cache)
    return Opaque(_DIALECT, block)


def _cache(holder: Json, path: str) -> CacheMark | None:
    mark = holder.get("cache_control")
    if mark is None:
        return None
    if type(mark) is not dict:
        raise invalid(f"{path}.cache_control", "must be an object")
    return CacheMark({"1h": 3600, "5m": 300}.get(str(mark.get("ttl"))))


def _tool(tool: Json, path: str) -> Tool:
    kind = tool.get("type")
    if kind is not None and kind != "custom":
        return Tool(tool.get("name") or kind, raw=tool, dialect=_DIALECT)
    strict = tool.get("strict")
    if strict is not None and type(strict) is not bool:
        raise invalid(f"{path}.strict", "must be true or false")
    description = fields.word(tool, "description", path)
    return Tool(tool["name"], description, tool["input_schema"], strict, _cache(tool, path))


def _tool_choice(body: Json) -> ToolChoice:
    wanted = fields.mapping(body, "tool_choice")
    if wanted is None:
        return ToolChoice()
    mode = _CHOICES.get(str(wanted.get("type")))
    if mode is None:
        raise invalid("tool_choice.type", "must be 'auto', 'any', 'tool' or 'none'")
    name = fields.word(wanted, "name", "tool_choice")
    if mode is ChoiceMode.NAMED and name is None:
        raise invalid("tool_choice.name", "is required and must be a string")
    single = wanted.get("disable_parallel_tool_use")
    if single is not None and type(single) is not bool:
        raise invalid("tool_choice.disable_parallel_tool_use", "must be true or false")
    return ToolChoice(mode, name, parallel=None if single is None else not single)


def _response_format(body: Json) -> ResponseFormat | None:
    wanted = (fields.mapping(body, "output_config") or {}).get("format")
    if wanted is None:
        return None
    if type(wanted) is not dict or type(wanted.get("schema")) is not dict:
        raise invalid("output_config.format.schema", "is required and must be an object")
    return ResponseFormat("json_schema", wanted["schema"], strict=True)


def _reasoning(body: Json) -> Reasoning | None:
    thinking = fields.mapping(body, "thinking")
    effort = fields.word(fields.mapping(body, "output_config") or {}, "effort", "output_config")
    if thinking is None and effort is None:
        return None
    thinking = thinking or {}
    return Reasoning(
        effort=effort,
        budget_tokens=fields.count(thinking, "budget_tokens", 1, 1 << 31),
        mode=thinking.get("type"),
        display=fields.word(thinking, "display", "thinking"),
    )


def decode_response(answer: Json) -> Response:
    """The answer of a provider. What is missing or odd in it is read as empty, never as an error."""
    stop = STOPS.get(str(answer.get("stop_reason")), Stop.END)
    sequence = answer.get("stop_sequence")
    parts = [
        part
        for block in fields.listed(answer.get("content"))
        if isinstance(block, dict) and (part := _answered(block)) is not None
    ]
    explanation = refusal_text(answer)
    if explanation:
        parts.append(Refusal(explanation))
    choice = Choice(parts, stop, sequence if isinstance(sequence, str) else None)
    return Response(
        id=str(answer.get("id") or ""),
        model=str(answer.get("model") or ""),
        choices=[choice],
        usage=decode_usage(answer.get("usage")),
    )


def refusal_text(ending: Json) -> str:
    """Why the model refused, in words, if a message or its last delta says so."""
    details = ending.get("stop_details")
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return explanation if isinstance(explanation, str) else ""


def _answered(block: Json) -> Part | None:
    kind = block.get("type")
    if kind == "text":
        return Text(str(block.get("text") or ""))
    if kind == "thinking":
        return Thinking(str(block.get("thinking") or ""), str(block.get("signature") or "") or None)
    if kind == "redacted_thinking":
        return Thinking(redacted=str(block.get("data") or ""))
    if kind == "tool_use":
        arguments = orjson.dumps(block.get("input") or {}).decode()
        return ToolCall(str(block.get("id") or ""), str(block.get("name") or ""), arguments)
    return None
