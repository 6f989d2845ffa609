"""The contract of LeaseStore: what was lent is used, given back, and lost with its owner."""

import asyncio
from typing import Any

import pytest
from admission_suite import DOLLAR, NOW, SUBJECT, events, seed
from lease_suite import COUNTERS, NOTHING, LeaseGround

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.admission.counters import CounterSet, compile_counters
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.replies import (
    Amounts,
    Booked,
    Grown,
    Held,
    NotLent,
    Settled,
)
from sluicegate.ledger.usage import UsageRow


class ShareSuite(LeaseGround):
    """Each share is booked once, and the rest comes back."""

    async def test_shares_are_settled_once_per_number(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await self.lent(store, seeded)
        one, two = [b'{"id":"a"}', b'{"id":"b"}'], [b'{"id":"c"}']
        assert await self.tell(store, seeded, 1, (10, 20), events=one) is Booked.SETTLED
        assert await self.tell(store, seeded, 1, (10, 20), events=one) is Booked.AGAIN
        assert await self.tell(store, seeded, 2, (1, 2), events=two) is Booked.SETTLED
        assert await self.tell(store, seeded, 1, (10, 20), events=one) is Booked.AGAIN
        assert await self.amounts(store, seeded) == [(80_000_000, 11)] * 3 + [(80, 22)]
        assert [event["id"] for event in await events(client)] == ["a", "b", "c"]
        assert await self.tell(store, seeded, 3, (0, 0), last=True) is Booked.SETTLED
        outcome = await store.settle_shares(seeded, "lease-1", 3, (0, 0), (0, 0), NOTHING, 0, two, last=True)
        assert outcome == (Booked.GONE, "g1")
        assert await self.amounts(store, seeded) == [(11, 11)] * 3 + [(22, 22)]
        assert len(await events(client)) == 3
        assert await client.execute("EXISTS", "slg:{acme}:holds", "slg:{acme}:due") == 0
        await client.execute("FLUSHALL")
        outcome = await store.settle_shares(seeded, "lease-1", 3, (0, 0), (0, 0), NOTHING, 0, two, last=True)
        assert outcome == (Booked.GONE, "")

    async def test_gives_back_of_every_kind(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        loan = await self.lent(store, seeded)
        back = Amounts(30, 40, 1, 3)
        assert await self.tell(store, seeded, 1, (10, 20), back=back, at=loan.at_ms) is Booked.SETTLED
        assert await self.amounts(store, seeded) == [(80_000_000 - 30, 10)] * 3 + [(40, 20)]
        assert await self.open_slots(client, seeded) == 3
        assert [(await self.counted(client, seeded, index))[1] for index in (0, 1)] == [5, 5]
        # The same again gives nothing back.
        assert await self.tell(store, seeded, 1, (10, 20), back=back, at=loan.at_ms) is Booked.AGAIN
        assert await self.open_slots(client, seeded) == 3
        assert (await self.counted(client, seeded))[1] == 5
        # The end gives back the rest, but no request: those that were made count.
        assert await self.tell(store, seeded, 2, (0, 0), last=True) is Booked.SETTLED
        assert await self.amounts(store, seeded) == [(10, 10)] * 3 + [(20, 20)]
        assert await self.open_slots(client, seeded) == 0
        assert (await self.counted(client, seeded))[1] == 5

    async def test_requests_go_back_to_the_bucket_they_were_lent_in(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        loan = await self.lent(store, seeded)
        field, hour = seeded.rates[0].field, loan.at_ms // 3_600_000
        others = f"{hour + 1} 5 8"
        for value, expected in (
            (others, (hour + 1, 5, 6)),  # the next one has begun
            (f"{hour + 2} 5 8", (hour + 2, 5, 8)),  # and the one after it
            (f"{hour} 1 8", (hour, 0, 8)),  # never below nothing
        ):
            await client.execute("HSET", COUNTERS, field, value)
            number = int(await client.execute("INCR", "number"))
            back = Amounts(requests=2)
            assert await self.tell(store, seeded, number, (0, 0), back=back, at=loan.at_ms) is Booked.SETTLED
            assert await self.counted(client, seeded) == expected
        assert (await self.counted(client, seeded, 1))[1] == 2

    async def test_uses_beyond_what_was_held(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await self.lent(store, seeded, Amounts(100, 100, 2, 2))
        told = await self.tell(store, seeded, 1, (250, 130), beyond=(200, 40))
        assert told is Booked.SETTLED
        assert await self.amounts(store, seeded) == [(300, 250)] * 3 + [(140, 130)]
        assert await self.tell(store, seeded, 2, (70, 0), beyond=(20, 0), last=True) is Booked.SETTLED
        assert await self.amounts(store, seeded) == [(320, 320)] * 3 + [(130, 130)]

    async def test_thresholds_are_told_once(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await seed(store, "acme", (), "g1", 0)
        used = 6 * DOLLAR // 16
        crossed: list[int] = []
        for number in range(1, 17):
            beyond = (used, 0)
            if number == 1:
                await self.lent(store, seeded, Amounts(used))
                beyond = (0, 0)
            told = await self.tell(store, seeded, number, (used, 0), beyond=beyond)
            assert told is Booked.SETTLED
            assert await self.tell(store, seeded, number, (used, 0), beyond=beyond) is Booked.AGAIN
            crossed.append(len(await events(client)))
        assert crossed == [0] * 12 + [1, 1, 1, 2]
        found = [(event["data"]["scope"], event["data"]["percent"]) for event in await events(client)]
        assert found == [("user", 80), ("user", 100)]

    async def test_large_amounts_stay_exact(self, client: Any, store: RedisAdmissionStore) -> None:
        budgets = BudgetPolicy.model_validate(
            {"budgets": [{"scope": "tenant", "period": "total", "limit_usd": 9_000_000}]}
        )
        each = compile_counters(SUBJECT, budgets, LimitPolicy(), (), NOW)
        await seed(store, "acme", [(each.money[0], 4_499_999_123_456_789)], "g1", 0)
        odd = 200_000_000_000_001
        await self.lent(store, each, Amounts(odd))
        await self.lent(store, each, Amounts(3), existing=True)
        assert await self.tell(store, each, 1, (odd, 0), back=Amounts(1)) is Booked.SETTLED
        settled = 4_499_999_123_456_789 + odd
        assert await self.amounts(store, each) == [(settled + 2, settled)]
        assert await self.tell(store, each, 2, (0, 0), last=True) is Booked.SETTLED
        assert await self.amounts(store, each) == [(settled, settled)]

    async def test_a_lease_grows_like_any_hold(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await self.lent(store, seeded)
        assert await store.grow(seeded, "lease-1", DOLLAR, 20) is Grown.GROWN
        assert await store.grow(seeded, "lease-1", 6 * DOLLAR, 0) is Grown.REFUSED
        assert await self.amounts(store, seeded) == [(DOLLAR + 80_000_000, 0)] * 3 + [(100, 0)]
        await self.lent(store, seeded, Amounts(1, 1, 1, 1), existing=True)
        assert await self.tell(store, seeded, 1, (DOLLAR, 90), back=Amounts(1)) is Booked.SETTLED
        assert await self.amounts(store, seeded) == [(DOLLAR + 80_000_000, DOLLAR)] * 3 + [(101, 90)]
        assert await self.tell(store, seeded, 2, (0, 0), last=True) is Booked.SETTLED
        assert await self.amounts(store, seeded) == [(DOLLAR, DOLLAR)] * 3 + [(90, 90)]
        assert await self.open_slots(client, seeded) == 0

    async def test_a_share_becomes_a_hold_of_its_own(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await self.lent(store, seeded)
        before = await self.amounts(store, seeded)
        share = Amounts(30_000_000, 30)
        assert await store.detach(seeded, "lease-1", "r1", share, 1_700_000_000.25)
        assert not await store.detach(seeded, "lease-1", "r1", share, 1_700_000_000.25)
        assert await self.amounts(store, seeded) == before
        assert await self.open_slots(client, seeded) == 4
        assert await self.tell(store, seeded, 1, (0, 0), last=True) is Booked.SETTLED
        assert await self.amounts(store, seeded) == [(30_000_000, 0)] * 3 + [(30, 0)]
        assert await self.open_slots(client, seeded) == 1
        assert not await store.detach(seeded, "lease-1", "r2", share, 1.0)
        reply = await store.admit(seeded, "r1~1", (7, 7), (7, 7), count=False, instead_of="r1")
        assert isinstance(reply, Held)
        assert reply.swapped
        assert await store.settle(seeded, "r1~1", "g1", 5, 6, b"") is Settled.SETTLED
        assert await self.amounts(store, seeded) == [(5, 5)] * 3 + [(6, 6)]
        assert await self.open_slots(client, seeded) == 0

    async def test_a_share_that_was_charged_is_not_held_again(
        self, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        """Its owner charged the use by its own name, not knowing whether it was detached; then it was."""
        await self.lent(store, seeded)
        assert await store.charge(seeded, "r1", 5, 5, b"") is Settled.CHARGED
        assert await store.settle(seeded, "r2", "none", 0, 0, b"") is Settled.GONE
        assert not await store.detach(seeded, "lease-1", "r2", Amounts(30_000_000, 30), NOW)
        assert not await store.detach(seeded, "lease-1", "r1", Amounts(30_000_000, 30), NOW)
        assert await self.tell(store, seeded, 1, (0, 0), last=True) is Booked.SETTLED
        assert await self.amounts(store, seeded) == [(5, 5)] * 4

    async def test_detached_hold_has_a_deadline_and_the_time_of_its_admission(
        self, client: Any, seeded: CounterSet
    ) -> None:
        brief, patient = (RedisAdmissionStore(client, lifetime_s=seconds) for seconds in (0.001, 60))
        await self.lent(patient, seeded)
        await brief.detach(seeded, "lease-1", "r1", Amounts(30, 3), 1_700_000_000.25)
        await asyncio.sleep(0.01)
        assert (await brief.renew("acme", (), 10)).overdue == ["r1"]
        assert await brief.reap("acme", "r1") == 30
        assert (await events(client))[0]["data"]["at"] == 1_700_000_000.25
        assert await self.amounts(patient, seeded) == [(80_000_000, 30)] * 3 + [(80, 3)]

    async def test_a_dead_owners_lease_is_charged_at_what_is_left_of_it(
        self, client: Any, seeded: CounterSet
    ) -> None:
        store = RedisAdmissionStore(client, lifetime_s=0.001)
        loan = await self.lent(store, seeded)
        back = Amounts(50_000_000, 50, 3, 6)
        await self.tell(store, seeded, 1, (10_000_000, 10), back=back, at=loan.at_ms, events=[b'{"id":"a"}'])
        await asyncio.sleep(0.01)
        assert (await store.renew("acme", (), 10)).overdue == ["lease-1"]
        assert await store.reap("acme", "lease-1") == 20_000_000
        assert await store.reap("acme", "lease-1") is None
        assert await self.amounts(store, seeded) == [(30_000_000,) * 2] * 3 + [(30, 30)]
        assert await self.open_slots(client, seeded) == 0
        assert (await self.counted(client, seeded))[1] == 2
        _, event = await events(client)
        assert event["id"] == "lease-1:estimated"
        row = UsageRow(**event["data"])
        assert (row.request_id, row.cost_nano, row.held_nano, row.estimated) == (
            "lease-1",
            20_000_000,
            20_000_000,
            True,
        )
        assert row.at == loan.at_ms / 1000
        assert (row.workspace, row.key, row.error) == ("growth", "k1", "owner_lost")

    async def test_an_owner_that_comes_back_withdraws_the_estimate(
        self, client: Any, seeded: CounterSet
    ) -> None:
        store = RedisAdmissionStore(client, lifetime_s=0.001)
        await self.lent(store, seeded)
        await self.tell(store, seeded, 1, (10, 10))
        await self.tell(store, seeded, 2, (5, 5))
        await asyncio.sleep(0.01)
        await store.reap("acme", "lease-1")
        reaped = await self.amounts(store, seeded)
        # What it had told before it was reaped was booked; what it tells now was not.
        assert await self.tell(store, seeded, 1, (10, 10)) is Booked.AGAIN
        assert await self.tell(store, seeded, 2, (5, 5)) is Booked.AGAIN
        for last in (False, True):
            assert await self.tell(store, seeded, 3, (7, 7), events=[b"{}"], last=last) is Booked.REAPED
        assert await self.lend(store, seeded, existing=True) is NotLent.GONE
        assert await store.grow(seeded, "lease-1", 1, 1) is Grown.GONE
        assert not await store.detach(seeded, "lease-1", "r1", Amounts(1, 1), NOW)
        assert await self.amounts(store, seeded) == reaped
        # The service then settles each share by its own name, and takes the estimate back.
        assert await store.settle(seeded, "r1", "none", 7, 7, b'{"id":"r1"}') is Settled.UNHELD
        assert await store.charge(seeded, "r1", 7, 7, b'{"id":"r1"}') is Settled.CHARGED
        assert await store.settle(seeded, "lease-1", "none", 0, 0, b"") is Settled.CORRECTED
        assert await store.settle(seeded, "lease-1", "none", 0, 0, b"") is Settled.GONE
        assert await self.amounts(store, seeded) == [(22, 22)] * 4
        found = await events(client)
        assert [event["id"] for event in found] == ["lease-1:estimated", "r1", "lease-1:withdrawn"]
        assert (found[2]["data"]["cost_nano"], found[2]["data"]["request_id"]) == (0, "lease-1")
        assert await self.open_slots(client, seeded) == 0

    async def test_a_lease_given_up_is_freed_whole(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        """Settled at nothing, by one who cannot tell what became of it."""
        await self.lent(store, seeded)
        assert await store.settle(seeded, "lease-1", "none", 0, 0, b"") is Settled.SETTLED
        assert await self.amounts(store, seeded) == [(0, 0)] * 4
        assert await self.open_slots(client, seeded) == 0


class TestRedisShares(ShareSuite):
    @pytest.fixture
    def store(self, client: Any) -> RedisAdmissionStore:
        return RedisAdmissionStore(client, lifetime_s=30)
