"""The contract of AdmissionStore and AdmissionUpkeep: the lives of holds that do not end as usual."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from admission_suite import DOLLAR, NOW, SUBJECT, StoreSuite, counters, events, seed, server_time

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.admission.counters import CounterSet, compile_counters
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.replies import Grown, Held, Refused, RefusedBy, Settled, Unseeded
from sluicegate.ledger.usage import UsageRow


class HoldSuite(StoreSuite):
    """Holds that are replaced, outlive their owners, or are lost."""

    async def test_a_swap_needs_no_room_beside_the_old_hold(
        self, client: Any, store: RedisAdmissionStore
    ) -> None:
        first, second = counters(slots=1), counters(replace(SUBJECT, model="m2"), slots=1)
        await seed(store, "acme", [(counter, 0) for counter in first.amounts], "g1", 0)
        await self.admit(store, first, "r1", 5 * DOLLAR, tokens=4000)
        beside = await self.admit(store, second, "r1~1", 4 * DOLLAR, tokens=3000, count=False)
        assert beside == Refused(RefusedBy.SLOTS, 0, (1,))
        swapped = await store.admit(
            second, "r1~1", (9 * DOLLAR, 3000), (DOLLAR, 3000), count=False, instead_of="r1"
        )
        assert swapped == Held(6 * DOLLAR, 3000, "g1", 0, 0, 2000, None, swapped=True)
        assert await self.amounts(store, second) == [(6 * DOLLAR, 0)] * 3 + [(3000, 0)]
        assert await client.execute("HKEYS", "slg:{acme}:holds") == [b"r1~1"]
        assert await client.execute("ZRANGE", "slg:{acme}:due", "0", "-1") == [b"r1~1"]
        assert int(await client.execute("HGET", "slg:{acme}:counters", first.slots[0].field)) == 1
        await store.settle(second, "r1~1", "g1", 7, 8, b'{"id":"r1"}')
        assert await self.amounts(store, first) == [(7, 7)] * 3 + [(8, 8)]
        assert int(await client.execute("HGET", "slg:{acme}:counters", first.slots[0].field)) == 0

    async def test_a_swap_moves_between_different_counters(self, store: RedisAdmissionStore) -> None:
        budgets = BudgetPolicy.model_validate(
            {
                "budgets": [
                    {"scope": "model", "period": "total", "limit_usd": 2},
                    {"scope": "tenant", "period": "total", "limit_usd": 3},
                ]
            }
        )
        limits = LimitPolicy.model_validate(
            {
                "concurrency": [{"scope": "model", "limit": 1}],
                "tokens": [{"scope": "model", "period": "day", "limit": 100}],
            }
        )
        one, two = (
            compile_counters(replace(SUBJECT, model=name), budgets, limits, (), NOW) for name in ("m1", "m2")
        )
        await seed(store, "acme", [(each, 0) for each in {*one.amounts, *two.amounts}], "g1", 0)
        await self.admit(store, one, "r1", 2 * DOLLAR, tokens=60)
        dear = await store.admit(
            two, "r1~1", (4 * DOLLAR, 70), (4 * DOLLAR, 70), count=False, instead_of="r1"
        )
        assert isinstance(dear, Refused)
        assert await self.amounts(store, one) == [(2 * DOLLAR, 0), (2 * DOLLAR, 0), (60, 0)]
        assert await self.amounts(store, two) == [(0, 0), (2 * DOLLAR, 0), (0, 0)]
        swapped = await store.admit(two, "r1~2", (DOLLAR, 70), (DOLLAR, 70), count=False, instead_of="r1")
        assert isinstance(swapped, Held)
        assert await self.amounts(store, one) == [(0, 0), (DOLLAR, 0), (0, 0)]
        assert await self.amounts(store, two) == [(DOLLAR, 0), (DOLLAR, 0), (70, 0)]
        assert isinstance(await self.admit(store, one, "r2", 2 * DOLLAR, tokens=100), Held)

    async def test_a_refused_swap_changes_nothing(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await self.admit(store, seeded, "r1", 5 * DOLLAR)
        await self.admit(store, seeded, "other", DOLLAR)
        keys = [f"slg:{{acme}}:{kind}" for kind in ("counters", "holds")]
        before = [sorted(await client.execute("HGETALL", key)) for key in keys]
        reply = await store.admit(
            seeded, "r1~1", (6 * DOLLAR, 0), (6 * DOLLAR, 0), count=False, instead_of="r1"
        )
        # What the request itself holds is not in its way: the refusal speaks of the others.
        assert reply == Refused(RefusedBy.MONEY, 2, (DOLLAR, 0))
        assert [sorted(await client.execute("HGETALL", key)) for key in keys] == before
        assert await store.settle(seeded, "r1", "g1", 5, 7, b"") is Settled.SETTLED

    async def test_late_words_on_a_replaced_hold_change_nothing(
        self, client: Any, seeded: CounterSet
    ) -> None:
        store = RedisAdmissionStore(client, lifetime_s=0.001)
        await self.admit(store, seeded, "r1", 5 * DOLLAR)
        patient = RedisAdmissionStore(client, lifetime_s=60)
        await patient.admit(seeded, "r1~1", (DOLLAR, 9), (DOLLAR, 9), count=False, instead_of="r1")
        await asyncio.sleep(0.01)
        before = await self.amounts(store, seeded)
        assert (await patient.renew("acme", ["r1"], 10)).overdue == []
        assert await patient.reap("acme", "r1") is None
        assert await patient.grow(seeded, "r1", 1, 1) is Grown.GONE
        assert await patient.settle(seeded, "r1", "g1", 5, 7, b'{"id":"r1"}') is Settled.GONE
        assert await self.amounts(store, seeded) == before == [(DOLLAR, 0)] * 3 + [(9, 0)]
        assert await events(client) == []

    async def test_a_swap_of_what_is_not_there_is_an_admission(self, client: Any, seeded: CounterSet) -> None:
        store = RedisAdmissionStore(client, lifetime_s=0.001)
        await self.admit(store, seeded, "r1", DOLLAR)
        await asyncio.sleep(0.01)
        assert await store.reap("acme", "r1") == DOLLAR
        reply = await store.admit(seeded, "r1~1", (2, 2), (2, 2), count=False, instead_of="r1")
        assert isinstance(reply, Held)
        assert not reply.swapped
        assert await self.amounts(store, seeded) == [(DOLLAR + 2, DOLLAR)] * 3 + [(102, 100)]
        assert await store.settle(seeded, "r1", "g1", 0, 0, b"") is Settled.CORRECTED
        assert await self.amounts(store, seeded) == [(2, 0)] * 3 + [(2, 0)]

    async def test_settled_by_one_who_cannot_tell_whether_it_was_replaced(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        """The answer to a swap was lost: whether it took place or not, the use is charged once."""
        await self.admit(store, seeded, "swapped", DOLLAR)
        await store.admit(seeded, "swapped~1", (1, 1), (1, 1), count=False, instead_of="swapped")
        await self.admit(store, seeded, "kept", DOLLAR)
        assert await store.settle(seeded, "kept", "none", 5, 7, b'{"id":"kept"}') is Settled.SETTLED
        assert await store.settle(seeded, "kept", "none", 5, 7, b'{"id":"kept"}') is Settled.GONE
        assert await store.settle(seeded, "swapped", "none", 5, 7, b'{"id":"s"}') is Settled.UNHELD
        for expected in (Settled.CHARGED, Settled.GONE):
            assert await store.charge(seeded, "swapped", 5, 7, b'{"id":"s"}') is expected
        await store.settle(seeded, "swapped~1", "none", 0, 0, b"")
        assert await self.amounts(store, seeded) == [(10, 10)] * 3 + [(14, 14)]
        assert [event["id"] for event in await events(client)] == ["kept", "s"]

    async def test_overdue_hold_is_charged_once_as_estimate(self, client: Any, seeded: CounterSet) -> None:
        brief = RedisAdmissionStore(client, lifetime_s=0.02)
        asked = await server_time(client)
        await self.admit(brief, seeded, "req_1~7", DOLLAR)
        answered = await server_time(client)
        await self.admit(brief, seeded, "alive", DOLLAR)
        assert await brief.reap("acme", "req_1~7") is None
        await asyncio.sleep(0.04)
        patient = RedisAdmissionStore(client, lifetime_s=60)
        beat = await patient.renew("acme", ["alive"], 10)
        assert (beat.generation, beat.overdue) == ("g1", ["req_1~7"])
        reaped = await asyncio.gather(*(patient.reap("acme", "req_1~7") for _ in range(4)))
        assert sorted(reaped, key=str) == [DOLLAR, None, None, None]
        assert await patient.reap("acme", "alive") is None
        assert (await self.amounts(brief, seeded))[0] == (2 * DOLLAR, DOLLAR)
        assert (await self.amounts(brief, seeded))[3] == (200, 100)
        (event,) = await events(client)
        assert event["type"] == "dev.sluicegate.usage.recorded.v1"
        assert event["id"] == "req_1~7:estimated"
        assert event["subject"] == "req_1"
        row = UsageRow(**event["data"])
        assert (row.request_id, row.cost_nano, row.held_nano, row.estimated) == (
            "req_1~7",
            DOLLAR,
            DOLLAR,
            True,
        )
        assert (row.tenant, row.workspace, row.user, row.key) == ("acme", "growth", "ann", "k1")
        assert (row.agent, row.model, row.error) == ("coder", "m1", "owner_lost")
        # The periods it counts in are those of its admission. `at` is in whole milliseconds.
        assert asked - 0.001 <= row.at <= answered

    async def test_only_holds_have_deadlines(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await store.renew("acme", ["never was"], 0)
        assert await client.execute("ZCARD", "slg:{acme}:due") == 0
        await client.execute("ZADD", "slg:{acme}:due", 1, "lost its record")
        assert await store.reap("acme", "lost its record") is None
        assert (await store.renew("acme", [], 10)).overdue == []

    async def test_estimates_for_two_holds_of_one_request_are_two_rows(
        self, client: Any, seeded: CounterSet
    ) -> None:
        store = RedisAdmissionStore(client, lifetime_s=0.001)
        for hold in ("r1", "r1~1"):
            await self.admit(store, seeded, hold, DOLLAR)
        await asyncio.sleep(0.01)
        for hold in ("r1", "r1~1"):
            assert await store.reap("acme", hold) == DOLLAR
        # The owner lived: it gives the first hold back and settles the second.
        assert await store.settle(seeded, "r1", "g1", 0, 0, b"") is Settled.CORRECTED
        assert await store.settle(seeded, "r1~1", "g1", 5, 7, b'{"id":"r1"}') is Settled.CORRECTED
        *estimates, own = await events(client)
        assert [(each["data"]["request_id"], each["data"]["cost_nano"]) for each in estimates] == [
            ("r1", DOLLAR),
            ("r1~1", DOLLAR),
            ("r1", 0),  # withdrawn; the owner's row comes into its place
            ("r1~1", 0),
        ]
        assert len({each["id"] for each in estimates}) == 4
        assert own == {"id": "r1"}
        assert await self.amounts(store, seeded) == [(5, 5)] * 3 + [(7, 7)]

    async def test_late_settlement_corrects_the_estimate(self, client: Any, seeded: CounterSet) -> None:
        store = RedisAdmissionStore(client, lifetime_s=0.001)
        await self.admit(store, seeded, "r1", DOLLAR)
        await asyncio.sleep(0.01)
        assert await store.reap("acme", "r1") == DOLLAR
        assert await store.settle(seeded, "r1", "g1", 5, 7, b'{"id":"r1"}') is Settled.CORRECTED
        assert await store.settle(seeded, "r1", "g1", 5, 7, b'{"id":"r1"}') is Settled.GONE
        assert await self.amounts(store, seeded) == [(5, 5)] * 3 + [(7, 7)]
        assert [event["id"] for event in await events(client)] == ["r1:estimated", "r1"]
        open_now = await client.execute("HGET", "slg:{acme}:counters", seeded.slots[0].field)
        assert int(open_now) == 0

    async def test_flush_and_charge(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await self.admit(store, seeded, "r1", DOLLAR)
        await client.execute("FLUSHALL")
        assert await store.settle(seeded, "r1", "g1", 5, 7, b'{"id":"r1"}') is Settled.UNHELD
        assert await store.charge(seeded, "r1", 5, 7, b'{"id":"r1"}') == Unseeded(())
        await seed(store, "acme", [(seeded.money[0], 11)], "g2", 0)
        assert await store.settle(seeded, "r1", "g1", 5, 7, b'{"id":"r1"}') is Settled.UNHELD
        assert await store.charge(seeded, "r1", 5, 7, b'{"id":"r1"}') == Unseeded((1, 2, 3))
        await seed(store, "acme", [(counter, 11) for counter in seeded.amounts], "g3", 0)
        assert await store.charge(seeded, "r1", 5, 7, b'{"id":"r1"}') is Settled.CHARGED
        assert await store.charge(seeded, "r1", 5, 7, b'{"id":"r1"}') is Settled.GONE
        assert await store.settle(seeded, "r1", "g1", 5, 7, b'{"id":"r1"}') is Settled.GONE
        assert await self.amounts(store, seeded) == [(16, 16)] * 3 + [(18, 18)]
        assert [event["id"] for event in await events(client)] == ["r1"]

    async def test_a_charge_that_meets_a_hold_after_all_is_made_once(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        """The hold came late, and then the answer was lost."""
        assert await store.settle(seeded, "r1", "none", 5, 7, b'{"id":"r1"}') is Settled.UNHELD
        await self.admit(store, seeded, "r1", DOLLAR)
        assert await store.charge(seeded, "r1", 5, 7, b'{"id":"r1"}') is Settled.SETTLED
        assert await store.settle(seeded, "r1", "none", 5, 7, b'{"id":"r1"}') is Settled.GONE
        assert await store.charge(seeded, "r1", 5, 7, b'{"id":"r1"}') is Settled.GONE
        assert await self.amounts(store, seeded) == [(5, 5)] * 3 + [(7, 7)]
        assert len(await events(client)) == 1

    async def test_release_of_a_hold_that_never_was(
        self, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        assert await store.settle(seeded, "r1", "none", 0, 0, b"") is Settled.GONE

    async def test_restore(self, client: Any, store: RedisAdmissionStore, seeded: CounterSet) -> None:
        await self.admit(store, seeded, "r1", DOLLAR)
        await client.execute("FLUSHALL")
        assert await store.restore(seeded, "r1", DOLLAR, 100, NOW) == Unseeded((0, 1, 2, 3))
        await seed(store, "acme", [(counter, 9 * DOLLAR) for counter in seeded.amounts], "g2", 0)
        assert await store.restore(seeded, "r1", DOLLAR, 100, NOW) is None
        assert await store.restore(seeded, "r1", DOLLAR, 100, NOW) is None
        assert (await self.amounts(store, seeded))[0] == (10 * DOLLAR, 9 * DOLLAR)
        assert await store.settle(seeded, "r1", "g2", 5, 7, b"") is Settled.SETTLED
        assert (await self.amounts(store, seeded))[0] == (9 * DOLLAR + 5, 9 * DOLLAR + 5)

    async def test_a_restored_hold_keeps_the_time_of_its_admission(
        self, client: Any, seeded: CounterSet
    ) -> None:
        store = RedisAdmissionStore(client, lifetime_s=0.001)
        assert await store.restore(seeded, "r1", DOLLAR, 100, 1_700_000_000.25) is None
        await store.grow(seeded, "r1", 1, 1)
        await asyncio.sleep(0.01)
        assert await store.reap("acme", "r1") == DOLLAR + 1
        await store.settle(seeded, "r1", "g1", 0, 0, b"")
        estimate, withdrawn = await events(client)
        assert estimate["data"]["at"] == withdrawn["data"]["at"] == 1_700_000_000.25

    async def test_restore_after_charge_does_nothing(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await store.charge(seeded, "r1", 5, 7, b"")
        assert await store.restore(seeded, "r1", DOLLAR, 100, NOW) is None
        assert (await self.amounts(store, seeded))[0] == (5, 5)


class TestRedisHolds(HoldSuite):
    @pytest.fixture
    def store(self, client: Any) -> RedisAdmissionStore:
        return RedisAdmissionStore(client, lifetime_s=30)
