"""What identity needs of the outside."""

from collections.abc import Sequence
from typing import Protocol

from sluicegate.identity.api_keys import ApiKey

REVOCATIONS_CHANNEL = "slg:revocations"
"""Pub/sub channel; each message is the id of a key that changed: forget what is known of it."""


class KeyStore(Protocol):
    """Keeps API keys. Ids and prefixes are unique over all tenants.

    Raises DependencyUnavailableError while it cannot be reached.
    """

    async def find_by_prefix(self, prefix: str) -> ApiKey | None:
        """The key that has a secret with `prefix`, whatever its state."""
        ...

    async def find(self, tenant: str, key_id: str) -> ApiKey | None:
        """Key `key_id`, if it is one of `tenant`'s."""
        ...

    async def keys(self, tenant: str) -> Sequence[ApiKey]:
        """All of `tenant`'s keys, oldest first, revoked ones included."""
        ...

    async def add(self, key: ApiKey) -> bool:
        """Store a new key. False, and nothing stored, where its id or a prefix is taken."""
        ...

    async def replace(self, key: ApiKey) -> bool:
        """Store `key` over its revision before (`key.revision - 1`), secrets included.

        False, and nothing changed, where the stored revision is another one.
        """
        ...


class RevocationBoard(Protocol):
    """Tells all instances at once that a key changed."""

    async def revoked(self, tenant: str, key_id: str) -> None:
        """Mark the key so that admission refuses it in the same trip, and wake every instance.

        Raises:
            DependencyUnavailableError: it could not be told; instances find out by themselves when
                what they remember of the key grows stale.
        """
        ...

    async def changed(self, key_id: str) -> None:
        """Have every instance look the key up again (after a rotation)."""
        ...
