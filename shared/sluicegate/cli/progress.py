"""A progress bar, where somebody watches."""

import time
from types import TracebackType
from typing import Self, TextIO

_WIDTH = 30
_EVERY_S = 0.1


class Progress:
    """A bar on `stream`, if that is a terminal; at the end its line is cleared.

    Args:
        what: what is done, in a word.
        total: how much of it there is.
    """

    def __init__(self, what: str, total: int, stream: TextIO) -> None:
        self._what = what
        self._total = total
        self._stream = stream
        self._shown = stream.isatty()
        self._began = self._last = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def show(self, done: int, total: int | None = None) -> None:
        """So much is done."""
        self._total = self._total if total is None else total
        now = time.monotonic()
        if not self._shown or now - self._last < _EVERY_S:
            return
        self._last = now
        share = done / self._total if self._total else 1.0
        bar = "#" * round(share * _WIDTH)
        rate = done / (now - self._began)
        left = f", {(self._total - done) / rate:.0f} s left" if rate and done < self._total else ""
        self._stream.write(f"\r\x1b[K{self._what} [{bar:<{_WIDTH}}] {done}/{self._total}{left}")
        self._stream.flush()
