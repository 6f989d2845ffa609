"""A log's folder, as whoever verifies it reads it: straight from the files, by any number of processes."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sluicegate.audit.verify.source import UnreadableSourceError


@dataclass(frozen=True, slots=True)
class FolderLog:
    """`audit.verify.source.LogSource` on a folder."""

    root: Path

    def read(self, name: str) -> bytes | None:
        try:
            return (self.root / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None
        except OSError as error:
            raise UnreadableSourceError(f"{self.root / name}: {error.strerror}") from None

    def names(self, prefix: str) -> Iterator[str]:
        def refuse(error: OSError) -> None:
            if not isinstance(error, FileNotFoundError):
                raise UnreadableSourceError(f"{error.filename}: {error.strerror}")

        for folder, _, files in os.walk(self.root / prefix.rpartition("/")[0], onerror=refuse):
            below = Path(folder).relative_to(self.root).as_posix()
            for file in files:
                # Files that begin with a dot are of the folder's own upkeep: a lock, a write under way.
                name = file if below == "." else f"{below}/{file}"
                if not file.startswith(".") and name.startswith(prefix):
                    yield name
