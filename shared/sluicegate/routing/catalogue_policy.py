"""`policies/models.yaml`: providers, models and their prices, as operators write them."""

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PositiveInt, ValidationError, model_validator
from pydantic_core import InitErrorDetails, PydanticCustomError

from sluicegate.kernel.models import Capability, Dialect, Prices
from sluicegate.kernel.money import nano_from_usd, pico_per_token
from sluicegate.kernel.policy_files import PolicyModel

AUTO = "auto"

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

    `requests_per_minute` and `tokens_per_minute` are what the provider allows us; None: not limited.
    """

    name: Name
    kind: Literal["openai", "anthropic", "vertex", "scripted"]
    base_url: str | None = Field(default=None, pattern=r"^https?://")
    base_url_setting: str | None = None
    credential: str | None = None
    dialects: tuple[Dialect, ...] = Field(min_length=1)
    region: str = "global"
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
        problems = [*self._name_problems(), *self._model_problems(), *self._reference_problems()]
        if not problems:
            problems = self._cycle_problems()
        if problems:
            raise ValidationError.from_exception_data(type(self).__name__, problems)
        return self

    def _name_problems(self) -> list[InitErrorDetails]:
        problems = []
        seen: dict[str, str] = {AUTO: "a word of its own"}
        for kind, name, location in self._names():
            if name in seen:
                problems.append(_problem(location, f"{name!r} is already {seen[name]}; choose another name"))
            seen[name] = kind
        providers: set[str] = set()
        for index, provider in enumerate(self.providers):
            if provider.name in providers:
                problems.append(
                    _problem(("providers", index, "name"), f"provider {provider.name!r} is there twice")
                )
            providers.add(provider.name)
        return problems

    def _names(self) -> list[tuple[str, str, tuple[str | int, ...]]]:
        names: list[tuple[str, str, tuple[str | int, ...]]] = []
        for index, model in enumerate(self.models):
            names.append((f"the model {model.id!r}", model.id, ("models", index, "id")))
            for field in ("aliases", "snapshots"):
                names.extend(
                    (f"among the {field} of {model.id!r}", name, ("models", index, field, at))
                    for at, name in enumerate(getattr(model, field))
                )
        names.extend(("a pool", pool.name, ("pools", index, "name")) for index, pool in enumerate(self.pools))
        return names

    def _model_problems(self) -> list[InitErrorDetails]:
        problems = []
        providers = {provider.name for provider in self.providers}
        required = ("provider", "prices", "capabilities", "context_tokens", "output_tokens_limit", "as_of")
        for index, model in enumerate(self.models):
            at: tuple[str | int, ...] = ("models", index)
            if model.profile is not None and model.profile not in self.profiles:
                problems.append(
                    _problem((*at, "profile"), f"profile {model.profile!r} is not under `profiles`")
                )
                continue
            traits = self.traits(model)
            missing = [name for name in required if traits[name] is None]
            if missing:
                problems.append(
                    _problem((*at, "id"), f"{model.id!r} has no {', '.join(missing)}; add it here")
                )
            elif traits["provider"] not in providers:
                problems.append(
                    _problem(
                        (*at, "provider"),
                        f"provider {traits['provider']!r} of {model.id!r} is not under `providers`",
                    )
                )
        return problems

    def _reference_problems(self) -> list[InitErrorDetails]:
        known = {name for _, name, location in self._names() if location[0] == "models"}
        references: list[tuple[str, tuple[str | int, ...]]] = []
        for index, model in enumerate(self.models):
            references += [
                (name, ("models", index, "fallbacks", at)) for at, name in enumerate(model.fallbacks)
            ]
        for index, pool in enumerate(self.pools):
            references += [(name, ("pools", index, "models", at)) for at, name in enumerate(pool.models)]
        return [
            _problem(location, f"no model is called {name!r}; add it or correct the name")
            for name, location in references
            if name not in known
        ]

    def _cycle_problems(self) -> list[InitErrorDetails]:
        owner = {
            name: model.id for model in self.models for name in (model.id, *model.aliases, *model.snapshots)
        }
        following = {model.id: [owner[name] for name in model.fallbacks] for model in self.models}
        done: set[str] = set()
        problems = []
        for index, model in enumerate(self.models):
            cycle = _cycle(model.id, following, done)
            if cycle:
                problems.append(
                    _problem(
                        ("models", index, "fallbacks"),
                        f"fallbacks go in a circle: {' → '.join(cycle)}; break it",
                    )
                )
        return problems


def _cycle(start: str, following: dict[str, list[str]], done: set[str]) -> list[str]:
    """The first circle met from `start` in depth-first order, or nothing; visited models join `done`."""
    path: list[str] = []
    stack: list[tuple[str, bool]] = [(start, False)]
    while stack:
        name, leaving = stack.pop()
        if leaving:
            path.pop()
            done.add(name)
        elif name in path:
            return [*path[path.index(name) :], name]
        elif name not in done:
            path.append(name)
            stack.append((name, True))
            stack += [(after, False) for after in reversed(following[name])]
    return []


def _problem(location: Sequence[str | int], message: str) -> InitErrorDetails:
    return InitErrorDetails(
        type=PydanticCustomError("catalogue", "{message}", {"message": message}),
        loc=tuple(location),
        input=None,
    )
