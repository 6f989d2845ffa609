"""The cache's third level in Cloud Storage, shared by all instances.

An object is its expiry (seconds since the epoch, 8 bytes, big-endian double) and the content. The bucket's
lifecycle deletes it after a week; until then its own time counts.
"""

import re
import struct

from sluicegate.adapters.gcp.clients import Patience
from sluicegate.adapters.gcp.errors import GoogleError
from sluicegate.adapters.gcp.storage import Bucket
from sluicegate.caching.errors import CacheLevelError
from sluicegate.caching.types import CacheSlot
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.tenancy import checked_name

CACHE_PATIENCE = Patience(attempt_s=2.0, total_s=3.0)
"""For the client of the cache's bucket: an answer that takes longer had better be made anew."""

_NAME = re.compile(r"[0-9a-f]{8,64}(?:\.[0-9a-f]{1,64})?")
_EXPIRY = struct.Struct(">d")


class StorageCacheBlobs:
    """`caching.ports.BlobStore` on a bucket."""

    def __init__(self, bucket: Bucket, clock: Clock) -> None:
        self._bucket = bucket
        self._clock = clock

    async def get(self, slot: CacheSlot) -> bytes | None:
        name = _name(slot)
        try:
            found = await self._bucket.read(name)
        except GoogleError as error:
            raise CacheLevelError(error.message) from error
        if found is None or len(found.content) < _EXPIRY.size:
            return None
        expired = _EXPIRY.unpack_from(found.content)[0] <= self._clock.now()
        return None if expired else found.content[_EXPIRY.size :]

    async def put(self, slot: CacheSlot, content: bytes, ttl_s: float) -> None:
        name = _name(slot)
        try:
            await self._bucket.write(name, _EXPIRY.pack(self._clock.now() + ttl_s) + content)
        except GoogleError as error:
            raise CacheLevelError(error.message) from error

    async def delete(self, slot: CacheSlot) -> None:
        name = _name(slot)
        try:
            await self._bucket.delete([name])
        except GoogleError as error:
            raise CacheLevelError(error.message) from error


def _name(slot: CacheSlot) -> str:
    if _NAME.fullmatch(slot.name) is None:
        raise CacheLevelError("a slot's name is hexadecimal")
    return f"{checked_name(slot.tenant, 'tenant')}/{slot.name[:2]}/{slot.name}"
