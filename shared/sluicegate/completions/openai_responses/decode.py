"""From a responses request to the canonical form. Requests have passed `inspect` before."""

from typing import Any

from sluicegate.completions import fields
from sluicegate.completions.canonical import (
    ChoiceMode,
    Part,
    Reasoning,
    Refusal,
    Request,
    ResponseFormat,
    Role,
    Sampling,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from sluicegate.completions.fields import invalid
from sluicegate.completions.openai_responses.inspection import LOGPROBS
from sluicegate.completions.openai_responses.media import decode_part
from sluicegate.completions.openai_responses.reasoning import decode_reasoning
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Dialect

_DIALECT = Dialect.OPENAI_RESPONSES
_KNOWN = frozenset({
    "model", "input", "instructions", "tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p",
    "max_output_tokens", "text", "reasoning", "user", "safety_identifier", "service_tier", "stream",
})  # fmt: skip
# What only a provider that speaks this dialect keeps or does, and what to do about it elsewhere.
_NATIVE = {
    "previous_response_id": "refers to an answer that its provider keeps; send the conversation as 'input'",
    "conversation": "is kept by its provider; send the conversation as 'input'",
    "background": "needs a provider that keeps answers; leave it out",
    "prompt": "is kept by its provider; send its text as 'instructions' and 'input'",
    "moderation": "has no counterpart at this provider; leave it out",
}
_OUTPUTS = frozenset({"function_call_output", "custom_tool_call_output"})


def decode_request(body: Json) -> Request:
    """The request `body`.

    Raises:
        InvalidRequestError: a field is of the wrong shape, or has no meaning outside of this dialect.
    """
    for name, remedy in _NATIVE.items():
        if body.get(name):
            raise invalid(name, remedy)
    if LOGPROBS in fields.items(body, "include", 64):
        raise invalid("include", f"asks for '{LOGPROBS}', which this provider's answers cannot carry here")
    if body.get("top_logprobs"):
        raise invalid("top_logprobs", "has no counterpart at this provider; leave it out")
    turns = _turns(body["input"])
    if body.get("instructions"):
        turns.insert(0, Turn(Role.SYSTEM, [Text(body["instructions"])], "instructions"))
    text = fields.mapping(body, "text") or {}
    effort = (fields.mapping(body, "reasoning") or {}).get("effort")
    return Request(
        dialect=_DIALECT,
        model=body["model"],
        turns=turns,
        tools=[_tool(tool, f"tools.{index}") for index, tool in enumerate(body.get("tools") or [])],
        tool_choice=_tool_choice(body),
        sampling=Sampling(
            temperature=fields.number(body, "temperature", 0, 2),
            top_p=fields.number(body, "top_p", 0, 1),
        ),
        max_output_tokens=body.get("max_output_tokens"),
        response_format=_response_format(text),
        reasoning=Reasoning(effort=effort) if effort is not None else None,
        verbosity=fields.word(text, "verbosity", "text"),
        user=body.get("safety_identifier") or body.get("user"),
        service_tier=fields.word(body, "service_tier", ""),
        stream=bool(body.get("stream")),
        include_usage=True,
        # Metadata among it: it belongs to the response, which the gateway hands out, not to the prompt.
        extra={name: value for name, value in body.items() if name not in _KNOWN and value is not None},
    )


def _turns(given: Any) -> list[Turn]:
    if type(given) is str:
        return [Turn(Role.USER, [Text(given)], "input")]
    turns: list[Turn] = []
    for index, item in enumerate(given):
        path = f"input.{index}"
        kind = item.get("type") or "message"
        if kind in _OUTPUTS:
            result = ToolResult(item["call_id"], _parts(item["output"], f"{path}.output"))
            turns.append(Turn(Role.TOOL, [result], path))
        elif kind == "message" and item.get("role") != "assistant":
            turns.append(Turn(Role(_role(item, path)), _parts(item["content"], f"{path}.content"), path))
        else:
            _assistant(turns, _said(item, kind, path), path)
    return turns


def _role(item: Json, path: str) -> str:
    role = item.get("role")
    if type(role) is not str:
        raise invalid(path, "refers to an item that its provider keeps; send the item itself")
    return role


def _said(item: Json, kind: str, path: str) -> list[Part]:
    """The parts of an item that the model wrote."""
    if kind == "message":
        return _parts(item["content"], f"{path}.content")
    if kind == "reasoning":
        return [decode_reasoning(item)]
    if kind == "function_call":
        return [ToolCall(item["call_id"], item["name"], item["arguments"])]
    if kind == "custom_tool_call":
        return [ToolCall(item["call_id"], item["name"], item["input"], custom=True)]
    raise invalid(path, f"is of type '{kind}', which only its own provider knows")


def _assistant(turns: list[Turn], parts: list[Part], path: str) -> None:
    """Add what the model wrote: the items of one answer are one turn, two messages are two.

    What follows a call stays in its turn, as the call's result must follow that.
    """
    last = turns[-1] if turns and turns[-1].role is Role.ASSISTANT else None
    if last is not None:
        called = any(isinstance(part, ToolCall) for part in last.parts)
        if called or not (_speaks(last.parts) and _speaks(parts)):
            last.parts += parts
            return
    turns.append(Turn(Role.ASSISTANT, parts, path))


def _speaks(parts: list[Part]) -> bool:
    return any(isinstance(part, Text | Refusal) for part in parts)


def _parts(content: Any, path: str) -> list[Part]:
    if type(content) is str:
        return [Text(content)]
    return [decode_part(part, f"{path}.{index}") for index, part in enumerate(content)]


def _tool(tool: Json, path: str) -> Tool:
    if tool["type"] != "function":
        return Tool(tool.get("name") or tool["type"], raw=tool, dialect=_DIALECT)
    strict = tool.get("strict")
    if strict is not None and type(strict) is not bool:
        raise invalid(f"{path}.strict", "must be true or false")
    schema = tool.get("parameters")
    if schema is not None and type(schema) is not dict:
        raise invalid(f"{path}.parameters", "must be an object")
    return Tool(tool["name"], fields.word(tool, "description", path), schema, strict)


def _tool_choice(body: Json) -> ToolChoice:
    parallel = body.get("parallel_tool_calls")
    if parallel is not None and type(parallel) is not bool:
        raise invalid("parallel_tool_calls", "must be true or false")
    wanted = body.get("tool_choice")
    if wanted is None:
        return ToolChoice(parallel=parallel)
    if type(wanted) is str and wanted in ("auto", "none", "required"):
        return ToolChoice(ChoiceMode(wanted), parallel=parallel)
    if type(wanted) is dict:
        if wanted.get("type") in ("function", "custom") and type(wanted.get("name")) is str:
            return ToolChoice(ChoiceMode.NAMED, wanted["name"], parallel=parallel)
        if wanted.get("type") == "allowed_tools" and wanted.get("mode") in ("auto", "required"):
            return ToolChoice(ChoiceMode(wanted["mode"]), allowed=_allowed(wanted), parallel=parallel)
    raise invalid("tool_choice", "must be 'auto', 'none', 'required' or name a function")


def _allowed(wanted: Json) -> tuple[str, ...]:
    names = []
    for index, tool in enumerate(fields.items(wanted, "tools", 1_000)):
        name = tool.get("name") if type(tool) is dict else None
        if type(name) is not str:
            raise invalid(f"tool_choice.tools.{index}", "must name a function")
        names.append(name)
    return tuple(names)


def _response_format(text: Json) -> ResponseFormat | None:
    wanted = text.get("format")
    if wanted is None:
        return None
    kind = wanted["type"]
    if kind != "json_schema":
        return ResponseFormat(kind)
    path = "text.format"
    if type(wanted.get("schema")) is not dict:
        raise invalid(f"{path}.schema", "is required and must be an object")
    strict = wanted.get("strict")
    return ResponseFormat(
        kind,
        wanted["schema"],
        fields.word(wanted, "name", path),
        fields.word(wanted, "description", path),
        strict if type(strict) is bool else None,
    )
