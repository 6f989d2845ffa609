"""Exports a tenant's entries, piece by piece: memory does not grow with their number (see `places`)."""

import asyncio
from base64 import b64encode
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from hashlib import sha256

from sluicegate.audit.checkpoint import Checkpoint
from sluicegate.audit.entry import timestamp
from sluicegate.audit.errors import CorruptLogError
from sluicegate.audit.export.formats import Format
from sluicegate.audit.export.gaps import subtrees
from sluicegate.audit.export.manifest import (
    CHECKPOINT,
    HASHES,
    KEYS,
    LEAVES,
    MANIFEST,
    SIGNATURE,
    File,
    Log,
    Manifest,
    filter_as_asked,
    sign_manifest,
)
from sluicegate.audit.export.places import Places
from sluicegate.audit.export.row import row_of
from sluicegate.audit.keys import Signer
from sluicegate.audit.log_reader import read_leaf_set, read_proof
from sluicegate.audit.ports import BlobStore, EntryFilter
from sluicegate.audit.proof import ProofPlan
from sluicegate.audit.queries import AuditQueries
from sluicegate.audit.spans import Span
from sluicegate.kernel.clock import Clock

ROWS_AT_ONCE = 1_000
_LEAVES_AT_ONCE = 4_096
_SPANS_AT_ONCE = 1_024


@dataclass(frozen=True, slots=True)
class Piece:
    """Some bytes of one file of an export. `rows` is how many rows are done with it."""

    file: str
    content: bytes
    rows: int = 0


class AuditExport:
    """Exports from one log.

    Args:
        key_name: the name of the key that signs exports.
        signer: that key.
    """

    def __init__(
        self, blobs: BlobStore, queries: AuditQueries, key_name: str, signer: Signer, clock: Clock
    ) -> None:
        self._blobs = blobs
        self._queries = queries
        self._key_name = key_name
        self._signer = signer
        self._clock = clock

    async def begin(self, tenant: str, wanted: EntryFilter, rows_format: Format, by: str) -> "Export":
        """Find what an export of `tenant` has, as of now.

        Args:
            tenant: whose entries.
            wanted: which of them.
            rows_format: the form of the rows.
            by: who asks, for the manifest.

        Raises:
            NotFoundError: the log has no checkpoint yet.
        """
        checkpoint, note = await self._queries.checkpoint()
        places = Places(checkpoint.size)
        async for indexes in self._queries.places(tenant, wanted, checkpoint.size):
            places.add(indexes)
        keys = await self._blobs.read(KEYS)
        if keys is None:
            raise CorruptLogError("The list of the log's keys is missing.", details={"name": KEYS})
        manifest = Manifest(
            tenant=tenant,
            created=timestamp(int(self._clock.now() * 1000)),
            created_by=by,
            rows_format=rows_format.name,
            rows=places.count,
            privacy={},
            filter=dict(filter_as_asked(wanted)),
            log=Log(origin=checkpoint.origin, size=checkpoint.size, root=b64encode(checkpoint.root).decode()),
            files={},
        )
        return Export(self, checkpoint, {CHECKPOINT: note, KEYS: keys.content}, manifest, rows_format, places)

    async def sign(self, manifest: bytes, origin: str) -> bytes:
        """The signature under a manifest."""
        return await sign_manifest(manifest, origin, self._key_name, self._signer)

    @property
    def blobs(self) -> BlobStore:
        """The log's blobs."""
        return self._blobs

    @property
    def queries(self) -> AuditQueries:
        """What reads entries."""
        return self._queries


class Export:
    """One export, to be gone through once."""

    def __init__(
        self,
        exporter: AuditExport,
        checkpoint: Checkpoint,
        attached: dict[str, bytes],
        manifest: Manifest,
        rows_format: Format,
        places: Places,
    ) -> None:
        self._exporter = exporter
        self._checkpoint = checkpoint
        self._attached = attached
        self._manifest = manifest
        self._format = rows_format
        self._places = places
        self._privacy: Counter[str] = Counter()

    @property
    def count(self) -> int:
        """Rows that it has."""
        return self._places.count

    @property
    def size(self) -> int:
        """Entries of the log that it is taken from."""
        return self._checkpoint.size

    async def files(self) -> AsyncIterator[Piece]:
        """All files, one after another, each in pieces; the signed manifest is last.

        Raises:
            As `rows`.
        """
        digests: dict[str, _Digest] = {}
        async for piece in self._parts():
            digests.setdefault(piece.file, _Digest()).add(piece.content)
            yield piece
        update = {
            "privacy": dict(self._privacy),
            "files": {name: digest.file() for name, digest in digests.items()},
        }
        manifest = self._manifest.model_copy(update=update).encode()
        yield Piece(MANIFEST, manifest)
        yield Piece(SIGNATURE, await self._exporter.sign(manifest, self._checkpoint.origin))

    async def rows(self) -> AsyncIterator[Piece]:
        """The file of rows alone: by itself it proves nothing.

        Raises:
            CorruptLogError, CorruptTileError, MissingTileError: the log cannot be read.
            DependencyUnavailableError: a store is away.
        """
        name, writer = self._format.file, self._format.writer()
        yield Piece(name, writer.begin())
        queries, tenant, size = self._exporter.queries, self._manifest.tenant, self.size
        for indexes in self._places.chunks(ROWS_AT_ONCE):
            records = await queries.at(tenant, indexes, size, reveal=True)
            self._privacy.update(record.privacy.value for record in records)
            yield Piece(name, writer.rows([row_of(record) for record in records]), len(records))
            await asyncio.sleep(0)
        yield Piece(name, writer.end())

    async def _parts(self) -> AsyncIterator[Piece]:
        async for piece in self.rows():
            yield piece
        async for piece in self._leaves():
            yield piece
        async for piece in self._hashes():
            yield piece
        for name, content in self._attached.items():
            yield Piece(name, content)

    async def _leaves(self) -> AsyncIterator[Piece]:
        yield Piece(LEAVES, b"")
        for indexes in self._places.chunks(_LEAVES_AT_ONCE):
            leaves = await read_leaf_set(self._exporter.blobs, indexes, self.size)
            yield Piece(LEAVES, b"".join(leaves[index] + b"\n" for index in indexes))

    async def _hashes(self) -> AsyncIterator[Piece]:
        yield Piece(HASHES, b"")
        spans: list[Span] = []
        for start, end in self._places.gaps():
            spans.extend(subtrees(start, end))
            if len(spans) >= _SPANS_AT_ONCE:
                yield Piece(HASHES, await self._roots(spans))
                spans = []
        if spans:
            yield Piece(HASHES, await self._roots(spans))

    async def _roots(self, spans: list[Span]) -> bytes:
        return b"".join(await read_proof(self._exporter.blobs, ProofPlan(tuple(spans), self.size)))


class _Digest:
    """A file as it grows."""

    def __init__(self) -> None:
        self._hash = sha256()
        self._size = 0

    def add(self, content: bytes) -> None:
        self._hash.update(content)
        self._size += len(content)

    def file(self) -> File:
        return File(bytes=self._size, sha256=self._hash.hexdigest())
