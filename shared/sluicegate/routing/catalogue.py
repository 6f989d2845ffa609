"""The models on offer, looked up by id, alias, snapshot or pool."""

import difflib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from types import MappingProxyType
from typing import Any

from sluicegate.kernel.errors import ConfigurationError, ModelNotFoundError
from sluicegate.kernel.models import Model, Prices
from sluicegate.kernel.policy_files import PolicySet
from sluicegate.routing.catalogue_checks import AUTO
from sluicegate.routing.catalogue_policy import ModelPrices, ModelsPolicy, PoolPolicy, ProviderPolicy

_MAX_SHOWN = 3
_MAX_COMPARED = 128


@dataclass(frozen=True, slots=True)
class PriceNote:
    """Where a model's prices come from. `as_of` is the day they were last checked."""

    as_of: date
    source: str


class Catalogue:
    """All models of a policy set; immutable.

    `rehearsal` holds the ids of scripted models, `real_providers` the names of all other providers,
    `auto` the ids that `auto` may choose, `retirement` the
    epoch second from which the provider no longer serves a model.
    """

    def __init__(self, policy: ModelsPolicy) -> None:
        self.providers: Mapping[str, ProviderPolicy] = MappingProxyType({p.name: p for p in policy.providers})
        self.pools: Mapping[str, PoolPolicy] = MappingProxyType({p.name: p for p in policy.pools})
        self._by_id: dict[str, Model] = {}
        self._by_name: dict[str, Model] = {}
        self.price_notes: dict[str, PriceNote] = {}
        self.retirement: dict[str, float] = {}
        auto: list[str] = []
        for entry in policy.models:
            traits = policy.traits(entry)
            model = _model(entry.id, entry.upstream or entry.id, entry.aliases, entry.fallbacks, traits)
            snapshots = [
                replace(model, id=name, upstream=name, aliases=(), fallbacks=entry.fallbacks)
                for name in entry.snapshots
            ]
            for each in (model, *snapshots):
                self._add(each, PriceNote(traits["as_of"], traits["price_source"] or "list price"))
                if entry.retires_on is not None:
                    self.retirement[each.id] = _midnight(entry.retires_on)
            if traits["auto"] is not False:
                auto.append(model.id)
        self.auto = tuple(auto)
        scripted = {provider.name for provider in policy.providers if provider.kind == "scripted"}
        self.real_providers = frozenset(self.providers) - scripted
        self.rehearsal = frozenset(model.id for model in self._by_id.values() if model.provider in scripted)

    def __iter__(self) -> Iterator[Model]:
        return iter(self._by_id.values())

    def __len__(self) -> int:
        return len(self._by_id)

    def resolve(self, name: str) -> Model | None:
        """The model of that id, snapshot or alias."""
        return self._by_name.get(name)

    def known(self, name: str) -> Model:
        """The model that a policy names.

        Raises:
            ConfigurationError: there is none.
        """
        model = self._by_name.get(name)
        if model is None:
            raise ConfigurationError(
                f"routing.yaml: fallback_models: no model in models.yaml is called {name!r}; correct either"
            )
        return model

    def chain(self, model: Model) -> tuple[Model, ...]:
        """`model` and then its fallbacks, theirs after them, depth first, each once."""
        found: dict[str, Model] = {}
        waiting = [model]
        while waiting:
            current = waiting.pop()
            if current.id not in found:
                found[current.id] = current
                waiting += [self._by_name[name] for name in reversed(current.fallbacks)]
        return tuple(found.values())

    def not_found(self, name: str) -> ModelNotFoundError:
        """The error for a name nobody has, with the closest names there are."""
        shown = name[:_MAX_COMPARED]
        known = [*self._by_name, *self.pools, AUTO]
        close = difflib.get_close_matches(shown, known, n=_MAX_SHOWN, cutoff=0.6)
        hint = f"; did you mean {' or '.join(close)}?" if close else "; GET /v1/models lists what there is"
        return ModelNotFoundError(
            f"the model {shown!r} does not exist here{hint}", param="model", details={"close": close}
        )

    def _add(self, model: Model, note: PriceNote) -> None:
        self._by_id[model.id] = model
        self.price_notes[model.id] = note
        for name in (model.id, *model.aliases):
            self._by_name[name] = model


def load_catalogue(policies: PolicySet) -> Catalogue:
    """The catalogue of `models.yaml`.

    Raises:
        ConfigurationError: the file is wrong; the message says where and how to mend it.
    """
    return Catalogue(policies.load("models", ModelsPolicy))


def _model(
    model_id: str,
    upstream: str,
    aliases: tuple[str, ...],
    fallbacks: tuple[str, ...],
    traits: Mapping[str, Any],
) -> Model:
    given = {
        name: traits[name]
        for name in ("provider", "capabilities", "context_tokens", "output_tokens_limit", "region", "weight")
    }
    given |= {name: traits[name] for name in ("tier", "image_tokens") if traits[name] is not None}
    return Model(
        id=model_id,
        upstream=upstream,
        prices=_prices(traits["prices"]),
        quality=MappingProxyType({"default": 0.5, **(traits["quality"] or {})}),
        tokens_per_request=traits["tokens_per_request"] or 4000,
        aliases=aliases,
        fallbacks=fallbacks,
        **{name: value for name, value in given.items() if value is not None},
    )


def _prices(policy: ModelPrices) -> Prices:
    prices = policy.to_prices(policy.request, policy.image)
    if policy.long_context is None:
        return prices
    return replace(
        prices,
        long_context_above=policy.long_context.above,
        long_context=policy.long_context.to_prices(policy.request, policy.image),
    )


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
