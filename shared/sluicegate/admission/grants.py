"""Attempts at admission and the grants they end in."""

from dataclasses import dataclass

from sluicegate.admission import rates
from sluicegate.admission.counters import CounterSet
from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.recovery import NO_GENERATION
from sluicegate.admission.refusals import over_request_limit
from sluicegate.admission.replies import Held
from sluicegate.admission.state import TenantState
from sluicegate.admission.types import Ask, Grant, RateStatus
from sluicegate.kernel.errors import DependencyUnavailableError


@dataclass(slots=True)
class Attempt:
    """One admission under way. `want` and `floor` are (nano-dollars, tokens), `at` is in epoch seconds."""

    ask: Ask
    state: TenantState
    hold_id: str
    want: tuple[int, int]
    floor: tuple[int, int]
    at: float


def bounds(ask: Ask, counters: CounterSet) -> tuple[tuple[int, int], tuple[int, int]]:
    """What is wanted and what is least, each (nano, tokens), after the limits on a single request."""
    want = ask.want_nano
    for limit, whose in ((counters.request_limit_nano, "policy"), (ask.max_cost_nano, "caller")):
        if limit is not None and limit < want:
            if limit < ask.floor_nano:
                raise over_request_limit(limit, ask.floor_nano, whose)
            want = limit
    least = ask.tokens if ask.floor_tokens is None else ask.floor_tokens
    return (want, ask.tokens), (ask.floor_nano, least)


def counters_of(grant: Grant) -> CounterSet:
    counters = grant.counters
    if not isinstance(counters, CounterSet):
        raise TypeError("the grant was not given by this service")
    return counters


def degraded_grant(attempt: Attempt, counters: CounterSet) -> Grant:
    return Grant(
        request_id=attempt.ask.request_id,
        subject=attempt.ask.subject,
        held_nano=attempt.want[0],
        held_tokens=attempt.want[1],
        remaining_nano=None,
        generation=NO_GENERATION,
        degraded=True,
        counters=counters,
        hold_id=attempt.hold_id,
        at=attempt.at,
    )


def rate_status(counters: CounterSet, held: Held) -> RateStatus | None:
    if held.rate is None:
        return None
    index, requests, before, elapsed = held.rate
    rate = counters.rates[index]
    return rates.status(rate.limit, rate.period_ms, requests, before, elapsed)


def token_status(counters: CounterSet, index: int | None, left: int, now: float) -> RateStatus | None:
    """How the token limit at `index` stands; None without one. `now` in epoch seconds."""
    if index is None:
        return None
    counter = counters.tokens[index]
    return RateStatus(counter.limit, left, counter.instance.retry_after(now) or 0.0)


def away(error: StoreUnavailable) -> DependencyUnavailableError:
    return DependencyUnavailableError(
        "budgets cannot be checked just now, and policy says to wait; try again shortly",
        retry_after=error.retry_after,
    )
