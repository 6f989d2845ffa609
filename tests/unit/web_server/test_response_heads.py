import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.web.server.heads import DatedStatusLines, declared_length, header_lines, reason

PART = st.binary(max_size=12)


@given(st.lists(st.tuples(PART.map(lambda name: b"x-" + name), PART), max_size=4))
def test_no_header_forges_another(headers):
    """Either the lines are as many as the headers, or there are none."""
    try:
        lines = header_lines(headers)
    except ValueError:
        assert any(set(b"\r\n\0") & set(part) for pair in headers for part in pair)
    else:
        assert lines.count(b"\r") == lines.count(b"\n") == lines.count(b"\r\n") == len(headers)
        assert lines.split(b"\r\n")[:-1] == [b"%b: %b" % pair for pair in headers]


def test_the_servers_own_headers_are_left_out():
    headers = [
        (b"content-length", b"1"),
        (b"a", b"b"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"x"),
    ]
    assert header_lines(headers) == b"a: b\r\n"
    assert declared_length(headers) == 1
    assert declared_length([]) is None


def test_status_lines():
    lines = DatedStatusLines()
    line = lines.line(404)
    assert line.startswith(b"HTTP/1.1 404 Not Found\r\ndate: ")
    assert line.endswith(b" GMT\r\n")
    assert lines.line(404) is line
    assert lines.line(599).startswith(b"HTTP/1.1 599 \r\n")
    assert reason(599) == ""


@pytest.mark.parametrize("status", [0, 100, 199, 1000])
def test_interim_statuses_are_no_answers(status):
    with pytest.raises(ValueError, match="final"):
        DatedStatusLines().line(status)


def test_the_date_is_renewed(monkeypatch):
    now = 1_767_225_600.0
    monkeypatch.setattr("time.time", lambda: now)
    lines = DatedStatusLines()
    assert b"date: Thu, 01 Jan 2026 00:00:00 GMT" in lines.line(200)
    now += 1
    assert b"00:00:00" in lines.line(200)
    lines.refresh()
    assert b"00:00:01" in lines.line(200)
