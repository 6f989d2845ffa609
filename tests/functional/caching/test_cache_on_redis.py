"""Two instances' caches on one Redis: shared answers, invalidation at once, the server away."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from private_redis import KINDS, PrivateRedis

from sluicegate.adapters.local.blobs import FileBlobStore
from sluicegate.adapters.local.memory_cache import MemoryCache
from sluicegate.adapters.redis.cache import RedisBlobStore, RedisTagGenerations
from sluicegate.adapters.redis.client import RedisClient
from sluicegate.caching.errors import CacheLevelError
from sluicegate.caching.policy import CachingPolicy
from sluicegate.caching.service import CacheService
from sluicegate.caching.tags import answer_tags
from sluicegate.caching.types import CachedAnswer, CacheHit, CacheKey
from sluicegate.kernel.clock import SystemClock

# An hour between polls: what is seen here is seen because of the notices.
POLICY = CachingPolicy.model_validate({"poll": "1h", "away": "10ms"})
TAGS = answer_tags(POLICY.invalidated_by, "growth")
KEY = CacheKey("acme", "ab" * 20)


@pytest.fixture(params=KINDS)
def redis(request: pytest.FixtureRequest) -> Iterator[PrivateRedis]:
    server = PrivateRedis(request.param)
    server.start()
    yield server
    server.stop()


@pytest.fixture
async def instances(redis: PrivateRedis, tmp_path: Path) -> AsyncIterator[tuple[CacheService, CacheService]]:
    clock = SystemClock()
    archive = FileBlobStore(tmp_path, clock, limit_bytes=1 << 20)
    clients = [RedisClient.from_url(redis.url) for _ in range(2)]
    here, there = (
        CacheService(
            POLICY,
            tags=RedisTagGenerations(client),
            memory=MemoryCache(1 << 20, clock),
            shared=RedisBlobStore(client),
            archive=archive,
            clock=clock,
        )
        for client in clients
    )
    yield here, there
    for cache in (here, there):
        await cache.close()
    for client in clients:
        await client.close()
    await archive.close()


def answer() -> CachedAnswer:
    return CachedAnswer(b'{"text":"' + b"a" * 5_000 + b'"}', "m", "p", SystemClock.now(), 1, 2, 3)


async def lookup(cache: CacheService) -> CacheHit | None:
    slot = cache.peek_slot(KEY, TAGS) or await cache.slot(KEY, TAGS)
    return None if slot is None else await cache.get(slot)


async def store(cache: CacheService) -> CachedAnswer:
    slot = await cache.slot(KEY, TAGS)
    assert slot is not None
    kept = answer()
    await cache.put(slot, kept)
    return kept


async def until_gone(cache: CacheService) -> None:
    for _ in range(500):
        if await lookup(cache) is None:
            return
        await asyncio.sleep(0.01)
    pytest.fail("the answer is still served")


async def test_an_answer_is_shared_and_voided_on_every_instance(
    instances: tuple[CacheService, CacheService],
) -> None:
    here, there = instances
    kept = await store(here)
    assert await lookup(there) == CacheHit(kept, "l2")
    assert await lookup(there) == CacheHit(kept, "l1")
    await here.invalidate("acme", "feedback_received@growth")
    assert await lookup(here) is None
    await until_gone(there)


async def test_a_server_away_is_a_miss_and_its_return_needs_no_restart(
    redis: PrivateRedis, instances: tuple[CacheService, CacheService]
) -> None:
    here, there = instances
    await store(here)
    await lookup(there)
    redis.stop()
    # Voiding cannot be promised now, and says so; this instance serves nothing it cannot vouch for.
    with pytest.raises(CacheLevelError):
        await here.invalidate("acme", "everything")
    assert await lookup(here) is None
    assert here.counters.unavailable > 0
    redis.start()
    # It came back empty: a new epoch, so neither L1 nor the files bring the old answer back.
    for _ in range(500):
        if await here.slot(KEY, TAGS) is not None:
            break
        await asyncio.sleep(0.01)
    assert await lookup(here) is None
    await until_gone(there)
    kept = await store(here)
    for _ in range(500):
        found = await lookup(there)
        if found is not None:
            break
        await asyncio.sleep(0.01)
    assert found == CacheHit(kept, "l2")
