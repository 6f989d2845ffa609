"""Which requests may use the cache, and which answers are worth keeping. Pure.

By default a request uses the cache when repeating it could not be meant to give another answer: its
temperature is 0, it has a seed, or it asks for embeddings. `x-sluicegate-cache: use` asks for the cache
whatever the temperature, `refresh` stores a new answer without reading the old one, `bypass` does
neither. Some requests never use it, however they ask: those whose answer comes from outside the request
(provider-run tools such as web search, stored conversations, containers), and background ones.
"""

from collections.abc import Mapping
from typing import Any

from sluicegate.caching.policy import CachingPolicy
from sluicegate.caching.types import CacheMode, CacheUse
from sluicegate.kernel.models import Dialect

# Fields through which an answer depends on something outside the request, or acts outside it.
OUTSIDE = (
    "web_search_options",
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
    "mcp_servers",
    "container",
    "context_management",
)
_OWN_TOOLS = frozenset({None, "function", "custom"})
_NEITHER = CacheUse(read=False, write=False)
_BOTH = CacheUse(read=True, write=True)
_WRITE = CacheUse(read=False, write=True)


def cache_use(
    policy: CachingPolicy, dialect: Dialect, body: Mapping[str, Any], mode: CacheMode | None
) -> CacheUse:
    """What the request `body` may do with the cache when its header asks for `mode`."""
    if not policy.enabled or mode is CacheMode.BYPASS:
        return _NEITHER
    wanted = (
        mode is not None
        or policy.store == "always"
        or (policy.store == "deterministic" and deterministic(dialect, body))
    )
    if not wanted or depends_on_outside(body):
        return _NEITHER
    return _WRITE if mode is CacheMode.REFRESH else _BOTH


def deterministic(dialect: Dialect, body: Mapping[str, Any]) -> bool:
    """Whether the request asks for one answer rather than for a sample of many."""
    if dialect is Dialect.OPENAI_EMBEDDINGS:
        return True
    temperature = body.get("temperature")
    if isinstance(temperature, int | float) and not isinstance(temperature, bool) and temperature == 0:
        return True
    return isinstance(body.get("seed"), int)


def depends_on_outside(body: Mapping[str, Any]) -> bool:
    """Whether the same request may rightly be answered otherwise tomorrow, or has effects."""
    if any(body.get(name) for name in OUTSIDE):
        return True
    tools = body.get("tools")
    if not isinstance(tools, list):
        return False
    return any(not isinstance(tool, dict) or tool.get("type") not in _OWN_TOOLS for tool in tools)


def worth_keeping(policy: CachingPolicy, *, status: int, size: int, complete: bool, clamped: bool) -> bool:
    """Whether an answer of `size` bytes may be stored and shared with followers.

    `clamped` says that its length was cut to what a budget could pay: true for one caller's purse,
    not for the question.
    """
    return status == 200 and complete and not clamped and 0 < size <= policy.answer_limit
