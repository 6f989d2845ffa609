from typing import Any

import pytest

from sluicegate.caching.policy import CachingPolicy
from sluicegate.caching.rules import cache_use, worth_keeping
from sluicegate.caching.types import CacheMode, CacheUse
from sluicegate.kernel.models import Dialect

BOTH, NEITHER, WRITE = (
    CacheUse(read=True, write=True),
    CacheUse(read=False, write=False),
    CacheUse(read=False, write=True),
)
POLICY = CachingPolicy()


def use(
    body: dict[str, Any],
    mode: CacheMode | None = None,
    policy: CachingPolicy = POLICY,
    dialect: Dialect = Dialect.OPENAI_CHAT,
) -> CacheUse:
    return cache_use(policy, dialect, body, mode)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({}, NEITHER),
        ({"temperature": 0}, BOTH),
        ({"temperature": 0.0}, BOTH),
        ({"temperature": False}, NEITHER),
        ({"temperature": 0.2}, NEITHER),
        ({"temperature": 1, "seed": 7}, BOTH),
        ({"temperature": 0, "n": 3}, BOTH),
        ({"n": 3}, NEITHER),
        ({"temperature": 0, "tools": [{"type": "function", "function": {}}]}, BOTH),
        ({"temperature": 0, "tools": [{"name": "own", "input_schema": {}}]}, BOTH),
        ({"temperature": 0, "tools": [{"type": "web_search_20250305"}]}, NEITHER),
        ({"temperature": 0, "web_search_options": {"search_context_size": "low"}}, NEITHER),
        ({"temperature": 0, "previous_response_id": "resp_1"}, NEITHER),
        ({"temperature": 0, "background": False}, BOTH),
    ],
)
def test_deterministic_requests_use_the_cache_unasked(body: dict[str, Any], expected: CacheUse) -> None:
    assert use(body) == expected


def test_embeddings_are_always_deterministic() -> None:
    assert use({"input": "x"}, dialect=Dialect.OPENAI_EMBEDDINGS) == BOTH


def test_the_header_decides_over_temperature_but_not_over_effects_outside() -> None:
    assert use({}, CacheMode.USE) == BOTH
    assert use({}, CacheMode.REFRESH) == WRITE
    assert use({"temperature": 0}, CacheMode.BYPASS) == NEITHER
    assert use({"web_search_options": {"x": 1}}, CacheMode.USE) == NEITHER


def test_policy_decides_who_need_not_ask() -> None:
    assert use({}, policy=CachingPolicy(store="always")) == BOTH
    assert use({"temperature": 0}, policy=CachingPolicy(store="asked")) == NEITHER
    assert use({"temperature": 0}, CacheMode.USE, CachingPolicy(enabled=False)) == NEITHER


def test_only_whole_unclamped_successes_of_bounded_size_are_kept() -> None:
    good: dict[str, Any] = {"status": 200, "size": 10, "complete": True, "clamped": False}
    assert worth_keeping(POLICY, **good)
    for change in ({"status": 400}, {"size": 0}, {"size": 1 << 30}, {"complete": False}, {"clamped": True}):
        assert not worth_keeping(POLICY, **{**good, **change})
