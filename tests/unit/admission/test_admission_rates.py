"""The sliding window: what the formula promises, and that advice on waiting is right."""

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.admission import rates

PERIOD = 60_000


def fits(limit: int, count: int, before: int, elapsed: int) -> bool:
    return before * (PERIOD - elapsed) + (count + 1) * PERIOD <= limit * PERIOD


windows = st.tuples(st.integers(1, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, PERIOD - 1))


@given(windows)
def test_waiting_as_told_is_enough_and_not_too_long(window: tuple[int, int, int, int]) -> None:
    limit, count, before, elapsed = window
    count, before = min(count, limit), min(before, limit)
    if fits(limit, count, before, elapsed):
        return
    seconds = rates.retry_after(limit, PERIOD, count, before, elapsed)
    assert seconds is not None
    later = elapsed + round(seconds * 1000)

    def fits_at(moment: int) -> bool:
        if moment < PERIOD:
            return fits(limit, count, before, moment)
        return fits(limit, 0, count, moment - PERIOD)

    assert fits_at(later)
    assert not fits_at(later - 1)


def test_no_wait_helps_a_limit_of_zero() -> None:
    assert rates.retry_after(0, PERIOD, 0, 0, 0) is None


@given(windows)
def test_remaining_is_what_still_fits_now(window: tuple[int, int, int, int]) -> None:
    limit, count, before, elapsed = window
    status = rates.status(limit, PERIOD, count, before, elapsed)
    more = 0
    while fits(limit, count + more, before, elapsed):
        more += 1
    assert status.remaining == more
    assert status.limit == limit


def test_reset_is_when_nothing_weighs_any_more() -> None:
    assert rates.status(10, PERIOD, 1, 0, 15_000).reset_s == 105.0
    assert rates.status(10, PERIOD, 0, 3, 15_000).reset_s == 45.0
    assert rates.status(10, PERIOD, 0, 0, 15_000).reset_s == 0.0
