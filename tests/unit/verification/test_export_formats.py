"""Rows lose nothing on their way through a file, in any format."""

import csv
import io
import json
from importlib.util import find_spec

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.audit.export.formats import NAMES, FaultyRowsError, export_format
from sluicegate.audit.export.row import COLUMNS, payload_text
from sluicegate.kernel.errors import InvalidRequestError

text = (
    st.none()
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
    | st.sampled_from(
        ["", "'", "''", "=1+1", "-", "+", "@x", "\t", "\r\n", '"', ",", "null", "\x00", "\ufeff", "é", "😀"]
    )
)
numbers = st.integers(-(2**53) + 1, 2**53 - 1) | st.floats(allow_nan=False, allow_infinity=False)
payloads = st.none() | st.dictionaries(
    st.text(max_size=4),
    st.recursive(
        st.none() | st.booleans() | numbers | st.text(max_size=6),
        lambda v: st.lists(v, max_size=3),
        max_leaves=6,
    ),
    max_size=3,
)
rows = st.fixed_dictionaries(
    {
        **dict.fromkeys(COLUMNS, text),
        "index": st.integers(0, 2**53 - 1),
        "payload": payloads,
        "timestamp": st.just("2026-11-20T21:55:00.123Z"),
    }
).map(lambda row: {name: row[name] for name in COLUMNS})


def formats():
    return [name for name in NAMES if name != "parquet"] + (["parquet"] if _installed() else [])


def _installed():
    return find_spec("pyarrow") is not None


def written(name, some):
    writer = export_format(name).writer()
    return writer.begin() + b"".join(writer.rows([row]) for row in some) + writer.end()


def read(name, content):
    return list(export_format(name).read(io.BytesIO(content)))


@pytest.mark.parametrize("name", formats())
@given(st.lists(rows, max_size=4))
def test_rows_read_back_as_they_were(name, some):
    found = read(name, written(name, some))
    assert [row["index"] for row in found] == [row["index"] for row in some]
    for row, again in zip(some, found, strict=True):
        assert list(again) == list(COLUMNS)
        assert payload_text(again["payload"]) == payload_text(row["payload"])
        assert {**again, "payload": 0} == {**row, "payload": 0}


@given(st.lists(rows, min_size=1, max_size=3))
def test_no_cell_of_a_csv_is_a_formula(some):
    lines = csv.reader(io.StringIO(written("csv", some).decode(), newline=""))
    for cells in lines:
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in cells)


ROW = {**dict.fromkeys(COLUMNS), "index": 3, "payload": {"a": 1}, "timestamp": "2026-11-20T21:55:00.123Z"}


@pytest.mark.parametrize(
    "line",
    [
        b"{}\n", b"[]\n", b"x\n", b"\n",
        json.dumps(ROW).encode() + b"\n",  # with spaces
        json.dumps({**ROW, "more": 1}, separators=(",", ":")).encode() + b"\n",
        json.dumps(ROW, separators=(",", ":")).encode(),  # without its end
        b'{"index":3,' + json.dumps(ROW, separators=(",", ":")).encode()[1:] + b"\n",  # a key twice
    ],
)  # fmt: skip
def test_json_lines_have_one_spelling(line):
    with pytest.raises(FaultyRowsError):
        read("jsonl", line)


@pytest.mark.parametrize(
    ("was", "becomes"),
    [
        (b"3,", b"03,"), (b"3,", b"x,"), (b'{""a"":1}', b'{ ""a"":1}'), (b"index", b"Index"),
        (b"\r\n", b",\r\n"),
        (b"3,", b"'3,"),
    ],
)  # fmt: skip
def test_csv_has_one_spelling(was, becomes):
    content = written("csv", [ROW])
    assert was in content
    with pytest.raises(FaultyRowsError):
        read("csv", content.replace(was, becomes, 1))


def test_a_parquet_file_of_something_else_is_refused():
    pa = pytest.importorskip("pyarrow", reason="the extra `export` is not installed")
    import pyarrow.parquet as pq

    out = io.BytesIO()
    pq.write_table(pa.table({"index": [1]}), out)
    for content in (out.getvalue(), b"", b"PAR1" * 9):
        with pytest.raises(FaultyRowsError):
            read("parquet", content)


def test_unknown_formats_are_refused():
    with pytest.raises(InvalidRequestError, match="jsonl, csv, parquet"):
        export_format("xml")
