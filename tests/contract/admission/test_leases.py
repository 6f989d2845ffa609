"""The contract of LeaseStore: slices of counters, lent and refused."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from admission_suite import DOLLAR, NOW, SUBJECT, counters, seed, server_time
from lease_suite import COUNTERS, NOTHING, LeaseGround

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.admission.counters import CounterSet, compile_counters
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.replies import (
    Amounts,
    Booked,
    Held,
    LentOut,
    Loan,
    NotLent,
    Refused,
    RefusedBy,
    Settled,
)


class LeaseSuite(LeaseGround):
    """What is lent counts as held, and never comes too near a limit."""

    async def test_lends_of_every_counter(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        before = await server_time(client)
        loan = await self.lent(store, seeded)
        assert await self.amounts(store, seeded) == [(80_000_000, 0)] * 3 + [(80, 0)]
        assert await self.open_slots(client, seeded) == 4
        assert [(await self.counted(client, seeded, index))[1] for index in (0, 1)] == [8, 8]
        assert loan.generation == "g1"
        assert 0.005 <= loan.window_s <= 0.05
        assert int(before * 1000) <= loan.at_ms <= int(await server_time(client) * 1000) + 1
        assert (loan.money_left, loan.token_index, loan.tokens_left) == (6 * DOLLAR - 80_000_000, 0, 4920)
        assert loan.rate is not None
        assert loan.rate[:3] == (0, 8, 0)
        assert await client.execute("ZSCORE", "slg:{acme}:due", "lease-1") is not None

    @pytest.mark.parametrize(
        ("amounts", "enough"),
        [
            (Amounts(nano=6 * DOLLAR // 16), True),
            (Amounts(nano=6 * DOLLAR // 16 + 1), False),
            (Amounts(tokens=5000 // 16), True),
            (Amounts(tokens=5000 // 16 + 1), False),
            (Amounts(slots=100 // 16), True),
            (Amounts(slots=100 // 16 + 1), False),
            (Amounts(requests=1000 // 16), True),
            (Amounts(requests=1000 // 16 + 1), False),
        ],
    )
    async def test_lends_one_part_in_the_margin_or_nothing(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet, amounts: Amounts, *, enough: bool
    ) -> None:
        before = sorted(await client.execute("HGETALL", COUNTERS))
        reply = await self.lend(store, seeded, amounts)
        if enough:
            assert isinstance(reply, Loan)
        else:
            assert reply is NotLent.NO
            assert sorted(await client.execute("HGETALL", COUNTERS)) == before
            assert not await client.execute("EXISTS", "slg:{acme}:holds", "slg:{acme}:due")

    async def test_lends_less_as_the_limit_comes_near(
        self, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        size, lent = 6 * DOLLAR // 16, 0
        for number in range(200):
            while size and not isinstance(
                await self.lend(store, seeded, Amounts(size), f"lease-{number}"), Loan
            ):
                size -= size // 4 or 1
            if not size:
                break
            lent += size
        assert lent < 6 * DOLLAR
        assert (await self.amounts(store, seeded))[2] == (lent, 0)
        # What nobody lends any more is still there for single requests.
        left = 6 * DOLLAR - lent
        assert isinstance(await self.admit(store, seeded, "r1", left, floor=left), Held)

    async def test_lends_nothing_of_a_limit_reached(
        self, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await self.admit(store, seeded, "r1", 6 * DOLLAR)
        assert await self.lend(store, seeded, Amounts()) is NotLent.NO

    async def test_lends_nothing_to_a_revoked_key_or_without_counters(
        self, client: Any, store: RedisAdmissionStore
    ) -> None:
        each = counters()
        assert await self.lend(store, each) is NotLent.NO
        await seed(store, "acme", [(counter, 0) for counter in each.amounts[1:]], "g1", 0)
        assert await self.lend(store, each) is NotLent.NO
        await seed(store, "acme", [(each.amounts[0], 0)], "g1", 0)
        await client.execute("HSET", COUNTERS, each.revocation, "0")
        assert await self.lend(store, each) is NotLent.NO
        other = counters(replace(SUBJECT, key="k2"))
        await self.lent(store, other)
        await client.execute("HDEL", COUNTERS, each.revocation)
        await self.lent(store, each, lease="lease-2")

    async def test_lends_nothing_during_a_recovery(self, store: RedisAdmissionStore) -> None:
        each = counters()
        await seed(store, "acme", [(counter, 0) for counter in each.amounts], "g1", 60)
        assert await self.lend(store, each) is NotLent.NO

    async def test_adds_to_a_lease(self, client: Any, store: RedisAdmissionStore, seeded: CounterSet) -> None:
        await self.lent(store, seeded)
        assert await self.tell(store, seeded, 1, (30_000_000, 30)) is Booked.SETTLED
        first = await client.execute("ZSCORE", "slg:{acme}:due", "lease-1")
        await asyncio.sleep(0.002)
        loan = await self.lent(store, seeded, Amounts(5, 6, 1, 2), existing=True)
        assert (loan.money_left, loan.tokens_left) == (6 * DOLLAR - 80_000_005, 4914)
        assert await self.amounts(store, seeded) == [(80_000_005, 30_000_000)] * 3 + [(86, 30)]
        assert await self.open_slots(client, seeded) == 5
        assert (await self.counted(client, seeded))[1] == 10
        assert float(await client.execute("ZSCORE", "slg:{acme}:due", "lease-1")) > float(first)
        # Settlements go on counting; the end frees all of it.
        assert await self.tell(store, seeded, 1, (9, 9)) is Booked.AGAIN
        assert await self.tell(store, seeded, 2, (1, 1), last=True) is Booked.SETTLED
        assert await self.amounts(store, seeded) == [(30_000_001,) * 2] * 3 + [(31, 31)]
        assert await self.open_slots(client, seeded) == 0

    async def test_more_of_nothing_only_moves_the_window(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await self.lent(store, seeded)
        before = await self.amounts(store, seeded)
        await self.lent(store, seeded, NOTHING, existing=True)
        assert await self.amounts(store, seeded) == before
        assert (await self.counted(client, seeded))[1] == 8

    async def test_nothing_is_added_to_a_lease_that_is_gone(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        assert await self.lend(store, seeded, existing=True) is NotLent.GONE
        await self.lent(store, seeded)
        await self.tell(store, seeded, 1, (0, 0), last=True)
        assert await self.lend(store, seeded, existing=True) is NotLent.GONE
        assert await self.amounts(store, seeded) == [(0, 0)] * 4
        assert await client.execute("EXISTS", "slg:{acme}:holds", "slg:{acme}:due") == 0

    async def test_the_window_ends_with_the_bucket_of_every_rate(
        self, client: Any, store: RedisAdmissionStore
    ) -> None:
        each = compile_counters(
            SUBJECT,
            BudgetPolicy(),
            LimitPolicy.model_validate({"rates": [{"scope": "key", "period": "second", "limit": 10_000}]}),
            (),
            NOW,
        )
        await seed(store, "acme", (), "g1", 0)
        clipped = refused = 0
        for number in range(400):
            reply = await self.lend(store, each, Amounts(requests=1), f"lease-{number}", window_ms=1000)
            if isinstance(reply, Loan):
                assert reply.at_ms % 1000 + reply.window_s * 1000 == 1000
                clipped += reply.window_s < 0.9
            else:
                refused += 1
            if clipped > 3 and number > 20:
                break
            await asyncio.sleep(0.003)
        assert clipped > 3
        assert refused <= 10

    async def test_a_lease_is_of_one_bucket(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        """Requests counted in the last hour must not be made in this one, however late more is asked for."""
        await self.lent(store, seeded)
        record = await client.execute("HGET", "slg:{acme}:holds", "lease-1")
        nano, tokens, since, rest = record.split(b" ", 3)
        earlier = b" ".join((nano, tokens, b"%d" % (int(since) - 3_600_000), rest))
        await client.execute("HSET", "slg:{acme}:holds", "lease-1", earlier)
        before = await self.amounts(store, seeded)
        assert await self.lend(store, seeded, existing=True) is NotLent.GONE
        assert await self.amounts(store, seeded) == before
        assert await self.tell(store, seeded, 1, (5, 5), last=True) is Booked.SETTLED
        assert await self.amounts(store, seeded) == [(5, 5)] * 4

    async def test_whoever_is_refused_for_what_is_lent_out_is_told_to_wait(
        self, client: Any, store: RedisAdmissionStore
    ) -> None:
        each = counters(slots=64, rate=200)
        await seed(store, "acme", [(counter, 0) for counter in each.amounts], "g1", 0)
        await self.lent(store, each, Amounts(10, 10, 4, 4))
        # Sixty really run.
        await client.execute("HSET", COUNTERS, each.slots[0].field, "64")
        reply = await self.admit(store, each, "r1", 1)
        assert isinstance(reply, LentOut)
        assert 0 < reply.wait_s <= 0.081
        assert reply.refused == Refused(RefusedBy.SLOTS, 0, (64,))
        # From now on nothing is lent to anybody, until it is decided.
        assert await self.lend(store, each, Amounts(1, 1, 1, 1), "lease-2") is NotLent.NO
        assert await self.lend(store, each, NOTHING, existing=True) is NotLent.NO
        assert await self.tell(store, each, 1, (0, 0), last=True) is Booked.SETTLED
        await asyncio.sleep(reply.wait_s)
        assert isinstance(await self.admit(store, each, "r1", 1), Held)
        for number in range(2, 5):
            assert isinstance(await self.admit(store, each, f"r{number}", 1), Held)
        assert await self.admit(store, each, "r5", 1) == Refused(RefusedBy.SLOTS, 0, (64,))

    async def test_a_rate_refuses_only_when_nothing_is_lent_out(
        self, client: Any, store: RedisAdmissionStore
    ) -> None:
        each = counters(rate=32)
        await seed(store, "acme", [(counter, 0) for counter in each.amounts], "g1", 0)
        loan = await self.lent(store, each, Amounts(10, 10, 1, 2))
        for number in range(30):
            assert isinstance(await store.pass_through(each, b"{}"), Held), number
        reply = await store.pass_through(each, b"{}")
        assert isinstance(reply, LentOut)
        assert reply.refused.by is RefusedBy.RATE
        back = Amounts(requests=2)
        await self.tell(store, each, 1, (0, 0), back=back, at=loan.at_ms, last=True)
        await asyncio.sleep(reply.wait_s)
        for _ in range(2):
            assert isinstance(await store.pass_through(each, b"{}"), Held)
        assert isinstance(await store.pass_through(each, b"{}"), Refused)

    async def test_lending_begins_again_after_a_second(self, client: Any, store: RedisAdmissionStore) -> None:
        each = counters()
        await seed(store, "acme", [(counter, 0) for counter in each.amounts], "g1", 0)
        now = int(await server_time(client) * 1000)
        await client.execute("HSET", COUNTERS, "unlent", now + 60_000)
        assert await self.lend(store, each) is NotLent.NO
        await client.execute("HSET", COUNTERS, "unlent", now - 1)
        await self.lent(store, each)
        # Money that is held is waited for as ever: no word of what is lent.
        reply = await self.admit(store, each, "r1", 6 * DOLLAR)
        assert reply == Refused(RefusedBy.MONEY, 2, (80_000_000, 0))

    async def test_subject_under_no_counter(self, store: RedisAdmissionStore) -> None:
        bare = compile_counters(SUBJECT, BudgetPolicy(), LimitPolicy(), (), NOW)
        await seed(store, "acme", (), "g1", 0)
        loan = await self.lent(store, bare)
        assert (loan.money_left, loan.token_index, loan.rate) == (None, None, None)
        assert await self.tell(store, bare, 1, (10_000_000, 5), back=Amounts(50_000_000)) is Booked.SETTLED
        assert await store.detach(bare, "lease-1", "r1", Amounts(5, 5), NOW)
        assert await self.tell(store, bare, 2, (0, 0), last=True) is Booked.SETTLED
        assert await store.settle(bare, "r1", "g1", 3, 0, b"{}") is Settled.SETTLED


class TestRedisLeases(LeaseSuite):
    @pytest.fixture
    def store(self, client: Any) -> RedisAdmissionStore:
        return RedisAdmissionStore(client, lifetime_s=30)
