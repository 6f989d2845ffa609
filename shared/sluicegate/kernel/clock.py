"""Time, as something to pass in, so that rules can be tested at any moment."""

import time
from dataclasses import dataclass
from typing import Protocol


class Clock(Protocol):
    """Tells wall-clock time and measures durations."""

    def now(self) -> float:
        """Seconds since the Unix epoch."""
        ...

    def monotonic(self) -> float:
        """Seconds on a clock that never goes back; only differences mean anything."""
        ...


class SystemClock:
    """The machine's clock."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)


@dataclass
class FixedClock:
    """A clock that moves only when told to; for rehearsals and tests of time-bound rules."""

    at: float = 1_767_225_600.0  # 2026-01-01T00:00:00Z

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        return self.at

    def advance(self, seconds: float) -> None:
        """Move time forward by `seconds`."""
        self.at += seconds
