"""Counter sets as script arguments, and running the admission scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sluicegate.adapters.redis.errors import NOT_NOW, RedisReplyError, RedisUnavailable
from sluicegate.adapters.redis.script import Script
from sluicegate.admission.counters import CounterSet
from sluicegate.admission.errors import StoreUnavailable
from sluicegate.kernel.tenancy import redis_key

# An amount no counter reaches, for budgets without alerts.
_NEVER = 1 << 53

Args = Sequence[bytes | str | int]


class Commands(Protocol):
    """The part of the Redis client used here."""

    async def execute(self, *args: bytes | str | int) -> Any: ...

    async def script(self, script: Script, keys: Sequence[bytes | str], args: Args) -> Any: ...


@dataclass(slots=True)
class Encoded:
    """A counter set as script arguments.

    `counted` and `uncounted` end an admission's arguments; `rates` are how many there are, then each one's
    field and period.
    """

    admit_keys: tuple[bytes, ...]
    settle_keys: tuple[bytes, ...]
    counted: tuple[bytes, ...]
    uncounted: tuple[bytes, ...]
    passing: tuple[bytes, ...]
    limits: tuple[bytes, ...]
    rates: tuple[bytes, ...]
    plan: bytes


async def run_script(client: Commands, script: Script, keys: Sequence[bytes | str], args: Args) -> Any:
    """The script's reply.

    Raises:
        StoreUnavailable: the server is away, or cannot do it now.
    """
    try:
        return await client.script(script, keys, args)
    except RedisUnavailable as error:
        raise unavailable(error) from error
    except RedisReplyError as error:
        if error.prefix not in NOT_NOW:
            raise
        raise StoreUnavailable(str(error), maybe_applied=False) from error


def unavailable(error: RedisUnavailable) -> StoreUnavailable:
    """The client's error as admission's."""
    return StoreUnavailable(
        str(error), maybe_applied=error.maybe_applied, retry_after=error.retry_after or 1.0
    )


def key(tenant: str, kind: str) -> bytes:
    """The name of one of `tenant`'s keys."""
    return redis_key(tenant, kind).encode()


def encode(counters: CounterSet) -> Encoded:
    """`counters` encoded, once for its life."""
    known: Encoded | None = counters.encoded
    if known is not None:
        return known
    tenant = counters.subject.tenant
    amounts, slots, rates = counters.amounts, counters.slots, counters.rates
    plan = _plan(counters)
    fields = [each.committed for each in amounts] + [each.field for each in slots]
    limits = [b"%d" % each.limit for each in amounts] + [b"%d" % each.limit for each in slots]
    rate_fields = [each.field for each in rates]
    rate_limits = [number for each in rates for number in (b"%d" % each.period_ms, b"%d" % each.limit)]
    sizes = (b"%d" % len(counters.money), b"%d" % len(counters.tokens), b"%d" % len(slots))
    first = (b"generation", counters.revocation)
    count = b"%d" % len(rates)
    encoded = Encoded(
        admit_keys=tuple(key(tenant, kind) for kind in ("counters", "holds", "due", "outbox")),
        settle_keys=tuple(key(tenant, kind) for kind in ("counters", "holds", "due", "outbox", "past")),
        counted=(plan, *sizes, count, *first, *fields, *rate_fields, *limits, *rate_limits),
        uncounted=(plan, *sizes, b"0", *first, *fields, *limits),
        passing=(b"", b"0", b"0", b"0", count, *first, *rate_fields, *rate_limits),
        limits=tuple(b"%d" % each.limit for each in amounts),
        rates=(count, *(part for each in rates for part in (each.field, b"%d" % each.period_ms))),
        plan=plan,
    )
    counters.encoded = encoded
    return encoded


def _plan(counters: CounterSet) -> bytes:
    """What a hold must remember to be settled by anybody (its shape: admission_settle.lua)."""
    lines = [b"%d %d %d" % (len(counters.money), len(counters.tokens), len(counters.slots))]
    for counter in counters.money:
        lowest = counter.alerts[0][0] if counter.alerts else _NEVER
        lines += [counter.committed, counter.settled, b"%d" % lowest]
    for counter in counters.tokens:
        lines += [counter.committed, counter.settled]
    lines += [slot.field for slot in counters.slots]
    for counter in counters.money:
        alerts = ",".join(f"{amount}:{percent}" for amount, percent in counter.alerts)
        lines.append(f"{counter.limit};{alerts}".encode())
    lines.append(counters.subject.tenant.encode())
    return b"\n".join(lines) + b"\n" + counters.template.encode()
