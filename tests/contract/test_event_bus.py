"""What every event bus does. An adapter joins the suite with `bus`, `other`, `letters` and `elapse`."""

import asyncio
import os
import sys
from pathlib import Path

import pytest

from sluicegate.adapters.local.bus import SqliteEventBus
from sluicegate.adapters.local.bus_schema import BUS_MIGRATIONS
from sluicegate.adapters.local.dead_letters import SqliteDeadLetterStore
from sluicegate.adapters.local.sqlite import Database
from sluicegate.events.dead_letters import DeadLetters
from sluicegate.events.ports import Message
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import NotFoundError

LEASE_S = 30.0
SHARED = str(Path(__file__).resolve().parents[2] / "shared")

TAKE_AND_END = """
import asyncio, os, sys
from pathlib import Path
from sluicegate.adapters.local.bus import SqliteEventBus
from sluicegate.adapters.local.bus_schema import BUS_MIGRATIONS
from sluicegate.adapters.local.sqlite import Database
from sluicegate.kernel.clock import FixedClock

async def take():
    database = Database(Path(sys.argv[1]), migrations=BUS_MIGRATIONS)
    found = await SqliteEventBus(database, (), FixedClock()).receive("ledger", 10, 1000, 0)
    assert len(found) == 3
    os._exit(7)

asyncio.run(take())
"""


def messages(count, tenant="acme", first=0):
    return [Message(tenant, b'{"id":"%d"}' % n, f"{n}-0") for n in range(first, first + count)]


def bodies(deliveries):
    return sorted(int(delivery.body[7:-2]) for delivery in deliveries)


async def take(bus, group="ledger", count=100):
    return await bus.receive(group, count, LEASE_S, 0)


class EventBusContract:
    """`bus` and `other` are two processes' views of one bus with the groups ledger and audit.

    `letters` are its dead letters; `await elapse(s)` makes time pass for all.
    """

    async def test_every_group_gets_everything_and_after_an_ack_no_more(self, bus, other, elapse):
        await bus.publish(messages(3))
        for group in ("ledger", "audit"):
            deliveries = await take(other, group)
            assert bodies(deliveries) == [0, 1, 2]
            await other.ack(group, deliveries)
        await elapse(LEASE_S + 1)
        assert [await take(bus, group) for group in ("ledger", "audit")] == [[], []]

    async def test_an_event_comes_as_it_went(self, bus):
        odd = Message("acme", b"\x00\xffnot JSON")
        await bus.publish([odd, Message("other", b"{}", "7-1")])
        found = {(each.tenant, each.body, each.origin, each.attempt) for each in await take(bus)}
        assert found == {("acme", odd.body, None, 1), ("other", b"{}", "7-1", 1)}

    async def test_what_one_consumer_has_no_other_gets_until_its_lease_is_over(self, bus, other, elapse):
        await bus.publish(messages(4))
        mine = await take(bus)
        await elapse(LEASE_S / 2)
        assert await take(other) == []
        await elapse(LEASE_S / 2 + 1)
        assert bodies(await take(other)) == bodies(mine) == [0, 1, 2, 3]

    async def test_consumers_share_the_work(self, bus, other):
        await bus.publish(messages(10))
        mine, theirs = await take(bus, count=4), await take(other, count=100)
        assert len(mine) == 4
        assert bodies([*mine, *theirs]) == list(range(10))

    async def test_no_more_comes_than_was_asked_for(self, bus):
        for n in range(4):
            await bus.publish(messages(3, first=3 * n))
        found = []
        while deliveries := await take(bus, count=5):
            assert len(deliveries) <= 5
            found += bodies(deliveries)
        assert sorted(found) == list(range(12))

    async def test_only_what_was_not_acked_comes_again(self, bus, elapse):
        await bus.publish(messages(5))
        deliveries = await take(bus)
        await bus.ack("ledger", deliveries[1:3])
        await bus.ack("ledger", deliveries[4:])
        left = {deliveries[0].body, deliveries[3].body}
        await elapse(LEASE_S + 1)
        assert {each.body for each in await take(bus)} == left

    async def test_a_failed_event_comes_again_later_as_the_next_attempt(self, bus, elapse):
        await bus.publish(messages(3))
        deliveries = await take(bus)
        for attempt in (2, 3):
            failed = next(each for each in deliveries if bodies([each]) == [1])
            await bus.retry("ledger", failed, "not now", 10)
            await bus.ack("ledger", [each for each in deliveries if each is not failed])
            assert await take(bus) == []
            await elapse(11)
            deliveries = await take(bus)
            assert [(bodies([each]), each.attempt) for each in deliveries] == [([1], attempt)]
        assert len(await take(bus, "audit")) == 3

    async def test_what_is_given_back_comes_at_once_as_the_same_attempt(self, bus, other):
        await bus.publish(messages(3))
        await bus.release("ledger", await take(bus))
        again = await take(other)
        assert (bodies(again), {each.attempt for each in again}) == ([0, 1, 2], {1})

    async def test_a_buried_event_is_kept_whole_and_holds_nothing_up(self, bus, letters, elapse):
        await bus.publish(messages(3))
        deliveries = await take(bus)
        bad = next(each for each in deliveries if bodies([each]) == [1])
        await bus.bury("ledger", bad, "not usage")
        await bus.ack("ledger", [each for each in deliveries if each is not bad])
        await elapse(LEASE_S + 1)
        assert await take(bus) == []
        [letter] = await letters.list()
        found = (letter.group, letter.tenant, letter.reason, letter.attempts, letter.body)
        assert found == ("ledger", "acme", "not usage", 1, b'{"id":"1"}')
        assert letter.last_at >= letter.first_at
        states = {each.group: (each.waiting, each.dead) for each in await bus.groups()}
        assert states == {"ledger": (0, 1), "audit": (3, 0)}

    async def test_what_somebody_else_dealt_with_meanwhile_stays_so(self, bus, other, letters, elapse):
        await bus.publish(messages(4))
        late = await take(bus)
        await elapse(LEASE_S + 1)
        await other.ack("ledger", await take(other))
        await bus.ack("ledger", late[:1])
        await bus.retry("ledger", late[1], "too late", 0)
        await bus.bury("ledger", late[2], "too late")
        await bus.release("ledger", late)
        assert await take(other) == []
        assert list(await letters.list()) == []

    async def test_a_group_gets_what_comes_after_its_subscription(self, bus, other):
        await bus.publish(messages(1))
        await bus.subscribe("tail")
        await other.publish(messages(1, first=1))
        assert bodies(await take(bus, "tail")) == [1]
        await bus.unsubscribe("tail")
        await other.publish(messages(1, first=2))
        await bus.subscribe("tail")
        assert await take(bus, "tail") == []
        assert bodies(await take(bus)) == [0, 1, 2]

    async def test_a_group_that_is_not_heard_of_in_time_is_forgotten(self, bus, other, elapse):
        await bus.subscribe("tail", expires_s=60)
        await elapse(50)
        await bus.subscribe("tail", expires_s=60)
        await elapse(50)
        await other.publish(messages(1))
        assert bodies(await take(bus, "tail")) == [0]
        await elapse(61)
        await other.publish(messages(1, first=1))
        assert "tail" not in {each.group for each in await bus.groups()}
        assert await take(bus, "tail") == []

    async def test_subscribing_again_changes_nothing(self, bus):
        await bus.publish(messages(2))
        await bus.subscribe("ledger")
        assert bodies(await take(bus)) == [0, 1]

    @pytest.mark.parametrize("publisher", ["bus", "other"])
    async def test_who_waits_is_woken(self, bus, other, publisher):
        waiting = asyncio.create_task(bus.receive("ledger", 10, LEASE_S, 30.0))
        await asyncio.sleep(0.01)
        await {"bus": bus, "other": other}[publisher].publish(messages(1))
        async with asyncio.timeout(10):
            assert bodies(await waiting) == [0]

    async def test_publishing_nothing_is_nothing(self, bus):
        await bus.publish([])
        assert await take(bus) == []

    async def test_two_that_publish_and_two_that_consume_at_once_lose_and_double_nothing(self, bus, other):
        async def publish(view, first):
            for n in range(first, first + 40, 4):
                await view.publish(messages(4, first=n))

        async def consume(view, found):
            while len(seen[0]) + len(seen[1]) < 80:
                deliveries = await view.receive("ledger", 7, LEASE_S, 0.01)
                await view.ack("ledger", deliveries)
                found += bodies(deliveries)

        seen = ([], [])
        async with asyncio.timeout(20):
            await asyncio.gather(
                publish(bus, 0), publish(other, 40), consume(bus, seen[0]), consume(other, seen[1])
            )
        assert sorted([*seen[0], *seen[1]]) == list(range(80))

    # --- dead letters

    async def bury(self, bus, count, tenant="acme"):
        await bus.publish(messages(count, tenant))
        for delivery in await take(bus):
            await bus.bury("ledger", delivery, "bad")

    async def test_letters_are_listed_by_group_and_tenant_a_page_at_a_time(self, bus, letters):
        await self.bury(bus, 3)
        await self.bury(bus, 2, "other")
        every = await letters.list()
        assert [each.tenant for each in every] == ["acme"] * 3 + ["other"] * 2
        assert list(await letters.list("other")) == list(every[3:])
        assert list(await letters.list(limit=2, after=every[0].id)) == list(every[1:3])
        assert list(await letters.list(group="audit")) == []
        assert [each async for each in letters.all("acme")] == list(every[:3])
        assert await letters.show(every[1].id) == every[1]

    @pytest.mark.parametrize("name", ["0", "-1", "x", "9" * 40, ""])
    async def test_a_letter_that_is_not_there_is_not_found(self, bus, letters, name):
        await self.bury(bus, 1)
        for action in (letters.show(name), letters.replay([name]), letters.drop([name])):
            with pytest.raises(NotFoundError):
                await action
        assert len(await letters.list()) == 1

    async def test_another_tenants_letter_is_not_there(self, bus, letters):
        await self.bury(bus, 1)
        [letter] = await letters.list()
        for action in (
            letters.show(letter.id, "other"), letters.replay([letter.id], "other"),
            letters.drop([letter.id], "other"),
        ):  # fmt: skip
            with pytest.raises(NotFoundError):
                await action
        assert list(await letters.list("acme")) == [letter]

    async def test_a_replayed_letter_goes_to_its_own_group_as_a_first_attempt(self, bus, letters):
        await self.bury(bus, 3)
        await bus.ack("audit", await take(bus, "audit"))
        first, second, third = await letters.list()
        assert await letters.replay([first.id, third.id]) == 2
        again = await take(bus)
        assert {(each.body, each.tenant, each.attempt) for each in again} == {
            (first.body, "acme", 1), (third.body, "acme", 1),
        }  # fmt: skip
        assert await take(bus, "audit") == []
        assert list(await letters.list()) == [second]

    async def test_a_dropped_letter_is_gone(self, bus, letters):
        await self.bury(bus, 2)
        first, second = await letters.list()
        assert await letters.drop([first.id]) == 1
        assert list(await letters.list()) == [second]
        assert await take(bus) == []


class TestSqliteEventBus(EventBusContract):
    @pytest.fixture
    def clock(self):
        return FixedClock()

    @pytest.fixture
    async def databases(self, tmp_path):
        both = [Database(tmp_path / "bus.db", migrations=BUS_MIGRATIONS) for _ in range(2)]
        yield both
        for each in both:
            await each.close()

    @pytest.fixture
    async def bus(self, databases, clock):
        return SqliteEventBus(databases[0], ("ledger", "audit"), clock)

    @pytest.fixture
    async def other(self, databases, clock):
        return SqliteEventBus(databases[1], ("ledger", "audit"), clock)

    @pytest.fixture
    async def letters(self, databases, clock):
        return DeadLetters(SqliteDeadLetterStore(databases[1], clock))

    @pytest.fixture
    def elapse(self, clock):
        async def elapse(seconds):
            clock.advance(seconds)

        return elapse

    async def test_what_an_ended_process_had_comes_at_once(self, bus, tmp_path):
        await bus.publish(messages(3))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", TAKE_AND_END, str(tmp_path / "bus.db"),
            env={"PATH": os.environ["PATH"], "PYTHONPATH": SHARED},
        )  # fmt: skip
        assert await process.wait() == 7
        assert bodies(await take(bus)) == [0, 1, 2]

    async def test_an_event_that_ends_its_consumers_is_found_and_the_others_are_not_blamed(self, bus, elapse):
        await bus.publish(messages(100))
        applied, blamed = set(), []
        for _ in range(60):
            while deliveries := await take(bus, count=500):
                tired = [each for each in deliveries if each.attempt > 5]
                for each in tired:
                    blamed += bodies([each])
                    await bus.bury("ledger", each, "too often")
                alive = [each for each in deliveries if each not in tired]
                if 63 in bodies(alive):
                    break  # the consumer ends here, without an outcome
                applied |= set(bodies(alive))
                await bus.ack("ledger", alive)
            await elapse(LEASE_S + 1)
        assert blamed == [63]
        assert applied == set(range(100)) - {63}

    async def test_space_is_used_again(self, bus, tmp_path):
        for _ in range(50):
            await bus.publish([Message("acme", b"x" * 1000) for _ in range(200)])
            for group in ("ledger", "audit"):
                await bus.ack(group, await take(bus, group, 500))
        # Ten million bytes went through; the write-ahead log has its own bound.
        assert (tmp_path / "bus.db").stat().st_size < 2_000_000

    async def test_a_forgotten_tenant_or_person_leaves_no_trace(self, bus, letters, tmp_path):
        await bus.publish(
            [Message("acme", b'{"user":"kim.secret"}'), Message("acme", b'{"user":"kim.secrets"}')]
        )
        for delivery in await take(bus):
            await bus.bury("ledger", delivery, "bad")
        await bus.ack("audit", await take(bus, "audit"))
        assert await bus.forget_person("acme", "kim.secret", "u:1") == 1
        assert [each.body for each in await letters.list()] == [b'{"user":"kim.secrets"}']
        await bus.publish([Message("acme", b"waits"), Message("other", b"stays")])
        assert await bus.forget_tenant("acme") == 2
        assert [each.body for each in await take(bus)] == [b"stays"]
        for path in tmp_path.iterdir():
            assert b"kim.secret" not in path.read_bytes()
