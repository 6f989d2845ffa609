"""The event bus on Pub/Sub, over the wire, against Google's own fake of it."""

import asyncio
import base64
import json
import os
import time

import pytest
from test_event_bus import LEASE_S, EventBusContract, messages, take

from sluicegate.adapters.gcp.clients import GoogleClients
from sluicegate.adapters.gcp.pubsub import Backlog, PubSubEventBus
from sluicegate.adapters.gcp.pubsub_letters import PubSubDeadLetterStore
from sluicegate.adapters.gcp.pubsub_names import PubSubNames
from sluicegate.events.dead_letters import DeadLetters
from sluicegate.events.ports import Message
from sluicegate.kernel.cloud_events import STRUCTURED
from sluicegate.kernel.event_decoding import decode_event
from sluicegate.kernel.events import USAGE_RECORDED, Event

GROUPS = ("ledger", "audit")
MOST_DELIVERIES = 7


class JudgesClock:
    """The machine's time, and as far ahead of it as the judge is."""

    ahead = 0.0

    def now(self):
        return time.time() + self.ahead

    def monotonic(self):
        return time.monotonic() + self.ahead


# As long as the judge's.
CLOCK = JudgesClock()


class TestPubSubEventBus(EventBusContract):
    @pytest.fixture
    def clock(self):
        return CLOCK

    @pytest.fixture
    def names(self):
        return PubSubNames("p", f"t{os.urandom(5).hex()}")

    @pytest.fixture
    def backlog(self, pubsub_judge):
        async def backlog(subscription):
            if pubsub_judge is None:
                pytest.skip("this emulator does not tell what waits in a subscription")
            found = pubsub_judge.backlog().get(subscription)
            return Backlog(0, None, 0.0) if found is None else Backlog(*found.values())

        return backlog

    @pytest.fixture
    async def views(self, pubsub_host, names, clock, backlog):
        both = []
        for _ in range(2):
            clients = GoogleClients({"pubsub": pubsub_host})
            bus = PubSubEventBus(
                clients, names, GROUPS, clock, backlog, manage=True, most_deliveries=MOST_DELIVERIES
            )
            both.append((bus, clients))
        yield both
        for bus, clients in both:
            await bus.close()
            await clients.close()

    @pytest.fixture
    async def bus(self, views):
        return views[0][0]

    @pytest.fixture
    async def other(self, views):
        return views[1][0]

    @pytest.fixture
    async def letters(self, views, names):
        return DeadLetters(PubSubDeadLetterStore(views[1][1], names, GROUPS))

    @pytest.fixture
    def elapse(self, clock, pubsub_judge):
        async def elapse(seconds):
            clock.ahead += seconds
            if pubsub_judge is None:
                await asyncio.sleep(seconds)
            else:
                pubsub_judge.elapse(seconds)

        return elapse

    # --- what is Pub/Sub's own

    async def test_events_go_as_structured_cloudevents_in_the_order_of_their_tenant(
        self, bus, names, pubsub_judge
    ):
        if pubsub_judge is None:
            pytest.skip("this emulator does not tell what it was sent")
        events = [
            Event(
                f"e{n}", "gateway", USAGE_RECORDED, 1_767_225_600.25, "acme", f"r{n}", {"n": n, "text": "ü"}
            )
            for n in range(3)
        ]
        await bus.publish([Message("acme", each.to_json(), f"{n}-0") for n, each in enumerate(events)])
        sent = [each for each in pubsub_judge.messages() if each["topic"] == names.topic]
        assert [each["orderingKey"] for each in sent] == ["acme"] * 3
        assert [each["attributes"] for each in sent] == [
            {"content-type": STRUCTURED, "tenant": "acme", "type": USAGE_RECORDED, "outbox": f"{n}-0"}
            for n in range(3)
        ]
        first = json.loads(base64.b64decode(sent[0]["data"]))
        assert json.loads(base64.b64decode(first.pop("data_base64"))) == {"n": 0, "text": "ü"}
        assert first == {
            "specversion": "1.0", "id": "e0", "source": "gateway", "type": USAGE_RECORDED, "tenant": "acme",
            "time": "2026-01-01T00:00:00.250000Z", "subject": "r0", "datacontenttype": "application/json",
        }  # fmt: skip
        got = sorted((decode_event(each.body, "acme") for each in await take(bus)), key=lambda e: e.id)
        assert got == events

    async def test_what_waits_for_several_publishers_goes_together_and_in_order(
        self, bus, names, pubsub_judge
    ):
        if pubsub_judge is None:
            pytest.skip("this emulator does not tell what it was sent")
        await asyncio.gather(*(bus.publish(messages(30, first=30 * n)) for n in range(100)))
        sent = [each for each in pubsub_judge.messages() if each["topic"] == names.topic]
        assert [each["attributes"]["outbox"] for each in sent] == [f"{n}-0" for n in range(3_000)]

    async def test_an_event_that_ends_its_consumers_again_and_again_is_kept_by_pubsub_itself(
        self, bus, letters, elapse
    ):
        await bus.publish(messages(1))
        attempts = []
        while deliveries := await take(bus):
            attempts.append(deliveries[0].attempt)
            await elapse(LEASE_S + 1)
        assert attempts == list(range(1, MOST_DELIVERIES + 1))
        # The judge counts the deliveries of all groups together.
        [letter] = await letters.list(group="ledger")
        assert (letter.group, letter.tenant, letter.body) == ("ledger", "acme", b'{"id":"0"}')
        assert await letters.replay([letter.id]) == 1
        [again] = await take(bus)
        assert (again.body, again.attempt) == (letter.body, 1)

    async def test_what_failed_before_keeps_its_attempt_and_its_time_when_it_is_given_back(
        self, bus, other, elapse
    ):
        await bus.publish(messages(1))
        [first] = await take(bus)
        await bus.retry("ledger", first, "not now", 1)
        await elapse(2)
        [second] = await take(bus)
        await bus.release("ledger", [second])
        await elapse(100)
        [third] = await take(other)
        assert (third.attempt, third.first_at, third.origin) == (2, first.first_at, first.origin)
        assert len(await take(bus, "audit")) == 1
        assert await take(bus) == []

    async def test_progress_is_known_when_all_groups_are_done(self, bus, elapse):
        await bus.publish(messages(2))
        mark = await bus.mark()
        await bus.ack("ledger", await take(bus))
        assert not await bus.passed(mark)
        await bus.ack("audit", await take(bus, "audit"))
        assert await bus.passed(mark)

    async def test_more_than_one_request_holds_goes_whole(self, bus):
        big = [Message("acme", b'{"id":"%d"}' % n + b" " * 900_000, None) for n in range(15)]
        await bus.publish(big)
        found = []
        while deliveries := await take(bus, count=4):
            found += [each.body for each in deliveries]
            await bus.ack("ledger", deliveries)
        assert sorted(found) == sorted(each.body for each in big)

    async def test_a_forgotten_persons_or_tenants_letters_are_dropped(self, bus, letters, views, names):
        texts = [b'{"user":"kim.secret"}', b'{"user":"kim.secrets"}', b"other"]
        await bus.publish([Message("acme", text) for text in texts[:2]] + [Message("other", texts[2])])
        for delivery in await take(bus):
            await bus.bury("ledger", delivery, "bad")
        store = PubSubDeadLetterStore(views[0][1], names, GROUPS)
        assert await store.forget_person("acme", "kim.secret", "u:1") == 1
        assert sorted(each.body for each in await letters.list()) == sorted(texts[1:])
        assert await store.forget_tenant("acme") == 1
        assert [each.tenant for each in await letters.list()] == ["other"]
