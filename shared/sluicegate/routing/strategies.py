"""In which order qualifying candidates are tried: by cost, latency, weight, or in turn."""

import random
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sluicegate.routing.policy import LoadFactors, Strategy
from sluicegate.routing.types import Candidate

_MAX_GROUPS = 512
_WEIGHT_STEPS = 100


@dataclass(frozen=True, slots=True)
class LoadReport:
    """The load on a model: CPU and memory 0..1 (None: unknown), requests under way, latency in seconds."""

    cpu: float | None = None
    memory: float | None = None
    active_requests: int = 0
    response_s: float | None = None


LoadOf = Callable[[str], LoadReport]


def by_cost(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Cheapest first; of equals the better one, then by id, so that the order is always the same."""
    return sorted(candidates, key=lambda c: (c.estimated_nano, -c.model.quality_for(None), c.model.id))


def by_latency(candidates: Sequence[Candidate], load: LoadOf, rng: random.Random) -> list[Candidate]:
    """The quicker of two drawn at random first, then the rest by expected wait.

    The expected wait is average latency times (requests under way + 1). Choosing among two keeps the
    instances from running to the same model (Mitzenmacher, "The power of two choices", 2001). A model
    without any observation counts as the quickest known, so that it gets some.
    """
    loads = {candidate.model.id: load(candidate.model.id) for candidate in candidates}
    known = [report.response_s for report in loads.values() if report.response_s is not None]
    quickest = min(known, default=1.0)
    scored = []
    for candidate in candidates:
        report = loads[candidate.model.id]
        seconds = quickest if report.response_s is None else report.response_s
        scored.append(replace(candidate, score=seconds * (report.active_requests + 1)))
    order = sorted(scored, key=lambda c: (c.score, c.model.id))
    if len(order) > 2:
        first = min(rng.sample(range(len(order)), 2))
        order.insert(0, order.pop(first))
    return order


def load_score(report: LoadReport, factors: LoadFactors, most_active: int, slowest_s: float) -> float:
    """How free a model is, 0..1: one minus the weighted sum of its four relative loads.

    Requests and response time are relative to the most loaded candidate; unknown CPU and memory count as
    half used.
    """
    cpu = 0.5 if report.cpu is None else report.cpu
    memory = 0.5 if report.memory is None else report.memory
    active = report.active_requests / most_active if most_active else 0.0
    response = report.response_s / slowest_s if report.response_s is not None and slowest_s else 0.5
    used = (
        factors.cpu * cpu
        + factors.memory * memory
        + factors.active_requests * active
        + factors.response_time * response
    )
    return min(1.0, max(0.0, 1.0 - used / 100))


class SmoothRoundRobin:
    """Smooth weighted round robin, as nginx does it.

    Over a cycle of the sum of the weights every name comes exactly as often as its weight says, and as
    evenly spread as possible.
    """

    def __init__(self) -> None:
        self._current: dict[str, int] = {}

    def next(self, weights: Mapping[str, int]) -> str:
        """The next name. `weights` (positive) may change from call to call."""
        total = 0
        best = ""
        for name, weight in weights.items():
            total += weight
            self._current[name] = self._current.get(name, 0) + weight
            if not best or self._current[name] > self._current[best]:
                best = name
        self._current[best] -= total
        if len(self._current) > len(weights):
            self._current = {name: self._current[name] for name in weights}
        return best


class Rotation:
    """Remembers whose turn it is, per set of candidates; bounded, the set unused for longest is forgotten."""

    def __init__(self) -> None:
        self._turns: OrderedDict[str, SmoothRoundRobin] = OrderedDict()

    def round_robin(self, group: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """Each in turn."""
        return self._first(group, candidates, {candidate.model.id: 1 for candidate in candidates})

    def weighted(
        self, group: str, candidates: Sequence[Candidate], load: LoadOf, factors: LoadFactors
    ) -> list[Candidate]:
        """In proportion to static weight times score of the present load (documents A14 and E5)."""
        loads = {candidate.model.id: load(candidate.model.id) for candidate in candidates}
        most_active = max((report.active_requests for report in loads.values()), default=0)
        slowest = max((report.response_s or 0.0 for report in loads.values()), default=0.0)
        weights = {
            candidate.model.id: max(
                1,
                round(
                    candidate.model.weight
                    * _WEIGHT_STEPS
                    * load_score(loads[candidate.model.id], factors, most_active, slowest)
                ),
            )
            for candidate in candidates
        }
        scored = [replace(candidate, score=float(weights[candidate.model.id])) for candidate in candidates]
        return self._first(group, scored, weights)

    def _first(
        self, group: str, candidates: Sequence[Candidate], weights: Mapping[str, int]
    ) -> list[Candidate]:
        turn = self._turns.get(group)
        if turn is None:
            turn = self._turns[group] = SmoothRoundRobin()
            if len(self._turns) > _MAX_GROUPS:
                self._turns.popitem(last=False)
        else:
            self._turns.move_to_end(group)
        chosen = turn.next(weights)
        rest = sorted(candidates, key=lambda c: (c.model.id != chosen, -weights[c.model.id], c.model.id))
        return list(rest)


class Ordering:
    """Applies a strategy by its name, with the state that the strategies keep between requests."""

    def __init__(self, load: LoadOf, factors: LoadFactors, rng: random.Random) -> None:
        self._load = load
        self._factors = factors
        self._rng = rng
        self._rotation = Rotation()

    def ordered(self, strategy: Strategy, group: str, candidates: Sequence[Candidate]) -> list[Candidate]:
        """`candidates`, best first. Turns are kept per `group`."""
        if strategy == "cost" or len(candidates) == 1:
            return by_cost(candidates)
        if strategy == "latency":
            return by_latency(candidates, self._load, self._rng)
        if strategy == "weighted":
            return self._rotation.weighted(group, candidates, self._load, self._factors)
        return self._rotation.round_robin(group, candidates)
