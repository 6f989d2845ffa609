"""Admission on Redis: one script per decision (scripts/admission_*.lua say what each does)."""

import asyncio
from collections.abc import Sequence
from typing import Any

from sluicegate.adapters.redis.admission_encoding import Args, Commands, encode, key, run_script, unavailable
from sluicegate.adapters.redis.errors import RedisUnavailable
from sluicegate.adapters.redis.script import Script, load_script
from sluicegate.admission.counters import Counter, CounterSet
from sluicegate.admission.replies import (
    AdmitReply,
    Amounts,
    Booked,
    Cursors,
    Grown,
    Heartbeat,
    Held,
    LentOut,
    Loan,
    NotLent,
    Refused,
    RefusedBy,
    Settled,
    Unseeded,
)
from sluicegate.kernel.tenancy import redis_key

_TENANTS = "slg:tenants"
# Longer than any sane hash-max-listpack-value (64).
_PADDING = b"-" * 512
_SWEEP_FIELDS = 200
_DAY_MS = 86_400_000


class RedisAdmissionStore:
    """AdmissionStore, LeaseStore and AdmissionUpkeep on one Redis (or the embedded server: the same scripts).

    Args:
        client: runs commands and scripts.
        lifetime_s: seconds a hold lives without a heartbeat.
    """

    def __init__(self, client: Commands, *, lifetime_s: float = 30.0) -> None:
        self._client = client
        self._lifetime = b"%d" % int(lifetime_s * 1000)
        self._admit = load_script("admission_admit")
        self._settle = load_script("admission_settle")
        self._lease = load_script("admission_lease")
        self._share = load_script("admission_share")
        self._detach = load_script("admission_detach")
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
        encoded = counters.encoded or encode(counters)
        args: Args = (
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
        encoded = counters.encoded or encode(counters)
        args: Args = (b"", self._lifetime, 0, 0, 0, 0, event, *encoded.passing)
        return _admit_reply(await self._run(self._admit, encoded.admit_keys, args))

    async def grow(self, counters: CounterSet, hold_id: str, nano: int, tokens: int) -> Grown:
        encoded = counters.encoded or encode(counters)
        args: Args = (hold_id, nano, tokens, self._lifetime, *encoded.limits)
        reply = await self._run(self._grow, encoded.admit_keys[:3], args)
        return Grown(reply[0].decode())

    async def settle(
        self, counters: CounterSet, hold_id: str, generation: str, nano: int, tokens: int, event: bytes
    ) -> Settled:
        encoded = counters.encoded or encode(counters)
        args = (hold_id, generation, nano, tokens, event)
        reply = await self._run(self._settle, encoded.settle_keys, args)
        return _SETTLED[reply[0]]

    async def charge(
        self, counters: CounterSet, hold_id: str, nano: int, tokens: int, event: bytes
    ) -> Settled | Unseeded:
        encoded = counters.encoded or encode(counters)
        args = (hold_id, b"charge", nano, tokens, event, encoded.plan)
        reply = await self._run(self._settle, encoded.settle_keys, args)
        return _unseeded(reply) or _SETTLED[reply[0]]

    async def lend(
        self,
        counters: CounterSet,
        lease_id: str,
        amounts: Amounts,
        *,
        existing: bool,
        margin: int,
        window_ms: int,
    ) -> Loan | NotLent:
        encoded = counters.encoded or encode(counters)
        flag = b"1" if existing else b"0"
        args = (lease_id, self._lifetime, flag, *_numbers(amounts), margin, window_ms, *encoded.counted)
        reply = await self._run(self._lease, encoded.admit_keys[:3], args)
        return _loan(reply) if reply[0] == b"lent" else NotLent(reply[0].decode())

    async def settle_shares(
        self,
        counters: CounterSet,
        lease_id: str,
        number: int,
        used: tuple[int, int],
        beyond: tuple[int, int],
        back: Amounts,
        lent_at_ms: int,
        events: Sequence[bytes],
        *,
        last: bool,
    ) -> tuple[Booked, str]:
        encoded = counters.encoded or encode(counters)
        flag = b"1" if last else b"0"
        args = (lease_id, number, *used, *beyond, *_numbers(back), lent_at_ms, flag, *encoded.rates, *events)
        reply = await self._run(self._share, encoded.settle_keys, args)
        return _BOOKED[reply[0]], reply[1].decode() if len(reply) > 1 else ""

    async def detach(
        self, counters: CounterSet, lease_id: str, hold_id: str, amounts: Amounts, at: float
    ) -> bool:
        encoded = counters.encoded or encode(counters)
        _, holds, due, _, past = encoded.settle_keys
        args = (lease_id, hold_id, amounts.nano, amounts.tokens, self._lifetime, int(at * 1000))
        return bool((await self._run(self._detach, (holds, due, past), args))[0] == b"detached")

    async def seed(self, tenant: str, amounts: Sequence[tuple[Counter, int]]) -> None:
        args: list[bytes | str | int] = [b"", 0, b""]
        for counter, amount in amounts:
            args += (counter.committed, amount, counter.settled, amount)
        await self._run(self._seed, (key(tenant, "counters"), key(tenant, "outbox")), args)

    async def begin(
        self, tenant: str, revocations: Sequence[bytes], generation: str, recovery_s: float
    ) -> tuple[str, float]:
        args: list[bytes | str | int] = [generation, int(recovery_s * 1000), _PADDING]
        for mark in revocations:
            args += (mark, b"0")
        reply = await self._run(self._seed, (key(tenant, "counters"), key(tenant, "outbox")), args)
        return reply[0].decode(), reply[1] / 1000

    async def restore(
        self, counters: CounterSet, hold_id: str, nano: int, tokens: int, at: float
    ) -> Unseeded | None:
        encoded = counters.encoded or encode(counters)
        counters_key, holds, due, _, past = encoded.settle_keys
        args = (hold_id, nano, tokens, self._lifetime, encoded.plan, int(at * 1000))
        return _unseeded(await self._run(self._restore, (counters_key, holds, due, past), args))

    async def renew(self, tenant: str, hold_ids: Sequence[str], list_overdue: int) -> Heartbeat:
        keys = (key(tenant, "counters"), key(tenant, "due"))
        reply = await self._run(self._renew, keys, (self._lifetime, list_overdue, *hold_ids))
        return Heartbeat(reply[0].decode(), [each.decode() for each in reply[1:]])

    async def reap(self, tenant: str, hold_id: str) -> int | None:
        keys = [key(tenant, kind) for kind in ("counters", "holds", "due", "outbox", "past")]
        reply = await self._run(self._settle, keys, (hold_id, b"reap", 0, 0, b""))
        return int(reply[1]) if reply[0] == b"reaped" else None

    async def sweep(self, tenant: str, cursors: Cursors) -> Cursors:
        keys = (key(tenant, "counters"), key(tenant, "past"))
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
        outbox = key(tenant, "outbox")
        await asyncio.gather(*(self._execute("XADD", outbox, "*", "event", event) for event in events))

    async def enlist(self, tenant: str) -> None:
        await self._execute("SADD", _TENANTS, tenant)

    async def tenants(self) -> list[str]:
        return sorted(each.decode() for each in await self._execute("SMEMBERS", _TENANTS))

    async def _run(self, script: Script, keys: Sequence[bytes | str], args: Args) -> Any:
        return await run_script(self._client, script, keys, args)

    async def _execute(self, *args: bytes | str | int) -> Any:
        try:
            return await self._client.execute(*args)
        except RedisUnavailable as error:
            raise unavailable(error) from error


def _numbers(amounts: Amounts) -> tuple[int, int, int, int]:
    return amounts.nano, amounts.tokens, amounts.slots, amounts.requests


def _loan(reply: list[Any]) -> Loan:
    _, generation, window, at_ms, left, token, tokens_left, rate, count, before, elapsed = reply
    return Loan(
        generation.decode(),
        window / 1000,
        at_ms,
        None if left < 0 else left,
        None if token < 0 else token - 1,
        tokens_left,
        None if rate < 0 else (rate - 1, count, before, elapsed),
    )


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
    if kind == b"lent":
        return LentOut(reply[1] / 1000, _refused(reply[2:]))
    return _refused(reply)


def _refused(reply: list[Any]) -> Refused:
    return Refused(RefusedBy(reply[0].decode()), reply[1] - 1, tuple(reply[2:]))


def _unseeded(reply: list[Any]) -> Unseeded | None:
    if reply[0] == b"unseeded":
        return Unseeded()
    if reply[0] == b"missing":
        return Unseeded(tuple(index - 1 for index in reply[1:]))
    return None


_BOOKED = {each.value.encode(): each for each in Booked}
_SETTLED = {each.value.encode(): each for each in Settled}
