"""An export as whoever verifies it reads it: a folder, or a zip archive."""

import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast
from zipfile import BadZipFile, ZipFile
from zlib import error as DeflateError  # noqa: N812 - zlib's only error

from sluicegate.audit.verify.source import UnreadableSourceError


@dataclass(frozen=True, slots=True)
class FolderExport:
    """`audit.verify.source.ExportSource` on a folder."""

    root: Path

    def names(self) -> list[str]:
        try:
            return [
                (Path(folder) / file).relative_to(self.root).as_posix()
                for folder, _, files in os.walk(self.root)
                for file in files
            ]
        except OSError as error:
            raise UnreadableSourceError(f"{self.root}: {error.strerror}") from None

    def open(self, name: str) -> BinaryIO:
        try:
            return (self.root / name).open("rb")
        except OSError as error:
            raise UnreadableSourceError(f"{self.root / name}: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class ZipExport:
    """The same on a zip archive. Files are unpacked one by one, to where no name leads."""

    path: Path

    def names(self) -> list[str]:
        with self._archive() as archive:
            names = archive.namelist()
        if len(names) != len(set(names)):
            raise UnreadableSourceError(f"{self.path}: a file is in the archive twice")
        return names

    def open(self, name: str) -> BinaryIO:
        unpacked = tempfile.TemporaryFile()  # noqa: SIM115 - closed by the caller
        try:
            with self._archive() as archive, archive.open(name) as packed:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
        except (
            BadZipFile,
            KeyError,
            EOFError,
            OSError,
            DeflateError,
            NotImplementedError,
            RuntimeError,
        ) as error:
            unpacked.close()
            raise UnreadableSourceError(f"{self.path}: {name} cannot be unpacked: {error}") from None
        unpacked.seek(0)
        return cast("BinaryIO", unpacked)

    def _archive(self) -> ZipFile:
        try:
            return ZipFile(self.path)
        except (BadZipFile, OSError, ValueError) as error:
            raise UnreadableSourceError(f"{self.path}: not a zip archive that can be read: {error}") from None
