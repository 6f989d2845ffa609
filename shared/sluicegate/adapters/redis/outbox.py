"""The outbox that the admission scripts append to: one stream per tenant, field `event`.

Beside it stands the mark of what the bus was told (`published`). There are no Redis consumer groups: whatever
is in the stream waits, and a flush takes all of it away, or nothing.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from sluicegate.kernel.tenancy import redis_key

_TENANTS = "slg:tenants"


class Commands(Protocol):
    """The part of the Redis client used here."""

    async def execute(self, *args: bytes | str | int) -> Any: ...


class RedisOutbox:
    """`events.ports.Outbox` and `Progress` on Redis streams. A place is the id of a stream's entry."""

    def __init__(self, client: Commands) -> None:
        self._client = client

    async def tenants(self) -> Sequence[str]:
        """Every tenant that ever had counters here, and so may have an outbox."""
        return sorted(bytes(name).decode() for name in await self._client.execute("SMEMBERS", _TENANTS))

    async def pending(self, tenant: str, count: int, after: str | None = None) -> Sequence[tuple[str, bytes]]:
        first = "-" if after is None else f"({after}"
        key = redis_key(tenant, "outbox")
        entries = await self._client.execute("XRANGE", key, first, "+", "COUNT", count)
        return [(bytes(entry).decode(), _body(fields)) for entry, fields in entries]

    async def published(self, tenant: str) -> str | None:
        place = await self._client.execute("GET", redis_key(tenant, "published"))
        return None if place is None else bytes(place).decode()

    async def mark_published(self, tenant: str, place: str | None) -> None:
        key = redis_key(tenant, "published")
        if place is None:
            await self._client.execute("DEL", key)
        else:
            await self._client.execute("SET", key, place)

    async def confirm(self, tenant: str, places: Sequence[str]) -> None:
        if places:
            await self._client.execute("XDEL", redis_key(tenant, "outbox"), *places)

    async def mark(self) -> Mapping[str, str]:
        """The newest place of each tenant's outbox that is not empty."""
        places: dict[str, str] = {}
        for tenant in await self.tenants():
            key = redis_key(tenant, "outbox")
            for place, _ in await self._client.execute("XREVRANGE", key, "+", "-", "COUNT", 1):
                places[tenant] = bytes(place).decode()
        return places

    async def passed(self, mark: Mapping[str, str]) -> bool:
        for tenant, place in mark.items():
            key = redis_key(tenant, "outbox")
            if await self._client.execute("XRANGE", key, "-", place, "COUNT", 1):
                return False
        return True


def _body(fields: Sequence[bytes]) -> bytes:
    """The event of an entry. One without is not ours; all of it goes on, to be set aside with a reason."""
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    event = named.get(b"event")
    return b"\n".join(fields) if event is None else bytes(event)
