"""What the rest of the system relies on of a Redis, through our client, on every kind of server we start."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator

import pytest

from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.errors import RedisReplyError
from sluicegate.adapters.redis.local_server import LocalRedis, start_local_redis
from sluicegate.adapters.redis.script import Script

TRANSFER = Script.of(
    "transfer",
    """
    local from, to, amount = KEYS[1], KEYS[2], tonumber(ARGV[1])
    local have = tonumber(redis.call('HGET', from, 'nano') or '0')
    if have < amount then return {0, have, false} end
    redis.call('HSET', from, 'nano', have - amount)
    local total = redis.call('HINCRBY', to, 'nano', amount)
    redis.call('XADD', KEYS[3], '*', 'amount', amount)
    return {1, total, 'done'}
    """,
)


@pytest.fixture(scope="module", params=["server", "embedded"])
def redis(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalRedis]:
    if request.param == "server" and shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    local = start_local_redis(tmp_path_factory.mktemp("redis"), prefer=request.param)
    yield local
    local.stop()


@pytest.fixture
async def client(redis: LocalRedis) -> AsyncIterator[RedisClient]:
    client = RedisClient.from_url(redis.url)
    await client.execute("FLUSHALL")
    yield client
    await client.close()


class TestRedisContract:
    async def test_strings_with_deadlines_and_conditions(self, client: RedisClient) -> None:
        assert await client.execute("SET", "a", b"\x00\xff\r\n") == b"OK"
        assert await client.execute("GET", "a") == b"\x00\xff\r\n"
        assert await client.execute("SET", "a", "x", "NX") is None
        assert await client.execute("SET", "b", "x", "XX") is None
        assert await client.execute("SET", "a", "y", "XX", "GET") == b"\x00\xff\r\n"
        assert await client.execute("SET", "lock", "me", "NX", "PX", 50_000) == b"OK"
        assert 49_000 < await client.execute("PTTL", "lock") <= 50_000
        assert await client.execute("MGET", "a", "none", "lock") == [b"y", None, b"me"]
        assert await client.execute("DEL", "a", "none", "lock") == 2

    async def test_a_key_past_its_deadline_is_gone(self, client: RedisClient) -> None:
        await client.execute("SET", "a", "1", "PX", 1)
        await client.execute("HSET", "h", "f", "1")
        await client.execute("PEXPIRE", "h", 1)
        async with asyncio.timeout(5):
            while await client.execute("EXISTS", "a", "h"):  # noqa: ASYNC110 - the server's clock has no event
                await asyncio.sleep(0.002)
        assert await client.execute("INCR", "a") == 1
        assert await client.execute("TTL", "a") == -1

    async def test_integers_are_exact_to_64_bits(self, client: RedisClient) -> None:
        assert await client.execute("INCRBY", "a", 2**62) == 2**62
        assert await client.execute("HINCRBY", "h", "f", -(2**63)) == -(2**63)
        with pytest.raises(RedisReplyError, match="overflow"):
            await client.execute("HINCRBY", "h", "f", -1)
        await client.execute("SET", "text", "1.0")
        with pytest.raises(RedisReplyError, match="not an integer"):
            await client.execute("INCR", "text")

    async def test_hashes(self, client: RedisClient) -> None:
        assert await client.execute("HSET", "h", "a", 1, "b", 2) == 2
        assert await client.execute("HSET", "h", "b", 3, "c", 4) == 1
        assert await client.execute("HMGET", "h", "a", "none", "b") == [b"1", None, b"3"]
        assert await client.execute("HSETNX", "h", "a", 9) == 0
        assert await client.execute("HGETALL", "h") == [b"a", b"1", b"b", b"3", b"c", b"4"]
        assert await client.execute("HDEL", "h", "a", "none") == 1
        assert await client.execute("HLEN", "h") == 2
        cursor, flat = await client.execute("HSCAN", "h", 0, "COUNT", 100)
        assert cursor == b"0"
        assert dict(zip(flat[::2], flat[1::2], strict=True)) == {b"b": b"3", b"c": b"4"}
        await client.execute("HDEL", "h", "b", "c")
        assert await client.execute("EXISTS", "h") == 0

    async def test_sorted_sets_by_score(self, client: RedisClient) -> None:
        assert await client.execute("ZADD", "z", 3, "c", 1, "a", 2, "b") == 3
        assert await client.execute("ZADD", "z", "XX", "CH", 5, "a", 1, "new") == 1
        assert await client.execute("ZRANGEBYSCORE", "z", "-inf", "(5", "LIMIT", 0, 10) == [b"b", b"c"]
        assert await client.execute("ZRANGE", "z", 0, -1, "WITHSCORES") == [
            b"b",
            b"2",
            b"c",
            b"3",
            b"a",
            b"5",
        ]
        assert await client.execute("ZSCORE", "z", "a") == b"5"
        assert await client.execute("ZREMRANGEBYSCORE", "z", 2, 3) == 2
        assert await client.execute("ZPOPMIN", "z") == [b"a", b"5"]
        assert await client.execute("EXISTS", "z") == 0

    async def test_streams_as_an_outbox(self, client: RedisClient) -> None:
        ids = [await client.execute("XADD", "s", "*", "n", n) for n in range(5)]
        assert ids == sorted(ids, key=lambda each: tuple(map(int, each.split(b"-"))))
        assert len(set(ids)) == 5
        first_two = await client.execute("XRANGE", "s", "-", "+", "COUNT", 2)
        assert first_two == [[ids[0], [b"n", b"0"]], [ids[1], [b"n", b"1"]]]
        assert await client.execute("XDEL", "s", ids[0], ids[1]) == 2
        assert await client.execute("XLEN", "s") == 3
        rest = await client.execute("XRANGE", "s", b"(" + ids[2], "+")
        assert [entry[0] for entry in rest] == ids[3:]
        assert await client.execute("XTRIM", "s", "MAXLEN", 0) == 3
        # An emptied stream remembers its last id: none is ever given out twice.
        with pytest.raises(RedisReplyError, match="equal or smaller"):
            await client.execute("XADD", "s", ids[4], "n", 9)

    async def test_scripts_are_atomic_and_speak_in_redis_types(self, client: RedisClient) -> None:
        await client.execute("HSET", "{t}a", "nano", 9_000_000_000_000_000)
        keys = ["{t}a", "{t}b", "{t}s"]
        assert await client.script(TRANSFER, keys, [8_999_999_999_999_999]) == [
            1,
            8_999_999_999_999_999,
            b"done",
        ]
        assert await client.script(TRANSFER, keys, [2]) == [0, 1, None]
        assert await client.execute("HGET", "{t}b", "nano") == b"8999999999999999"
        assert (await client.execute("XRANGE", "{t}s", "-", "+"))[0][1] == [b"amount", b"8999999999999999"]

    async def test_many_callers_of_one_script_lose_nothing(self, client: RedisClient) -> None:
        await client.execute("HSET", "{t}a", "nano", 1_000)
        keys = ["{t}a", "{t}b", "{t}s"]
        replies = await asyncio.gather(*(client.script(TRANSFER, keys, [3]) for _ in range(500)))
        assert sum(reply[0] for reply in replies) == 333
        assert await client.execute("HMGET", "{t}a", "nano") == [b"1"]
        assert await client.execute("XLEN", "{t}s") == 333

    async def test_a_flush_of_the_scripts_goes_unnoticed(self, client: RedisClient) -> None:
        script = Script.of("sum", "return ARGV[1] + ARGV[2]")
        assert await client.script(script, [], [2, 3]) == 5
        await client.execute("SCRIPT", "FLUSH")
        assert await client.script(script, [], [4, 5]) == 9

    async def test_script_errors(self, client: RedisClient) -> None:
        await client.execute("SET", "text", "x")
        with pytest.raises(RedisReplyError) as caught:
            await client.script(Script.of("wrong", "return redis.call('HGET', KEYS[1], 'f')"), ["text"], [])
        assert caught.value.prefix == "WRONGTYPE"
        with pytest.raises(RedisReplyError) as caught:
            await client.script(Script.of("own", "return redis.error_reply('STALE generation')"), [], [])
        assert caught.value.reply == "STALE generation"
        with pytest.raises(RedisReplyError, match=r"user_script:2: .*nil value"):
            await client.script(Script.of("nil", "local t\nreturn t.x"), [], [])
        with pytest.raises(RedisReplyError, match="Error compiling script"):
            await client.script(Script.of("syntax", "return return"), [], [])

    async def test_one_script_sees_no_time_travel(self, client: RedisClient) -> None:
        script = Script.of(
            "time",
            """
            local a, b = redis.call('TIME'), redis.call('TIME')
            return {tonumber(a[1]) * 1000000 + tonumber(a[2]), tonumber(b[1]) * 1000000 + tonumber(b[2])}
            """,
        )
        first, second = await client.script(script, [], [])
        (third, _) = await client.script(script, [], [])
        assert 1_600_000_000_000_000 < first <= second <= third

    async def test_a_scripts_writes_before_its_error_stay(self, client: RedisClient) -> None:
        script = Script.of("half", "redis.call('SET', KEYS[1], 1) error('then')")
        with pytest.raises(RedisReplyError, match="then"):
            await client.script(script, ["a"], [])
        assert await client.execute("GET", "a") == b"1"

    async def test_messages_reach_subscribers(self, client: RedisClient, redis: LocalRedis) -> None:
        heard: asyncio.Queue[bytes] = asyncio.Queue()
        gaps: list[None] = []
        listener = RedisClient.from_url(redis.url)
        await listener.subscribe("news", heard.put_nowait, lambda: gaps.append(None))
        assert await client.execute("PUBLISH", "news", b"\x00one") == 1
        assert await client.execute("PUBLISH", "other", "two") == 0
        assert (
            await client.script(Script.of("tell", "return redis.call('PUBLISH', 'news', 'three')"), [], [])
            == 1
        )
        async with asyncio.timeout(5):
            assert [await heard.get(), await heard.get()] == [b"\x00one", b"three"]
        assert not gaps
        await listener.close()

    async def test_transactions(self, client: RedisClient) -> None:
        # One connection, sent in one turn: nothing of this client comes between.
        replies = await asyncio.gather(
            client.execute("MULTI"),
            client.execute("INCR", "a"),
            client.execute("HGET", "a", "f"),
            client.execute("EXEC"),
        )
        assert replies[:3] == [b"OK", b"QUEUED", b"QUEUED"]
        assert replies[3][0] == 1
        assert isinstance(replies[3][1], RedisReplyError)

    async def test_wrong_commands_are_told_as_redis_tells_them(self, client: RedisClient) -> None:
        with pytest.raises(RedisReplyError, match="unknown command 'NOPE'"):
            await client.execute("NOPE", "x")
        with pytest.raises(RedisReplyError, match="wrong number of arguments for 'get' command"):
            await client.execute("GET")

    async def test_large_values(self, client: RedisClient) -> None:
        value = bytes(range(256)) * 40_000
        await client.execute("SET", "big", value)
        assert await client.execute("GET", "big") == value
