"""Rows as CSV (RFC 4180), safe to open in a spreadsheet.

Spreadsheets take a cell that begins with `=`, `+`, `-` or `@` for a formula. Such a cell is written with an
apostrophe before it, as is one that begins with an apostrophe, and one that is empty: without anything it is
no value at all. So every cell reads back as it was: take one apostrophe off.
"""

import csv
import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from sluicegate.audit.errors import EncodingError
from sluicegate.audit.export.formats import FaultyRowsError, Format
from sluicegate.audit.export.row import COLUMNS, Row, payload_text, read_payload

_RISKY = ("=", "+", "-", "@", "\t", "\r", "\n", "'")
_MAX_CELL = 4 << 20


class _Writer:
    def begin(self) -> bytes:
        return _lines([COLUMNS])

    def rows(self, rows: Sequence[Row]) -> bytes:
        return _lines([[_cell(name, row[name]) for name in COLUMNS] for row in rows])

    def end(self) -> bytes:
        return b""


def _lines(rows: Sequence[Sequence[str]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()


def _cell(name: str, value: Any) -> str:
    if value is None:
        return ""
    text = payload_text(value).decode() if name == "payload" else str(value)
    return f"'{text}" if not text or text.startswith(_RISKY) else text


def _read(file: BinaryIO) -> Iterator[Row]:
    csv.field_size_limit(_MAX_CELL)
    text = io.TextIOWrapper(file, "utf-8", newline="")
    lines = csv.reader(text, strict=True)
    try:
        if next(lines, None) != list(COLUMNS):
            raise FaultyRowsError("the first line does not name the columns of an export")
        for cells in lines:
            if len(cells) != len(COLUMNS):
                raise FaultyRowsError(f"line {lines.line_num} has {len(cells)} cells, not {len(COLUMNS)}")
            yield {name: _value(name, cell) for name, cell in zip(COLUMNS, cells, strict=True)}
    except (csv.Error, UnicodeDecodeError, ValueError, EncodingError) as error:
        raise FaultyRowsError(f"line {lines.line_num} cannot be read") from error
    finally:
        text.detach()  # whoever opened the file closes it


def _value(name: str, cell: str) -> Any:
    if not cell:
        return None
    text = cell.removeprefix("'")
    if _cell("", text) != cell:
        raise ValueError(name)
    if name == "index":
        if str(int(text)) != text:
            raise ValueError(name)
        return int(text)
    return read_payload(text.encode()) if name == "payload" else text


FORMAT = Format("csv", "rows.csv", "text/csv; charset=utf-8", _Writer, _read)
