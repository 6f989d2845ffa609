"""`policies/models.yaml`: providers, models and their prices, as operators write them."""

from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, ValidationError, model_validator

from sluicegate.kernel.models import Capability, Dialect, Prices
from sluicegate.kernel.money import nano_from_usd, pico_per_token
from sluicegate.kernel.policy_files import PolicyModel
from sluicegate.routing.catalogue_checks import catalogue_problems

PerMillion = Annotated[int, BeforeValidator(pico_per_token), Field(ge=0)]
Usd = Annotated[int, BeforeValidator(nano_from_usd), Field(ge=0)]
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@-]{0,127}$")]
Share = Annotated[float, Field(ge=0.0, le=1.0)]
Tier = Literal["low", "mid", "high"]


class TokenPrices(PolicyModel):
    """Prices in USD per million tokens, written as text; what is left out costs as much as `input`."""

    input: PerMillion
    output: PerMillion
    cached_input: PerMillion | None = None
    cache_write: PerMillion | None = None
    cache_write_1h: PerMillion | None = None

    def to_prices(self, request: int = 0, image: int = 0) -> Prices:
        write = self.input if self.cache_write is None else self.cache_write
        return Prices(
            input=self.input,
            output=self.output,
            cached_input=self.input if self.cached_input is None else self.cached_input,
            cache_write=write,
            cache_write_1h=max(write, self.input) if self.cache_write_1h is None else self.cache_write_1h,
            request_nano=request,
            image_nano=image,
        )


class LongContextPrices(TokenPrices):
    """Prices of a whole request whose prompt has more than `above` tokens."""

    above: PositiveInt


class ModelPrices(TokenPrices):
    """A model's prices; `request` and `image` in USD each."""

    request: Usd = 0
    image: Usd = 0
    long_context: LongContextPrices | None = None

    @model_validator(mode="after")
    def _long_context_is_never_cheaper(self) -> Self:
        if self.long_context is not None:
            short, long = self.to_prices(), self.long_context.to_prices()
            for name in ("input", "output", "cached_input", "cache_write", "cache_write_1h"):
                if getattr(long, name) < getattr(short, name):
                    raise ValueError(f"long_context.{name} must not be below {name}: holds rely on it")
        return self


class ProviderPolicy(PolicyModel):
    """A place that runs models. `credential` and `base_url_setting` name settings, never their values.

    `continuous_usage` says that it understands `stream_options.continuous_usage_stats` (vLLM and servers like
    it; not OpenAI): an OpenAI stream that breaks off has then said what it cost.
    `requests_per_minute` and `tokens_per_minute` are what the provider allows us; None: not limited.
    """

    name: Name
    kind: Literal["openai", "anthropic", "vertex", "scripted"]
    base_url: str | None = Field(default=None, pattern=r"^https?://")
    base_url_setting: str | None = None
    credential: str | None = None
    dialects: tuple[Dialect, ...] = Field(min_length=1)
    region: str = "global"
    continuous_usage: bool = False
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None


class ModelTraits(PolicyModel):
    """What models can have in common; every field may come from `defaults`, a profile or the model."""

    provider: Name | None = None
    prices: ModelPrices | None = None
    quality: dict[str, Share] | None = None
    context_tokens: PositiveInt | None = None
    output_tokens_limit: int | None = Field(default=None, ge=0)
    tokens_per_request: PositiveInt | None = None
    capabilities: frozenset[Capability] | None = None
    region: str | None = None
    weight: int | None = Field(default=None, ge=1, le=1000)
    tier: Tier | None = None
    image_tokens: PositiveInt | None = None
    as_of: date | None = None
    price_source: str | None = None
    auto: bool | None = None


class ModelPolicy(ModelTraits):
    """One model. `snapshots` are dated names of it that are sent to the provider as they are."""

    id: Name
    profile: str | None = None
    upstream: str | None = None
    aliases: tuple[Name, ...] = ()
    snapshots: tuple[Name, ...] = ()
    fallbacks: tuple[Name, ...] = ()
    retires_on: date | None = None


class PoolPolicy(PolicyModel):
    """A name that stands for several models, chosen among by a strategy (`routing.yaml` has the default)."""

    name: Name
    models: tuple[Name, ...] = Field(min_length=1)
    strategy: Literal["cost", "latency", "weighted", "round_robin"] | None = None


class ModelsPolicy(PolicyModel):
    """The whole file. Names of models, aliases, snapshots and pools are one namespace."""

    providers: tuple[ProviderPolicy, ...] = Field(min_length=1)
    defaults: ModelTraits
    profiles: dict[str, ModelTraits] = Field(default_factory=dict)
    models: tuple[ModelPolicy, ...] = Field(min_length=1)
    pools: tuple[PoolPolicy, ...] = ()

    def traits(self, model: ModelPolicy) -> dict[str, Any]:
        """The traits of `model`: its own, else its profile's, else the defaults."""
        sources: list[ModelTraits] = [model, self.defaults]
        if model.profile is not None:
            sources.insert(1, self.profiles[model.profile])
        found: dict[str, Any] = {}
        for name in ModelTraits.model_fields:
            values = (getattr(source, name) for source in sources)
            found[name] = next((value for value in values if value is not None), None)
        return found

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        problems = catalogue_problems(self)
        if problems:
            raise ValidationError.from_exception_data(type(self).__name__, problems)
        return self
