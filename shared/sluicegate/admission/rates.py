"""The sliding window of two buckets, in whole milliseconds.

Time is cut into buckets of one period. A request at `elapsed` into a bucket is admitted while

    before * (period - elapsed) + (count + 1) * period <= limit * period

`count` being admitted requests in this bucket, `before` in the one before. Source: "How we built rate
limiting capable of scaling to millions of domains", Cloudflare, 2017. It is exact within each bucket and
takes the earlier bucket's requests as spread evenly: if they all came at its end, a window that straddles
the edge can see up to twice the limit, as with any token bucket of that size.
"""

from sluicegate.admission.types import RateStatus


def retry_after(limit: int, period_ms: int, count: int, before: int, elapsed_ms: int) -> float | None:
    """Seconds until one more request fits, if none comes in between; None: never (the limit is 0)."""
    if limit <= 0:
        return None
    if count + 1 <= limit:
        # In this bucket: before * (period - e) <= (limit - count - 1) * period.
        wait = _first_fit(limit - count - 1, period_ms, before) - elapsed_ms
        return max(1, wait) / 1000
    # In the next, where this bucket's count is the one before.
    return (period_ms - elapsed_ms + _first_fit(limit - 1, period_ms, count)) / 1000


def status(limit: int, period_ms: int, count: int, before: int, elapsed_ms: int) -> RateStatus:
    """What is left after the last admitted request, and seconds until nothing of the window is used."""
    used = before * (period_ms - elapsed_ms) + count * period_ms
    remaining = max(0, (limit * period_ms - used) // period_ms)
    reset_ms = period_ms - elapsed_ms + (period_ms if count else 0)
    return RateStatus(limit, remaining, reset_ms / 1000 if used else 0.0)


def _first_fit(room: int, period_ms: int, before: int) -> int:
    """The first millisecond of a bucket at which `before` weighs at most `room` whole requests."""
    if before <= room:
        return 0
    return period_ms - room * period_ms // before
