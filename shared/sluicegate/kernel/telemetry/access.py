"""The access log: one JSON line per request, written in batches off the event loop.

A request costs its line's serialisation and no system call. Lines wait at most a tenth of a second; when
the reader of standard error is slower than the gateway, further ones are counted and dropped.
"""

import asyncio
import os
import sys
from typing import Any

import orjson

FLUSH_AFTER_S = 0.1
MAX_LINES = 20_000


class AccessLog:
    """Collects lines and writes them to file descriptor `target` (standard error by default)."""

    def __init__(self, target: int | None = None) -> None:
        self._target = target
        self._lines: list[bytes] = []
        self._flushing: asyncio.Task[None] | None = None
        self.enabled = False
        self.dropped = 0

    def write(self, entry: dict[str, Any]) -> None:
        """Log `entry`, JSON-serialisable. On the event loop's thread only."""
        if len(self._lines) >= MAX_LINES:
            self.dropped += 1
            return
        self._lines.append(orjson.dumps(entry, option=orjson.OPT_APPEND_NEWLINE))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().create_task(self._flush_soon())

    async def close(self) -> None:
        """Write what is left."""
        flushing = self._flushing
        if flushing is not None:
            await flushing

    async def _flush_soon(self) -> None:
        while True:
            await asyncio.sleep(FLUSH_AFTER_S)
            lines, self._lines = self._lines, []
            if not lines:
                self._flushing = None
                return
            await asyncio.get_running_loop().run_in_executor(None, self._put, b"".join(lines))

    def _put(self, text: bytes) -> None:
        target = sys.stderr.fileno() if self._target is None else self._target
        try:
            while text:
                text = text[os.write(target, text) :]
        except OSError:
            self.dropped += text.count(b"\n")


ACCESS = AccessLog()
