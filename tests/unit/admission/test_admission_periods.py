"""Periods on calendars with clock changes."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.admission.periods import Period, period_instance, zone


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("period", "timezone", "now", "label", "start", "end"),
    [
        ("day", "UTC", "2026-11-20T18:00", "20261120", "2026-11-20T00:00", "2026-11-21T00:00"),
        ("day", "Asia/Tokyo", "2026-11-20T18:00", "20261121", "2026-11-20T15:00", "2026-11-21T15:00"),
        ("month", "America/New_York", "2026-12-01T03:00", "202611", "2026-11-01T04:00", "2026-12-01T05:00"),
        ("month", "UTC", "2026-12-31T23:59", "202612", "2026-12-01T00:00", "2027-01-01T00:00"),
        ("hour", "Asia/Kolkata", "2026-11-20T18:40", "2026112100", "2026-11-20T18:30", "2026-11-20T19:30"),
        ("minute", "UTC", "2026-11-20T18:40", "202611201840", "2026-11-20T18:40", "2026-11-20T18:41"),
    ],
)
def test_instances(period: str, timezone: str, now: str, label: str, start: str, end: str) -> None:
    found = period_instance(Period(period), timezone, at(now))
    assert (found.label, found.start, found.end) == (label, int(at(start)), int(at(end)))


@pytest.mark.parametrize(("now", "hours"), [("2026-03-29T12:00", 23), ("2026-10-25T12:00", 25)])
def test_days_of_a_clock_change(now: str, hours: int) -> None:
    found = period_instance(Period.DAY, "Europe/Berlin", at(now))
    assert found.end - found.start == hours * 3600


def test_repeated_hour_is_two_periods() -> None:
    first = period_instance(Period.HOUR, "Europe/Berlin", at("2026-10-25T00:30"))
    second = period_instance(Period.HOUR, "Europe/Berlin", at("2026-10-25T01:30"))
    assert first.label == second.label == "2026102502"
    assert first.end == second.start


def test_total_never_ends() -> None:
    found = period_instance(Period.TOTAL, "UTC", 5.0)
    assert (found.start, found.end, found.retry_after(5.0)) == (0, 0, None)


def test_unknown_zone_says_what_one_looks_like() -> None:
    with pytest.raises(ValueError, match="Europe/Berlin"):
        zone("Mars/Olympus")


@given(
    now=st.integers(0, 4_000_000_000),
    period=st.sampled_from([Period.MINUTE, Period.HOUR, Period.DAY, Period.MONTH]),
    timezone=st.sampled_from(
        ["UTC", "Europe/Berlin", "America/Havana", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
    ),
)
def test_every_moment_lies_in_its_period(now: int, period: Period, timezone: str) -> None:
    found = period_instance(period, timezone, float(now))
    assert found.start <= now < found.end
    assert found.retry_after(now) == found.end - now
    if period in {Period.DAY, Period.MONTH}:
        assert period_instance(period, timezone, found.end).start == found.end
        assert period_instance(period, timezone, found.end - 1) == found
