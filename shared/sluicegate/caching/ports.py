"""What the cache needs of the outside: a memory, stores of bytes, and the tags' generations."""

from collections.abc import Callable, Sequence
from typing import Protocol

from sluicegate.caching.types import CachedAnswer, CacheSlot


class AnswerMemory(Protocol):
    """L1: answers in this process, bounded in bytes, least recently used out first. Never blocks."""

    def get(self, slot: CacheSlot) -> CachedAnswer | None: ...

    def put(self, slot: CacheSlot, answer: CachedAnswer, ttl_s: float) -> None: ...

    def delete(self, slot: CacheSlot) -> None: ...


class BlobStore(Protocol):
    """L2 and L3: bytes by slot, each until its time is up. A slot of one tenant is never another's.

    Every method raises CacheLevelError when the store is away.
    """

    async def get(self, slot: CacheSlot) -> bytes | None: ...

    async def put(self, slot: CacheSlot, content: bytes, ttl_s: float) -> None: ...

    async def delete(self, slot: CacheSlot) -> None: ...


class TagGenerations(Protocol):
    """The generation of each of a tenant's tags, the same for all instances.

    `load` returns the tenant's epoch and then one value per tag; a value never comes back once it
    was replaced, not even when the store was emptied (the epoch is then another). `bump` replaces a
    tag's value. `watch` calls `changed(tenant)` after every bump by anybody, and `gap()` when
    notices may have been missed. Methods raise CacheLevelError when the store is away.
    """

    async def load(self, tenant: str, tags: Sequence[str]) -> tuple[str, ...]: ...

    async def bump(self, tenant: str, tag: str) -> None: ...

    async def watch(self, changed: Callable[[str], None], gap: Callable[[], None]) -> None: ...
