"""What an Anthropic messages request asks for, and whether it is one at all."""

from typing import Any

from sluicegate.completions import bounds, capabilities, fields
from sluicegate.completions.capabilities import chat_capabilities
from sluicegate.completions.fields import invalid
from sluicegate.completions.limits import RequestLimits
from sluicegate.completions.types import Json, RequestFacts

_ROLES = frozenset({"user", "assistant", "system"})
_MAX_TOKENS = 1 << 31
# Billed above the list prices, which holds and settlement go by: six times for speed, a tenth more for the
# region (https://platform.claude.com/docs/en/about-claude/pricing).
_DEAR_SPEEDS = frozenset({"fast"})
_DEAR_REGIONS = frozenset({"us"})
_THINKS = frozenset({"enabled", "adaptive", "between_tools"})


class _Media:
    """What the conversation's blocks add up to; made only for conversations that have blocks."""

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
    # Zero is allowed: it fills the prompt cache without an answer.
    max_tokens = fields.count(body, "max_tokens", 0, _MAX_TOKENS)
    if max_tokens is None:
        raise invalid("max_tokens", "is required and must be an integer")
    messages = fields.conversation(body, limits.messages)
    media: _Media | None = None
    for index, message in enumerate(messages):
        if type(message) is not dict:
            raise invalid(f"messages.{index}", "must be an object")
        role = message.get("role")
        if type(role) is not str or role not in _ROLES:
            raise invalid(f"messages.{index}.role", "must be 'user', 'assistant' or 'system'")
        content = message.get("content")
        if type(content) is str:
            continue
        if media is None:
            media = _Media()
        _blocks(content, f"messages.{index}.content", media)
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
    names: tuple[str, ...] = ()
    if body.get("tools") is not None:
        names, extra = _tools(body, limits)
        if names:
            bits |= capabilities.TOOLS
            bound += extra
    pictures = images * bounds.IMAGE_TOKENS
    estimate = (bound - pictures >> 2) + pictures
    if _compacts(body):
        # The provider reads the conversation once more, to sum it up.
        bound, estimate = 2 * bound, 2 * estimate
    if body.get("thread") is not None and _continues(body):
        bound += bounds.KEPT_TOKENS
        estimate += bounds.KEPT_ESTIMATE
    return RequestFacts(
        model=model,
        stream=stream,
        choices=1,
        max_output_tokens=max_tokens,
        input_bound=bound,
        input_estimate=estimate,
        capabilities=chat_capabilities(bits | _wishes(body, limits)),
        images=images,
        include_usage=True,
        tool_names=names,
        end_user=_end_user(body),
    )


def _continues(body: Json) -> bool:
    """Whether earlier turns are at the provider, which adds them to the prompt."""
    return (fields.mapping(body, "thread") or {}).get("type") != "create"


def _compacts(body: Json) -> bool:
    """Whether the provider may sum up the conversation first, which is billed beside the answer."""
    management = body.get("context_management")
    if management is None:
        return False
    edits = fields.items(fields.mapping(body, "context_management") or {}, "edits", 64)
    return any(type(edit) is dict and str(edit.get("type")).startswith("compact") for edit in edits)


def _prices(body: Json) -> None:
    """Refuse what is billed at other prices than the model's in the catalogue."""
    if body.get("speed") is not None:
        fields.affordable(body, "speed", _DEAR_SPEEDS)
    if body.get("inference_geo") is not None:
        fields.affordable(body, "inference_geo", _DEAR_REGIONS)
    fallbacks = body.get("fallbacks")
    if fallbacks is not None and fallbacks != "default":
        problem = "names models that the provider would go on with; the catalogue's 'fallbacks' are for that"
        raise invalid("fallbacks", problem)


def _wishes(body: Json, limits: RequestLimits) -> int:
    """Check the plain fields; the capabilities that they ask for."""
    bits = 0
    _prices(body)
    system = body.get("system")
    if system is not None and type(system) is not str:
        for index, block in enumerate(fields.items(body, "system", limits.messages)):
            if type(block) is not dict or type(block.get("text")) is not str:
                raise invalid(f"system.{index}", "must be a text block")
    thinking = fields.mapping(body, "thinking")
    if thinking is not None:
        kind = thinking.get("type")
        if type(kind) is not str:
            raise invalid("thinking.type", "is required and must be a string")
        if kind in _THINKS:
            bits |= capabilities.REASONING
        if kind == "enabled" and fields.whole(thinking.get("budget_tokens")) < 1:
            raise invalid("thinking.budget_tokens", "is required and must be a positive integer")
    output = fields.mapping(body, "output_config")
    if output is not None:
        if output.get("format") is not None:
            bits |= capabilities.JSON_SCHEMA
        if output.get("effort") is not None:
            bits |= capabilities.REASONING
    if body.get("output_format") is not None:
        bits |= capabilities.JSON_SCHEMA
    for index, sequence in enumerate(fields.items(body, "stop_sequences", limits.stops)):
        if type(sequence) is not str:
            raise invalid(f"stop_sequences.{index}", "must be a string")
    return bits


def _end_user(body: Json) -> str | None:
    metadata = body.get("metadata")
    if metadata is None:
        return None
    user = (fields.mapping(body, "metadata") or {}).get("user_id")
    if user is not None and type(user) is not str:
        raise invalid("metadata.user_id", "must be a string")
    return user


def _tools(body: Json, limits: RequestLimits) -> tuple[tuple[str, ...], int]:
    """The tools' names, and the tokens of what the provider adds for them."""
    names = []
    tokens = bounds.TOOLS_PREAMBLE_TOKENS
    for index, tool in enumerate(fields.items(body, "tools", limits.tools)):
        path = f"tools.{index}"
        if type(tool) is not dict:
            raise invalid(path, "must be an object")
        kind = tool.get("type")
        name = tool.get("name")
        if kind is None or kind == "custom":
            if type(tool.get("input_schema")) is not dict:
                raise invalid(f"{path}.input_schema", "is required and must be an object")
        elif type(kind) is str:
            if tool.get("model") is not None:
                raise invalid(
                    f"{path}.model", "names another model, which budgets would not see; ask for it itself"
                )
            tokens += bounds.PROVIDER_TOOL_TOKENS
            name = kind if name is None else name
        else:
            raise invalid(f"{path}.type", "must be a string")
        if type(name) is not str or not 0 < len(name) <= limits.name_bytes:
            raise invalid(f"{path}.name", f"must be a string of 1 to {limits.name_bytes} characters")
        names.append(name)
    return tuple(names), tokens


def _blocks(content: Any, path: str, media: _Media) -> None:
    if type(content) is not list:
        raise invalid(path, "is required and must be a string or a list of content blocks")
    for index, block in enumerate(content):
        kind = block.get("type") if type(block) is dict else None
        if kind == "text":
            if type(block.get("text")) is not str:
                raise invalid(f"{path}.{index}.text", "is required and must be a string")
        elif type(kind) is str:
            _block(block, kind, f"{path}.{index}", media)
        else:
            raise invalid(f"{path}.{index}.type", "is required and must be a string")


def _block(block: Json, kind: str, path: str, media: _Media) -> None:
    """One block that is not text. Kinds not known here hold all their content, so size bounds them."""
    if kind == "image":
        media.images += 1
        media.bits |= capabilities.VISION
        source = _source(block, path)
        if source["type"] == "base64":
            media.bytes += _data_length(source, path)
    elif kind == "document":
        media.bits |= capabilities.DOCUMENTS
        source = _source(block, path)
        if source["type"] == "base64":
            length = _data_length(source, path)
            media.bytes += length
            media.tokens += bounds.document_tokens(length)
        elif source["type"] in ("url", "file"):
            media.tokens += bounds.DOCUMENT_TOKENS
        elif source["type"] == "content" and type(source.get("content")) is not str:
            _blocks(source.get("content"), f"{path}.source.content", media)
    elif kind == "tool_use":
        if type(block.get("id")) is not str or type(block.get("name")) is not str:
            raise invalid(path, "needs 'id' and 'name', both strings")
        if type(block.get("input")) is not dict:
            raise invalid(f"{path}.input", "is required and must be an object")
    elif kind == "tool_result":
        if type(block.get("tool_use_id")) is not str:
            raise invalid(f"{path}.tool_use_id", "is required and must be a string")
        content = block.get("content")
        if content is not None and type(content) is not str:
            _blocks(content, f"{path}.content", media)


def _source(block: Json, path: str) -> Json:
    source = block.get("source")
    if type(source) is not dict or type(source.get("type")) is not str:
        raise invalid(f"{path}.source", "is required and must be an object with a 'type'")
    return source


def _data_length(source: Json, path: str) -> int:
    data = source.get("data")
    if type(data) is not str:
        raise invalid(f"{path}.source.data", "is required and must be a string")
    return len(data)
