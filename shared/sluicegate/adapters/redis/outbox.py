"""The outbox that the admission scripts append to: one stream per tenant, field `event`."""

from collections.abc import Sequence
from typing import Any, Protocol

from sluicegate.kernel.tenancy import redis_key

_TENANTS = "slg:tenants"


class Commands(Protocol):
    """The part of the Redis client used here."""

    async def execute(self, *args: bytes | str | int) -> Any: ...


class RedisOutbox:
    """`ledger.ports.Outbox` on Redis streams. Without consumer groups: whatever is there waits."""

    def __init__(self, client: Commands) -> None:
        self._client = client

    async def tenants(self) -> Sequence[str]:
        """Every tenant that ever had counters here, and so may have an outbox."""
        return sorted(bytes(name).decode() for name in await self._client.execute("SMEMBERS", _TENANTS))

    async def pending(self, tenant: str, count: int) -> Sequence[tuple[str, bytes]]:
        entries = await self._client.execute("XRANGE", redis_key(tenant, "outbox"), "-", "+", "COUNT", count)
        return [(bytes(entry).decode(), _body(fields)) for entry, fields in entries]

    async def confirm(self, tenant: str, ids: Sequence[str]) -> None:
        if ids:
            await self._client.execute("XDEL", redis_key(tenant, "outbox"), *ids)


def _body(fields: Sequence[bytes]) -> bytes:
    """The event of an entry. One without is not ours; all of it goes on, to be set aside with a reason."""
    named = dict(zip(fields[::2], fields[1::2], strict=True))
    event = named.get(b"event")
    return b"\n".join(fields) if event is None else bytes(event)
