"""The policies that the log was told of last, in a file."""

import asyncio
import contextlib
import os
from pathlib import Path

from sluicegate.kernel.errors import DependencyUnavailableError


class FilePolicyRecord:
    """`audit.policy_changes.PolicyRecord` in the file `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def read(self) -> bytes | None:
        return await asyncio.to_thread(self._read)

    async def write(self, content: bytes) -> None:
        await asyncio.to_thread(self._write, content)

    def _read(self) -> bytes | None:
        try:
            return self._path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise DependencyUnavailableError(f"{self._path} cannot be read: {error.strerror}") from None

    def _write(self, content: bytes) -> None:
        draft = self._path.with_name(f".{self._path.name}-{os.getpid()}-{os.urandom(4).hex()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(self._path)
        except OSError as error:
            with contextlib.suppress(OSError):
                draft.unlink()
            raise DependencyUnavailableError(f"{self._path} cannot be written: {error.strerror}") from None
