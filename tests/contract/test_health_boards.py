"""What every HealthBoard must do, checked through a second instance and around the port."""

import asyncio
import json
import socket

import pytest
from private_redis import KINDS, PrivateRedis

from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.health_board import CHANNEL, KEY, RedisHealthBoard
from sluicegate.routing.ports import BoardUnavailable, HealthChange

OPEN = HealthChange("alpha", "large", open=True, open_until=2_000_000_000.5, openings=3)
CLOSED = HealthChange("alpha", "large", open=False, open_until=0.0, openings=0)


class HealthBoardContract:
    """Needs the fixtures `board` and `other`: two instances' boards on one store."""

    async def test_an_open_state_is_kept_until_it_is_closed(self, board, other):
        assert list(await other.snapshot()) == []
        await board.publish(OPEN)
        assert list(await other.snapshot()) == [OPEN]
        await board.publish(CLOSED)
        assert list(await other.snapshot()) == []

    async def test_the_last_opening_of_a_model_replaces_the_one_before(self, board, other):
        again = HealthChange("alpha", "large", open=True, open_until=2_000_000_009.0, openings=4)
        small = HealthChange("alpha", "small", open=True, open_until=2_000_000_001.0, openings=1)
        for change in (OPEN, small, again):
            await board.publish(change)
        assert sorted(await other.snapshot(), key=lambda c: c.model) == [again, small]

    async def test_others_hear_of_changes_in_order_and_oneself_does_not(self, board, other):
        heard, own = asyncio.Queue(), []
        await other.watch(heard.put_nowait, lambda: None)
        await board.watch(own.append, lambda: None)
        await board.publish(OPEN)
        await board.publish(CLOSED)
        async with asyncio.timeout(10):
            assert [await heard.get(), await heard.get()] == [OPEN, CLOSED]
        assert own == []


@pytest.fixture(scope="module", params=KINDS)
def redis_port(request):
    redis = PrivateRedis(request.param)
    redis.start()
    yield redis.port
    redis.stop()


@pytest.fixture
async def client(redis_port):
    client = RedisClient.from_url(f"redis://127.0.0.1:{redis_port}")
    await client.execute("FLUSHALL")
    yield client
    await client.close()


class TestRedisHealthBoard(HealthBoardContract):
    @pytest.fixture
    def board(self, client):
        return RedisHealthBoard(client, "one")

    @pytest.fixture
    async def other(self, redis_port):
        client = RedisClient.from_url(f"redis://127.0.0.1:{redis_port}")
        yield RedisHealthBoard(client, "two")
        await client.close()

    async def test_what_is_kept_expires(self, board, client):
        await board.publish(OPEN)
        assert 3_500 < await client.execute("TTL", KEY) <= 3_600

    async def test_what_is_no_change_is_passed_over(self, board, other, client):
        heard = asyncio.Queue()
        await other.watch(heard.put_nowait, lambda: None)
        good = json.loads((await self._published(board, client)).decode())
        for bad in (
            b"",
            b"{",
            b"[]",
            b"\xff",
            b"x" * 5_000,
            json.dumps({**good, "open_until": float("inf")}),
        ):
            await client.execute("PUBLISH", CHANNEL, bad)
            await client.execute("HSET", KEY, "junk", bad)
        await board.publish(CLOSED)
        async with asyncio.timeout(10):
            assert [await heard.get(), await heard.get()] == [OPEN, CLOSED]
        assert list(await other.snapshot()) == []

    async def test_without_redis_every_verb_says_so(self):
        with socket.socket() as unused:
            unused.bind(("127.0.0.1", 0))
            client = RedisClient.from_url(f"redis://127.0.0.1:{unused.getsockname()[1]}")
            board = RedisHealthBoard(client, "one")
            with pytest.raises(BoardUnavailable):
                await board.publish(OPEN)
            with pytest.raises(BoardUnavailable):
                await board.snapshot()
            await client.close()
            with pytest.raises(BoardUnavailable):
                await board.watch(lambda _: None, lambda: None)

    @staticmethod
    async def _published(board, client):
        await board.publish(OPEN)
        return await client.execute("HGET", KEY, "alpha|large")
