"""What every keeper of tag generations must do."""

import asyncio

import pytest

from sluicegate.adapters.local.memory_cache import MemoryTagGenerations
from sluicegate.adapters.redis.cache import CHANNEL, RedisTagGenerations
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.caching.errors import CacheLevelError
from sluicegate.caching.ports import TagGenerations

TAGS = ("everything", "workspace:growth", "code_changed@growth")


class TagGenerationsContract:
    async def test_generations_are_stable(self, tags: TagGenerations) -> None:
        first = await tags.load("acme", TAGS)
        assert len(first) == 1 + len(TAGS)
        assert await tags.load("acme", TAGS) == first

    async def test_bumping_changes_that_tag_only_and_for_ever(self, tags: TagGenerations) -> None:
        seen = {(await tags.load("acme", TAGS))[2]}
        others = set()
        for _ in range(5):
            await tags.bump("acme", TAGS[1])
            now = await tags.load("acme", TAGS)
            assert now[2] not in seen
            seen.add(now[2])
            others.add((now[0], now[1], now[3]))
        assert len(others) == 1

    async def test_tenants_are_apart(self, tags: TagGenerations) -> None:
        other = await tags.load("acme2", TAGS)
        await tags.bump("acme", TAGS[0])
        assert await tags.load("acme2", TAGS) == other

    async def test_everybody_watching_is_told(self, tags: TagGenerations) -> None:
        told: asyncio.Queue[str] = asyncio.Queue()
        await tags.watch(told.put_nowait, lambda: None)
        await tags.bump("acme", "everything")
        assert await asyncio.wait_for(told.get(), 5) == "acme"


class TestMemory(TagGenerationsContract):
    @pytest.fixture
    def tags(self) -> MemoryTagGenerations:
        return MemoryTagGenerations()


class TestRedis(TagGenerationsContract):
    @pytest.fixture
    def tags(self, cache_redis: RedisClient) -> RedisTagGenerations:
        self.client = cache_redis
        return RedisTagGenerations(cache_redis)

    async def test_a_flushed_server_never_brings_a_generation_back(self, tags: RedisTagGenerations) -> None:
        before = await tags.load("acme", TAGS)
        await self.client.execute("FLUSHALL")
        after = await tags.load("acme", TAGS)
        assert before[1:] == after[1:]
        assert before != after

    async def test_readers_at_the_same_time_agree_on_the_epoch(self, tags: RedisTagGenerations) -> None:
        assert len(set(await asyncio.gather(*(tags.load("acme", TAGS) for _ in range(20))))) == 1

    async def test_a_notice_names_the_tenant(self, tags: RedisTagGenerations) -> None:
        told: asyncio.Queue[bytes] = asyncio.Queue()
        await self.client.subscribe(CHANNEL, told.put_nowait, lambda: None)
        await tags.bump("acme", "everything")
        assert await asyncio.wait_for(told.get(), 5) == b"acme"

    async def test_a_server_away(self) -> None:
        away = RedisClient.from_url("redis://127.0.0.1:1/0")
        with pytest.raises(CacheLevelError):
            await RedisTagGenerations(away).load("acme", TAGS)
        await away.close()
