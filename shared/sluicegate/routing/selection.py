"""The tests a model must pass, and what it would cost. Pure: the world's state comes in as arguments."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase

from sluicegate.kernel.models import Model
from sluicegate.kernel.money import PICO_PER_NANO, usd
from sluicegate.routing.types import Candidate, Rejection, RouteQuery

# Where a request does not bound its answer: of two models, the one with dearer output must not look cheap.
_USUAL_OUTPUT = 500

HealthOf = Callable[[Model], str | None]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is true just now.

    `unready` maps providers to why they cannot be used; `unhealthy` says why a model should be left alone,
    or None; `retry_after` in how many seconds the first of those may be back; `retired` holds the ids of
    models that their providers switched off.
    """

    unready: Mapping[str, str]
    unhealthy: HealthOf
    retry_after: Callable[[], float | None]
    retired: frozenset[str] = frozenset()


def permitted(model: Model, allowed: tuple[str, ...]) -> bool:
    """Whether `model` is among `allowed`: shell patterns for its id or an alias; empty allows all."""
    if not allowed:
        return True
    names = (model.id, *model.aliases)
    return any(fnmatchcase(name, pattern) for pattern in allowed for name in names)


def likely_output(model: Model, output_tokens: int) -> int:
    """The likely output tokens within what the model can give and policy lets it give; 0: not known."""
    return min(output_tokens or _USUAL_OUTPUT, model.tokens_per_request, model.output_tokens_limit)


def estimate(model: Model, input_tokens: int, output_tokens: int) -> int:
    """Nano-dollars of a request of that size without any caching, rounded up."""
    prices = model.prices
    if prices.long_context is not None and input_tokens > prices.long_context_above:
        prices = prices.long_context
    pico = input_tokens * prices.input + likely_output(model, output_tokens) * prices.output
    return -(-pico // PICO_PER_NANO) + prices.request_nano


def unfit(model: Model, query: RouteQuery, floor: float | None) -> Rejection | None:
    """The first test of what `model` is, whatever its state and price, that it falls at."""
    if not permitted(model, query.allowed):
        return Rejection(model.id, "allowed", "this key may not use it")
    if not query.capabilities <= model.capabilities:
        lacking = ", ".join(sorted(query.capabilities - model.capabilities))
        return Rejection(model.id, "capability", f"it does not offer {lacking}")
    if query.region is not None and model.region != query.region:
        return Rejection(model.id, "region", f"it runs in {model.region}, not in {query.region}")
    if floor is not None and model.quality_for(query.task) < floor:
        task = query.task or "default"
        return Rejection(
            model.id,
            "quality",
            f"its quality for {task} is {model.quality_for(query.task):g}, below {floor:g}",
        )
    return None


def unavailable(model: Model, surroundings: Surroundings) -> Rejection | None:
    """The first test of the present state that `model` falls at."""
    if model.provider in surroundings.unready:
        return Rejection(model.id, "ready", f"{model.provider}: {surroundings.unready[model.provider]}")
    reason = surroundings.unhealthy(model)
    if reason is not None:
        return Rejection(model.id, "health", reason)
    return None


def too_small(model: Model, query: RouteQuery, *, doubt: int = 1) -> Rejection | None:
    """The context test: prompt and answer must fit together.

    Numbers of tokens are estimates; with `doubt` 2 a model falls only if half the prompt would not fit.
    """
    answer = min(query.output_tokens, model.tokens_per_request, model.output_tokens_limit)
    needed = query.input_tokens // doubt + answer
    if needed > model.context_tokens:
        return Rejection(
            model.id, "context", f"about {needed} tokens are needed and {model.context_tokens} fit"
        )
    return None


def too_dear(model: Model, query: RouteQuery, estimated: int) -> Rejection | None:
    """The cost test against the request's own ceiling."""
    if query.max_cost_nano is not None and estimated > query.max_cost_nano:
        return Rejection(
            model.id,
            "cost",
            f"about {usd(estimated)} USD, above the ceiling of {usd(query.max_cost_nano)} USD",
        )
    return None


def sift(
    models: Iterable[Model],
    query: RouteQuery,
    surroundings: Surroundings,
    *,
    floor: float | None,
) -> tuple[list[Candidate], list[Rejection]]:
    """Split `models` into candidates, in the order given, and rejections with the first test each fell at."""
    candidates: list[Candidate] = []
    rejections: list[Rejection] = []
    for model in models:
        estimated = estimate(model, query.input_tokens, query.output_tokens)
        fell = (
            unfit(model, query, floor)
            or (
                Rejection(model.id, "retired", "its provider no longer serves it")
                if model.id in surroundings.retired
                else None
            )
            or too_small(model, query)
            or too_dear(model, query, estimated)
            or unavailable(model, surroundings)
        )
        if fell is None:
            candidates.append(Candidate(model, estimated, float(estimated)))
        else:
            rejections.append(fell)
    return candidates, rejections


def sift_named(
    chain: Iterable[Model], query: RouteQuery, surroundings: Surroundings
) -> tuple[list[Candidate], list[Rejection]]:
    """As `sift`, for a model asked for by name and its fallbacks.

    The ceiling of cost only rejects what could not even read the prompt within it: the answer is clamped
    to what the ceiling affords later. Near the limit of the context the provider judges, who counts exactly.
    Without a quality in the query there is no floor.
    """
    candidates: list[Candidate] = []
    rejections: list[Rejection] = []
    for model in chain:
        fell = (
            unfit(model, query, query.quality)
            or too_small(model, query, doubt=2)
            or (
                too_dear(model, query, estimate(model, query.input_tokens, 1))
                if query.max_cost_nano is not None
                else None
            )
            or unavailable(model, surroundings)
        )
        if fell is None:
            estimated = estimate(model, query.input_tokens, query.output_tokens)
            candidates.append(Candidate(model, estimated, float(estimated)))
        else:
            rejections.append(fell)
    return candidates, rejections
