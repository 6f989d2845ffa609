"""Response heads: status lines, the date, header lines that cannot be split."""

import time
from http import HTTPStatus

from sluicegate.web.exchange import Headers

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_REASONS = {status.value: status.phrase for status in HTTPStatus}

# The server decides on framing and connection reuse; what a handler says about them is left out.
_OWNED = frozenset(
    (b"content-length", b"transfer-encoding", b"connection", b"keep-alive", b"date", b"upgrade", b"trailer")
)


def reason(status: int) -> str:
    """The reason phrase, empty for a status without one."""
    return _REASONS.get(status, "")


class DatedStatusLines:
    """Status line and date header of each status, made once a second."""

    def __init__(self) -> None:
        self._second = 0
        self._date = b""
        self._lines: dict[int, bytes] = {}
        self.refresh()

    def refresh(self) -> None:
        """Take over the present second."""
        second = int(time.time())
        if second != self._second:
            self._second = second
            self._date = _http_date(second)
            self._lines.clear()

    def line(self, status: int) -> bytes:
        """`HTTP/1.1 STATUS REASON` and the date header, each with its line end.

        Raises:
            ValueError: not a final status.
        """
        line = self._lines.get(status)
        if line is None:
            if not 200 <= status <= 999:
                raise ValueError(f"{status} is not a final HTTP status")
            line = b"HTTP/1.1 %d %b\r\ndate: %b\r\n" % (status, reason(status).encode(), self._date)
            self._lines[status] = line
        return line


def _http_date(second: int) -> bytes:
    """RFC 9110, section 5.6.7, in English whatever the locale; the standard library's loads all of email."""
    at = time.gmtime(second)
    day, month = _DAYS[at.tm_wday], _MONTHS[at.tm_mon - 1]
    date = f"{day}, {at.tm_mday:02} {month} {at.tm_year} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02} GMT"
    return date.encode()


def header_lines(headers: Headers) -> bytes:
    """The header lines, each with its line end, without those the server sets itself.

    Raises:
        ValueError: a name or value holds a line end or NUL, which would let it forge further headers.
    """
    kept = [b": ".join(pair) for pair in headers if pair[0] not in _OWNED]
    if not kept:
        return b""
    kept.append(b"")
    lines = b"\r\n".join(kept)
    ends = len(kept) - 1
    if lines.count(b"\n") != ends or lines.count(b"\r") != ends or b"\0" in lines:
        raise ValueError("a response header holds a line end or NUL")
    return lines


def declared_length(headers: Headers) -> int | None:
    """The content-length among `headers`, if there is one."""
    for name, value in headers:
        if name == b"content-length":
            return int(value)
    return None
