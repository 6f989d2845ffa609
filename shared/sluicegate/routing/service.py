"""Answers "which models, in which order" for one request, and learns from how they did."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast, get_args

from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Capability, Model
from sluicegate.routing.auto import AutoChoice
from sluicegate.routing.catalogue import Catalogue
from sluicegate.routing.catalogue_checks import AUTO
from sluicegate.routing.complexity import ComplexityClassifier
from sluicegate.routing.model_health import ModelHealth, Trial
from sluicegate.routing.policy import RoutingPolicy, Strategy
from sluicegate.routing.refusals import refusal
from sluicegate.routing.selection import Surroundings, permitted, sift, sift_named
from sluicegate.routing.strategies import Ordering
from sluicegate.routing.types import RoutePlan, RouteQuery

_NOTHING_UNREADY: Mapping[str, str] = {}
_BY_NAME = "named"
_MAX_KNOWN = 4_096


@dataclass(frozen=True, slots=True)
class _Known:
    """A plan that was made before, the readiness it was made for, and the least context of its models."""

    plan: RoutePlan
    unready: Mapping[str, str]
    context_tokens: int

    def answers(self, query: RouteQuery, unready: Mapping[str, str], *, explain: bool) -> bool:
        """Whether every test would come out for `query` as it did then."""
        return (
            not explain
            and self.unready is unready
            and query.input_tokens + query.output_tokens <= self.context_tokens
            and plain(query)
        )


def plain(query: RouteQuery) -> bool:
    """Whether `query` asks for nothing but a model: no quality, price, region or strategy of its own."""
    return (
        query.quality is None
        and query.max_cost_nano is None
        and query.region is None
        and query.strategy is None
    )


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
        self.catalogue = catalogue
        self.policy = policy
        self.health = ModelHealth(catalogue, policy.health, clock, rng)
        self._ordering = Ordering(self.health.load, policy.load_factors, rng)
        self._auto = AutoChoice(catalogue, policy, classifier, self._ordering, clock)
        self._chains: dict[str, tuple[Model, ...]] = {}
        self._known: dict[tuple[str, frozenset[Capability], tuple[str, ...]], _Known] = {}

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
        known = self._known.get((query.model, query.capabilities, query.allowed))
        if known is not None and known.answers(query, unready, explain=explain) and self.health.quiet:
            return known.plan
        surroundings = Surroundings(unready, self.health.unhealthy, self.health.retry_after)
        if query.model == AUTO:
            return self._auto.plan(query, surroundings, self._strategy(query, None), explain=explain)
        chain = self._chains.get(query.model) or self._chain(query.model)
        if not chain:
            return self._pool(query, surroundings, explain=explain)
        candidates, rejections = sift_named(chain, query, surroundings)
        if not candidates:
            raise refusal(query, rejections, self.health.retry_after())
        plan = RoutePlan(
            tuple(candidates[: self.policy.max_candidates]), _BY_NAME, tuple(rejections) if explain else ()
        )
        if not explain and self.health.quiet:
            self._remember(query, unready, chain, plan)
        return plan

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

    def _remember(
        self, query: RouteQuery, unready: Mapping[str, str], chain: tuple[Model, ...], plan: RoutePlan
    ) -> None:
        """Keep the plan of a plain request by name for the next ones like it."""
        if len(self._known) >= _MAX_KNOWN:
            self._known.clear()
        known = _Known(plan, unready, min(model.context_tokens for model in chain))
        if known.answers(query, unready, explain=False):
            self._known[query.model, query.capabilities, query.allowed] = known

    def _chain(self, name: str) -> tuple[Model, ...]:
        """The model and its fallbacks, remembered (only for known names); empty when `name` is a pool."""
        model = self.catalogue.resolve(name)
        if model is None:
            if name in self.catalogue.pools:
                return ()
            raise self.catalogue.not_found(name)
        chain = self._chains[name] = self.catalogue.chain(model)
        return chain

    def _pool(self, query: RouteQuery, surroundings: Surroundings, *, explain: bool) -> RoutePlan:
        pool = self.catalogue.pools[query.model]
        models = [self.catalogue.known(name) for name in pool.models]
        candidates, rejections = sift(models, query, surroundings, floor=query.quality)
        if not candidates:
            raise refusal(query, rejections, self.health.retry_after())
        strategy = self._strategy(query, pool.strategy)
        ordered = self._ordering.ordered(strategy, pool.name, candidates)
        return RoutePlan(
            tuple(ordered[: self.policy.max_candidates]), strategy, tuple(rejections) if explain else ()
        )

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
