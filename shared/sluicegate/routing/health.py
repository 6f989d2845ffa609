"""Health as pure state machines: breaker, latency average, active checks. Times are monotonic seconds."""

import math
import random
from collections import deque
from enum import StrEnum

from sluicegate.routing.policy import BreakerPolicy

_BUCKETS = 10


class BreakerState(StrEnum):
    """Closed lets everything through, open nothing, half-open a few probes."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class FailureWindow:
    """Successes and failures of the last `window_s` seconds, in ten buckets."""

    def __init__(self, window_s: float) -> None:
        self._width = window_s / _BUCKETS
        self._buckets: deque[list[int]] = deque()
        self.successes = 0
        self.failures = 0

    def add(self, *, ok: bool, now: float) -> None:
        number = math.floor(now / self._width)
        self.forget(now)
        if not self._buckets or self._buckets[-1][0] != number:
            self._buckets.append([number, 0, 0])
        bucket = self._buckets[-1]
        if ok:
            bucket[1] += 1
            self.successes += 1
        else:
            bucket[2] += 1
            self.failures += 1

    def forget(self, now: float) -> None:
        """Drop what is older than the window."""
        oldest = math.floor(now / self._width) - _BUCKETS
        while self._buckets and self._buckets[0][0] <= oldest:
            _, successes, failures = self._buckets.popleft()
            self.successes -= successes
            self.failures -= failures

    def clear(self) -> None:
        self._buckets.clear()
        self.successes = self.failures = 0


class Breaker:
    """One circuit breaker (Nygard, "Release It!"), with exponential open times and counted probes.

    `begin` hands out a ticket: 0 while closed, the number of the half-open phase for a probe, None when
    the request may not go. Every ticket comes back through `end`, whatever became of the request. In
    the half-open phase only results of its own probes count. No result opens or closes it twice.
    """

    def __init__(self, policy: BreakerPolicy, rng: random.Random) -> None:
        self._policy = policy
        self._rng = rng
        self._window = FailureWindow(policy.window_s)
        self._consecutive = 0
        self._phase = 0
        self._probes = 0
        self._probe_successes = 0
        self.openings = 0
        self.open_until = 0.0
        self.heard = False
        self.state = BreakerState.CLOSED

    @property
    def probes(self) -> int:
        """Probes under way."""
        return self._probes

    def allows(self, now: float) -> bool:
        """Whether `begin` would let a request through; changes nothing."""
        if self.state is BreakerState.CLOSED:
            return True
        if self.state is BreakerState.OPEN:
            return now >= self.open_until
        return self._probes < self._policy.half_open_probes

    def begin(self, now: float) -> int | None:
        """A ticket for one request, or None."""
        if self.state is BreakerState.CLOSED:
            return 0
        if self.state is BreakerState.OPEN and now >= self.open_until:
            self._half_open()
        if self.state is BreakerState.OPEN or self._probes >= self._policy.half_open_probes:
            return None
        self._probes += 1
        return self._phase

    def end(self, ticket: int) -> None:
        """The request of `ticket` is over; its place is free."""
        if ticket and ticket == self._phase and self._probes:
            self._probes -= 1

    def record(self, *, ok: bool, now: float, ticket: int = 0) -> bool:
        """Take in a result; True when the state changed."""
        if self.state is BreakerState.CLOSED:
            return self._record_closed(ok=ok, now=now)
        if self.state is BreakerState.HALF_OPEN and ticket == self._phase:
            if not ok:
                self._open(now)
                return True
            self._probe_successes += 1
            if self._probe_successes >= self._policy.successes_to_close:
                self._close()
                return True
        return False

    def hear_open(self, *, remaining_s: float, openings: int, now: float) -> bool:
        """Another instance opened its breaker. Own recent successes outweigh the news."""
        self._window.forget(now)
        healthy = self._window.successes > self._window.failures
        if self.state is not BreakerState.CLOSED or healthy or remaining_s <= 0:
            return False
        self.state = BreakerState.OPEN
        self.heard = True
        self.openings = max(1, openings)
        self.open_until = now + min(remaining_s, self._policy.max_open_s)
        return True

    def hear_closed(self, now: float) -> bool:
        """Another instance closed its breaker: close if news opened this one, else probe at once."""
        if self.state is BreakerState.CLOSED:
            return False
        if self.heard:
            self._close()
        elif self.state is BreakerState.OPEN:
            self.open_until = now
        return True

    def _record_closed(self, *, ok: bool, now: float) -> bool:
        self._window.add(ok=ok, now=now)
        if ok:
            self._consecutive = 0
            return False
        self._consecutive += 1
        volume = self._window.successes + self._window.failures
        ratio_reached = (
            volume >= self._policy.minimum_volume
            and self._window.failures >= self._policy.failure_ratio * volume
        )
        if ratio_reached or self._consecutive >= self._policy.consecutive_failures:
            self._open(now)
            return True
        return False

    def _open(self, now: float) -> None:
        self.state = BreakerState.OPEN
        self.heard = False
        self.openings += 1
        # ldexp instead of 2 ** n: bounded, however often it opened.
        length = min(self._policy.max_open_s, math.ldexp(self._policy.open_s, min(self.openings - 1, 64)))
        self.open_until = now + length * (1 - self._policy.jitter * self._rng.random())

    def _half_open(self) -> None:
        self.state = BreakerState.HALF_OPEN
        self._phase += 1
        self._probes = 0
        self._probe_successes = 0

    def _close(self) -> None:
        self.state = BreakerState.CLOSED
        self.heard = False
        self.openings = 0
        self._consecutive = 0
        self._window.clear()


class LatencyAverage:
    """An exponentially weighted moving average whose weights depend on time, not on the rate of requests.

    An observation counts half after `half_life_s` (the form used by Finagle's peak EWMA, without the peak).
    """

    def __init__(self, half_life_s: float) -> None:
        self._half_life = half_life_s
        self._at = 0.0
        self.seconds: float | None = None

    def observe(self, seconds: float, now: float) -> None:
        if self.seconds is None:
            self.seconds = seconds
        else:
            # A floor keeps one of many simultaneous observations from having no weight at all.
            keep = min(0.95, 0.5 ** (max(0.0, now - self._at) / self._half_life))
            self.seconds = keep * self.seconds + (1 - keep) * seconds
        self._at = now


class ProviderChecks:
    """Active checks of one provider: `threshold` failures in a row make it unhealthy, one success healthy."""

    def __init__(self, threshold: int) -> None:
        self._threshold = threshold
        self._failures = 0
        self.reason: str | None = None

    def record(self, failure: str | None) -> bool:
        """Take in one check (`failure` None: it passed); True when the verdict changed."""
        before = self.reason is None
        if failure is None:
            self._failures = 0
            self.reason = None
        else:
            self._failures += 1
            if self._failures >= self._threshold:
                self.reason = failure
        return before != (self.reason is None)
