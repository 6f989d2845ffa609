"""The health of all models and providers as one instance knows it."""

import random
from collections.abc import Callable
from dataclasses import dataclass, field

from sluicegate.kernel.clock import Clock
from sluicegate.kernel.models import Model
from sluicegate.routing.catalogue import Catalogue
from sluicegate.routing.health import Breaker, BreakerState, LatencyAverage, ProviderChecks
from sluicegate.routing.policy import HealthPolicy
from sluicegate.routing.ports import HealthChange
from sluicegate.routing.strategies import LoadReport


@dataclass(slots=True)
class Trial:
    """One request at one model, from `begin` to `end`. `ticket` is not 0 for a half-open breaker's probe."""

    model_id: str
    ticket: int
    over: bool = False


@dataclass(slots=True)
class _ModelState:
    breaker: Breaker
    latency: LatencyAverage
    active: int = 0
    cpu: float | None = None
    memory: float | None = None
    failures: dict[str, int] = field(default_factory=dict)


class ModelHealth:
    """Breakers, averages and active counts per model, verdicts of active checks per provider.

    `on_change` is called for every opening or closing decided here (never for news from others).
    """

    def __init__(self, catalogue: Catalogue, policy: HealthPolicy, clock: Clock, rng: random.Random) -> None:
        self._clock = clock
        self._models = {model.id: model for model in catalogue}
        self._states = {
            model_id: _ModelState(Breaker(policy.breaker, rng), LatencyAverage(policy.latency_half_life_s))
            for model_id in self._models
        }
        self._checks = {name: ProviderChecks(policy.unhealthy_threshold) for name in catalogue.providers}
        # Only models and providers with something wrong are looked at on the hot path.
        self._suspect: dict[str, Breaker] = {}
        self._down: dict[str, str] = {}
        self.on_change: Callable[[HealthChange], None] | None = None

    @property
    def quiet(self) -> bool:
        """Whether every model and provider is well."""
        return not self._suspect and not self._down

    def unhealthy(self, model: Model) -> str | None:
        """Why `model` should be left alone, or None."""
        if not self._suspect and not self._down:
            return None
        if model.provider in self._down:
            # Callers read this: what exactly failed may name hosts of ours, and is in the log.
            return f"{model.provider} fails its health check"
        breaker = self._suspect.get(model.id)
        if breaker is None or breaker.allows(self._clock.monotonic()):
            return None
        if breaker.state is BreakerState.OPEN:
            return f"circuit breaker open for {breaker.open_until - self._clock.monotonic():.1f} s more"
        return "circuit breaker half open, and its probes are under way"

    def begin(self, model_id: str) -> Trial | None:
        """Count a request in; None when the breaker does not let it go now."""
        state = self._states[model_id]
        ticket = 0
        if model_id in self._suspect:
            granted = state.breaker.begin(self._clock.monotonic())
            if granted is None:
                return None
            ticket = granted
        state.active += 1
        return Trial(model_id, ticket)

    def end(self, trial: Trial) -> None:
        """Count a request out; safe to call twice."""
        if trial.over:
            return
        trial.over = True
        state = self._states[trial.model_id]
        state.active -= 1
        state.breaker.end(trial.ticket)

    def report(self, trial: Trial, *, ok: bool, latency_s: float | None = None, kind: str = "") -> None:
        """Take in how `trial` went. `latency_s` is the time to the first byte; `kind` names a failure."""
        state = self._states[trial.model_id]
        now = self._clock.monotonic()
        if latency_s is not None and ok:
            state.latency.observe(latency_s, now)
        if not ok:
            state.failures[kind] = state.failures.get(kind, 0) + 1
        if state.breaker.record(ok=ok, now=now, ticket=trial.ticket):
            self._changed(trial.model_id, state.breaker)

    def load(self, model_id: str) -> LoadReport:
        """The present load of a model."""
        state = self._states[model_id]
        return LoadReport(state.cpu, state.memory, state.active, state.latency.seconds)

    def report_load(self, model_id: str, *, cpu: float | None, memory: float | None) -> None:
        """What a self-hosted model's server says of itself, 0..1; None where it says nothing."""
        state = self._states[model_id]
        state.cpu, state.memory = cpu, memory

    def checked(self, provider: str, failure: str | None) -> None:
        """Take in an active check of `provider`; `failure` None: it passed."""
        checks = self._checks[provider]
        checks.record(failure)
        if checks.reason is None:
            self._down.pop(provider, None)
        else:
            self._down[provider] = checks.reason

    def retry_after(self) -> float | None:
        """Seconds until the first open breaker lets a probe through; None when none is open."""
        now = self._clock.monotonic()
        waits = [b.open_until - now for b in self._suspect.values() if b.state is BreakerState.OPEN]
        return max(1.0, min(waits)) if waits else None

    def state(self, model_id: str) -> BreakerState:
        """The state of a model's breaker, for metrics and explanations."""
        return self._states[model_id].breaker.state

    def failures(self, model_id: str) -> dict[str, int]:
        """Failures seen by kind since the start."""
        return dict(self._states[model_id].failures)

    def hear(self, change: HealthChange) -> None:
        """News from another instance; models that are not in this catalogue are ignored."""
        state = self._states.get(change.model)
        if state is None:
            return
        now = self._clock.monotonic()
        if change.open:
            remaining = change.open_until - self._clock.now()
            state.breaker.hear_open(remaining_s=remaining, openings=change.openings, now=now)
        else:
            state.breaker.hear_closed(now)
        self._track(change.model, state.breaker)

    def _changed(self, model_id: str, breaker: Breaker) -> None:
        self._track(model_id, breaker)
        if self.on_change is not None:
            is_open = breaker.state is BreakerState.OPEN
            remaining = breaker.open_until - self._clock.monotonic()
            self.on_change(
                HealthChange(
                    provider=self._models[model_id].provider,
                    model=model_id,
                    open=is_open,
                    open_until=self._clock.now() + remaining if is_open else 0.0,
                    openings=breaker.openings,
                )
            )

    def _track(self, model_id: str, breaker: Breaker) -> None:
        if breaker.state is BreakerState.CLOSED:
            self._suspect.pop(model_id, None)
        else:
            self._suspect[model_id] = breaker
