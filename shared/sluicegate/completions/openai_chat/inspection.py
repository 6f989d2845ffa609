"""What an OpenAI chat request asks for, and whether it is one at all."""

from typing import Any

from sluicegate.completions import bounds, capabilities, fields
from sluicegate.completions.capabilities import chat_capabilities
from sluicegate.completions.fields import invalid
from sluicegate.completions.limits import RequestLimits
from sluicegate.completions.types import Json, RequestFacts

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})
_PLAIN_ROLES = frozenset({"system", "developer", "user"})
_MAX_TOKENS = 1 << 31
DEAR_TIERS = frozenset({"priority", "fast"})
"""Tiers that OpenAI bills above its list prices, which holds and settlement go by."""


class _Media:
    """What the conversation's parts add up to; made only for conversations that have parts."""

    __slots__ = ("bits", "bytes", "images", "tokens")

    def __init__(self) -> None:
        self.bits = 0
        self.bytes = 0
        self.images = 0
        self.tokens = 0


def inspect(body: Json, size: int, limits: RequestLimits) -> RequestFacts:
    """The facts of the request `body`, whose JSON is `size` bytes long.

    Raises:
        InvalidRequestError: a field that the gateway relies on is missing or of the wrong shape.
    """
    model = fields.text(body, "model", limits.name_bytes)
    messages = fields.conversation(body, limits.messages)
    media: _Media | None = None
    for index, message in enumerate(messages):
        if type(message) is not dict:
            raise invalid(f"messages.{index}", "must be an object")
        role = message.get("role")
        content = message.get("content")
        if type(content) is str and type(role) is str and role in _PLAIN_ROLES:
            continue
        if media is None:
            media = _Media()
        _message(message, role, content, f"messages.{index}", media)
    stream = fields.flag(body, "stream")
    bits = capabilities.STREAMING if stream else 0
    bound = size + bounds.FRAMING_TOKENS
    images = 0
    if media is not None:
        bits |= media.bits
        images = media.images
        if images > limits.images:
            raise invalid("messages", f"has {images} images, more than the {limits.images} allowed")
        bound += media.tokens + images * bounds.IMAGE_TOKENS - media.bytes
    include_usage = False
    if body.get("stream_options") is not None:
        options = fields.mapping(body, "stream_options") or {}
        include_usage = stream and options.get("include_usage") is True
    names: tuple[str, ...] = ()
    if body.get("tools") is not None or body.get("functions") is not None:
        names = _tools(body, limits)
        if names:
            bits |= capabilities.TOOLS
            bound += bounds.TOOLS_PREAMBLE_TOKENS
    choices = fields.count(body, "n", 1, limits.choices) or 1
    if choices > 1:
        bits |= capabilities.MULTIPLE_CHOICES
    return RequestFacts(
        model=model,
        stream=stream,
        choices=choices,
        max_output_tokens=_max_tokens(body),
        input_bound=bound,
        input_estimate=bound >> 2 if not images else _estimate(bound, images),
        capabilities=chat_capabilities(bits | _wishes(body, limits)),
        images=images,
        include_usage=include_usage,
        tool_names=names,
        end_user=_end_user(body),
    )


def _estimate(bound: int, images: int) -> int:
    pictures = images * bounds.IMAGE_TOKENS
    return (bound - pictures >> 2) + pictures


def _max_tokens(body: Json) -> int | None:
    # Zero is carried as it is: the provider knows whether it takes it, and nothing is held for an answer.
    newer = fields.count(body, "max_completion_tokens", 0, _MAX_TOKENS)
    older = fields.count(body, "max_tokens", 0, _MAX_TOKENS)
    if newer is not None and older is not None and newer != older:
        raise invalid("max_tokens", "says something else than 'max_completion_tokens'; send one of them")
    return older if newer is None else newer


def _wishes(body: Json, limits: RequestLimits) -> int:
    """Capabilities that plain fields ask for."""
    bits = 0
    if body.get("response_format") is not None:
        wanted = fields.mapping(body, "response_format") or {}
        if type(wanted.get("type")) is not str:
            raise invalid("response_format.type", "must be 'text', 'json_object' or 'json_schema'")
        if wanted["type"] == "json_schema":
            bits |= capabilities.JSON_SCHEMA
    if body.get("logprobs") is not None and fields.flag(body, "logprobs"):
        bits |= capabilities.LOGPROBS
    effort = body.get("reasoning_effort")
    if effort is not None and effort != "none":
        if type(effort) is not str:
            raise invalid("reasoning_effort", "must be a string")
        bits |= capabilities.REASONING
    if body.get("service_tier") is not None:
        fields.affordable(body, "service_tier", DEAR_TIERS)
    modalities = body.get("modalities")
    if modalities is not None:
        if type(modalities) is not list:
            raise invalid("modalities", "must be a list")
        if "audio" in modalities:
            bits |= capabilities.AUDIO
    stop = body.get("stop")
    if stop is not None and type(stop) is not str:
        for index, sequence in enumerate(fields.items(body, "stop", limits.stops)):
            if type(sequence) is not str:
                raise invalid(f"stop.{index}", "must be a string")
    return bits


def _end_user(body: Json) -> str | None:
    for name in ("safety_identifier", "user"):
        value = body.get(name)
        if value is not None:
            if type(value) is not str:
                raise invalid(name, "must be a string")
            return value
    return None


def _tools(body: Json, limits: RequestLimits) -> tuple[str, ...]:
    names = []
    for index, tool in enumerate(fields.items(body, "tools", limits.tools)):
        path = f"tools.{index}"
        kind = tool.get("type") if type(tool) is dict else None
        if kind not in ("function", "custom"):
            raise invalid(f"{path}.type", "must be 'function' or 'custom'")
        names.append(_name(tool.get(kind), f"{path}.{kind}", limits))
    for index, function in enumerate(fields.items(body, "functions", limits.tools)):
        names.append(_name(function, f"functions.{index}", limits))
    return tuple(names)


def _name(definition: Any, path: str, limits: RequestLimits) -> str:
    if type(definition) is not dict:
        raise invalid(path, "must be an object")
    name = definition.get("name")
    if type(name) is not str or not 0 < len(name) <= limits.name_bytes:
        raise invalid(f"{path}.name", f"must be a string of 1 to {limits.name_bytes} characters")
    return name


def _message(message: Json, role: Any, content: Any, path: str, media: _Media) -> None:
    if type(role) is not str or role not in _ROLES:
        raise invalid(f"{path}.role", f"must be one of {', '.join(sorted(_ROLES))}")
    if role == "assistant":
        calls = message.get("tool_calls")
        if calls is not None:
            _tool_calls(calls, path)
    elif role == "tool":
        if type(message.get("tool_call_id")) is not str:
            raise invalid(f"{path}.tool_call_id", "is required and must be a string")
    elif role == "function" and type(message.get("name")) is not str:
        raise invalid(f"{path}.name", "is required and must be a string")
    if type(content) is str:
        return
    if content is None:
        if role not in ("assistant", "function"):
            raise invalid(f"{path}.content", "is required and must be a string or a list of parts")
        return
    if type(content) is not list:
        raise invalid(f"{path}.content", "must be a string or a list of parts")
    for index, part in enumerate(content):
        _part(part, f"{path}.content.{index}", media)


def _tool_calls(calls: Any, path: str) -> None:
    if type(calls) is not list:
        raise invalid(f"{path}.tool_calls", "must be a list")
    for index, call in enumerate(calls):
        at = f"{path}.tool_calls.{index}"
        if type(call) is not dict:
            raise invalid(at, "must be an object")
        if type(call.get("id")) is not str:
            raise invalid(f"{at}.id", "is required and must be a string")
        kind = call.get("type", "function")
        if kind not in ("function", "custom"):
            raise invalid(f"{at}.type", "must be 'function' or 'custom'")
        called = call.get(kind)
        if type(called) is not dict or type(called.get("name")) is not str:
            raise invalid(f"{at}.{kind}.name", "is required and must be a string")
        text = "arguments" if kind == "function" else "input"
        if type(called.get(text)) is not str:
            raise invalid(f"{at}.{kind}.{text}", "is required and must be a string")


def _part(part: Any, path: str, media: _Media) -> None:
    kind = part.get("type") if type(part) is dict else None
    if kind == "text":
        if type(part.get("text")) is not str:
            raise invalid(f"{path}.text", "must be a string")
    elif kind == "image_url":
        url = _inner(part, "image_url", "url", path)
        media.images += 1
        media.bits |= capabilities.VISION
        # Anything else in a data URL is not bounded as a picture is, so it counts as text.
        if url.startswith("data:image/"):
            media.bytes += len(url)
    elif kind == "input_audio":
        data = _inner(part, "input_audio", "data", path)
        media.bits |= capabilities.AUDIO
        media.bytes += len(data)
        media.tokens += bounds.audio_tokens(len(data))
    elif kind == "file":
        file = part.get("file")
        content = file.get("file_data") if type(file) is dict else None
        media.bits |= capabilities.DOCUMENTS
        if type(content) is str:
            media.bytes += len(content)
            media.tokens += bounds.document_tokens(len(content))
        elif type(file) is dict and type(file.get("file_id")) is str:
            media.tokens += bounds.DOCUMENT_TOKENS
        else:
            raise invalid(f"{path}.file", "needs 'file_data' or 'file_id', a string")
    elif kind == "refusal":
        if type(part.get("refusal")) is not str:
            raise invalid(f"{path}.refusal", "must be a string")
    else:
        raise invalid(f"{path}.type", "must be one of text, image_url, input_audio, file, refusal")


def _inner(part: Json, name: str, field: str, path: str) -> str:
    holder = part.get(name)
    value = holder.get(field) if type(holder) is dict else None
    if type(value) is not str:
        raise invalid(f"{path}.{name}.{field}", "is required and must be a string")
    return value
