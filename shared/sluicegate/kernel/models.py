"""The vocabulary of models: dialects, capabilities, usage, prices, catalogue entries.

Shared by routing (which chooses), the pipeline (which charges) and the edges (which list).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

from sluicegate.kernel.money import nano_from_pico


class Dialect(StrEnum):
    """A wire protocol that clients and providers speak."""

    OPENAI_CHAT = "openai.chat"
    OPENAI_RESPONSES = "openai.responses"
    OPENAI_EMBEDDINGS = "openai.embeddings"
    ANTHROPIC_MESSAGES = "anthropic.messages"


class Capability(StrEnum):
    """What a request needs of a model, and what a model in the catalogue offers."""

    CHAT = "chat"
    EMBEDDINGS = "embeddings"
    STREAMING = "streaming"
    TOOLS = "tools"
    JSON_SCHEMA = "json_schema"
    VISION = "vision"
    AUDIO = "audio"
    DOCUMENTS = "documents"
    LOGPROBS = "logprobs"
    REASONING = "reasoning"
    MULTIPLE_CHOICES = "multiple_choices"


@dataclass(slots=True)
class Usage:
    """Tokens of one answer. Every field counts tokens and none overlaps another's price.

    `input_tokens` are uncached prompt tokens at full price; `cached_input_tokens` were read from
    the provider's prompt cache; `cache_write_tokens` and `cache_write_1h_tokens` were written to it
    (5 minutes, 1 hour). `output_tokens` includes `reasoning_tokens` (they cost the same and are
    listed only to be shown). `images` counts images produced or consumed at a per-image price.
    """

    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0

    @property
    def prompt_tokens(self) -> int:
        """All tokens of the prompt, cached or not."""
        return (
            self.input_tokens
            + self.cached_input_tokens
            + self.cache_write_tokens
            + self.cache_write_1h_tokens
        )

    @property
    def total_tokens(self) -> int:
        """Prompt and output together."""
        return self.prompt_tokens + self.output_tokens

    def plus(self, other: "Usage") -> "Usage":
        """The sum of both."""
        return Usage(
            input_tokens=self.input_tokens + other.input_tokens,
            cached_input_tokens=self.cached_input_tokens + other.cached_input_tokens,
            cache_write_tokens=self.cache_write_tokens + other.cache_write_tokens,
            cache_write_1h_tokens=self.cache_write_1h_tokens + other.cache_write_1h_tokens,
            output_tokens=self.output_tokens + other.output_tokens,
            reasoning_tokens=self.reasoning_tokens + other.reasoning_tokens,
            images=self.images + other.images,
        )


@dataclass(frozen=True, slots=True)
class Prices:
    """A model's prices: pico-dollars per token, nano-dollars per request and per image.

    A price that the provider does not list separately equals the input price (cache reads and
    writes) so that nothing is ever free by omission.

    Where `long_context` is given, a request whose prompt is longer than `long_context_above` tokens is
    billed at those prices as a whole, output included. None of them may be below its ordinary price:
    a hold for a bound on the prompt then also pays every shorter prompt.
    """

    input: int
    output: int
    cached_input: int
    cache_write: int
    cache_write_1h: int
    request_nano: int = 0
    image_nano: int = 0
    long_context_above: int = 0
    long_context: "Prices | None" = None

    def cost(self, usage: Usage) -> int:
        """Exact nano-dollars of one answer: integer products, summed, rounded up once."""
        if self.long_context is not None and usage.prompt_tokens > self.long_context_above:
            return self.long_context.cost(usage)
        return (
            nano_from_pico(
                usage.input_tokens * self.input
                + usage.cached_input_tokens * self.cached_input
                + usage.cache_write_tokens * self.cache_write
                + usage.cache_write_1h_tokens * self.cache_write_1h
                + usage.output_tokens * self.output
            )
            + self.request_nano
            + usage.images * self.image_nano
        )

    @property
    def dearest_input(self) -> int:
        """Pico-dollars of the dearest way one prompt token can be billed; holds assume it."""
        return max(self.input, self.cached_input, self.cache_write, self.cache_write_1h)

    def hold(self, input_tokens: int, output_tokens: int, images: int = 0) -> int:
        """Nano-dollars that surely pay for `input_tokens` in and `output_tokens` out."""
        if self.long_context is not None and input_tokens > self.long_context_above:
            return self.long_context.hold(input_tokens, output_tokens, images)
        return (
            nano_from_pico(input_tokens * self.dearest_input + output_tokens * self.output)
            + self.request_nano
            + images * self.image_nano
        )

    def affordable_output(self, nano: int, input_tokens: int, images: int = 0) -> int | None:
        """Output tokens that `nano` nano-dollars still pay beside the input; None: no bound.

        Negative when they do not even pay the input.
        """
        if self.long_context is not None and input_tokens > self.long_context_above:
            return self.long_context.affordable_output(nano, input_tokens, images)
        left = (nano - self.request_nano - images * self.image_nano) * 1_000
        left -= input_tokens * self.dearest_input
        if not self.output:
            return None if left >= 0 else -1
        return left // self.output


@dataclass(frozen=True, slots=True)
class Model:
    """One entry of the catalogue (`policies/models.yaml`).

    `id` is the catalogue's name, `upstream` the provider's. `quality` maps a task to 0..1, with
    `default`. `context_tokens` bounds prompt and output together; `output_tokens_limit` what the model
    can produce; `tokens_per_request` is the policy limit on output per request. `tier` (`low`, `mid`,
    `high`) is the complexity of request it is meant for; `aliases` are further names for it.
    """

    id: str
    provider: str
    upstream: str
    prices: Prices
    capabilities: frozenset[Capability]
    context_tokens: int
    output_tokens_limit: int
    tokens_per_request: int
    quality: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({"default": 0.5}))
    region: str = "global"
    weight: int = 1
    tier: str = "mid"
    aliases: tuple[str, ...] = ()
    fallbacks: tuple[str, ...] = ()
    image_tokens: int = 1_600

    def quality_for(self, task: str | None) -> float:
        """Quality for `task`, or the default where the task is unknown or not given."""
        return self.quality.get(task or "default", self.quality.get("default", 0.5))
