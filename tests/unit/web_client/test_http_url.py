"""Addresses of upstreams, and headers on their way out."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.adapters.web.http_client import render_headers
from sluicegate.adapters.web.http_url import Url


@pytest.mark.parametrize(
    ("text", "host", "port", "authority", "base"),
    [
        ("https://api.openai.com/v1", "api.openai.com", 443, b"api.openai.com", b"/v1"),
        ("https://api.openai.com:443/v1/", "api.openai.com", 443, b"api.openai.com", b"/v1"),
        ("http://Localhost:11434/v1", "localhost", 11434, b"localhost:11434", b"/v1"),
        ("http://[::1]:8000", "::1", 8000, b"[::1]:8000", b""),
        ("http://[::1]/", "::1", 80, b"[::1]", b""),
    ],
)
def test_parts(text, host, port, authority, base):
    url = Url.parse(text)
    assert (url.host, url.port, url.authority, url.base) == (host, port, authority, base)
    assert url.origin == (text.split(":")[0], host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "api.openai.com/v1",
        "ftp://host/",
        "https:///v1",
        "https://user:hunter2@host/v1",
        "https://host/v1?key=hunter2",
        "https://host/v1#hunter2",
        "https://host:99999/",
        "https://host:port/",
        "https://[::1/",
        "https://ho st/hunter2",
        "https://host/\r\nx: hunter2",
        "https://hö.st/hunter2",
        "https://host\\hunter2",
    ],
)
def test_refused_without_repeating_it(text):
    with pytest.raises(ValueError, match="upstream address") as caught:
        Url.parse(text)
    assert "hunter2" not in str(caught.value)


def test_headers_are_rendered_in_order():
    assert render_headers([(b"a", b"1"), (b"b", b"")]) == b"a: 1\r\nb: \r\n"


@pytest.mark.parametrize("bad", [b"\r\nx: y", b"\n", b"\r", b"\0"])
@pytest.mark.parametrize("place", ["name", "value"])
def test_a_header_cannot_carry_another(bad, place):
    header = (b"a" + bad, b"hunter2") if place == "name" else (b"a", b"hunter2" + bad)
    with pytest.raises(ValueError, match="line break") as caught:
        render_headers([header])
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    "name", [b"Content-Length", b"transfer-encoding", b"HOST", b"connection", b"", b"a b", b"a:"]
)
def test_names_that_frame_the_message_are_refused(name):
    with pytest.raises(ValueError, match="may not be set"):
        render_headers([(name, b"1")])


@given(st.lists(st.tuples(st.binary(max_size=8), st.binary(max_size=8)), max_size=4))
def test_whatever_is_rendered_is_that_many_lines(headers):
    try:
        text = render_headers(headers)
    except ValueError:
        return
    assert text.count(b"\n") == text.count(b"\r\n") == len(headers)
