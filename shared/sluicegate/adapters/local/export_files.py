"""Exports as files: readable by their owner only, and there under their name only once they are whole."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

from sluicegate.kernel.errors import ConfigurationError


class Piece(Protocol):
    """Some bytes of one file; all of a file come before the next one's."""

    @property
    def file(self) -> str: ...

    @property
    def content(self) -> bytes: ...


async def write_file(path: Path, content: AsyncIterator[bytes]) -> None:
    """Write one new file.

    Raises:
        ConfigurationError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            async for piece in content:
                await asyncio.to_thread(file.write, piece)
        draft.rename(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        draft.unlink(missing_ok=True)


async def write_folder(path: Path, pieces: AsyncIterator[Piece]) -> None:
    """Write a new folder of files.

    Raises:
        ConfigurationError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}-{os.getpid()}")
    descriptors: dict[str, int] = {}
    try:
        draft.mkdir(parents=True, mode=0o700)
        async for piece in pieces:
            if piece.file not in descriptors:
                for number in descriptors.values():
                    os.close(number)
                flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
                descriptors = {piece.file: os.open(draft / piece.file, flags, 0o600)}
            left = memoryview(piece.content)
            while left:
                left = left[await asyncio.to_thread(os.write, descriptors[piece.file], left) :]
        draft.rename(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        for number in descriptors.values():
            os.close(number)
        shutil.rmtree(draft, ignore_errors=True)
