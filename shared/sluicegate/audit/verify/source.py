"""Where what is verified is read from."""

from collections.abc import Iterator
from typing import BinaryIO, Protocol


class UnreadableSourceError(Exception):
    """The source cannot be read: no such folder, no connection, no permission. The message says which."""


class LogSource(Protocol):
    """A log's files: a folder, or a server. Can be pickled, for several processes read at once.

    Both methods raise UnreadableSourceError.
    """

    def read(self, name: str) -> bytes | None:
        """The file's content; None where there is no such file."""
        ...

    def names(self, prefix: str) -> Iterator[str] | None:
        """All files whose names start with `prefix`, in any order; None where a source cannot tell."""
        ...


class ExportSource(Protocol):
    """An export's files: a folder, or a zip archive. Both methods raise UnreadableSourceError."""

    def names(self) -> list[str]:
        """All files."""
        ...

    def open(self, name: str) -> BinaryIO:
        """The file, to be read once from its beginning and closed."""
        ...
