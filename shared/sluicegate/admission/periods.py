"""Budget periods on the calendar of a time zone."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


class Period(StrEnum):
    """How long a counter counts before it starts anew. `total` never does."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"
    TOTAL = "total"


@dataclass(frozen=True, slots=True)
class PeriodInstance:
    """One run of a period: [start, end) in epoch seconds; `end` is 0 where it never ends.

    `label` is the local date and time of its start (`20261120`, `202611`), for people and field names.
    """

    label: str
    start: int
    end: int

    def retry_after(self, now: float) -> float | None:
        """Seconds until the next period; None when there is none."""
        return max(0.0, self.end - now) if self.end else None


@lru_cache(maxsize=256)
def zone(name: str) -> ZoneInfo:
    """The time zone `name` of the IANA database.

    Raises:
        ValueError: there is none of that name.
    """
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, OSError):
        raise ValueError(f"{name!r} is not an IANA time zone such as Europe/Berlin") from None


def period_instance(period: Period, timezone: str, now: float) -> PeriodInstance:
    """The instance of `period` that `now` (epoch seconds) falls into, on the calendar of `timezone`.

    Days last 23 to 25 hours where clocks change. Minutes and hours follow the offset in force at `now`,
    so the hour that a clock change repeats is two periods.
    """
    if period is Period.TOTAL:
        return PeriodInstance("all", 0, 0)
    local = datetime.fromtimestamp(now, zone(timezone))
    if period is Period.DAY:
        start = local.replace(hour=0, minute=0, second=0, microsecond=0, fold=0)
        tomorrow = start.toordinal() + 1
        end = datetime.fromordinal(tomorrow).replace(tzinfo=start.tzinfo)
        return PeriodInstance(f"{local:%Y%m%d}", int(start.timestamp()), int(end.timestamp()))
    if period is Period.MONTH:
        start = local.replace(day=1, hour=0, minute=0, second=0, microsecond=0, fold=0)
        year, month = (local.year + 1, 1) if local.month == 12 else (local.year, local.month + 1)
        end = start.replace(year=year, month=month)
        return PeriodInstance(f"{local:%Y%m}", int(start.timestamp()), int(end.timestamp()))
    seconds, form = (3600, f"{local:%Y%m%d%H}") if period is Period.HOUR else (60, f"{local:%Y%m%d%H%M}")
    offset = local.utcoffset()
    shift = int(offset.total_seconds()) if offset is not None else 0
    first = int(now) - (int(now) + shift) % seconds
    return PeriodInstance(form, first, first + seconds)
