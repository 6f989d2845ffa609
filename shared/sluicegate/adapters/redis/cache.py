"""L2 and the tags' generations on Redis.

Keys: `slg:{TENANT}:cache:NAME`, one string per answer with an expiry; `slg:{TENANT}:cache-tags`, a hash of
tag to generation number, with the field `epoch` drawn at random whenever the hash is made anew.
Notices go out on one channel, with the tenant's name as message.
"""

from collections.abc import Callable, Sequence
from os import urandom
from typing import Any, Protocol

from sluicegate.adapters.redis.errors import RedisReplyError, RedisUnavailable
from sluicegate.caching.errors import CacheLevelError
from sluicegate.caching.types import CacheSlot
from sluicegate.kernel.tenancy import redis_key

CHANNEL = "slg:cache-invalidations"
EPOCH = "epoch"
AWAY = "the response cache cannot reach its Redis; try again shortly"


class RedisCommands(Protocol):
    """What is needed of a Redis client."""

    async def execute(self, *args: bytes | str | int | float) -> Any: ...  # noqa: PYI041 - Redis tells them apart

    async def subscribe(
        self, channel: str, callback: Callable[[bytes], None], on_gap: Callable[[], None]
    ) -> None: ...


async def _execute(client: RedisCommands, *args: bytes | str | int) -> Any:
    try:
        return await client.execute(*args)
    except (RedisUnavailable, RedisReplyError) as error:
        raise CacheLevelError(AWAY) from error


class RedisBlobStore:
    """Blobs as Redis strings; Redis itself lets them expire."""

    def __init__(self, client: RedisCommands) -> None:
        self._client = client

    async def get(self, slot: CacheSlot) -> bytes | None:
        content = await _execute(self._client, "GET", _key(slot))
        return content if isinstance(content, bytes) else None

    async def put(self, slot: CacheSlot, content: bytes, ttl_s: float) -> None:
        await _execute(self._client, "SET", _key(slot), content, "PX", max(1, round(ttl_s * 1_000)))

    async def delete(self, slot: CacheSlot) -> None:
        await _execute(self._client, "DEL", _key(slot))


class RedisTagGenerations:
    """Generations in one hash per tenant.

    When the hash is gone (flushed, evicted), the next reader draws a new epoch, and all answers that
    lower levels still hold are out of reach: numbers that start again never bring an answer back.
    """

    def __init__(self, client: RedisCommands) -> None:
        self._client = client

    async def load(self, tenant: str, tags: Sequence[str]) -> tuple[str, ...]:
        key = redis_key(tenant, "cache-tags")
        values = await _execute(self._client, "HMGET", key, EPOCH, *tags)
        if values[0] is None:
            await _execute(self._client, "HSETNX", key, EPOCH, urandom(8).hex())
            values = await _execute(self._client, "HMGET", key, EPOCH, *tags)
        if values[0] is None:
            # Flushed or evicted again in between: no ground to stand on.
            raise CacheLevelError(AWAY)
        return tuple("0" if value is None else bytes(value).decode() for value in values)

    async def bump(self, tenant: str, tag: str) -> None:
        await _execute(self._client, "HINCRBY", redis_key(tenant, "cache-tags"), tag, 1)
        await _execute(self._client, "PUBLISH", CHANNEL, tenant)

    async def watch(self, changed: Callable[[str], None], gap: Callable[[], None]) -> None:
        try:
            await self._client.subscribe(CHANNEL, lambda message: changed(message.decode()), gap)
        except (RedisUnavailable, RedisReplyError) as error:
            raise CacheLevelError(AWAY) from error


def _key(slot: CacheSlot) -> str:
    return redis_key(slot.tenant, f"cache:{slot.name}")
