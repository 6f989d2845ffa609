"""Formats of an export's rows: each writes and reads, and loses nothing on the way."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType
from typing import BinaryIO, Protocol

from sluicegate.audit.export.row import Row
from sluicegate.kernel.errors import InvalidRequestError


class FaultyRowsError(Exception):
    """A file of rows is not what it is said to be. The message says where."""


class RowWriter(Protocol):
    """Writes rows as bytes, piece by piece."""

    def begin(self) -> bytes: ...

    def rows(self, rows: Sequence[Row]) -> bytes:
        """What there is to write of these rows now; the rest comes later."""
        ...

    def end(self) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Format:
    """One format.

    Attributes:
        name: by which it is asked for.
        file: the name of the file of rows in an export.
        media_type: its media type.
        writer: makes a writer.
        read: all rows of a file; raises FaultyRowsError.
    """

    name: str
    file: str
    media_type: str
    writer: Callable[[], RowWriter]
    read: Callable[[BinaryIO], Iterator[Row]]


_MODULES: Mapping[str, str] = MappingProxyType(
    {"jsonl": "json_lines", "csv": "separated_values", "parquet": "parquet"}
)
NAMES = tuple(_MODULES)
"""All formats."""


def export_format(name: str) -> Format:
    """The format called `name`. Only what it needs is loaded.

    Raises:
        InvalidRequestError: there is none, or what it needs is not installed.
    """
    module = _MODULES.get(name)
    if module is None:
        raise InvalidRequestError(f"format is one of {', '.join(NAMES)}", param="format")
    if name == "parquet" and find_spec("pyarrow") is None:
        raise InvalidRequestError(
            "Parquet needs pyarrow, which is not installed here: pip install 'sluicegate[export]'",
            param="format",
        )
    found: Format = import_module(f"sluicegate.audit.export.{module}").FORMAT
    return found
