"""What to do after a failed try: the same model again, the next one, or give up. Pure decisions."""

import math
import random
from collections import deque
from dataclasses import dataclass
from typing import Literal

from sluicegate.routing.policy import HedgePolicy, RetryPolicy

FailureKind = Literal["connect", "timeout", "broken", "status"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a try failed, before any byte went to the client.

    `connect`: the request never left; `timeout`: a deadline of ours passed before the first byte;
    `broken`: the connection broke before the answer's head; `status`: the provider answered with `status`
    and perhaps `retry_after_s`.
    """

    kind: FailureKind
    status: int = 0
    retry_after_s: float | None = None


@dataclass(frozen=True, slots=True)
class AttemptState:
    """Where a request stands. `attempts` counts all tries so far, `on_model` those at this model.

    `candidates_left` counts the models not yet tried, `remaining_s` the time until the total deadline.
    """

    attempts: int
    on_model: int
    candidates_left: int
    remaining_s: float


@dataclass(frozen=True, slots=True)
class Retry:
    """Try the same model again after `delay_s`."""

    delay_s: float


@dataclass(frozen=True, slots=True)
class Fallback:
    """Try the next candidate at once. `alert`: the failure is a misconfiguration of ours; tell someone."""

    alert: bool = False


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Answer with the failure. `alert` as in Fallback."""

    reason: str
    alert: bool = False


class RetryBudget:
    """Bounds retries to a share of the requests, so that a dead upstream is not hammered (as Finagle does).

    Over the last `window_s` seconds there may be `ratio` x requests + `minimum_per_s` x `window_s` retries.
    """

    def __init__(self, ratio: float, minimum_per_s: float, window_s: float) -> None:
        self._ratio = ratio
        self._minimum = minimum_per_s * window_s
        self._width = window_s / 10
        self._buckets: deque[list[int]] = deque()
        self._requests = 0
        self._retries = 0

    def request(self, now: float) -> None:
        """A new request (not a retry) was sent."""
        self._bucket(now)[1] += 1
        self._requests += 1

    def available(self, now: float) -> bool:
        """Whether one more retry fits."""
        self._bucket(now)
        return self._retries + 1 <= self._requests * self._ratio + self._minimum

    def withdraw(self, now: float) -> None:
        """A retry was decided."""
        self._bucket(now)[2] += 1
        self._retries += 1

    def _bucket(self, now: float) -> list[int]:
        number = math.floor(now / self._width)
        while self._buckets and self._buckets[0][0] <= number - 10:
            _, requests, retries = self._buckets.popleft()
            self._requests -= requests
            self._retries -= retries
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0])
        return self._buckets[-1]


def next_step(
    state: AttemptState,
    outcome: Outcome,
    policy: RetryPolicy,
    *,
    rng: random.Random,
    budget_available: bool = True,
) -> Retry | Fallback | GiveUp:
    """The step after `outcome`. Delays follow "full jitter" (AWS Architecture Blog, 2015), in seconds.

    A client's mistake (a 4xx that no list names) is answered as it is: no other model would like it
    better. `budget_available` False forbids another try at the same model; another model is still tried.
    """
    alert = outcome.status in {401, 403, 404}
    retried = _retried(outcome, policy)
    if not retried and outcome.status not in policy.fallback_statuses and outcome.kind != "timeout":
        return GiveUp(f"the provider refused the request with status {outcome.status}")
    if state.attempts >= policy.max_attempts:
        return GiveUp(f"{state.attempts} tries failed", alert)
    if state.remaining_s <= 0:
        return GiveUp("the deadline for the whole request has passed", alert)
    if outcome.kind == "timeout" and not policy.retry_timeouts:
        return GiveUp("the provider did not answer in time and policy does not ask again")
    if retried and budget_available and state.on_model < policy.attempts_per_model:
        delay = _delay(state.on_model, outcome, policy, rng)
        if delay is not None and delay < state.remaining_s:
            return Retry(delay)
    if state.candidates_left > 0:
        return Fallback(alert)
    return GiveUp("no other model is left to try", alert)


def hedge_after(
    policy: HedgePolicy, hedged_ratio: float, candidates_left: int, remaining_s: float
) -> float | None:
    """Seconds of silence after which a second model is asked too; None: never.

    `hedged_ratio` is the share of recent requests that were hedged.
    """
    if not policy.enabled or candidates_left < 1 or hedged_ratio >= policy.max_ratio:
        return None
    return policy.after_s if policy.after_s < remaining_s else None


def _retried(outcome: Outcome, policy: RetryPolicy) -> bool:
    if outcome.kind == "status":
        if outcome.status in policy.fallback_statuses:
            return False
        return outcome.status in policy.statuses or outcome.status >= 500
    return outcome.kind != "timeout" or policy.retry_timeouts


def _delay(tries: int, outcome: Outcome, policy: RetryPolicy, rng: random.Random) -> float | None:
    """Seconds before the next try at the same model; None when the provider wants us away for longer."""
    ceiling = min(policy.max_delay_s, math.ldexp(policy.base_delay_s, min(max(tries - 1, 0), 32)))
    delay = rng.random() * ceiling
    if outcome.retry_after_s is None:
        return delay
    if outcome.retry_after_s > policy.max_retry_after_s:
        return None
    return max(delay, outcome.retry_after_s)
