"""Refusals of the store, as the errors a caller meets."""

from typing import Any

from sluicegate.admission import rates
from sluicegate.admission.counters import Counter, CounterSet
from sluicegate.admission.replies import Refused, RefusedBy
from sluicegate.kernel.errors import (
    AuthenticationError,
    BudgetContendedError,
    BudgetExceededError,
    RateLimitedError,
    SluicegateError,
)
from sluicegate.kernel.money import usd


def contended(refused: Refused, counters: CounterSet, floor: tuple[int, int]) -> Counter | None:
    """The counter that others hold just now but that could pay once they settle; None: no use waiting."""
    if refused.by is RefusedBy.MONEY:
        counter, least = counters.money[refused.index], floor[0]
    elif refused.by is RefusedBy.TOKENS:
        counter, least = counters.tokens[refused.index], floor[1]
    else:
        return None
    return counter if refused.numbers[1] + least <= counter.limit else None


def refusal(
    refused: Refused, counters: CounterSet, want: tuple[int, int], floor: tuple[int, int], now: float
) -> SluicegateError:
    """The error that tells a caller why, which counter, and when it is worth trying again."""
    match refused.by:
        case RefusedBy.REVOKED:
            return AuthenticationError("this API key has been revoked; create a new one")
        case RefusedBy.SLOTS:
            slot = counters.slots[refused.index]
            return RateLimitedError(
                f"{slot.scope} {slot.name} has {refused.numbers[0]} requests under way, its limit is "
                f"{slot.limit}; wait for one to end",
                retry_after=1.0,
                details={"scope": slot.scope, "name": slot.name, "limit": slot.limit, "kind": "concurrency"},
            )
        case RefusedBy.RATE:
            rate = counters.rates[refused.index]
            count, before, elapsed = refused.numbers
            return RateLimitedError(
                f"{rate.scope} {rate.name} is limited to {rate.limit} requests per {rate.period}",
                retry_after=rates.retry_after(rate.limit, rate.period_ms, count, before, elapsed),
                details={
                    "scope": rate.scope,
                    "name": rate.name,
                    "limit": rate.limit,
                    "period": rate.period,
                    "kind": "requests",
                },
            )
        case RefusedBy.TOKENS:
            return _tokens(refused, counters, floor[1], now)
        case RefusedBy.MONEY:
            return _money(refused, counters, want[0], floor[0], now)


def _tokens(refused: Refused, counters: CounterSet, floor: int, now: float) -> SluicegateError:
    counter = counters.tokens[refused.index]
    committed, settled = refused.numbers
    waits = settled + floor <= counter.limit
    return RateLimitedError(
        f"{counter.scope} {counter.name} is limited to {counter.limit} tokens per {counter.period}; "
        f"{max(0, counter.limit - committed)} are left and this request needs {floor}",
        retry_after=1.0 if waits else counter.instance.retry_after(now),
        details=_details(counter, "tokens") | {"limit": counter.limit, "settled": settled},
    )


def _money(refused: Refused, counters: CounterSet, want: int, floor: int, now: float) -> SluicegateError:
    counter = counters.money[refused.index]
    committed, settled = refused.numbers
    details = _details(counter, "budget") | {
        "limit_usd": usd(counter.limit),
        "spent_usd": usd(settled),
        "held_usd": usd(committed - settled),
        "needed_usd": usd(floor),
        "wanted_usd": usd(want),
    }
    place = f"the {counter.period} budget of {counter.scope} {counter.name} ({usd(counter.limit)} USD)"
    if settled + floor <= counter.limit:
        return BudgetContendedError(
            f"{place} is held by requests under way; try again shortly", retry_after=1.0, details=details
        )
    return BudgetExceededError(
        f"{place} cannot pay this request: {usd(settled)} USD are spent and at least "
        f"{usd(floor)} USD are needed",
        retry_after=counter.instance.retry_after(now),
        details=details,
    )


def _details(counter: Counter, kind: str) -> dict[str, Any]:
    return {
        "kind": kind,
        "scope": counter.scope,
        "name": counter.name,
        "period": str(counter.period),
        "period_end": counter.instance.end or None,
    }


def over_request_limit(limit: int, floor: int, whose: str) -> SluicegateError:
    """The error for a request that costs more than one request may; `whose` limit: policy or caller."""
    place = "this request's own limit" if whose == "caller" else "the limit for one request"
    return BudgetExceededError(
        f"{place} is {usd(limit)} USD and at least {usd(floor)} USD are needed; ask for less or raise it",
        details={"kind": "budget", "period": "request", "limit_usd": usd(limit), "needed_usd": usd(floor)},
    )
