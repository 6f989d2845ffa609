from collections.abc import AsyncIterator, Iterator

import pytest
from private_redis import KINDS, PrivateRedis

from sluicegate.adapters.redis.client import RedisClient


@pytest.fixture(scope="session", params=KINDS)
def cache_redis_url(request: pytest.FixtureRequest) -> Iterator[str]:
    """A private Redis for the session, of either kind."""
    redis = PrivateRedis(request.param)
    redis.start()
    yield redis.url
    redis.stop()


@pytest.fixture
async def cache_redis(cache_redis_url: str) -> AsyncIterator[RedisClient]:
    client = RedisClient.from_url(cache_redis_url)
    await client.execute("FLUSHALL")
    yield client
    await client.close()
