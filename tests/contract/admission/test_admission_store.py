"""The contract of AdmissionStore and AdmissionUpkeep: decisions, on every server that runs the scripts."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest
from admission_suite import DOLLAR, NOW, SUBJECT, StoreSuite, counters, events, seed, server_time

from sluicegate.adapters.redis.admission_store import RedisAdmissionStore
from sluicegate.admission.counters import CounterSet, compile_counters
from sluicegate.admission.overrides import BudgetOverride
from sluicegate.admission.policy import BudgetPolicy, LimitPolicy
from sluicegate.admission.replies import Cursors, Grown, Held, Refused, RefusedBy, Settled, Unseeded


class AdmissionStoreSuite(StoreSuite):
    """What is decided and counted."""

    async def test_asks_to_be_seeded_first(self, store: RedisAdmissionStore) -> None:
        each = counters()
        assert await self.admit(store, each, "r1") == Unseeded(())
        assert await seed(store, "acme", [(each.money[0], 5)], "g1", 0) == ("g1", 0.0)
        reply = await self.admit(store, each, "r1")
        assert reply == Unseeded((1, 2, 3))
        await seed(store, "acme", [(each.amounts[index], 7) for index in reply.missing], "g2", 0)
        assert isinstance(await self.admit(store, each, "r1"), Held)

    async def test_seeding_keeps_what_is_there(self, store: RedisAdmissionStore, seeded: CounterSet) -> None:
        await self.admit(store, seeded, "r1")
        again = [(counter, 99) for counter in seeded.amounts]
        assert await seed(store, "acme", again, "g2", 0) == ("g1", 0.0)
        assert (await self.amounts(store, seeded))[0] == (DOLLAR, 0)

    async def test_recovery_holds_admissions_back(self, store: RedisAdmissionStore) -> None:
        each = counters()
        fresh = [(counter, 0) for counter in each.amounts]
        generation, wait = await seed(store, "acme", fresh, "g1", 0.08)
        assert (generation, wait) == ("g1", 0.08)
        assert isinstance(await self.admit(store, each, "r1"), Unseeded)
        assert (await seed(store, "acme", fresh, "g2", 0.08))[0] == "g1"
        await asyncio.sleep(0.1)
        assert await seed(store, "acme", fresh, "g3", 0.08) == ("g1", 0.0)
        assert isinstance(await self.admit(store, each, "r1"), Held)

    async def test_recovery_goes_on_while_events_wait_but_not_for_ever(
        self, client: Any, store: RedisAdmissionStore
    ) -> None:
        await store.append("acme", [b"{}"])
        assert await store.begin("acme", (), "g1", 100) == ("g1", 100)
        begun = await client.execute("HGET", "slg:{acme}:counters", "recovering")
        _, ends, last = (int(part) if part.isdigit() else 0 for part in begun.split())
        assert last - ends == 100_000
        now = int(await server_time(client) * 1000)
        # Nearly over: it is drawn out as long as an event waits.
        nearly = f"g1 {now + 1} {now + 100_000}"
        await client.execute("HSET", "slg:{acme}:counters", "recovering", nearly)
        assert (await store.begin("acme", (), "g2", 100)) == ("g1", pytest.approx(30, abs=5))
        await client.execute("HSET", "slg:{acme}:counters", "recovering", nearly)
        await client.execute("DEL", "slg:{acme}:outbox")
        assert (await store.begin("acme", (), "g2", 100))[1] <= 0.001
        # At twice its length it is over, whatever waits.
        await store.append("acme", [b"{}"])
        await client.execute("HSET", "slg:{acme}:counters", "recovering", f"g1 {now - 2} {now - 1}")
        assert await store.begin("acme", (), "g2", 100) == ("g1", 0)

    async def test_holds_in_every_counter(self, store: RedisAdmissionStore, seeded: CounterSet) -> None:
        held = await self.admit(store, seeded, "r1", DOLLAR)
        assert isinstance(held, Held)
        assert (held.nano, held.tokens, held.generation) == (DOLLAR, 100, "g1")
        assert held.money_left == 5 * DOLLAR
        assert (held.token_index, held.tokens_left) == (0, 4900)
        assert held.rate is not None
        assert held.rate[:3] == (0, 1, 0)
        assert await self.amounts(store, seeded) == [(DOLLAR, 0)] * 3 + [(100, 0)]

    async def test_same_hold_twice_is_one(self, store: RedisAdmissionStore, seeded: CounterSet) -> None:
        await self.admit(store, seeded, "r1", DOLLAR)
        again = await self.admit(store, seeded, "r1", 2 * DOLLAR)
        assert isinstance(again, Held)
        assert (again.nano, again.tokens) == (DOLLAR, 100)
        assert (await self.amounts(store, seeded))[0] == (DOLLAR, 0)

    async def test_clamps_to_the_tightest_budget(
        self, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        held = await self.admit(store, seeded, "r1", 9 * DOLLAR, floor=DOLLAR)
        assert isinstance(held, Held)
        assert (held.nano, held.money_left) == (6 * DOLLAR, 0)

    async def test_refusal_changes_nothing(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        before = sorted(await client.execute("HGETALL", "slg:{acme}:counters"))
        reply = await self.admit(store, seeded, "r1", 7 * DOLLAR)
        assert reply == Refused(RefusedBy.MONEY, 2, (0, 0))
        assert sorted(await client.execute("HGETALL", "slg:{acme}:counters")) == before
        assert not await client.execute("EXISTS", "slg:{acme}:holds", "slg:{acme}:due")

    async def test_tells_held_from_spent(self, store: RedisAdmissionStore, seeded: CounterSet) -> None:
        await self.admit(store, seeded, "r1", 6 * DOLLAR)
        assert await self.admit(store, seeded, "r2") == Refused(RefusedBy.MONEY, 2, (6 * DOLLAR, 0))
        await store.settle(seeded, "r1", "g1", 6 * DOLLAR, 0, b"")
        assert await self.admit(store, seeded, "r2") == Refused(RefusedBy.MONEY, 2, (6 * DOLLAR, 6 * DOLLAR))

    async def test_spent_counter_is_named_before_a_held_one(self, store: RedisAdmissionStore) -> None:
        each = counters()
        amounts = [(counter, 0) for counter in each.amounts]
        amounts[1] = (each.money[1], 100 * DOLLAR)
        await seed(store, "acme", amounts, "g1", 0)
        without_tenant = replace(each, money=(each.money[0], each.money[2]), encoded=None)
        await self.admit(store, without_tenant, "r1", 6 * DOLLAR)
        assert await self.admit(store, each, "r2") == Refused(
            RefusedBy.MONEY, 1, (100 * DOLLAR, 100 * DOLLAR)
        )

    async def test_token_limit(self, store: RedisAdmissionStore, seeded: CounterSet) -> None:
        reply = await self.admit(store, seeded, "r1", tokens=5001)
        assert reply == Refused(RefusedBy.TOKENS, 0, (0, 0))
        clamped = await store.admit(seeded, "r2", (1, 9000), (1, 10), count=True)
        assert isinstance(clamped, Held)
        assert (clamped.tokens, clamped.tokens_left) == (5000, 0)

    async def test_rate_limit_counts_only_what_was_admitted(self, store: RedisAdmissionStore) -> None:
        each = counters(rate=3)
        await seed(store, "acme", [(counter, 0) for counter in each.amounts], "g1", 0)
        await self.admit(store, each, "too dear", 50 * DOLLAR)
        for hold in "abc":
            assert isinstance(await self.admit(store, each, hold, 1), Held)
        reply = await self.admit(store, each, "d", 1)
        assert isinstance(reply, Refused)
        assert (reply.by, reply.index, reply.numbers[0] + reply.numbers[1]) == (RefusedBy.RATE, 0, 3)
        assert isinstance(await self.admit(store, each, "e", 1, count=False), Held)

    async def test_rate_window_slides(self, client: Any, store: RedisAdmissionStore) -> None:
        each = counters(rate=10)
        await seed(store, "acme", [(counter, 0) for counter in each.amounts], "g1", 0)
        seconds, _ = await client.execute("TIME")
        hour, into = divmod(int(seconds), 3600)
        # The earlier hour was full: of its ten requests those that fall into the last sixty minutes weigh.
        await client.execute("HSET", "slg:{acme}:counters", each.rates[0].field, f"{hour - 1} 10 3")
        admitted = 0
        while isinstance(await self.admit(store, each, f"r{admitted}", 1), Held):
            admitted += 1
        assert admitted in {10 * into // 3600, 10 * (into + 5) // 3600}
        # Two hours ago does not.
        await client.execute("HSET", "slg:{acme}:counters", each.rates[0].field, f"{hour - 2} 10 10")
        assert isinstance(await self.admit(store, each, "later", 1), Held)

    async def test_concurrency(self, store: RedisAdmissionStore) -> None:
        each = counters(slots=2)
        await seed(store, "acme", [(counter, 0) for counter in each.amounts], "g1", 0)
        await self.admit(store, each, "a", 1)
        await self.admit(store, each, "b", 1)
        assert await self.admit(store, each, "c", 1) == Refused(RefusedBy.SLOTS, 0, (2,))
        await store.settle(each, "a", "g1", 1, 1, b"")
        await store.settle(each, "a", "g1", 1, 1, b"")
        assert isinstance(await self.admit(store, each, "c", 1), Held)
        assert isinstance(await self.admit(store, each, "d", 1), Refused)

    async def test_revoked_key(self, client: Any, store: RedisAdmissionStore, seeded: CounterSet) -> None:
        await client.execute("HSET", "slg:{acme}:counters", seeded.revocation, "0")
        assert await self.admit(store, seeded, "r1") == Refused(RefusedBy.REVOKED)
        other = counters(replace(SUBJECT, key="k2"))
        assert isinstance(await self.admit(store, other, "r1"), Held)

    async def test_settles_once(self, client: Any, store: RedisAdmissionStore, seeded: CounterSet) -> None:
        await self.admit(store, seeded, "r1", 2 * DOLLAR)
        assert await store.settle(seeded, "r1", "g1", 123_456_789, 60, b'{"id":"r1"}') is Settled.SETTLED
        assert await store.settle(seeded, "r1", "g1", 123_456_789, 60, b'{"id":"r1"}') is Settled.GONE
        assert await self.amounts(store, seeded) == [(123_456_789,) * 2] * 3 + [(60, 60)]
        assert await events(client) == [{"id": "r1"}]
        assert not await client.execute("EXISTS", "slg:{acme}:holds", "slg:{acme}:due")

    async def test_may_settle_above_the_hold(self, store: RedisAdmissionStore, seeded: CounterSet) -> None:
        await self.admit(store, seeded, "r1", DOLLAR)
        await store.settle(seeded, "r1", "g1", 11 * DOLLAR, 0, b"")
        assert (await self.amounts(store, seeded))[0] == (11 * DOLLAR, 11 * DOLLAR)
        assert isinstance(await self.admit(store, seeded, "r2", 0), Refused)

    async def test_large_amounts_stay_exact(self, client: Any, store: RedisAdmissionStore) -> None:
        budgets = BudgetPolicy.model_validate(
            {"budgets": [{"scope": "tenant", "period": "total", "limit_usd": 9_000_000}]}
        )
        each = compile_counters(SUBJECT, budgets, LimitPolicy(), (), NOW)
        odd = 8_999_999_123_456_789
        await seed(store, "acme", [(each.money[0], 0)], "g1", 0)
        held = await store.admit(each, "r1", (odd, 0), (odd, 0), count=True)
        assert isinstance(held, Held)
        assert (held.nano, held.money_left) == (odd, 9_000_000 * DOLLAR - odd)
        assert await store.grow(each, "r1", 3, 0) is Grown.GROWN
        assert (await self.amounts(store, each)) == [(odd + 3, 0)]
        await store.settle(each, "r1", "g1", odd + 2, 0, b"")
        assert (await self.amounts(store, each)) == [(odd + 2, odd + 2)]
        for value in await client.execute("HVALS", "slg:{acme}:counters"):
            assert b"e+" not in bytes(value)

    async def test_threshold_events_once(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        for number in range(6):
            await self.admit(store, seeded, f"r{number}", DOLLAR)
            await store.settle(seeded, f"r{number}", "g1", DOLLAR, 0, b"")
        found = await events(client)
        assert [each["data"]["percent"] for each in found] == [80, 100]
        first = found[0]
        assert first["type"] == "dev.sluicegate.budget.threshold.v1"
        assert first["subject"] == "user/ann/day"
        assert first["tenant"] == "acme"
        assert first["data"] | {"instance": ""} == {
            "scope": "user",
            "name": "ann",
            "period": "day",
            "instance": "",
            "percent": 80,
            "limit_nano": 6 * DOLLAR,
            "settled_nano": 5 * DOLLAR,
        }
        assert len({each["id"] for each in found}) == 2

    async def test_one_settlement_may_cross_both_thresholds(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await self.admit(store, seeded, "r1", 6 * DOLLAR)
        await store.settle(seeded, "r1", "g1", 8 * DOLLAR, 0, b"")
        found = {(each["data"]["scope"], each["data"]["percent"]) for each in await events(client)}
        assert found == {("user", 80), ("user", 100), ("workspace", 80)}

    async def test_grows_all_or_nothing(self, store: RedisAdmissionStore, seeded: CounterSet) -> None:
        await self.admit(store, seeded, "r1", DOLLAR)
        assert await store.grow(seeded, "r1", 4 * DOLLAR, 10) is Grown.GROWN
        assert await store.grow(seeded, "r1", 1, 5000) is Grown.REFUSED
        assert await store.grow(seeded, "r1", DOLLAR + 1, 0) is Grown.REFUSED
        assert await self.amounts(store, seeded) == [(5 * DOLLAR, 0)] * 3 + [(110, 0)]
        await store.settle(seeded, "r1", "g1", 3 * DOLLAR, 50, b"")
        assert await self.amounts(store, seeded) == [(3 * DOLLAR, 3 * DOLLAR)] * 3 + [(50, 50)]
        assert await store.grow(seeded, "r1", 1, 0) is Grown.GONE

    async def test_pass_through_counts_and_tells(self, client: Any, store: RedisAdmissionStore) -> None:
        each = counters(rate=2)
        assert isinstance(await store.pass_through(each, b'{"id":"h1"}'), Held)
        assert isinstance(await store.pass_through(each, b'{"id":"h2"}'), Held)
        reply = await store.pass_through(each, b'{"id":"h3"}')
        assert isinstance(reply, Refused)
        assert reply.by is RefusedBy.RATE
        assert [event["id"] for event in await events(client)] == ["h1", "h2"]
        assert not await client.execute("EXISTS", "slg:{acme}:holds", "slg:{acme}:due")

    async def test_sweep_forgets_what_is_over(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        await self.admit(store, seeded, "r1", DOLLAR)
        key = "slg:{acme}:counters"
        old = {
            "cn|workspace|old|day|20200101|1577923200": "5",
            "sn|workspace|old|day|20200101|1577923200": "5",
            "ct|tool|llm|day|20200101|1577923200": "5",
            "r|key|gone|3600000": "400000 3 4",
            "o|key|gone": "0",
            "revoked|past": "1577923200",
        }
        kept = {"cn|workspace|w|total|all|0": "5", "revoked|always": "0", "o|key|here": "1"}
        await client.execute("HSET", key, *(part for pair in (old | kept).items() for part in pair))
        await client.execute("HSET", "slg:{acme}:past", "ancient", "C 1577923200000")
        await store.charge(seeded, "fresh", 0, 0, b"")
        before = await client.execute("HLEN", key)
        cursors = Cursors()
        for _ in range(50):
            cursors = await store.sweep("acme", cursors)
            if cursors == Cursors():
                break
        assert await client.execute("HLEN", key) == before - len(old)
        for field in kept:
            assert await client.execute("HEXISTS", key, field) == 1
        assert await client.execute("HKEYS", "slg:{acme}:past") == [b"fresh"]

    async def test_tenants_are_apart_and_remembered(
        self, client: Any, store: RedisAdmissionStore, seeded: CounterSet
    ) -> None:
        other = counters(replace(SUBJECT, tenant="other"))
        await self.admit(store, seeded, "r1", 6 * DOLLAR)
        assert await self.admit(store, other, "r1") == Unseeded(())
        await seed(store, "other", [(counter, 0) for counter in other.amounts], "g9", 0)
        assert isinstance(await self.admit(store, other, "r1", 6 * DOLLAR), Held)
        await store.enlist("other")
        await store.enlist("acme")
        await store.enlist("acme")
        assert await store.tenants() == ["acme", "other"]

    async def test_subject_under_no_counter(self, store: RedisAdmissionStore) -> None:
        bare = compile_counters(SUBJECT, BudgetPolicy(), LimitPolicy(), (), NOW)
        await seed(store, "acme", (), "g1", 0)
        held = await self.admit(store, bare, "r1", 17)
        assert held == Held(17, 100, "g1", None, None, 0, None)
        assert await store.grow(bare, "r1", 5, 0) is Grown.GROWN
        assert await store.settle(bare, "r1", "g1", 3, 0, b"{}") is Settled.SETTLED

    async def test_names_cannot_break_out(self, client: Any, store: RedisAdmissionStore) -> None:
        hostile = replace(SUBJECT, user='a|b"\n\\\u2028{x}', agent="coder|0")
        each = counters(hostile)
        await seed(store, "acme", [(counter, 0) for counter in each.amounts], "g1", 0)
        await self.admit(store, each, "r1", 6 * DOLLAR)
        await store.settle(each, "r1", "g1", 6 * DOLLAR, 1, b"")
        assert await self.amounts(store, each) == [(6 * DOLLAR,) * 2] * 3 + [(1, 1)]
        assert {event["data"]["scope"] for event in await events(client)} == {"user"}
        brief = RedisAdmissionStore(client, lifetime_s=0.001)
        await brief.admit(each, 'x"\\', (0, 0), (0, 0), count=True)
        await asyncio.sleep(0.01)
        assert await brief.reap("acme", 'x"\\') == 0
        assert (await events(client))[-1]["data"]["user"] == hostile.user

    async def test_limit_lowered_below_what_was_spent(self, store: RedisAdmissionStore) -> None:
        each = counters()
        await seed(store, "acme", [(counter, 5 * DOLLAR) for counter in each.money], "g1", 0)
        budgets = BudgetPolicy.model_validate(
            {"budgets": [{"scope": "workspace", "period": "day", "limit_usd": 10}]}
        )
        lowered = BudgetOverride("workspace", "growth", "day", 3 * DOLLAR)
        tight = compile_counters(SUBJECT, budgets, LimitPolicy(), (lowered,), NOW)
        reply = await store.admit(tight, "r1", (1, 0), (0, 0), count=True)
        assert reply == Refused(RefusedBy.MONEY, 0, (5 * DOLLAR, 5 * DOLLAR))


class TestRedisAdmissionStore(AdmissionStoreSuite):
    @pytest.fixture
    def store(self, client: Any) -> RedisAdmissionStore:
        return RedisAdmissionStore(client, lifetime_s=30)
