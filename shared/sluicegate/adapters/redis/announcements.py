"""What one process tells all others at once: a key was revoked, a key changed, a budget was set."""

from collections.abc import Callable
from typing import Any, Protocol
from urllib.parse import quote

from sluicegate.identity.ports import REVOCATIONS_CHANNEL
from sluicegate.kernel.tenancy import redis_key

OVERRIDES_CHANNEL = "slg:overrides"
"""Pub/sub channel; each message is the tenant whose budget overrides changed."""


class Commands(Protocol):
    """The part of the Redis client used here."""

    async def execute(self, *args: bytes | str | int) -> Any: ...


class Subscriptions(Protocol):
    """The part of the Redis client that listens."""

    async def subscribe(
        self, channel: str, callback: Callable[[bytes], None], on_gap: Callable[[], None]
    ) -> None: ...


class RedisAnnouncements:
    """`identity.ports.RevocationBoard` on Redis, and the same for budget overrides.

    Raises DependencyUnavailableError (the client's own kind) when Redis is away.
    """

    def __init__(self, client: Commands) -> None:
        self._client = client

    async def revoked(self, tenant: str, key_id: str) -> None:
        # The mark that the admission script looks for (scripts/admission_admit.lua); "0": for ever.
        mark = f"revoked|{quote(key_id, safe='._-@/:+')}"
        await self._client.execute("HSET", redis_key(tenant, "counters"), mark, "0")
        await self._client.execute("PUBLISH", REVOCATIONS_CHANNEL, key_id)

    async def changed(self, key_id: str) -> None:
        await self._client.execute("PUBLISH", REVOCATIONS_CHANNEL, key_id)

    async def overrides_changed(self, tenant: str) -> None:
        """Have every instance read `tenant`'s budget overrides again."""
        await self._client.execute("PUBLISH", OVERRIDES_CHANNEL, tenant)


async def listen_for_keys(
    client: Subscriptions, forget: Callable[[str], None], forget_all: Callable[[], None]
) -> None:
    """Call `forget` with each key that changed, `forget_all` when announcements may have been missed."""

    def heard(message: bytes) -> None:
        forget(message.decode("utf-8", "replace"))

    await client.subscribe(REVOCATIONS_CHANNEL, heard, forget_all)


async def listen_for_overrides(
    client: Subscriptions, forget: Callable[[str], None], forget_all: Callable[[], None]
) -> None:
    """Call `forget` with each tenant whose overrides changed, `forget_all` after a gap."""

    def heard(message: bytes) -> None:
        forget(message.decode("utf-8", "replace"))

    await client.subscribe(OVERRIDES_CHANNEL, heard, forget_all)
