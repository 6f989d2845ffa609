"""What providers allow us, shared by all instances through Redis."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sluicegate.adapters.redis.errors import RedisReplyError, RedisUnavailable
from sluicegate.adapters.redis.script import Script, load_script

log = logging.getLogger(__name__)


class Commands(Protocol):
    """The part of the Redis client used here."""

    async def script(
        self, script: Script, keys: Sequence[bytes | str], args: Sequence[bytes | str | int]
    ) -> Any: ...


class RedisOutboundLimits:
    """`completions.pipeline.attempt.OutboundLimits` over a script.

    With Redis away nothing is held back: the provider enforces its limits itself, and its 429 is handled.

    Args:
        limits: requests and tokens per minute by provider, None where not limited; providers without
            any limit cost no trip.
    """

    def __init__(self, client: Commands, limits: Mapping[str, tuple[int | None, int | None]]) -> None:
        self._client = client
        self._limits = {name: limit for name, limit in limits.items() if limit != (None, None)}
        self._take = load_script("outbound_take")

    async def take(self, provider: str, tokens: int) -> float:
        """Seconds to wait before asking again; 0.0: taken."""
        limit = self._limits.get(provider)
        if limit is None:
            return 0.0
        keys = [f"slg:{{outbound:{provider}}}:requests", f"slg:{{outbound:{provider}}}:tokens"]
        try:
            wait = await self._client.script(self._take, keys, [limit[0] or 0, limit[1] or 0, tokens])
        except (RedisUnavailable, RedisReplyError) as error:
            log.warning("outbound limits are not counted: %s", error)
            return 0.0
        return int(wait) / 1_000_000
