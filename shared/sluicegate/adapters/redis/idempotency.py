"""Idempotency claims in Redis: one string per key, `digest|request id|answer`."""

import logging
from collections.abc import Sequence
from typing import Any, Protocol

from sluicegate.adapters.redis.errors import RedisReplyError, RedisUnavailable
from sluicegate.adapters.redis.script import Script, load_script
from sluicegate.completions.pipeline.idempotency import Claim, Recorded

_LOG = logging.getLogger(__name__)

# A claim nobody completes (its process died) frees itself long before an answer would expire.
_LONGEST_CLAIM_S = 600


class Commands(Protocol):
    """The part of the Redis client used here."""

    async def execute(self, *args: bytes | str | int) -> Any: ...

    async def script(
        self, script: Script, keys: Sequence[bytes | str], args: Sequence[bytes | str | int]
    ) -> Any: ...


class RedisIdempotency:
    """`SET NX` claims a key; only its owner's request id completes or releases it.

    Without Redis nothing can be claimed (RedisUnavailable): a request must not run twice. Ending a claim
    never fails: the answer is paid for by then, and a claim left behind runs out by itself.
    """

    def __init__(self, client: Commands) -> None:
        self._client = client
        self._end_script = load_script("idempotency_end")

    async def claim(self, claim: Claim, ttl_s: int) -> Recorded | None:
        expiry = min(ttl_s, _LONGEST_CLAIM_S)
        taken = await self._client.execute("SET", claim.key, _mark(claim), "NX", "EX", expiry)
        if taken is not None:
            return None
        found = await self._client.execute("GET", claim.key)
        if found is None:  # it expired between the two commands
            return await self.claim(claim, ttl_s)
        digest, request_id, answer = bytes(found).split(b"|", 2)
        return Recorded(digest.decode(), request_id.decode(), answer or None)

    async def complete(self, claim: Claim, answer: bytes, ttl_s: int) -> None:
        await self._end(claim, answer, ttl_s)

    async def release(self, claim: Claim) -> None:
        await self._end(claim, b"", 0)

    async def _end(self, claim: Claim, answer: bytes, ttl_s: int) -> None:
        try:
            await self._client.script(self._end_script, [claim.key], [_mark(claim), answer, ttl_s])
        except (RedisUnavailable, RedisReplyError) as error:
            _LOG.warning("the idempotency key of %s stays claimed: %s", claim.request_id, error)


def _mark(claim: Claim) -> bytes:
    return f"{claim.digest}|{claim.request_id}|".encode()
