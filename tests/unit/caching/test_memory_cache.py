from hypothesis import given
from hypothesis import strategies as st

from sluicegate.adapters.local.memory_cache import BYTES_PER_ENTRY, MemoryCache
from sluicegate.caching.types import CachedAnswer, CacheSlot
from sluicegate.kernel.clock import FixedClock


def slot(name: object) -> CacheSlot:
    return CacheSlot("acme", str(name))


def answer(size: int = 10) -> CachedAnswer:
    return CachedAnswer(b"x" * size, "m", "p", 0.0, 1, 1, 1)


def test_the_least_recently_used_goes_first() -> None:
    cache = MemoryCache(3 * (BYTES_PER_ENTRY + 10), FixedClock())
    for name in "abc":
        cache.put(slot(name), answer(), 60)
    assert cache.get(slot("a")) is not None
    cache.put(slot("d"), answer(), 60)
    assert [cache.get(slot(name)) is not None for name in "abcd"] == [True, False, True, True]


def test_an_answer_expires_and_its_room_is_free_again() -> None:
    clock = FixedClock()
    cache = MemoryCache(10_000, clock)
    cache.put(slot("a"), answer(), 300)
    clock.advance(299)
    assert cache.get(slot("a")) == answer()
    clock.advance(1)
    assert cache.get(slot("a")) is None
    assert (cache.size, len(cache)) == (0, 0)


def test_tenants_are_apart() -> None:
    cache = MemoryCache(10_000, FixedClock())
    cache.put(CacheSlot("acme", "a"), answer(), 60)
    assert cache.get(CacheSlot("other", "a")) is None


@given(
    st.lists(st.tuples(st.sampled_from(["put", "get", "delete"]), st.integers(0, 9), st.integers(0, 9_000)))
)
def test_the_bound_holds_and_the_sum_is_right(steps: list[tuple[str, int, int]]) -> None:
    cache = MemoryCache(20_000, FixedClock())
    for what, name, size in steps:
        if what == "put":
            cache.put(slot(name), answer(size), 60)
        elif what == "get":
            cache.get(slot(name))
        else:
            cache.delete(slot(name))
        assert cache.size <= 20_000
        assert cache.size == sum(len(kept.body) + BYTES_PER_ENTRY for kept, _ in cache._entries.values())


def test_an_answer_larger_than_the_bound_is_not_kept_and_throws_nobody_out() -> None:
    cache = MemoryCache(5_000, FixedClock())
    cache.put(slot("a"), answer(), 60)
    cache.put(slot("b"), answer(5_000), 60)
    assert cache.get(slot("a")) is not None
    assert cache.get(slot("b")) is None
