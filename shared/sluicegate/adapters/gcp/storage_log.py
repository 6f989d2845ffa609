"""The transparency log's blobs in Cloud Storage, each in the bucket whose rules fit it (infra's inventory).

What is never written twice lies under locked retention; what changes, and what may be erased, lies elsewhere.
"""

import asyncio
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from sluicegate.adapters.gcp.storage import Bucket
from sluicegate.audit.errors import CorruptLogError
from sluicegate.audit.ports import Blob

_NAME = re.compile(r"(?:[a-z0-9][A-Za-z0-9_.-]*/)*[a-z0-9][A-Za-z0-9_.-]*")
_LASTING = ("tile/", "checkpoints/")
_SEALED = "sealed/"


@dataclass(frozen=True, slots=True)
class LogBuckets:
    """`lasting`: tiles and kept checkpoints. `head`: state, newest checkpoint. `sealed`: payloads."""

    lasting: Bucket
    head: Bucket
    sealed: Bucket

    def of(self, name: str) -> Bucket:
        """The bucket of a blob."""
        if name.startswith(_LASTING):
            return self.lasting
        return self.sealed if name.startswith(_SEALED) else self.head

    def under(self, prefix: str) -> Sequence[Bucket]:
        """Buckets that may have names with this prefix."""
        if prefix.startswith((*_LASTING, _SEALED)):
            return (self.of(prefix),)
        return tuple({each.name: each for each in (self.lasting, self.head, self.sealed)}.values())


class StorageLogBlobs:
    """`audit.ports.BlobStore` on Cloud Storage.

    In a bucket of objects that never change, writing what is there already changes nothing, and deleting does
    nothing: partial tiles stay until the retention's end (tlog-tiles allows both).
    """

    def __init__(self, buckets: LogBuckets) -> None:
        self._buckets = buckets

    async def read(self, name: str) -> Blob | None:
        found = await self._bucket(name).read(name)
        return None if found is None else Blob(found.content, found.generation)

    async def write(self, name: str, content: bytes, *, if_generation: int | None = None) -> int | None:
        bucket = self._bucket(name)
        if bucket.write_once and if_generation is None:
            return await _write_once(bucket, name, content)
        return await bucket.write(name, content, if_generation=if_generation)

    async def write_all(self, blobs: Mapping[str, bytes]) -> None:
        await asyncio.gather(*(self.write(name, content) for name, content in blobs.items()))

    async def list(self, prefix: str) -> "_Names":
        found = await asyncio.gather(*(bucket.list(prefix) for bucket in self._buckets.under(prefix)))
        return sorted(name for names in found for name in names)

    async def delete(self, names: Collection[str]) -> None:
        by_bucket: dict[str, _Names] = {}
        for name in names:
            by_bucket.setdefault(self._bucket(name).name, []).append(name)
        await asyncio.gather(*(self._bucket(own[0]).delete(own) for own in by_bucket.values()))

    def _bucket(self, name: str) -> Bucket:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name[:80]!r} is not a blob's name")
        return self._buckets.of(name)


# `list` is also the name of one of the store's verbs.
_Names = list[str]


async def _write_once(bucket: Bucket, name: str, content: bytes) -> int:
    generation = await bucket.write(name, content, if_generation=0)
    if generation is None:
        generation = await bucket.same(name, content)
    if generation is None:
        raise CorruptLogError(f"{name} is in the log already, with another content")
    return generation
