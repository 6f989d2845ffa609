"""The access log: one JSON line per request or refusal. It costs that line's serialisation and no more."""

import time
from functools import lru_cache
from typing import Any

import orjson

from sluicegate.kernel.telemetry.lines import LINES, LineWriter


class AccessLog:
    """Writes entries to `lines` while `enabled`; ask that first, and build no entry in vain."""

    def __init__(self, lines: LineWriter) -> None:
        self._lines = lines
        self.enabled = False

    def write(self, entry: dict[str, Any]) -> None:
        """Log `entry`, JSON-serialisable. On the event loop's thread only."""
        self._lines.write(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))


ACCESS = AccessLog(LINES)


def timestamp(at: float) -> str:
    """`at` (Unix seconds) as RFC 3339 text in UTC, to the millisecond."""
    whole = int(at)
    return f"{_second(whole)}.{int((at - whole) * 1000):03d}Z"


@lru_cache(maxsize=2)
def _second(at: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(at))
