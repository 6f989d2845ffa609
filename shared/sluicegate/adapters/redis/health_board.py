"""The health board on Redis: one hash of what is open, one channel for news.

Health of models concerns all tenants alike and is nobody's data, so the keys carry no tenant. Field
`provider|model` of the hash holds the JSON of the last opening; closing deletes it, and the hash expires an
hour after the last opening, which no open state outlives.
"""

import json
import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

from sluicegate.adapters.redis.client import RedisClient
from sluicegate.adapters.redis.errors import RedisReplyError, RedisUnavailable
from sluicegate.routing.ports import BoardUnavailable, HealthChange

KEY = "slg:health"
CHANNEL = "slg:health:changes"
KEEP_S = 3_600

_MAX_BYTES = 2_048
_log = logging.getLogger(__name__)


class RedisHealthBoard:
    """A HealthBoard for instances that share a Redis.

    Args:
        client: not closed with the board; others use it too.
        instance: what tells this instance's messages from those of others.
    """

    def __init__(self, client: RedisClient, instance: str) -> None:
        self._client = client
        self._instance = instance

    async def publish(self, change: HealthChange) -> None:
        """Keep or forget the open state, then tell the others.

        Raises:
            BoardUnavailable: Redis is away or refuses; the change may have been kept but not told.
        """
        body = json.dumps(
            {
                "instance": self._instance,
                "provider": change.provider,
                "model": change.model,
                "open": change.open,
                "open_until": change.open_until,
                "openings": change.openings,
            },
            separators=(",", ":"),
        ).encode()
        field = f"{change.provider}|{change.model}"
        if change.open:
            await self._execute("HSET", KEY, field, body)
            await self._execute("EXPIRE", KEY, KEEP_S)
        else:
            await self._execute("HDEL", KEY, field)
        await self._execute("PUBLISH", CHANNEL, body)

    async def snapshot(self) -> Sequence[HealthChange]:
        """What is kept as open; some of it may have ended.

        Raises:
            BoardUnavailable: Redis is away or refuses.
        """
        kept = await self._execute("HVALS", KEY)
        changes = (self._parse(body) for body in kept)
        return [change for change, _ in filter(None, changes)]

    async def watch(self, on_change: Callable[[HealthChange], None], on_gap: Callable[[], None]) -> None:
        """Call `on_change` for news of other instances, `on_gap` when some may have been missed.

        Raises:
            BoardUnavailable: the client is closed.
        """

        def received(body: bytes) -> None:
            parsed = self._parse(body)
            if parsed is not None and parsed[1] != self._instance:
                on_change(parsed[0])

        try:
            await self._client.subscribe(CHANNEL, received, on_gap)
        except RedisUnavailable as error:
            raise BoardUnavailable(str(error)) from None

    async def close(self) -> None:
        """Nothing of its own is open."""

    async def _execute(self, *args: str | bytes | int) -> Any:
        try:
            return await self._client.execute(*args)
        except (RedisUnavailable, RedisReplyError) as error:
            raise BoardUnavailable(str(error)) from None

    @staticmethod
    def _parse(body: bytes) -> tuple[HealthChange, str] | None:
        """A change and the instance it comes from; None for what is not one, since anyone may publish."""
        try:
            if len(body) > _MAX_BYTES:
                raise ValueError("too long")  # noqa: TRY301 - handled as every other malformed message
            content = json.loads(body)
            change = HealthChange(
                provider=str(content["provider"]),
                model=str(content["model"]),
                open=content["open"] is True,
                open_until=float(content["open_until"]),
                openings=int(content["openings"]),
            )
            if not math.isfinite(change.open_until):
                raise ValueError("open_until is no time")  # noqa: TRY301 - as above
            return change, str(content["instance"])
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            _log.warning("a message on %s is not a health change: %s", CHANNEL, error)
            return None
