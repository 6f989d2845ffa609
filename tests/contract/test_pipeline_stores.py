"""Idempotency claims and outbound limits, on a real Redis and on the embedded one."""

import asyncio
import shutil

import pytest

from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.idempotency import RedisIdempotency
from sluicegate.adapters.redis.local_server import start_local_redis
from sluicegate.adapters.redis.outbound import RedisOutboundLimits
from sluicegate.completions.pipeline.idempotency import (
    IdempotencyInProgressError,
    answer_for,
    claim_for,
)
from sluicegate.kernel.errors import DependencyUnavailableError, IdempotencyConflictError


@pytest.fixture(scope="module", params=["server", "embedded"])
def local(request, tmp_path_factory):
    if request.param == "server" and shutil.which("redis-server") is None:
        pytest.skip("redis-server is not installed")
    redis = start_local_redis(tmp_path_factory.mktemp("redis"), prefer=request.param)
    yield redis
    redis.stop()


@pytest.fixture
async def client(local):
    client = RedisClient.from_url(local.url)
    await client.execute("FLUSHALL")
    yield client
    await client.close()


def claim(body=b"{}", *, tenant="acme", key="key_1", text="k", rid="req_1"):
    return claim_for(tenant, key, "openai.chat", text, body, rid)


class TestIdempotency:
    async def test_the_first_claims_and_a_retry_gets_its_answer(self, client):
        store = RedisIdempotency(client)
        first = claim()
        assert await store.claim(first, 60) is None
        again = claim(rid="req_2")
        with pytest.raises(IdempotencyInProgressError) as running:
            answer_for(again, await store.claim(again, 60))
        assert running.value.retry_after == 1
        await store.complete(first, b'{"a|b":1}', 60)
        recorded = await store.claim(again, 60)
        assert recorded.request_id == "req_1"
        assert answer_for(again, recorded) == b'{"a|b":1}'

    async def test_another_body_conflicts_before_and_after_the_answer(self, client):
        store = RedisIdempotency(client)
        await store.claim(claim(), 60)
        other = claim(b'{"x":1}', rid="req_2")
        for _ in range(2):
            with pytest.raises(IdempotencyConflictError):
                answer_for(other, await store.claim(other, 60))
            await store.complete(claim(), b"{}", 60)

    async def test_a_released_key_is_free_again(self, client):
        store = RedisIdempotency(client)
        await store.claim(claim(), 60)
        await store.release(claim())
        assert await store.claim(claim(b"other", rid="req_2"), 60) is None

    async def test_who_lost_a_claim_neither_frees_nor_answers_it(self, client):
        store = RedisIdempotency(client)
        late, owner = claim(rid="req_1"), claim(rid="req_2")
        await store.claim(late, 60)
        await client.execute("DEL", late.key)  # it ran out
        await store.claim(owner, 60)
        await store.release(late)
        await store.complete(late, b"late", 60)
        assert (await store.claim(claim(rid="req_3"), 60)).answer is None
        await store.complete(owner, b"own", 60)
        await store.release(late)
        assert (await store.claim(claim(rid="req_3"), 60)).answer == b"own"
        assert 0 < await client.execute("TTL", owner.key) <= 60

    async def test_tenants_and_keys_never_meet(self, client):
        store = RedisIdempotency(client)
        for mine in (claim(), claim(tenant="other"), claim(key="key_2"), claim(text="k2")):
            assert await store.claim(mine, 60) is None

    async def test_of_many_at_once_one_claims(self, client):
        store = RedisIdempotency(client)
        found = await asyncio.gather(*(store.claim(claim(rid=f"req_{n}"), 60) for n in range(50)))
        assert found.count(None) == 1

    async def test_a_claim_nobody_ends_does_not_last(self, client):
        store = RedisIdempotency(client)
        mine = claim()
        await store.claim(mine, 86_400)
        assert 0 < await client.execute("TTL", mine.key) <= 600


class TestOutboundLimits:
    async def test_a_minute_is_given_at_once_and_no_more(self, client):
        limits = RedisOutboundLimits(client, {"p": (5, None)})
        assert [await limits.take("p", 1) for _ in range(5)] == [0.0] * 5
        wait = await limits.take("p", 1)
        assert 0 < wait <= 12
        assert await RedisOutboundLimits(client, {"p": (5, None)}).take("p", 1) > 0  # shared

    async def test_tokens_count_and_nothing_is_taken_by_a_refusal(self, client):
        limits = RedisOutboundLimits(client, {"p": (100, 1_000)})
        assert await limits.take("p", 900) == 0
        assert 0 < await limits.take("p", 500) <= 60
        assert await limits.take("p", 90) == 0

    async def test_a_request_larger_than_a_minute_passes_alone(self, client):
        limits = RedisOutboundLimits(client, {"p": (None, 100)})
        assert await limits.take("p", 5_000) == 0
        assert await limits.take("p", 1) > 0

    async def test_other_providers_and_unlimited_ones_pass(self, client):
        limits = RedisOutboundLimits(client, {"p": (1, None), "q": (1, None), "r": (None, None)})
        assert await limits.take("p", 1) == 0
        assert await limits.take("q", 1) == 0
        assert [await limits.take("r", 1) for _ in range(5)] == [0.0] * 5


async def test_with_redis_away_claims_fail_closed_and_outbound_limits_open(tmp_path):
    client = RedisClient.from_url(f"unix://{tmp_path}/nobody.sock", connect_timeout_s=0.2)
    with pytest.raises(DependencyUnavailableError):
        await RedisIdempotency(client).claim(claim(), 60)
    # The answer is there and paid for: that its key cannot be kept must not cost the caller the answer.
    await RedisIdempotency(client).complete(claim(), b"{}", 60)
    await RedisIdempotency(client).release(claim())
    assert await RedisOutboundLimits(client, {"p": (1, None)}).take("p", 1) == 0.0
    await client.close()
