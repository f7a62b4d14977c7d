"""Zones, midnights, months and periods.

Instants are integers: microseconds since 1970-01-01T00:00Z, so sums are exact. Dates are `datetime.date`.
"""

from calendar import monthrange
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import NamedTuple
from zoneinfo import ZoneInfo

MICROSECOND = timedelta(microseconds=1)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
FIRST_YEAR, LAST_YEAR = 1900, 2199  # far outside every rule, near enough that no arithmetic overflows
BEGIN, END = date(FIRST_YEAR, 1, 1), date(LAST_YEAR, 12, 31)


class Period(NamedTuple):
    """Two dates, both inclusive."""

    first: date
    last: date

    def __contains__(self, on: object) -> bool:
        return isinstance(on, date) and self.first <= on <= self.last

    def meets(self, other: "Period") -> bool:
        """Whether the two have a date in common."""
        return self.first <= other.last and other.first <= self.last

    def shown(self) -> list[str]:
        """`["YYYY-MM-DD", "YYYY-MM-DD"]`."""
        return [self.first.isoformat(), self.last.isoformat()]


def instant(at: datetime) -> int:
    """Microseconds since 1970 of an aware date-time."""
    return (at - EPOCH) // MICROSECOND


@lru_cache(maxsize=1024)
def zone(name: str) -> ZoneInfo:
    """The IANA zone; ValueError when there is none of that name."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as problem:
        raise ValueError(name) from problem


@lru_cache(maxsize=65536)
def midnight(on: date, tz: ZoneInfo) -> int:
    """The first instant of a local date. Where the clock skips 00:00 it is the moment of the jump."""
    return instant(datetime(on.year, on.month, on.day, tzinfo=tz))


def local_date(at: int, tz: ZoneInfo) -> date:
    """The local date of an instant."""
    return (EPOCH + timedelta(microseconds=at)).astimezone(tz).date()


@lru_cache(maxsize=4096)
def month_of(on: date) -> Period:
    """The calendar month that holds a date."""
    return Period(on.replace(day=1), on.replace(day=monthrange(on.year, on.month)[1]))


def one_year_after(on: date) -> date:
    """The same date a year later; of 29 February, 28 February."""
    try:
        return on.replace(year=on.year + 1)
    except ValueError:
        return on.replace(year=on.year + 1, day=28)
