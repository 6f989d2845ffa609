"""Idempotency claims in Redis: one string per key, `digest|request id|answer`."""

from typing import Any, Protocol

from sluicegate.completions.pipeline.idempotency import Claim, Recorded


class Commands(Protocol):
    """The part of the Redis client used here."""

    async def execute(self, *args: bytes | str | int) -> Any: ...


class RedisIdempotency:
    """`SET NX` claims a key; only its owner's request id completes or releases it."""

    def __init__(self, client: Commands) -> None:
        self._client = client

    async def claim(self, claim: Claim, ttl_s: int) -> Recorded | None:
        mine = f"{claim.digest}|{claim.request_id}|".encode()
        # A claim nobody completes (its process died) frees itself long before an answer would expire.
        taken = await self._client.execute("SET", claim.key, mine, "NX", "EX", min(ttl_s, 600))
        if taken is not None:
            return None
        found = await self._client.execute("GET", claim.key)
        if found is None:  # it expired between the two commands
            return await self.claim(claim, ttl_s)
        digest, request_id, answer = bytes(found).split(b"|", 2)
        return Recorded(digest.decode(), request_id.decode(), answer or None)

    async def complete(self, claim: Claim, answer: bytes, ttl_s: int) -> None:
        value = f"{claim.digest}|{claim.request_id}|".encode() + answer
        await self._client.execute("SET", claim.key, value, "EX", ttl_s)

    async def release(self, claim: Claim) -> None:
        await self._client.execute("DEL", claim.key)
