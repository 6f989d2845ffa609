"""The question put to routing, and its answer."""

from dataclasses import dataclass

from sluicegate.kernel.models import Capability, Model


@dataclass(frozen=True, slots=True)
class RouteQuery:
    """What is asked for. `model` is an exact id, an alias, or `auto`.

    `quality` is a floor of 0..1 and `max_cost_nano` a ceiling for the whole request; both None where
    not given. `input_tokens` and `output_tokens` are the likely numbers. `prompt` is a bounded
    sample of the prompt's text for the complexity classifier, read only for `auto`. `providers` in
    `unready` (name → reason) cannot be used now. `allowed` restricts the models (ids or shell
    patterns; empty: all).
    """

    model: str
    capabilities: frozenset[Capability]
    input_tokens: int
    output_tokens: int
    task: str | None = None
    quality: float | None = None
    max_cost_nano: int | None = None
    prompt: str = ""
    region: str | None = None
    strategy: str | None = None
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model that passed every test, with the cost that ranked it (nano-dollars)."""

    model: Model
    estimated_nano: int
    score: float


@dataclass(frozen=True, slots=True)
class Rejection:
    """A model that fell, the test it fell at, and why in words."""

    model: str
    test: str
    reason: str


@dataclass(frozen=True, slots=True)
class RoutePlan:
    """Candidates in the order to try them, best first, never empty.

    `rejections` is filled only when an explanation was asked for. `complexity` is set for `auto`.
    """

    candidates: tuple[Candidate, ...]
    strategy: str
    rejections: tuple[Rejection, ...] = ()
    complexity: str | None = None
