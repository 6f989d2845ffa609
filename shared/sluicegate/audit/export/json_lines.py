"""Rows as JSON Lines: one object a line."""

from collections.abc import Iterator, Sequence
from typing import BinaryIO

import orjson

from sluicegate.audit.export.formats import FaultyRowsError, Format
from sluicegate.audit.export.row import COLUMNS, Row

_COLUMNS = frozenset(COLUMNS)


class _Writer:
    def begin(self) -> bytes:
        return b""

    def rows(self, rows: Sequence[Row]) -> bytes:
        return b"".join(orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) for row in rows)

    def end(self) -> bytes:
        return b""


def _read(file: BinaryIO) -> Iterator[Row]:
    for number, line in enumerate(file, 1):
        try:
            row = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise FaultyRowsError(f"line {number} is not JSON") from error
        if type(row) is not dict or row.keys() != _COLUMNS:
            raise FaultyRowsError(f"line {number} has other columns than a row")
        # One spelling for one row: a key given twice, or spaces, would be something that nobody exported.
        if orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE) != line:
            raise FaultyRowsError(f"line {number} is not written as an export writes it")
        yield row


FORMAT = Format("jsonl", "rows.jsonl", "application/x-ndjson", _Writer, _read)
