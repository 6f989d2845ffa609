"""L3 on files: one file per slot, written aside and renamed, in a folder per tenant.

A file is its expiry (seconds since the epoch, 8 bytes, big-endian double) and the content. All file work
runs in a few threads of its own, never on the event loop.
"""

import asyncio
import os
import re
import struct
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from sluicegate.caching.errors import CacheLevelError
from sluicegate.caching.types import CacheSlot
from sluicegate.kernel.clock import Clock
from sluicegate.kernel.tenancy import checked_name

THREADS = 4
FOLDER_MODE = 0o700
# A temporary file older than this was left by a process that died.
ABANDONED_S = 3_600

_NAME = re.compile(r"[0-9a-f]{8,64}(?:\.[0-9a-f]{1,64})?")
_EXPIRY = struct.Struct(">d")

T = TypeVar("T")


class FileBlobStore:
    """Blobs under `root`, readable by this user only.

    Args:
        limit_bytes: what `sweep` cuts the folder down to, oldest written first.
    """

    def __init__(self, root: Path, clock: Clock, *, limit_bytes: int) -> None:
        self._root = root
        self._clock = clock
        self._limit = limit_bytes
        self._threads: ThreadPoolExecutor | None = None

    async def get(self, slot: CacheSlot) -> bytes | None:
        path = self._path(slot)
        return await self._off_loop(lambda: self._read(path))

    async def put(self, slot: CacheSlot, content: bytes, ttl_s: float) -> None:
        path = self._path(slot)
        expiry = self._clock.now() + ttl_s
        await self._off_loop(lambda: _write(path, _EXPIRY.pack(expiry) + content))

    async def delete(self, slot: CacheSlot) -> None:
        path = self._path(slot)
        await self._off_loop(lambda: path.unlink(missing_ok=True))

    async def sweep(self) -> int:
        """Delete what has expired, then the oldest until `limit_bytes` hold the rest.

        Returns the number of files deleted. To be called now and then; reads never depend on it.
        """
        return await self._off_loop(self._sweep)

    async def close(self) -> None:
        """Wait for the work under way and end the threads."""
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)

    def _path(self, slot: CacheSlot) -> Path:
        if _NAME.fullmatch(slot.name) is None:
            raise CacheLevelError("a slot's name is hexadecimal")
        return self._root / checked_name(slot.tenant, "tenant") / slot.name[:2] / slot.name

    async def _off_loop(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="blobs")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise CacheLevelError(f"the blob folder cannot be used: {error.strerror}") from error

    def _read(self, path: Path) -> bytes | None:
        try:
            stored = path.read_bytes()
        except FileNotFoundError:
            return None
        if len(stored) < _EXPIRY.size or _EXPIRY.unpack_from(stored)[0] <= self._clock.now():
            # Left to `sweep`: deleting here could hit a fresh file that was just renamed into place.
            return None
        return stored[_EXPIRY.size :]

    def _sweep(self) -> int:
        now = self._clock.now()
        alive: list[tuple[float, int, Path]] = []
        deleted = 0
        for path, facts in _files(self._root):
            if self._expired(path, facts, now):
                path.unlink(missing_ok=True)
                deleted += 1
            else:
                alive.append((facts.st_mtime, facts.st_size, path))
        size = sum(entry[1] for entry in alive)
        for _, bytes_, path in sorted(alive):
            if size <= self._limit:
                break
            path.unlink(missing_ok=True)
            size -= bytes_
            deleted += 1
        return deleted

    @staticmethod
    def _expired(path: Path, facts: os.stat_result, now: float) -> bool:
        if path.suffix == ".tmp":
            return facts.st_mtime < now - ABANDONED_S
        try:
            with path.open("rb") as file:
                head = file.read(_EXPIRY.size)
        except FileNotFoundError:
            return False
        return len(head) < _EXPIRY.size or bool(_EXPIRY.unpack(head)[0] <= now)


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(FOLDER_MODE, parents=True, exist_ok=True)
    # mkstemp gives a name of its own and mode 0600. No fsync: a lost entry is a miss, a torn one
    # fails its checksum.
    number, temporary = tempfile.mkstemp(dir=path.parent, suffix=".tmp")
    try:
        with os.fdopen(number, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _files(root: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for folder, _, names in os.walk(root):
        for name in names:
            path = Path(folder, name)
            try:
                yield path, path.stat()
            except FileNotFoundError:
                continue
