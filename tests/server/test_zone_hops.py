"""Attack: change the patient's zone to make more days than there were."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_server.zone_hops import gained

START = datetime(2026, 3, 8, tzinfo=UTC)  # summer time begins in the United States on this day
ZONES = (
    "Pacific/Kiritimati",
    "Pacific/Midway",
    "UTC",
    "America/New_York",
    "US/Eastern",
    "Asia/Kathmandu",
    "Australia/Lord_Howe",
)
Readings = list[tuple[datetime, str]]
readings = st.lists(
    st.tuples(
        st.integers(0, 6 * 24 * 60).map(lambda m: START + timedelta(minutes=m)), st.sampled_from(ZONES)
    ),
    max_size=40,
).map(sorted)


def counted(found: Readings) -> set[str]:
    return {
        f"{at.astimezone(ZoneInfo(zone)):%F}"
        for (at, zone), hop in zip(found, gained(found), strict=True)
        if not hop
    }


@given(readings)
@settings(max_examples=300)
def test_no_journey_makes_more_days_than_staying_at_home_could(found: Readings) -> None:
    """In one zone a span of s days touches at most s + 2 dates, one of 25 hours among them."""
    days = counted(found)
    span = found[-1][0] - found[0][0] if found else timedelta()
    assert len(days) <= span / timedelta(hours=23) + 2


@given(readings, st.sampled_from(ZONES))
@settings(max_examples=200)
def test_who_stays_loses_nothing(found: Readings, zone: str) -> None:
    assert not any(gained([(at, zone) for at, _ in found]))


@given(readings)
@settings(max_examples=200)
def test_every_24_hours_across_a_change_give_one_new_day(found: Readings) -> None:
    begun: Readings = []
    for (at, zone), hop in zip(found, gained(found), strict=True):
        day = f"{at.astimezone(ZoneInfo(zone)):%F}"
        if not hop and day not in counted(begun):
            begun.append((at, zone))
    for (early, here), (late, there) in pairwise(begun):
        assert here == there or late - early >= timedelta(hours=24)


def test_a_real_journey_costs_one_day_at_most() -> None:
    """New York in the morning, Tokyo eleven hours later: the date there waits; the next day counts."""
    home, away = ZoneInfo("America/New_York"), ZoneInfo("Asia/Tokyo")
    found = [
        (datetime(2026, 3, 3, 8, tzinfo=home), "America/New_York"),
        (datetime(2026, 3, 4, 8, tzinfo=away), "Asia/Tokyo"),
        (datetime(2026, 3, 5, 8, tzinfo=away), "Asia/Tokyo"),
    ]
    assert gained(found) == [False, True, False]
