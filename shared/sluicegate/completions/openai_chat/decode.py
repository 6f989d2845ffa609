"""From OpenAI chat's JSON to the canonical form. Requests have passed `inspect` before."""

from typing import Any

from sluicegate.completions import fields
from sluicegate.completions.canonical import (
    CacheMark,
    Choice,
    ChoiceMode,
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
from sluicegate.completions.openai_chat.media import decode_media
from sluicegate.completions.openai_chat.usage import decode_usage
from sluicegate.completions.types import Json
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

_DIALECT = Dialect.OPENAI_CHAT
_KNOWN = frozenset({
    "model", "messages", "tools", "tool_choice", "parallel_tool_calls", "temperature", "top_p", "stop",
    "seed", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs", "n",
    "max_tokens", "max_completion_tokens", "response_format", "reasoning_effort", "verbosity", "user",
    "safety_identifier", "metadata", "service_tier", "stream", "stream_options",
})  # fmt: skip
# What is asked for differs without them: another kind of answer, a search, a check, the older tools.
_ESSENTIAL = ("audio", "modalities", "web_search_options", "moderation", "functions", "function_call")
STOPS = {
    "stop": Stop.END,
    "length": Stop.LENGTH,
    "tool_calls": Stop.TOOL_CALLS,
    "function_call": Stop.TOOL_CALLS,
    "content_filter": Stop.REFUSAL,
}


def decode_request(body: Json) -> Request:
    """The request `body`.

    Raises:
        InvalidRequestError: a field is of the wrong shape, or has no meaning outside of OpenAI chat.
    """
    options = fields.mapping(body, "stream_options") or {}
    effort = fields.word(body, "reasoning_effort", "")
    extra = {name: value for name, value in body.items() if name not in _KNOWN and value is not None}
    if extra.get("modalities") == ["text"]:
        del extra["modalities"]
    newer = body.get("max_completion_tokens")
    return Request(
        dialect=_DIALECT,
        model=body["model"],
        turns=[_turn(message, f"messages.{index}") for index, message in enumerate(body["messages"])],
        tools=[_tool(tool, f"tools.{index}") for index, tool in enumerate(body.get("tools") or [])],
        tool_choice=_tool_choice(body),
        sampling=_sampling(body),
        max_output_tokens=body.get("max_tokens") if newer is None else newer,
        response_format=_response_format(body),
        reasoning=Reasoning(effort=effort) if effort is not None else None,
        verbosity=fields.word(body, "verbosity", ""),
        user=body.get("safety_identifier") or body.get("user"),
        metadata=fields.mapping(body, "metadata"),
        service_tier=fields.word(body, "service_tier", ""),
        stream=bool(body.get("stream")),
        include_usage=options.get("include_usage") is True,
        extra=extra,
        essential=tuple(name for name in _ESSENTIAL if name in extra),
    )


def _turn(message: Json, path: str) -> Turn:
    role = message["role"]
    if role == "function":
        raise invalid(f"{path}.role", "is 'function', which has no meaning to this provider; use 'tool'")
    if message.get("audio") is not None:
        raise invalid(f"{path}.audio", "refers to a recording that only its provider knows")
    parts = _parts(message.get("content"), f"{path}.content")
    if role == "tool":
        parts = [ToolResult(message["tool_call_id"], parts)]
    elif role == "assistant":
        calls = message.get("tool_calls") or []
        said = fields.word(message, "refusal", path)
        parts = [
            *thinking(message, path),
            *parts,
            *([Refusal(said)] if said else []),
            *(_call(call) for call in calls),
        ]
        if message.get("function_call") is not None:
            raise invalid(f"{path}.function_call", "has no meaning to this provider; use 'tool_calls'")
    return Turn(Role(role), parts, path, fields.word(message, "name", path))


def _parts(content: Any, path: str) -> list[Part]:
    if content is None:
        return []
    if type(content) is str:
        return [Text(content)]
    return [_part(part, f"{path}.{index}") for index, part in enumerate(content)]


def _part(part: Json, path: str) -> Part:
    if part["type"] == "text":
        return Text(part["text"], _cache(part))
    if part["type"] == "refusal":
        return Refusal(part["refusal"])
    return decode_media(part, path, _cache(part))


def _cache(part: Json) -> CacheMark | None:
    mark = part.get("prompt_cache_breakpoint")
    if type(mark) is not dict:
        return None
    return CacheMark(12 * 3600 if mark.get("ttl") == "12h" else None)


def thinking(message: Json, path: str) -> list[Part]:
    """The reasoning in an assistant's message: blocks as this gateway gives them out, or plain text."""
    blocks = message.get("thinking_blocks")
    if blocks is None:
        text = message.get("reasoning_content")
        if text is None:
            text = message.get("reasoning")
        return [Thinking(text)] if type(text) is str and text else []
    if type(blocks) is not list:
        raise invalid(f"{path}.thinking_blocks", "must be a list")
    parts: list[Part] = []
    for index, block in enumerate(blocks):
        at = f"{path}.thinking_blocks.{index}"
        if type(block) is not dict:
            raise invalid(at, "must be an object")
        if block.get("type") == "redacted_thinking":
            parts.append(Thinking(redacted=fields.word(block, "data", at) or ""))
        else:
            text = fields.word(block, "thinking", at) or ""
            parts.append(Thinking(text, fields.word(block, "signature", at) or None))
    return parts


def _call(call: Json) -> ToolCall:
    if call.get("type") == "custom":
        return ToolCall(call["id"], call["custom"]["name"], call["custom"]["input"], custom=True)
    return ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])


def _tool(tool: Json, path: str) -> Tool:
    if tool["type"] == "custom":
        return Tool(tool["custom"]["name"], raw=tool, dialect=_DIALECT)
    function = tool["function"]
    at = f"{path}.function"
    strict = function.get("strict")
    if strict is not None and type(strict) is not bool:
        raise invalid(f"{at}.strict", "must be true or false")
    schema = function.get("parameters")
    if schema is not None and type(schema) is not dict:
        raise invalid(f"{at}.parameters", "must be an object")
    return Tool(function["name"], fields.word(function, "description", at), schema, strict)


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
        kind = wanted.get("type")
        inner = wanted.get(kind) if type(kind) is str else None
        if kind in ("function", "custom") and type(inner) is dict and type(inner.get("name")) is str:
            return ToolChoice(ChoiceMode.NAMED, inner["name"], parallel=parallel)
        if kind == "allowed_tools" and type(inner) is dict and inner.get("mode") in ("auto", "required"):
            return ToolChoice(ChoiceMode(inner["mode"]), allowed=_allowed(inner), parallel=parallel)
    raise invalid("tool_choice", "must be 'auto', 'none', 'required' or name a tool")


def _allowed(inner: Json) -> tuple[str, ...]:
    names = []
    for index, tool in enumerate(fields.items(inner, "tools", 1_000)):
        function = tool.get("function") if type(tool) is dict else None
        name = function.get("name") if type(function) is dict else None
        if type(name) is not str:
            raise invalid(f"tool_choice.allowed_tools.tools.{index}", "must name a function")
        names.append(name)
    return tuple(names)


def _sampling(body: Json) -> Sampling:
    stop = body.get("stop")
    return Sampling(
        temperature=fields.number(body, "temperature", 0, 2),
        top_p=fields.number(body, "top_p", 0, 1),
        stop=[stop] if type(stop) is str else list(stop or []),
        seed=fields.count(body, "seed", -(1 << 63), (1 << 63) - 1),
        frequency_penalty=fields.number(body, "frequency_penalty", -2, 2),
        presence_penalty=fields.number(body, "presence_penalty", -2, 2),
        logit_bias=fields.mapping(body, "logit_bias"),
        logprobs=fields.flag(body, "logprobs"),
        top_logprobs=fields.count(body, "top_logprobs", 0, 20),
        choices=body.get("n") or 1,
    )


def _response_format(body: Json) -> ResponseFormat | None:
    wanted = fields.mapping(body, "response_format")
    if wanted is None:
        return None
    kind = wanted["type"]
    if kind in ("text", "json_object"):
        return ResponseFormat(kind)
    if kind != "json_schema":
        raise invalid("response_format.type", "must be 'text', 'json_object' or 'json_schema'")
    path = "response_format.json_schema"
    inner = wanted.get("json_schema")
    if type(inner) is not dict or type(inner.get("schema")) is not dict:
        raise invalid(f"{path}.schema", "is required and must be an object")
    strict = inner.get("strict")
    return ResponseFormat(
        kind,
        inner["schema"],
        fields.word(inner, "name", path),
        fields.word(inner, "description", path),
        strict if type(strict) is bool else None,
    )


def decode_response(answer: Json) -> Response:
    """The answer of a provider. What is missing or odd in it is read as empty, never as an error."""
    choices = [choice for choice in fields.listed(answer.get("choices")) if isinstance(choice, dict)]
    return Response(
        id=str(answer.get("id") or ""),
        model=str(answer.get("model") or ""),
        choices=[_choice(choice, index) for index, choice in enumerate(choices)],
        usage=decode_usage(answer.get("usage")),
    )


def _choice(choice: Json, index: int) -> Choice:
    found = choice.get("message")
    message: Json = found if isinstance(found, dict) else {}
    parts: list[Part] = _reasoned(message)
    content = message.get("content")
    if type(content) is str and content:
        parts.append(Text(content))
    if type(message.get("refusal")) is str and message["refusal"]:
        parts.append(Refusal(message["refusal"]))
    stop = stop_of(choice, refused=bool(message.get("refusal")))
    for number, call in enumerate(fields.listed(message.get("tool_calls"))):
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            name, arguments = str(function.get("name") or ""), str(function.get("arguments") or "")
            parts.append(ToolCall(str(call.get("id") or f"call_{number}"), name, arguments))
            stop = stop_of(choice, called=True)
    return Choice(parts, stop, index=index)


def _reasoned(message: Json) -> list[Part]:
    """The reasoning in an answer; none where it is malformed, which is no fault of the caller's."""
    try:
        return thinking(message, "message")
    except InvalidRequestError:
        return []


def stop_of(choice: Json, *, called: bool = False, refused: bool = False) -> Stop:
    """Why `choice` ended. Compatible providers may say `stop` although a tool is called."""
    stop = STOPS.get(str(choice.get("finish_reason")), Stop.END)
    if stop is Stop.END:
        return Stop.TOOL_CALLS if called else Stop.REFUSAL if refused else stop
    return stop
