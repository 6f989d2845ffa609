"""Rows as Apache Parquet. `timestamp` is a timestamp, `payload` canonical JSON as text."""

import io
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from sluicegate.audit.entry import milliseconds_of, timestamp
from sluicegate.audit.errors import EncodingError
from sluicegate.audit.export.formats import FaultyRowsError, Format
from sluicegate.audit.export.row import COLUMNS, Row, payload_text, read_payload

ROWS_PER_GROUP = 10_000

_TYPES = {"index": pa.int64(), "timestamp": pa.timestamp("ms", tz="UTC")}
SCHEMA = pa.schema([pa.field(name, _TYPES.get(name, pa.string())) for name in COLUMNS])


class _Writer:
    def __init__(self) -> None:
        self._buffer = _Buffer()
        self._writer = pq.ParquetWriter(self._buffer, SCHEMA, compression="zstd")
        self._waiting: list[Row] = []

    def begin(self) -> bytes:
        return b""

    def rows(self, rows: Sequence[Row]) -> bytes:
        self._waiting += rows
        while len(self._waiting) >= ROWS_PER_GROUP:
            self._write(self._waiting[:ROWS_PER_GROUP])
            del self._waiting[:ROWS_PER_GROUP]
        return self._buffer.take()

    def end(self) -> bytes:
        if self._waiting:
            self._write(self._waiting)
        self._writer.close()
        return self._buffer.take()

    def _write(self, rows: Sequence[Row]) -> None:
        columns = [[_cell(name, row[name]) for row in rows] for name in COLUMNS]
        arrays = [pa.array(values, field.type) for values, field in zip(columns, SCHEMA, strict=True)]
        self._writer.write_table(pa.Table.from_arrays(arrays, schema=SCHEMA), row_group_size=ROWS_PER_GROUP)


class _Buffer(io.RawIOBase):
    """Takes what is written until it is fetched; knows how much that was in all."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._size

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def take(self) -> bytes:
        """All that was written since the last time."""
        content = b"".join(self._parts)
        self._parts.clear()
        return content


def _cell(name: str, value: Any) -> Any:
    if value is None:
        return None
    if name == "payload":
        return payload_text(value).decode()
    return milliseconds_of(value) if name == "timestamp" else value


def _read(file: BinaryIO) -> Iterator[Row]:
    try:
        reader = pq.ParquetFile(file)
        if not reader.schema_arrow.equals(SCHEMA):
            raise FaultyRowsError("the columns are not those of an export")
        for batch in reader.iter_batches(batch_size=ROWS_PER_GROUP // 2):
            columns = [
                _values(field.name, column) for field, column in zip(SCHEMA, batch.columns, strict=True)
            ]
            for values in zip(*columns, strict=True):
                yield dict(zip(COLUMNS, values, strict=True))
    except (pa.ArrowException, OSError, EncodingError, UnicodeDecodeError, ValueError) as error:
        raise FaultyRowsError("the file cannot be read") from error


def _values(name: str, column: Any) -> list[Any]:
    if name == "timestamp":
        return [None if value is None else timestamp(value) for value in column.cast(pa.int64()).to_pylist()]
    values: list[Any] = column.to_pylist()
    if name == "payload":
        return [None if value is None else read_payload(value.encode()) for value in values]
    return values


FORMAT = Format("parquet", "rows.parquet", "application/vnd.apache.parquet", _Writer, _read)
