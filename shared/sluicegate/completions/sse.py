"""Server-sent events, taken apart and put together (WHATWG HTML, section 9.2)."""

from typing import Any

import orjson

EVENT_LIMIT = 1 << 20
"""Bytes one event may have before its stream counts as broken."""

_END = b"\n\n"
_BACKSLASH = 0x5C


class EventSplitter:
    """Cuts a stream of bytes, however split, into runs of whole events with LF line ends.

    `overflow` turns True once a single event is longer than `limit` bytes; nothing comes out then.
    """

    __slots__ = ("_after_cr", "_limit", "_tail", "overflow")

    def __init__(self, limit: int = EVENT_LIMIT) -> None:
        self._tail = bytearray()
        self._after_cr = False
        self._limit = limit
        self.overflow = False

    def feed(self, data: bytes) -> bytes:
        """The events that `data` completes, each with its blank line; empty if none."""
        if self._after_cr or b"\r" in data:
            data = self._unified(data)
        tail = self._tail
        if not tail:
            cut = data.rfind(_END)
            if cut < 0:
                tail += data
                self.overflow = len(tail) > self._limit
                return b""
            if cut == len(data) - 2:
                return data
            tail += data[cut + 2 :]
            return data[: cut + 2]
        seen = len(tail) - 1
        tail += data
        cut = tail.rfind(_END, seen)
        if cut < 0:
            self.overflow = len(tail) > self._limit
            return b""
        done = bytes(tail[: cut + 2])
        del tail[: cut + 2]
        return done

    def rest(self) -> bytes:
        """What never became a whole event; asked for once the stream has ended."""
        rest = bytes(self._tail).strip(b"\n")
        self._tail.clear()
        return rest

    def _unified(self, data: bytes) -> bytes:
        """`data` with CR and CRLF as LF, also where a CRLF is split between two reads."""
        if self._after_cr and data.startswith(b"\n"):
            data = data[1:]
            self._after_cr = False
        if data:
            self._after_cr = data.endswith(b"\r")
        return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")


def fields(event: bytes) -> tuple[bytes, bytes]:
    """The name and the data of one event: its last `event` line, its `data` lines joined by LF."""
    name = b""
    data: list[bytes] = []
    for line in event.removeprefix(b"\xef\xbb\xbf").split(b"\n"):
        field, _, value = line.partition(b":")
        if field == b"data":
            data.append(value.removeprefix(b" "))
        elif field == b"event":
            name = value.removeprefix(b" ")
    return name, b"\n".join(data)


def is_text(event: bytes) -> bool:
    """Whether `event` is UTF-8, as every event stream is; clients fail in odd ways on one that is not."""
    if event.isascii():
        return True
    try:
        event.decode()
    except UnicodeDecodeError:
        return False
    return True


def json_object(data: bytes) -> dict[str, Any] | None:
    """The JSON object that `data` is, None if it is none."""
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def string_length(event: bytes, start: int) -> int:
    """Bytes of the JSON string whose opening quote is at `start`, escapes as written; -1 if it has no end."""
    end = event.find(b'"', start + 1)
    while end > 0 and event[end - 1] == _BACKSLASH:
        first = end - 1
        while event[first - 1] == _BACKSLASH:
            first -= 1
        if (end - first) % 2 == 0:
            break
        end = event.find(b'"', end + 1)
    return end - start - 1 if end > 0 else -1


def data_event(value: object) -> bytes:
    """An event without a name whose data is `value` as JSON."""
    return b"data: " + orjson.dumps(value) + _END


def named_event(name: str, value: object) -> bytes:
    """An event called `name` whose data is `value` as JSON."""
    return b"event: " + name.encode() + b"\ndata: " + orjson.dumps(value) + _END
