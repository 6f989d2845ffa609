"""The service over stores in memory whose every failure the tests command."""

import asyncio
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.adapters.local.memory_cache import MemoryCache, MemoryTagGenerations
from sluicegate.caching.errors import CacheLevelError
from sluicegate.caching.flights import Lead
from sluicegate.caching.keys import answer_key
from sluicegate.caching.policy import CachingPolicy
from sluicegate.caching.service import CacheService
from sluicegate.caching.tags import answer_tags, voided_tag
from sluicegate.caching.types import CachedAnswer, CacheHit, CacheKey, CacheSlot
from sluicegate.kernel.clock import FixedClock
from sluicegate.kernel.errors import InvalidRequestError
from sluicegate.kernel.models import Dialect

POLICY = CachingPolicy()
EVENTS = POLICY.invalidated_by
TAGS = answer_tags(EVENTS, "growth")
KEY = CacheKey("acme", "0" * 40)
ANSWER = CachedAnswer(b'{"a":1}', "m", "p", FixedClock.at, 1_000, 3, 4)


class SwitchedBlobs:
    """Bytes in a dict; away when told so."""

    def __init__(self, clock: FixedClock) -> None:
        self.clock = clock
        self.content: dict[CacheSlot, tuple[bytes, float]] = {}
        self.away = False

    def _check(self) -> None:
        if self.away:
            raise CacheLevelError("away")

    async def get(self, slot: CacheSlot) -> bytes | None:
        self._check()
        content, until = self.content.get(slot, (None, 0.0))
        return content if self.clock.now() < until else None

    async def put(self, slot: CacheSlot, content: bytes, ttl_s: float) -> None:
        self._check()
        self.content[slot] = (content, self.clock.now() + ttl_s)

    async def delete(self, slot: CacheSlot) -> None:
        self._check()
        self.content.pop(slot, None)


class SwitchedTags(MemoryTagGenerations):
    """Generations that can be away, slow, or silent about changes."""

    def __init__(self) -> None:
        super().__init__()
        self.away = self.silent = False
        self.loads = 0
        self.during_load: Callable[[], None] = lambda: None

    async def load(self, tenant: str, tags: Sequence[str]) -> tuple[str, ...]:
        self.loads += 1
        if self.away:
            raise CacheLevelError("away")
        values = await super().load(tenant, tags)
        self.during_load()
        return values

    async def bump(self, tenant: str, tag: str) -> None:
        if self.away:
            raise CacheLevelError("away")
        watchers, self._watchers = self._watchers, [] if self.silent else self._watchers
        await super().bump(tenant, tag)
        self._watchers = watchers


class House:
    """Two instances that share L2, L3 and generations."""

    def __init__(self, policy: CachingPolicy = POLICY) -> None:
        self.clock = FixedClock()
        self.tags = SwitchedTags()
        self.l2, self.l3 = SwitchedBlobs(self.clock), SwitchedBlobs(self.clock)
        self.here, self.there = self.instance(policy), self.instance(policy)

    def instance(self, policy: CachingPolicy = POLICY) -> CacheService:
        return CacheService(
            policy,
            tags=self.tags,
            memory=MemoryCache(1 << 20, self.clock),
            shared=self.l2,
            archive=self.l3,
            clock=self.clock,
        )


@pytest.fixture
def house() -> House:
    return House()


async def lookup(cache: CacheService, key: CacheKey = KEY, tags: tuple[str, ...] = TAGS) -> CacheHit | None:
    slot = cache.peek_slot(key, tags) or await cache.slot(key, tags)
    return None if slot is None else await cache.get(slot)


async def store(cache: CacheService, key: CacheKey = KEY, tags: tuple[str, ...] = TAGS) -> None:
    slot = await cache.slot(key, tags)
    assert slot is not None
    await cache.put(slot, ANSWER)


async def test_each_level_answers_when_those_above_do_not_and_hits_move_up(house: House) -> None:
    await store(house.here)
    assert await lookup(house.here) == CacheHit(ANSWER, "l1")
    assert await lookup(house.there) == CacheHit(ANSWER, "l2")
    assert await lookup(house.there) == CacheHit(ANSWER, "l1")
    house.l2.content.clear()
    third = house.instance()
    assert await lookup(third) == CacheHit(ANSWER, "l3")
    await third.close()
    assert len(house.l2.content) == 1
    assert await lookup(house.instance()) == CacheHit(ANSWER, "l2")
    assert third.counters.hits["l3"] == 1
    assert third.counters.saved_nano == 1_000


async def test_levels_expire_as_policy_says(house: House) -> None:
    await store(house.here)
    seen = []
    for age in (299, 301, 601, 3_601, 3_602):
        house.clock.at = FixedClock.at + age
        hit = await lookup(house.here)
        seen.append(hit and hit.level)
        await house.here.close()
    # At 3 601 it was found in L3 only, and moved up again.
    assert seen == ["l1", "l2", "l2", "l3", "l1"]


async def test_moving_up_does_not_lengthen_a_life(house: House) -> None:
    await store(house.here)
    house.clock.at = FixedClock.at + 604_799
    assert await lookup(house.here) == CacheHit(ANSWER, "l3")
    await house.here.close()
    house.clock.advance(2)
    assert await lookup(house.here) is None
    assert await lookup(house.there) is None


async def test_an_invalidation_reaches_all_instances_and_levels_at_once(house: House) -> None:
    await store(house.here)
    await lookup(house.there)
    await house.there.invalidate("acme", voided_tag(EVENTS, event="code_changed"))
    assert await lookup(house.here) is None
    assert await lookup(house.there) is None
    assert await lookup(house.instance()) is None


async def test_a_lost_notice_is_found_by_polling(house: House) -> None:
    await store(house.here)
    house.tags.silent = True
    await house.there.invalidate("acme", "everything")
    house.clock.advance(POLICY.poll)
    assert await lookup(house.here) is None


async def test_an_answer_that_was_under_way_during_an_invalidation_is_never_served(house: House) -> None:
    slot = await house.here.slot(KEY, TAGS)
    assert slot is not None
    await house.here.invalidate("acme", "feedback_received")
    await house.here.put(slot, ANSWER)
    assert await lookup(house.here) is None
    assert await lookup(house.there) is None


async def test_a_notice_that_overtakes_a_reading_is_not_lost(house: House) -> None:
    # The values are read, then voided, and only then does the reader get to keep them.
    bumped = False

    def changed() -> None:
        nonlocal bumped
        if not bumped:
            bumped = True
            house.tags._values["acme", "everything"] = "voided"
            for told in house.tags._watchers:
                told("acme")

    house.tags.during_load = changed
    slot = await house.here.slot(KEY, TAGS)
    assert bumped
    assert slot == await house.there.slot(KEY, TAGS)


@pytest.mark.parametrize(
    ("voided", "growth", "sales"),
    [
        ({}, False, False),
        ({"workspace": "growth"}, False, True),
        ({"event": "feedback_received"}, False, False),
        ({"event": "feedback_received", "workspace": "sales"}, True, False),
    ],
)
async def test_tags_reach_what_they_name(
    house: House, voided: dict[str, str], *, growth: bool, sales: bool
) -> None:
    sales_tags = answer_tags(EVENTS, "sales")
    await store(house.here)
    await store(house.here, CacheKey("acme", "1" * 40), sales_tags)
    other = CacheKey("other", "0" * 40)
    await store(house.here, other)
    await house.here.invalidate("acme", voided_tag(EVENTS, **voided))
    assert (await lookup(house.here) is not None) == growth
    assert (await lookup(house.here, CacheKey("acme", "1" * 40), sales_tags) is not None) == sales
    assert await lookup(house.here, other) is not None


def test_tags_are_checked() -> None:
    for wrong in ({"event": "full_moon"}, {"workspace": "Not A Name"}):
        with pytest.raises(InvalidRequestError):
            voided_tag(EVENTS, **wrong)


async def test_generations_away_are_a_miss_left_alone_for_a_moment_then_tried_again(house: House) -> None:
    await store(house.here)
    house.tags.away = True
    house.clock.advance(POLICY.poll)
    assert await lookup(house.here) is None
    loads = house.tags.loads
    assert await lookup(house.here) is None
    assert house.tags.loads == loads
    assert house.here.counters.unavailable == 2
    house.tags.away = False
    house.clock.advance(POLICY.away)
    assert await lookup(house.here) == CacheHit(ANSWER, "l1")


async def test_stores_away_are_a_miss_and_counted(house: House) -> None:
    house.l2.away = house.l3.away = True
    await store(house.here)
    assert house.here.counters.unavailable == 2
    assert await lookup(house.here) == CacheHit(ANSWER, "l1")
    assert await lookup(house.there) is None
    house.l3.away = False
    await store(house.here)
    assert await lookup(house.there) == CacheHit(ANSWER, "l3")


async def test_an_invalidation_that_could_not_be_done_says_so(house: House) -> None:
    house.tags.away = True
    with pytest.raises(CacheLevelError):
        await house.here.invalidate("acme", "everything")


async def test_a_damaged_entry_is_dropped(house: House) -> None:
    await store(house.here)
    (slot,) = house.l2.content
    for level in (house.l2, house.l3):
        level.content[slot] = (b"damaged", float("inf"))
    assert await lookup(house.there) is None
    await house.there.close()
    assert (house.there.counters.corrupt, house.l2.content, house.l3.content) == (2, {}, {})


async def test_too_large_answers_are_not_kept() -> None:
    house = House(CachingPolicy.model_validate({"answer_limit": "6B"}))
    await store(house.here)
    assert await lookup(house.here) is None


async def test_levels_can_be_turned_off() -> None:
    house = House(CachingPolicy.model_validate({"l1": {"enabled": False}, "l3": {"enabled": False}}))
    await store(house.here)
    assert await lookup(house.here) == CacheHit(ANSWER, "l2")
    assert not house.l3.content


async def test_put_soon_fills_l1_at_once_and_the_rest_by_close(house: House) -> None:
    slot = await house.here.slot(KEY, TAGS)
    assert slot is not None
    house.here.put_soon(slot, ANSWER)
    assert house.here.peek_l1(slot) == CacheHit(ANSWER, "l1")
    await house.here.close()
    assert await lookup(house.there) == CacheHit(ANSWER, "l2")


async def test_background_writes_are_bounded(house: House) -> None:
    slot = await house.here.slot(KEY, TAGS)
    assert slot is not None
    for _ in range(300):
        house.here.put_soon(slot, ANSWER)
    assert house.here.counters.dropped == 300 - 256
    await house.here.close()


async def test_identical_requests_share_one_answer(house: House) -> None:
    upstream = 0

    async def request() -> CachedAnswer:
        nonlocal upstream
        slot = await house.here.slot(KEY, TAGS)
        assert slot is not None
        found = await house.here.get(slot) or await house.here.lead_or_follow(slot)
        if isinstance(found, CacheHit):
            return found.answer
        with found:
            upstream += 1
            await asyncio.sleep(0)
            await house.here.put(slot, ANSWER)
            found.share(ANSWER)
        return ANSWER

    assert await asyncio.gather(*(request() for _ in range(50))) == [ANSWER] * 50
    assert upstream == 1
    assert house.here.counters.hits["coalesced"] == 49


async def test_who_comes_after_the_landing_finds_the_answer_instead_of_leading(house: House) -> None:
    slot = await house.here.slot(KEY, TAGS)
    assert slot is not None
    await house.here.put(slot, ANSWER)
    assert await house.here.lead_or_follow(slot) == CacheHit(ANSWER, "l1")
    assert len(house.here._flights) == 0


async def test_coalescing_can_be_turned_off() -> None:
    house = House(CachingPolicy.model_validate({"coalescing": {"enabled": False}}))
    slot = await house.here.slot(KEY, TAGS)
    assert slot is not None
    for _ in range(2):
        assert isinstance(await house.here.lead_or_follow(slot), Lead)


IDENTITY = st.tuples(
    st.sampled_from(["acme", "acme2"]),
    st.sampled_from(["v1", "v2"]),
    st.sampled_from([Dialect.OPENAI_CHAT, Dialect.ANTHROPIC_MESSAGES]),
    st.sampled_from(["small", "large"]),
    st.sampled_from(["growth", "sales"]),
)


@given(st.lists(st.tuples(st.sampled_from(["ask", "void"]), IDENTITY), max_size=30))
def test_never_a_hit_across_tenants_models_versions_or_after_voiding(
    steps: list[tuple[str, tuple[str, ...]]],
) -> None:
    async def run() -> None:
        house = House()
        valid: set[tuple[str, ...]] = set()
        for index, (what, identity) in enumerate(steps):
            cache = (house.here, house.there)[index % 2]
            tenant, version, dialect, model, workspace = identity
            if what == "void":
                await cache.invalidate(tenant, voided_tag(EVENTS, workspace=workspace))
                valid = {one for one in valid if (one[0], one[4]) != (tenant, workspace)}
                continue
            key = answer_key(tenant, version, Dialect(dialect), model, {"messages": []})
            slot = await cache.slot(key, answer_tags(EVENTS, workspace))
            assert slot is not None
            hit = await cache.get(slot)
            assert (hit is not None) == (identity in valid)
            if hit is None:
                body = repr(identity).encode()
                await cache.put(slot, CachedAnswer(body, model, "p", FixedClock.at, 1, 1, 1))
                valid.add(identity)
            else:
                assert hit.answer.body == repr(identity).encode()
        await house.here.close()
        await house.there.close()

    asyncio.run(run())
