"""Log lines, written in batches off the event loop, so that a slow reader of them slows no request.

A line costs no system call where it arises. Lines wait at most a tenth of a second. When whoever reads
standard error is slower than this process, further ones are counted and dropped, errors last.
"""

import asyncio
import os
import sys

from sluicegate.kernel.telemetry.metrics import LOST_LINES

FLUSH_AFTER_S = 0.1
MAX_LINES = 20_000
ROOM_FOR_ERRORS = 2_000


class LineWriter:
    """Collects lines and writes them to file descriptor `target` (standard error by default).

    Lines that arise outside an event loop (in another thread, at start or at the end) are written at once.
    `lost` counts those that were dropped, as the metric `sluicegate_log_lines_lost` does.
    """

    def __init__(self, target: int | None = None) -> None:
        self._target = target
        self._lines: list[bytes] = []
        self._flushing: asyncio.Task[None] | None = None
        self.lost = 0

    def write(self, line: bytes, *, error: bool = False) -> None:
        """Write `line`, with its line feed, before long. `error`: it is kept where others no longer are."""
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            self._put([line])
            return
        if len(self._lines) >= MAX_LINES + (ROOM_FOR_ERRORS if error else 0):
            self._lose(1, "error" if error else "other")
            return
        self._lines.append(line)
        if self._flushing is None:
            self._flushing = loop.create_task(self._flush_soon())

    async def close(self) -> None:
        """Write what is left."""
        flushing = self._flushing
        if flushing is not None:
            await flushing

    def flush(self) -> None:
        """Write what is left, now; for the end of a process whose event loop is gone."""
        lines, self._lines = self._lines, []
        if lines:
            self._put(lines)

    async def _flush_soon(self) -> None:
        try:
            while True:
                await asyncio.sleep(FLUSH_AFTER_S)
                lines, self._lines = self._lines, []
                if not lines:
                    return
                await asyncio.get_running_loop().run_in_executor(None, self._put, lines)
        finally:
            self._flushing = None

    def _put(self, lines: list[bytes]) -> None:
        text = b"".join(lines)
        try:
            target = sys.stderr.fileno() if self._target is None else self._target
            while text:
                text = text[os.write(target, text) :]
        except (OSError, ValueError):  # closed, or not a file
            self._lose(text.count(b"\n"), "unknown")

    def _lose(self, number: int, severity: str) -> None:
        self.lost += number
        LOST_LINES.labels(severity).inc(number)


LINES = LineWriter()
