from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.web.server.targets import path_and_query


@given(
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")),
    st.sampled_from(["", "http://host", "HTTPS://h:8443"]),
)
def test_a_quoted_path_comes_back(path, origin):
    target = f"{origin}/{quote(path)}?{quote(path)}".encode()
    assert path_and_query(target) == (f"/{path}", quote(path).encode())


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (b"/", ("/", b"")),
        (b"*", ("*", b"")),
        (b"/a?b?c=%2F", ("/a", b"b?c=%2F")),
        (b"http://h", ("/", b"")),
        (b"http://h?q", ("/", b"q")),
        (b"http://h?q=/x", ("/", b"q=/x")),
        (b"//h/x", ("//h/x", b"")),
        (b"/%zz", ("/%zz", b"")),
    ],
)
def test_forms(target, expected):
    assert path_and_query(target) == expected


@pytest.mark.parametrize(
    "target",
    [b"", b"a", b"h:443", b"http:///x", b"http://", b"ftp://h/", b"/#f", b"/%ff", b"/%00", b"/\xff", b"**"],
)
def test_refused(target):
    with pytest.raises(ValueError):
        path_and_query(target)
