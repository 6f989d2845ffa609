"""Answers "which models, in which order" for one request, and learns from how they did."""

import random
from collections import OrderedDict
from collections.abc import Mapping
from typing import cast, get_args

from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import ConfigurationError, InvalidRequestError
from sluicegate.kernel.models import Capability, Model
from sluicegate.routing.catalogue import Catalogue
from sluicegate.routing.catalogue_policy import AUTO
from sluicegate.routing.complexity import ComplexityClassifier
from sluicegate.routing.model_health import ModelHealth, Trial
from sluicegate.routing.policy import Complexity, RoutingPolicy, Strategy
from sluicegate.routing.refusals import refusal
from sluicegate.routing.selection import Surroundings, permitted, sift, sift_named
from sluicegate.routing.strategies import Rotation, by_cost, by_latency
from sluicegate.routing.types import Candidate, Rejection, RoutePlan, RouteQuery

_MAX_CHAINS = 1_024
_NOTHING_UNREADY: Mapping[str, str] = {}
_BY_NAME = "named"


class Router:
    """The routing service of one instance; all of it is synchronous and does no I/O.

    Args:
        catalogue: the models on offer.
        policy: how to choose among them.
        classifier: judges the complexity of prompts for `auto`.
        clock: time for health.
        rng: chance for the latency strategy and for jitter.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        policy: RoutingPolicy,
        classifier: ComplexityClassifier,
        clock: Clock,
        rng: random.Random,
    ) -> None:
        self._fallbacks = tuple(_resolved(catalogue, name) for name in policy.fallback_models)
        self.catalogue = catalogue
        self.policy = policy
        self.health = ModelHealth(catalogue, policy.health, clock, rng)
        self._classifier = classifier
        self._clock = clock
        self._rng = rng
        self._rotation = Rotation()
        self._chains: OrderedDict[str, tuple[Model, ...]] = OrderedDict()

    def plan(
        self, query: RouteQuery, *, unready: Mapping[str, str] = _NOTHING_UNREADY, explain: bool = False
    ) -> RoutePlan:
        """Candidates for `query`, best first. `unready` maps providers that cannot be used to the reason.

        Raises:
            ModelNotFoundError: nobody has that name.
            InvalidRequestError: no model fits what is asked, or the strategy does not exist.
            PermissionDeniedError: `allowed` leaves none.
            BudgetExceededError: none answers within the cost ceiling.
            OverloadedError: those that fit cannot be used now; `retry_after` says when to come back.
        """
        surroundings = Surroundings(unready, self.health.unhealthy)
        if query.model == AUTO:
            return self._auto(query, surroundings, explain=explain)
        chain = self._chains.get(query.model) or self._chain(query.model)
        if not chain:
            return self._pool(query, surroundings, explain=explain)
        candidates, rejections = sift_named(chain, query, surroundings)
        if not candidates:
            raise refusal(query, rejections, self.health.retry_after())
        return RoutePlan(
            tuple(candidates[: self.policy.max_candidates]), _BY_NAME, tuple(rejections) if explain else ()
        )

    def begin(self, model_id: str) -> Trial | None:
        """Count in a request to `model_id`; None: its breaker says no, take the next candidate."""
        return self.health.begin(model_id)

    def report(self, trial: Trial, *, ok: bool, latency_s: float | None = None, kind: str = "") -> None:
        """How `trial` went: `latency_s` to the first byte, `kind` of failure (`connect`, `timeout`, `503`).

        Report only what says something about the model's health: not a client's mistake (400) and not a
        client that went away.
        """
        self.health.report(trial, ok=ok, latency_s=latency_s, kind=kind)

    def end(self, trial: Trial) -> None:
        """Count out a request; every `begin` that gave a trial needs one, whatever happened. Safe twice."""
        self.health.end(trial)

    def models(self, allowed: tuple[str, ...] = ()) -> list[Model]:
        """The models that a caller with these patterns may see, in the order of the catalogue."""
        return [model for model in self.catalogue if permitted(model, allowed)]

    def resolve(self, name: str) -> Model | None:
        """The model of that id, snapshot or alias."""
        return self.catalogue.resolve(name)

    def _chain(self, name: str) -> tuple[Model, ...]:
        """The model and its fallbacks, remembered; empty when `name` is a pool."""
        model = self.catalogue.resolve(name)
        if model is None:
            if name in self.catalogue.pools:
                return ()
            raise self.catalogue.not_found(name)
        chain = self._chains[name] = self.catalogue.chain(model)
        if len(self._chains) > _MAX_CHAINS:
            self._chains.popitem(last=False)
        return chain

    def _pool(self, query: RouteQuery, surroundings: Surroundings, *, explain: bool) -> RoutePlan:
        pool = self.catalogue.pools[query.model]
        models = [_resolved(self.catalogue, name) for name in pool.models]
        candidates, rejections = sift(models, query, surroundings, floor=query.quality)
        if not candidates:
            raise refusal(query, rejections, self.health.retry_after())
        strategy = self._strategy(query, pool.strategy)
        ordered = self._ordered(strategy, pool.name, candidates)
        return RoutePlan(
            tuple(ordered[: self.policy.max_candidates]), strategy, tuple(rejections) if explain else ()
        )

    def _auto(self, query: RouteQuery, surroundings: Surroundings, *, explain: bool) -> RoutePlan:
        verdict = self._classifier.classify(query.prompt)
        strategy = self._strategy(query, None)
        floor = query.quality
        if floor is None:
            floor = self.policy.quality.tasks.get(query.task or "", self.policy.quality.default)
        now = self._clock.now()
        retired = frozenset(name for name, at in self.catalogue.retirement.items() if at <= now)
        around = Surroundings(surroundings.unready, surroundings.unhealthy, retired)
        models, rejections = self._eligible(query, surroundings.unready)
        candidates, fallen = sift(models, query, around, floor=floor)
        rejections += fallen
        if not candidates:
            return self._last_resort(query, around, rejections, verdict.level, explain=explain)
        preferred, others = self._by_tier(candidates, verdict.level)
        group = f"{AUTO}:{verdict.level}:{query.task}"
        ordered = self._ordered(strategy, group, preferred) + by_cost(others)
        return RoutePlan(
            tuple(ordered[: self.policy.max_candidates]),
            strategy,
            tuple(rejections) if explain else (),
            verdict.level,
        )

    def _eligible(self, query: RouteQuery, unready: Mapping[str, str]) -> tuple[list[Model], list[Rejection]]:
        """The models `auto` may choose. Scripted ones are for rehearsal: only while nothing real is set up."""
        models = [_resolved(self.catalogue, name) for name in self.catalogue.auto]
        if Capability.EMBEDDINGS not in query.capabilities:
            models = [model for model in models if Capability.CHAT in model.capabilities]
        if self._rehearsing(unready):
            return models, []
        rehearsal = self.catalogue.rehearsal
        return [model for model in models if model.id not in rehearsal], [
            Rejection(model.id, "rehearsal", "a real provider is set up")
            for model in models
            if model.id in rehearsal
        ]

    def _rehearsing(self, unready: Mapping[str, str]) -> bool:
        return self.catalogue.real_providers <= unready.keys()

    def _by_tier(
        self, candidates: list[Candidate], level: Complexity
    ) -> tuple[list[Candidate], list[Candidate]]:
        """The candidates of the tiers preferred for `level`, and the others; all are preferred if none is."""
        tiers = self.policy.complexity.tiers.get(level, ())
        preferred = [candidate for candidate in candidates if candidate.model.tier in tiers]
        if not preferred:
            return candidates, []
        return preferred, [candidate for candidate in candidates if candidate.model.tier not in tiers]

    def _last_resort(
        self,
        query: RouteQuery,
        surroundings: Surroundings,
        rejections: list[Rejection],
        level: Complexity,
        *,
        explain: bool,
    ) -> RoutePlan:
        """The policy's fallback when quality or cost ruled out every model (document B10)."""
        if {rejection.test for rejection in rejections} & {"quality", "cost"}:
            rehearsing = self._rehearsing(surroundings.unready)
            models = [m for m in self._fallbacks if rehearsing or m.id not in self.catalogue.rehearsal]
            relaxed = RouteQuery(
                model=query.model,
                capabilities=query.capabilities,
                input_tokens=query.input_tokens,
                output_tokens=query.output_tokens,
                region=query.region,
                allowed=query.allowed,
            )
            candidates, _ = sift(models, relaxed, surroundings, floor=None)
            if candidates:
                return RoutePlan(tuple(candidates), "fallback", tuple(rejections) if explain else (), level)
        raise refusal(query, rejections, self.health.retry_after())

    def _strategy(self, query: RouteQuery, preset: Strategy | None) -> Strategy:
        if query.strategy is None:
            return preset or self.policy.strategy
        known = get_args(Strategy)
        if query.strategy not in known:
            raise InvalidRequestError(
                f"the strategy {query.strategy[:40]!r} does not exist; use {', '.join(known)}",
                param="strategy",
            )
        return cast("Strategy", query.strategy)

    def _ordered(self, strategy: Strategy, group: str, candidates: list[Candidate]) -> list[Candidate]:
        if strategy == "cost" or len(candidates) == 1:
            return by_cost(candidates)
        if strategy == "latency":
            return by_latency(candidates, self.health.load, self._rng)
        if strategy == "weighted":
            return self._rotation.weighted(group, candidates, self.health.load, self.policy.load_factors)
        return self._rotation.round_robin(group, candidates)


def _resolved(catalogue: Catalogue, name: str) -> Model:
    model = catalogue.resolve(name)
    if model is None:
        raise ConfigurationError(f"routing.yaml: fallback_models: no model in models.yaml is called {name!r}")
    return model
