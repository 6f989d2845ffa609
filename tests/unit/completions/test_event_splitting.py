"""Server-sent events from any split of bytes."""

from itertools import pairwise

import orjson
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.completions.sse import (
    EventSplitter,
    data_event,
    fields,
    json_object,
    named_event,
    string_length,
)

STREAM = b': hello\n\ndata: {"a":1}\n\nevent: x\ndata: 1\ndata: 2\n\n\n\ndata: [DONE]\n\n'


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in pairwise(edges)]


@given(st.lists(st.integers(0, 10_000)), st.sampled_from([b"\n", b"\r\n", b"\r"]))
def test_any_split_and_any_line_end_give_the_same_events(cuts: list[int], end: bytes) -> None:
    splitter = EventSplitter()
    out = [splitter.feed(piece) for piece in pieces(STREAM.replace(b"\n", end), cuts)]
    assert b"".join(out) == STREAM
    assert splitter.rest() == b""
    assert all(run == b"" or run.endswith(b"\n\n") for run in out)


def test_an_unfinished_event_is_kept_back() -> None:
    splitter = EventSplitter()
    assert splitter.feed(b"data: 1\n\ndata: 2\n") == b"data: 1\n\n"
    assert splitter.rest() == b"data: 2"


def test_a_single_event_may_not_grow_without_bound() -> None:
    splitter = EventSplitter(limit=100)
    assert splitter.feed(b"data: 1\n\n" * 50) != b""
    assert not splitter.overflow
    for _ in range(11):
        splitter.feed(b"x" * 10)
    assert splitter.overflow


def test_fields_joins_data_lines_and_ignores_comments() -> None:
    assert fields(b": c\nevent: x\ndata: 1\ndata:2\nid: 7") == (b"x", b"1\n2")
    assert fields(b"\xef\xbb\xbfdata: 1") == (b"", b"1")


def test_writing_is_the_reverse_of_reading() -> None:
    assert json_object(fields(data_event({"a": "\n\n"}).strip())[1]) == {"a": "\n\n"}
    name, data = fields(named_event("n", {"a": 1}).strip())
    assert (name, data) == (b"n", b'{"a":1}')
    assert json_object(b"[1]") is None
    assert json_object(b"{") is None


@given(st.text())
def test_the_length_of_a_json_string_is_found_in_its_event(text: str) -> None:
    written = orjson.dumps(text)
    assert string_length(b'{"a":' + written + b',"b":"c"}', 5) == len(written) - 2


def test_a_string_without_an_end_has_no_length() -> None:
    assert string_length(b'"abc\\"', 0) == -1
