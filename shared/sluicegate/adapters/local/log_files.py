"""The log's blobs as plain files, laid out as C2SP says: a web server can serve the folder as it is.

A write goes to a file beside, which is flushed and renamed into place, and then the folder is flushed: after
a failure of the machine a blob is there whole, or as it was before. Conditional writes take turns under a
lock that ends with the process which holds it.
"""

import asyncio
import errno
import fcntl
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import TypeVar

from sluicegate.audit.ports import Blob
from sluicegate.kernel.errors import DependencyUnavailableError

T = TypeVar("T")

THREADS = 4
FOLDER_MODE = 0o700
FILE_MODE = 0o600

_LOCK = ".lock"
_ASIDE = ".aside-"
# Names are ours; that none of them can leave the folder is worth a check all the same.
_NAME = re.compile(r"(?:[a-z0-9][A-Za-z0-9_.-]*/)*[a-z0-9][A-Za-z0-9_.-]*")


class LogFiles:
    """`audit.ports.BlobStore` on a folder, for this user only. Nothing happens before the first use."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._threads: ThreadPoolExecutor | None = None
        self._numbers = count()

    async def read(self, name: str) -> Blob | None:
        return await self._run(lambda: self._read(self._path(name)))

    async def write(self, name: str, content: bytes, *, if_generation: int | None = None) -> int | None:
        return await self._run(lambda: self._write(name, content, if_generation))

    async def write_all(self, blobs: Mapping[str, bytes]) -> None:
        await self._run(lambda: self._write_all(blobs))

    async def list(self, prefix: str) -> list[str]:
        return await self._run(lambda: sorted(self._names(prefix)))

    async def delete(self, names: Collection[str]) -> None:
        await self._run(lambda: self._delete(names))

    async def close(self) -> None:
        """Wait for the work under way and end the threads."""
        threads, self._threads = self._threads, None
        if threads is not None:
            await asyncio.to_thread(threads.shutdown)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="log-files")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        except OSError as error:
            raise DependencyUnavailableError(
                f"the log's folder cannot be used: {error.strerror}", retry_after=1.0
            ) from error

    def _path(self, name: str) -> Path:
        if _NAME.fullmatch(name) is None:
            raise ValueError(f"{name[:80]!r} is not a blob's name")
        return self._root / name

    @staticmethod
    def _read(path: Path) -> Blob | None:
        try:
            content = path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            return None
        return Blob(content, _generation(content))

    def _write(self, name: str, content: bytes, if_generation: int | None) -> int | None:
        path = self._path(name)
        if if_generation is None:
            self._write_all({name: content})
            return _generation(content)
        with self._locked():
            now = self._read(path)
            if (0 if now is None else now.generation) != if_generation:
                return None
            self._write_all({name: content})
        return _generation(content)

    def _write_all(self, blobs: Mapping[str, bytes]) -> None:
        folders: set[Path] = set()
        for name, content in blobs.items():
            path = self._path(name)
            folders.update(self._make(path.parent))
            self._put(path, content)
            folders.add(path.parent)
        for folder in folders:
            _flush(folder)

    def _put(self, path: Path, content: bytes) -> None:
        aside = path.with_name(f"{_ASIDE}{os.getpid()}-{next(self._numbers)}")
        try:
            number = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, FILE_MODE)
            try:
                left = memoryview(content)
                while left:
                    left = left[os.write(number, left) :]
                os.fsync(number)
            finally:
                os.close(number)
            aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise

    def _make(self, folder: Path) -> set[Path]:
        """Make a folder; those whose lists of names have changed by that."""
        changed: set[Path] = set()
        missing = []
        while not folder.is_dir():
            missing.append(folder)
            folder = folder.parent
        for each in reversed(missing):
            each.mkdir(FOLDER_MODE, exist_ok=True)
            changed.add(each.parent)
        return changed

    def _names(self, prefix: str) -> Iterator[str]:
        top = self._root / prefix.rpartition("/")[0]
        for folder, _, files in os.walk(top):
            below = Path(folder).relative_to(self._root).as_posix()
            for file in files:
                name = file if below == "." else f"{below}/{file}"
                if not file.startswith(".") and name.startswith(prefix):
                    yield name

    def _delete(self, names: Collection[str]) -> None:
        folders = set()
        for name in names:
            path = self._path(name)
            path.unlink(missing_ok=True)
            folders.add(path.parent)
        for folder in folders:
            if folder.is_dir():
                _flush(folder)
            self._prune(folder)

    def _prune(self, folder: Path) -> None:
        """Remove folders that became empty; one that gets a new file in that moment stays."""
        while folder != self._root:
            try:
                folder.rmdir()
            except FileNotFoundError:
                pass
            except OSError as error:
                if error.errno in {errno.ENOTEMPTY, errno.EEXIST}:
                    return
                raise
            folder = folder.parent

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._make(self._root)
        number = os.open(self._root / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, FILE_MODE)
        try:
            fcntl.flock(number, fcntl.LOCK_EX)
            yield
        finally:
            os.close(number)


def _generation(content: bytes) -> int:
    """The content's digest. Blobs that are written conditionally never return to an earlier content."""
    return int.from_bytes(sha256(content).digest()[:8], "big") | 1


def _flush(folder: Path) -> None:
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
