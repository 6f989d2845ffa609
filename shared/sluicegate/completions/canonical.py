"""One form of a conversation for every dialect: what was said, asked for and answered.

A dialect's `decode` module makes these from its own JSON, its `encode` module the reverse, so dialects
know this form and never each other. It holds meaning, not wire shape: what two dialects say
differently is one thing here, what only one of them has is kept in `extra` or as an `Opaque` part, and
reaches a provider of that dialect alone.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from sluicegate.completions.fields import invalid
from sluicegate.completions.types import Json
from sluicegate.kernel.models import Dialect, Usage


class Role(StrEnum):
    """Who speaks. `TOOL` turns hold tool results and nothing else."""

    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


@dataclass(slots=True)
class CacheMark:
    """The prompt up to here is worth caching, for `ttl_s` seconds (None: the provider's default)."""

    ttl_s: int | None = None


@dataclass(slots=True)
class Text:
    """Plain text. `citations` are the dialect's own, kept for a provider of that dialect."""

    text: str
    cache: CacheMark | None = None
    citations: list[Any] | None = None


@dataclass(slots=True)
class Image:
    """A picture: exactly one of `url`, `data` (base64, with `media_type`) and `file_id` is set."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    file_id: str | None = None
    detail: str | None = None
    cache: CacheMark | None = None


@dataclass(slots=True)
class Audio:
    """A recording: `data` is base64, `format` its container (`wav`, `mp3`)."""

    data: str
    format: str
    cache: CacheMark | None = None


@dataclass(slots=True)
class Document:
    """A document: exactly one of `data` (base64, with `media_type`), `text`, `url`, `file_id`, `parts`."""

    data: str | None = None
    media_type: str | None = None
    text: str | None = None
    url: str | None = None
    file_id: str | None = None
    parts: "list[Part] | None" = None
    title: str | None = None
    context: str | None = None
    citations: bool = False
    cache: CacheMark | None = None


@dataclass(slots=True)
class Thinking:
    """The model's reasoning.

    `signature` proves it to the provider that wrote it. `redacted` is reasoning that only that provider
    can read, and then there is no text.
    """

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


@dataclass(slots=True)
class ToolCall:
    """The model asks for a tool. `arguments` is the text it wrote: JSON, or free text if `custom`."""

    id: str
    name: str
    arguments: str
    custom: bool = False
    cache: CacheMark | None = None


@dataclass(slots=True)
class ToolResult:
    """What a tool gave back to the call `call_id`."""

    call_id: str
    parts: "list[Part]"
    is_error: bool = False
    cache: CacheMark | None = None


@dataclass(slots=True)
class Refusal:
    """The model declines, in words."""

    text: str


@dataclass(slots=True)
class Opaque:
    """A part that only `dialect` knows, as it came."""

    dialect: Dialect
    content: Json


Part = Text | Image | Audio | Document | Thinking | ToolCall | ToolResult | Refusal | Opaque


@dataclass(slots=True)
class Turn:
    """One message. `path` is where the client wrote it (`messages.3`), for errors."""

    role: Role
    parts: list[Part]
    path: str = "messages"
    name: str | None = None


@dataclass(slots=True)
class Tool:
    """A tool the model may call. `schema` is the JSON schema of its arguments, None for none.

    `raw` is set for kinds that only `dialect` knows (a provider's own tools, free-form tools).
    """

    name: str
    description: str | None = None
    schema: Json | None = None
    strict: bool | None = None
    cache: CacheMark | None = None
    raw: Json | None = None
    dialect: Dialect | None = None


class ChoiceMode(StrEnum):
    """Whether tools are used: as the model likes, never, at least one, or the one named."""

    AUTO = "auto"
    NONE = "none"
    REQUIRED = "required"
    NAMED = "named"


@dataclass(slots=True)
class ToolChoice:
    """How tools are chosen. `name` with `NAMED`; `allowed` narrows the tools to those names.

    `parallel` False allows one call per answer; None leaves it to the provider.
    """

    mode: ChoiceMode | None = None
    name: str | None = None
    allowed: tuple[str, ...] | None = None
    parallel: bool | None = None


@dataclass(slots=True)
class Sampling:
    """How tokens are drawn; None leaves it to the provider."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: list[str] = field(default_factory=list)
    seed: int | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: Json | None = None
    logprobs: bool = False
    top_logprobs: int | None = None
    choices: int = 1


@dataclass(slots=True)
class ResponseFormat:
    """The shape of the answer: `text`, `json_object`, or `json_schema` with `schema`."""

    kind: str
    schema: Json | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


@dataclass(slots=True)
class Reasoning:
    """How much to think: an `effort` (`none` to `max`), a budget in tokens, or as the model likes.

    `mode` is Anthropic's word (`enabled`, `disabled`, `adaptive`, `between_tools`) where it was given.
    """

    effort: str | None = None
    budget_tokens: int | None = None
    mode: str | None = None
    display: str | None = None


@dataclass(slots=True)
class Request:
    """One question to a model. `extra` holds the fields that only `dialect` has.

    `essential` names those of them that change what is asked for, so they may not be left out for
    another dialect; the rest of `extra` may.
    """

    dialect: Dialect
    model: str
    turns: list[Turn]
    tools: list[Tool] = field(default_factory=list)
    tool_choice: ToolChoice = field(default_factory=ToolChoice)
    sampling: Sampling = field(default_factory=Sampling)
    max_output_tokens: int | None = None
    response_format: ResponseFormat | None = None
    reasoning: Reasoning | None = None
    verbosity: str | None = None
    user: str | None = None
    metadata: Json | None = None
    service_tier: str | None = None
    stream: bool = False
    include_usage: bool = False
    extra: Json = field(default_factory=dict)
    essential: tuple[str, ...] = ()

    def extra_for(self, dialect: Dialect) -> Json:
        """The further fields for a provider of `dialect`.

        Raises:
            InvalidRequestError: the request has one that another dialect cannot do without.
        """
        if dialect is self.dialect:
            return self.extra
        if self.essential:
            raise invalid(self.essential[0], f"cannot be carried to a provider that speaks {dialect}")
        return {}


class Stop(StrEnum):
    """Why an answer ended."""

    END = "end"
    STOP_SEQUENCE = "stop_sequence"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    REFUSAL = "refusal"
    PAUSE = "pause"


@dataclass(slots=True)
class Choice:
    """One answer of several."""

    parts: list[Part]
    stop: Stop
    stop_sequence: str | None = None
    index: int = 0


@dataclass(slots=True)
class Response:
    """What a model answered. `id` is the provider's; `model` the name the provider gave itself."""

    id: str
    model: str
    choices: list[Choice]
    usage: Usage | None = None
