"""What is published together, in which order, and how much at once."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.adapters.gcp.errors import GoogleError
from sluicegate.adapters.gcp.pubsub_messages import Outgoing
from sluicegate.adapters.gcp.pubsub_publishing import MOST_BYTES, MOST_MESSAGES, BatchingPublisher

TOPIC = "projects/p/topics/t"


class Clients:
    """Takes publish requests, each when `gate` is open; `failures` are raised by the next ones."""

    def __init__(self):
        self.gate, self.failures, self.requests = asyncio.Event(), [], []
        self.gate.set()
        self.under_way = self.most = 0

    async def call(self, _service, method, request):
        assert method == "publish"
        size = sum(len(each.data) for each in request.messages)
        self.under_way += size
        self.most = max(self.most, self.under_way)
        try:
            await self.gate.wait()
            if self.failures:
                raise self.failures.pop(0)
            self.requests.append([(each.ordering_key, each.data) for each in request.messages])
        finally:
            self.under_way -= size


@pytest.fixture
def clients():
    return Clients()


def some(*texts, key="acme"):
    return [Outgoing(str(text).encode(), {}, key) for text in texts]


async def settled():
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_comes_while_a_request_is_under_way_goes_with_the_next(clients):
    publisher = BatchingPublisher(clients)
    clients.gate.clear()
    tasks = [asyncio.create_task(publisher.publish(TOPIC, some(0)))]
    await settled()
    tasks += [asyncio.create_task(publisher.publish(TOPIC, some(n))) for n in range(1, 6)]
    await settled()
    clients.gate.set()
    await asyncio.gather(*tasks)
    assert [len(each) for each in clients.requests] == [1, 5]
    assert [data for request in clients.requests for _, data in request] == [b"%d" % n for n in range(6)]


async def test_keys_and_topics_do_not_wait_for_each_other(clients):
    publisher = BatchingPublisher(clients)
    clients.gate.clear()
    mixed = [*some(1, key="acme"), *some(2, key="other"), *some(3, key="acme")]
    tasks = [asyncio.create_task(publisher.publish(topic, mixed)) for topic in (TOPIC, TOPIC + "2")]
    await settled()
    assert clients.under_way == 6
    clients.gate.set()
    await asyncio.gather(*tasks)
    assert sorted(clients.requests) == sorted([[("acme", b"1"), ("acme", b"3")], [("other", b"2")]] * 2)


async def test_no_request_is_larger_than_pubsub_takes(clients):
    publisher = BatchingPublisher(clients)
    await publisher.publish(TOPIC, some(*range(2 * MOST_MESSAGES + 1)))
    large = Outgoing(b"x" * (MOST_BYTES // 2), {}, "acme")
    await publisher.publish(TOPIC, [large] * 3)
    assert [len(each) for each in clients.requests] == [MOST_MESSAGES, MOST_MESSAGES, 1, 1, 1, 1]


async def test_what_stands_behind_a_failure_does_not_overtake_it(clients):
    publisher = BatchingPublisher(clients)
    clients.gate.clear()
    clients.failures = [GoogleError("away")]
    tasks = []
    for n in range(3):
        tasks.append(asyncio.create_task(publisher.publish(TOPIC, some(n))))
        await settled()
    clients.gate.set()
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(each) for each in results] == [GoogleError] * 3
    assert clients.requests == []
    await publisher.publish(TOPIC, some("again"))
    assert clients.requests == [[("acme", b"again")]]


async def test_callers_wait_while_there_is_no_room(clients):
    publisher = BatchingPublisher(clients, room_bytes=1_000)
    clients.gate.clear()
    tasks = [
        asyncio.create_task(publisher.publish(TOPIC, [Outgoing(b"x" * 300, {}, str(n))])) for n in range(10)
    ]
    await settled()
    assert clients.under_way == 600
    clients.gate.set()
    await asyncio.gather(*tasks)
    assert (clients.most, len(clients.requests)) == (600, 10)
    await publisher.publish(TOPIC, [Outgoing(b"x" * 5_000, {}, "larger than all the room")])
    assert len(clients.requests) == 11


async def test_a_caller_who_goes_away_takes_no_room_with_him(clients):
    publisher = BatchingPublisher(clients, room_bytes=1_000)
    for _ in range(5):
        clients.gate.clear()
        tasks = [
            asyncio.create_task(publisher.publish(TOPIC, [Outgoing(b"x" * 600, {}, str(n))]))
            for n in range(4)
        ]
        await settled()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        clients.gate.set()
        await publisher.close()
        await settled()
    await asyncio.wait_for(publisher.publish(TOPIC, [Outgoing(b"y" * 900, {}, "k")]), 5)
    assert clients.requests[-1] == [("k", b"y" * 900)]


async def test_what_is_broken_off_is_not_said_to_be_lasting(clients):
    publisher = BatchingPublisher(clients)
    clients.gate.clear()
    task = asyncio.create_task(publisher.publish(TOPIC, some(1)))
    await settled()
    for lane in publisher._lanes.values():
        lane.task.cancel()
    with pytest.raises(GoogleError):
        await task


@given(
    st.lists(st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 400)), max_size=8), max_size=12),
    st.integers(200, 2_000),
)
def test_each_key_keeps_its_order_whatever_comes(calls, room):
    async def run():
        clients = Clients()
        publisher = BatchingPublisher(clients, room_bytes=room)
        numbers = {}
        sent = []
        for call in calls:
            messages = []
            for key, size in call:
                numbers[key] = numbers.get(key, 0) + 1
                messages.append(Outgoing(b"%d:" % numbers[key] + b"x" * size, {}, key))
            sent.append(messages)
        for messages in sent:
            await publisher.publish(TOPIC, messages)
        got = {}
        for request in clients.requests:
            for key, data in request:
                got.setdefault(key, []).append(int(data.partition(b":")[0]))
        assert got == {key: list(range(1, count + 1)) for key, count in numbers.items()}

    asyncio.run(run())
