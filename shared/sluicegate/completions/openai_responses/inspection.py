"""What an OpenAI responses request asks for, and whether it is one at all."""

from typing import Any

from sluicegate.completions import bounds, capabilities, fields
from sluicegate.completions.capabilities import chat_capabilities
from sluicegate.completions.fields import invalid
from sluicegate.completions.limits import RequestLimits
from sluicegate.completions.openai_chat.inspection import DEAR_TIERS
from sluicegate.completions.openai_responses.items import Media, inspect_items
from sluicegate.completions.types import Json, RequestFacts

LOGPROBS = "message.output_text.logprobs"
_MAX_TOKENS = 1 << 31
_OWN_TOOLS = ("function", "custom")
_FORMATS = ("text", "json_object", "json_schema")
# Through these the provider adds to the prompt what it has kept: earlier turns, a prompt's text.
_KEPT = ("previous_response_id", "conversation", "prompt")


def inspect(body: Json, size: int, limits: RequestLimits) -> RequestFacts:
    """The facts of the request `body`, whose JSON is `size` bytes long.

    Raises:
        InvalidRequestError: a field that the gateway relies on is missing or of the wrong shape.
    """
    model = fields.text(body, "model", limits.name_bytes)
    kept = any(body.get(name) is not None for name in _KEPT)
    given = body.get("input")
    media: Media | None = None
    if type(given) is list and given:
        media = inspect_items(fields.items(body, "input", limits.messages))
    elif (type(given) is not str or not given) and not (given is None and kept):
        raise invalid("input", "is required and must be a non-empty string or list of items")
    fields.word(body, "instructions", "")
    stream = fields.flag(body, "stream")
    bits = capabilities.STREAMING if stream else 0
    bound = size + bounds.FRAMING_TOKENS
    images = 0
    if media is not None:
        bits |= media.bits
        images = media.images
        kept = kept or media.refers
        if images > limits.images:
            raise invalid("input", f"has {images} images, more than the {limits.images} allowed")
        bound += media.tokens + images * bounds.IMAGE_TOKENS - media.bytes
    names: tuple[str, ...] = ()
    if body.get("tools") is not None:
        names, extra = _tools(body, limits)
        if names:
            bits |= capabilities.TOOLS
            bound += extra
    pictures = images * bounds.IMAGE_TOKENS
    estimate = (bound - pictures >> 2) + pictures
    return RequestFacts(
        model=model,
        stream=stream,
        choices=1,
        max_output_tokens=fields.count(body, "max_output_tokens", 1, _MAX_TOKENS),
        input_bound=bound + bounds.KEPT_TOKENS if kept else bound,
        input_estimate=estimate + bounds.KEPT_ESTIMATE if kept else estimate,
        capabilities=chat_capabilities(bits | _wishes(body)),
        images=images,
        include_usage=True,
        tool_names=names,
        end_user=_end_user(body),
    )


def _wishes(body: Json) -> int:
    """Check the plain fields; the capabilities that they ask for."""
    bits = 0
    wanted = fields.mapping(fields.mapping(body, "text") or {}, "format")
    if wanted is not None:
        kind = wanted.get("type")
        if kind not in _FORMATS:
            raise invalid("text.format.type", f"must be one of {', '.join(_FORMATS)}")
        if kind == "json_schema":
            bits |= capabilities.JSON_SCHEMA
    effort = (fields.mapping(body, "reasoning") or {}).get("effort")
    if effort is not None and effort != "none":
        if type(effort) is not str:
            raise invalid("reasoning.effort", "must be a string")
        bits |= capabilities.REASONING
    if LOGPROBS in fields.items(body, "include", 64) or fields.count(body, "top_logprobs", 0, 20):
        bits |= capabilities.LOGPROBS
    fields.flag(body, "background")
    if body.get("service_tier") is not None:
        fields.affordable(body, "service_tier", DEAR_TIERS)
    return bits


def _end_user(body: Json) -> str | None:
    named = fields.word(body, "safety_identifier", "")
    return fields.word(body, "user", "") if named is None else named


def _tools(body: Json, limits: RequestLimits) -> tuple[tuple[str, ...], int]:
    """The tools' names, and the tokens of what the provider adds for them."""
    names = []
    tokens = bounds.TOOLS_PREAMBLE_TOKENS
    for index, tool in enumerate(fields.items(body, "tools", limits.tools)):
        path = f"tools.{index}"
        kind: Any = tool.get("type") if type(tool) is dict else None
        if type(kind) is not str:
            raise invalid(f"{path}.type", "is required and must be a string")
        name = tool.get("name")
        if kind not in _OWN_TOOLS:
            tokens += bounds.PROVIDER_TOOL_TOKENS
            name = kind if name is None else name
        if type(name) is not str or not 0 < len(name) <= limits.name_bytes:
            raise invalid(f"{path}.name", f"must be a string of 1 to {limits.name_bytes} characters")
        names.append(name)
    return tuple(names), tokens
