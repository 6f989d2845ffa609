"""The choice for `auto`: what must it be able to do, how good must it be, how hard is the prompt."""

from collections.abc import Mapping
from dataclasses import replace

from sluicegate.kernel.clock import Clock
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Capability, Model
from sluicegate.routing.catalogue import Catalogue
from sluicegate.routing.catalogue_checks import AUTO
from sluicegate.routing.complexity import ComplexityClassifier
from sluicegate.routing.policy import Complexity, RoutingPolicy, Strategy
from sluicegate.routing.refusals import refusal
from sluicegate.routing.selection import Surroundings, sift
from sluicegate.routing.strategies import Ordering, by_cost
from sluicegate.routing.types import Candidate, Rejection, RoutePlan, RouteQuery


class AutoChoice:
    """Chooses among all models that the catalogue opens to `auto`."""

    def __init__(
        self,
        catalogue: Catalogue,
        policy: RoutingPolicy,
        classifier: ComplexityClassifier,
        ordering: Ordering,
        clock: Clock,
    ) -> None:
        self._catalogue = catalogue
        self._policy = policy
        self._classifier = classifier
        self._ordering = ordering
        self._clock = clock
        offered = (catalogue.known(name) for name in catalogue.auto)
        self._models = tuple(model for model in offered if Capability.CHAT in model.capabilities)
        self._fallbacks = tuple(catalogue.known(name) for name in policy.fallback_models)

    def plan(
        self, query: RouteQuery, surroundings: Surroundings, strategy: Strategy, *, explain: bool
    ) -> RoutePlan:
        """Candidates for `query`, of the preferred tiers first. Raises as `Router.plan`."""
        if Capability.EMBEDDINGS in query.capabilities:
            raise InvalidRequestError(
                "name an embedding model: vectors of different models cannot be compared", param="model"
            )
        verdict = self._classifier.classify(query.prompt)
        floor = query.quality
        if floor is None:
            floor = self._policy.quality.tasks.get(query.task or "", self._policy.quality.default)
        now = self._clock.now()
        retired = frozenset(name for name, at in self._catalogue.retirement.items() if at <= now)
        around = replace(surroundings, retired=retired)
        models, rejections = self._eligible(surroundings.unready)
        candidates, fallen = sift(models, query, around, floor=floor)
        rejections += fallen
        if not candidates:
            return self._last_resort(query, around, rejections, verdict.level, explain=explain)
        preferred, others = self._by_tier(candidates, verdict.level)
        group = f"{AUTO}:{verdict.level}:{query.task}"
        ordered = self._ordering.ordered(strategy, group, preferred) + by_cost(others)
        return RoutePlan(
            tuple(ordered[: self._policy.max_candidates]),
            strategy,
            tuple(rejections) if explain else (),
            verdict.level,
        )

    def _eligible(self, unready: Mapping[str, str]) -> tuple[tuple[Model, ...], list[Rejection]]:
        """The models to choose among. Scripted ones only while nothing real is set up."""
        if self._rehearsing(unready):
            return self._models, []
        rehearsal = self._catalogue.rehearsal
        return tuple(model for model in self._models if model.id not in rehearsal), [
            Rejection(model.id, "rehearsal", "a real provider is set up")
            for model in self._models
            if model.id in rehearsal
        ]

    def _rehearsing(self, unready: Mapping[str, str]) -> bool:
        return self._catalogue.real_providers <= unready.keys()

    def _by_tier(
        self, candidates: list[Candidate], level: Complexity
    ) -> tuple[list[Candidate], list[Candidate]]:
        """The candidates of the tiers preferred for `level`, and the others; all are preferred if none is."""
        tiers = self._policy.complexity.tiers.get(level, ())
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
            models = [m for m in self._fallbacks if rehearsing or m.id not in self._catalogue.rehearsal]
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
        raise refusal(query, rejections, surroundings.retry_after())
