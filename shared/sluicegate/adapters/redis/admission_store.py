"""Admission on Redis: one script per decision (scripts/admission_*.lua say what each does)."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sluicegate.adapters.redis.errors import NOT_NOW, RedisReplyError, RedisUnavailable
from sluicegate.adapters.redis.script import Script, load_script
from sluicegate.admission.counters import Counter, CounterSet
from sluicegate.admission.errors import StoreUnavailable
from sluicegate.admission.replies import (
    AdmitReply,
    Cursors,
    Grown,
    Heartbeat,
    Held,
    Refused,
    RefusedBy,
    Settled,
    Unseeded,
)
from sluicegate.kernel.tenancy import redis_key

_TENANTS = "slg:tenants"
# An amount no counter reaches, for budgets without alerts.
_NEVER = 1 << 53
# Longer than any sane hash-max-listpack-value (64).
_PADDING = b"-" * 512
_SWEEP_FIELDS = 200
_DAY_MS = 86_400_000

_Args = Sequence[bytes | str | int]


class Commands(Protocol):
    """The part of the Redis client used here."""

    async def execute(self, *args: bytes | str | int) -> Any: ...

    async def script(self, script: Script, keys: Sequence[bytes | str], args: _Args) -> Any: ...


@dataclass(slots=True)
class _Encoded:
    """A counter set as script arguments. `counted` and `uncounted` end an admission's arguments."""

    admit_keys: tuple[bytes, ...]
    settle_keys: tuple[bytes, ...]
    counted: tuple[bytes, ...]
    uncounted: tuple[bytes, ...]
    passing: tuple[bytes, ...]
    limits: tuple[bytes, ...]
    plan: bytes


class RedisAdmissionStore:
    """AdmissionStore and AdmissionUpkeep on one Redis (or the embedded server: the same scripts).

    Args:
        client: runs commands and scripts.
        lifetime_s: seconds a hold lives without a heartbeat.
    """

    def __init__(self, client: Commands, *, lifetime_s: float = 30.0) -> None:
        self._client = client
        self._lifetime = b"%d" % int(lifetime_s * 1000)
        self._admit = load_script("admission_admit")
        self._settle = load_script("admission_settle")
        self._grow = load_script("admission_grow")
        self._seed = load_script("admission_seed")
        self._restore = load_script("admission_restore")
        self._renew = load_script("admission_renew")
        self._sweep = load_script("admission_sweep")

    async def admit(
        self,
        counters: CounterSet,
        hold_id: str,
        want: tuple[int, int],
        floor: tuple[int, int],
        *,
        count: bool,
        instead_of: str | None = None,
    ) -> AdmitReply:
        encoded: _Encoded = counters.encoded or _encode(counters)
        args: _Args = (
            hold_id,
            self._lifetime,
            want[0],
            floor[0],
            want[1],
            floor[1],
            b"",
            *(encoded.counted if count else encoded.uncounted),
        )
        if instead_of is not None:
            args = (*args, instead_of)
        return _admit_reply(await self._run(self._admit, encoded.admit_keys, args))

    async def pass_through(self, counters: CounterSet, event: bytes) -> AdmitReply:
        encoded: _Encoded = counters.encoded or _encode(counters)
        args: _Args = (b"", self._lifetime, 0, 0, 0, 0, event, *encoded.passing)
        return _admit_reply(await self._run(self._admit, encoded.admit_keys, args))

    async def grow(self, counters: CounterSet, hold_id: str, nano: int, tokens: int) -> Grown:
        encoded: _Encoded = counters.encoded or _encode(counters)
        args: _Args = (hold_id, nano, tokens, self._lifetime, *encoded.limits)
        reply = await self._run(self._grow, encoded.admit_keys[:3], args)
        return Grown(reply[0].decode())

    async def settle(
        self, counters: CounterSet, hold_id: str, generation: str, nano: int, tokens: int, event: bytes
    ) -> Settled:
        encoded: _Encoded = counters.encoded or _encode(counters)
        args = (hold_id, generation, nano, tokens, event)
        reply = await self._run(self._settle, encoded.settle_keys, args)
        return _SETTLED[reply[0]]

    async def charge(
        self, counters: CounterSet, hold_id: str, nano: int, tokens: int, event: bytes
    ) -> Settled | Unseeded:
        encoded: _Encoded = counters.encoded or _encode(counters)
        args = (hold_id, b"charge", nano, tokens, event, encoded.plan)
        reply = await self._run(self._settle, encoded.settle_keys, args)
        return _unseeded(reply) or _SETTLED[reply[0]]

    async def seed(self, tenant: str, amounts: Sequence[tuple[Counter, int]]) -> None:
        args: list[bytes | str | int] = [b"", 0, b""]
        for counter, amount in amounts:
            args += (counter.committed, amount, counter.settled, amount)
        await self._run(self._seed, (_key(tenant, "counters"), _key(tenant, "outbox")), args)

    async def begin(
        self, tenant: str, revocations: Sequence[bytes], generation: str, recovery_s: float
    ) -> tuple[str, float]:
        args: list[bytes | str | int] = [generation, int(recovery_s * 1000), _PADDING]
        for mark in revocations:
            args += (mark, b"0")
        reply = await self._run(self._seed, (_key(tenant, "counters"), _key(tenant, "outbox")), args)
        return reply[0].decode(), reply[1] / 1000

    async def restore(
        self, counters: CounterSet, hold_id: str, nano: int, tokens: int, at: float
    ) -> Unseeded | None:
        encoded: _Encoded = counters.encoded or _encode(counters)
        counters_key, holds, due, _, past = encoded.settle_keys
        args = (hold_id, nano, tokens, self._lifetime, encoded.plan, int(at * 1000))
        return _unseeded(await self._run(self._restore, (counters_key, holds, due, past), args))

    async def renew(self, tenant: str, hold_ids: Sequence[str], list_overdue: int) -> Heartbeat:
        keys = (_key(tenant, "counters"), _key(tenant, "due"))
        reply = await self._run(self._renew, keys, (self._lifetime, list_overdue, *hold_ids))
        return Heartbeat(reply[0].decode(), [each.decode() for each in reply[1:]])

    async def reap(self, tenant: str, hold_id: str) -> int | None:
        keys = [_key(tenant, kind) for kind in ("counters", "holds", "due", "outbox", "past")]
        reply = await self._run(self._settle, keys, (hold_id, b"reap", 0, 0, b""))
        return int(reply[1]) if reply[0] == b"reaped" else None

    async def sweep(self, tenant: str, cursors: Cursors) -> Cursors:
        keys = (_key(tenant, "counters"), _key(tenant, "past"))
        args = (cursors.counters, cursors.past, _SWEEP_FIELDS, _DAY_MS)
        reply = await self._run(self._sweep, keys, args)
        return Cursors(int(reply[0]), int(reply[1]))

    async def read(self, tenant: str, counters: Sequence[Counter]) -> list[tuple[int, int] | None]:
        if not counters:
            return []
        fields = [field for each in counters for field in (each.committed, each.settled)]
        values = await self._execute("HMGET", redis_key(tenant, "counters"), *fields)
        return [
            None if committed is None else (int(committed), int(settled or 0))
            for committed, settled in zip(values[::2], values[1::2], strict=True)
        ]

    async def append(self, tenant: str, events: Sequence[bytes]) -> None:
        outbox = _key(tenant, "outbox")
        await asyncio.gather(*(self._execute("XADD", outbox, "*", "event", event) for event in events))

    async def enlist(self, tenant: str) -> None:
        await self._execute("SADD", _TENANTS, tenant)

    async def tenants(self) -> list[str]:
        return sorted(each.decode() for each in await self._execute("SMEMBERS", _TENANTS))

    async def _run(self, script: Script, keys: Sequence[bytes | str], args: _Args) -> Any:
        try:
            return await self._client.script(script, keys, args)
        except RedisUnavailable as error:
            raise _unavailable(error) from error
        except RedisReplyError as error:
            if error.prefix not in NOT_NOW:
                raise
            raise StoreUnavailable(str(error), maybe_applied=False) from error

    async def _execute(self, *args: bytes | str | int) -> Any:
        try:
            return await self._client.execute(*args)
        except RedisUnavailable as error:
            raise _unavailable(error) from error


def _unavailable(error: RedisUnavailable) -> StoreUnavailable:
    return StoreUnavailable(
        str(error), maybe_applied=error.maybe_applied, retry_after=error.retry_after or 1.0
    )


def _key(tenant: str, kind: str) -> bytes:
    return redis_key(tenant, kind).encode()


def _encode(counters: CounterSet) -> _Encoded:
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
    encoded = _Encoded(
        admit_keys=tuple(_key(tenant, kind) for kind in ("counters", "holds", "due", "outbox")),
        settle_keys=tuple(_key(tenant, kind) for kind in ("counters", "holds", "due", "outbox", "past")),
        counted=(plan, *sizes, count, *first, *fields, *rate_fields, *limits, *rate_limits),
        uncounted=(plan, *sizes, b"0", *first, *fields, *limits),
        passing=(b"", b"0", b"0", b"0", count, *first, *rate_fields, *rate_limits),
        limits=tuple(b"%d" % each.limit for each in amounts),
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


def _admit_reply(reply: list[Any]) -> AdmitReply:
    kind = reply[0]
    if kind == b"held" or kind == b"swapped":  # noqa: PLR1714 - the hot path: no tuple to look through
        _, generation, nano, tokens, left, token, tokens_left, rate, count, before, elapsed = reply
        return Held(
            nano,
            tokens,
            generation.decode(),
            None if left < 0 else left,
            None if token < 0 else token - 1,
            tokens_left,
            None if rate < 0 else (rate - 1, count, before, elapsed),
            kind == b"swapped",
        )
    if kind == b"again":
        return Held(reply[2], reply[3], (reply[1] or b"").decode(), None, None, 0, None)
    unseeded = _unseeded(reply)
    if unseeded is not None:
        return unseeded
    if kind == b"revoked":
        return Refused(RefusedBy.REVOKED)
    return Refused(RefusedBy(kind.decode()), reply[1] - 1, tuple(reply[2:]))


def _unseeded(reply: list[Any]) -> Unseeded | None:
    if reply[0] == b"unseeded":
        return Unseeded()
    if reply[0] == b"missing":
        return Unseeded(tuple(index - 1 for index in reply[1:]))
    return None


_SETTLED = {each.value.encode(): each for each in Settled}
