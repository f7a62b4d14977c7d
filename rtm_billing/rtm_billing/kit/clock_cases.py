"""Clocks that jump, zones that differ, the day that is there every fourth year."""

from typing import Any

from .build import OPEN, case, days, entry, line
from .model import Worked

AUTUMN: dict[str, Any] = {"episode.started": "2026-11-01", "episode.discharged": "2026-11-30"}


def _zones(patient: str, clinic: str) -> dict[str, Any]:
    return {"patient.timezone": patient, "practice.timezone": clinic}


def _between(start: str, end: str, contact: str | None = "phone") -> dict[str, Any]:
    return {"start": start, "end": end, "by": "pt1", "role": "therapist", "contact": contact}


CASES = (
    Worked(
        "dst-autumn",
        "01:50 to 01:10 of the night the clock is set back is 20 minutes, not minus 40",
        case(
            AUTUMN,
            data=days("2026-11-02", 1),
            management=[_between("2026-11-01T01:50:00-04:00", "2026-11-01T01:10:00-05:00")],
            as_of="2026-12-15",
        ),
        {"lines": [line("98980", "2026-11-30")]},
    ),
    Worked(
        "dst-autumn-day",
        "a date of 25 hours is one day, in its first minutes and in its last",
        case(
            AUTUMN,
            data=[{"at": "2026-11-01T00:05:00-04:00"}, {"at": "2026-11-01T23:55:00-05:00"}],
            as_of="2026-12-15",
        ),
        {"lines": [], "not_billable": [{"code": "98985", "why": "1 of 2 data days"}]},
    ),
    Worked(
        "dst-no-midnight",
        "where the clock skips midnight, the day begins with the jump: 23:59 and the next minute are two days",
        case(
            {
                **_zones("America/Santiago", "America/Santiago"),
                "episode.started": "2026-09-01",
                "episode.discharged": "2026-09-30",
            },
            data=[{"at": "2026-09-06T03:59:00Z"}, {"at": "2026-09-06T04:00:00Z"}],
            as_of="2026-11-01",
        ),
        {"lines": [line("98985", "2026-10-04")]},
    ),
    Worked(
        "dst-window",
        "a window of 30 dates over the spring jump is 30 dates, not 720 hours",
        case(
            {"episode.discharged": None},
            data=[{"at": "2026-03-01T00:01:00-05:00"}, {"at": "2026-03-30T23:59:00-04:00"}],
            as_of="2026-04-01",
        ),
        {"lines": [line("98985", "2026-03-30")]},
    ),
    Worked(
        "zone-of-the-reading",
        "two readings an hour apart, in Tokyo and in New York, are two dates; the earlier one is the later date",
        case(
            data=[
                {"at": "2026-03-03T01:00:00Z", "zone": "Asia/Tokyo"},
                {"at": "2026-03-03T02:00:00Z", "zone": "America/New_York"},
            ]
        ),
        {"lines": [line("98985", "2026-03-31")]},
    ),
    Worked(
        "zone-month-of-the-clinic",
        "23:00 of the month's last day at the clinic is the next month at the patient's: the clinic's counts",
        case(
            {**_zones("America/New_York", "America/Los_Angeles"), "episode.discharged": "2026-04-29"},
            data=[{"on": "2026-03-05"}, {"on": "2026-04-20"}],
            management=[_between("2026-03-31T23:00:00-07:00", "2026-03-31T23:20:00-07:00")],
        ),
        {"lines": [line("98980", "2026-03-31")]},
    ),
    Worked(
        "zone-ahead-of-the-clinic",
        "the patient's 31 March has begun while the clinic is at breakfast on the 30th: the next window",
        case(
            {**_zones("Pacific/Auckland", "America/New_York"), "episode.discharged": None},
            data=[*days("2026-03-01", 15), {"at": "2026-03-30T11:00:00Z"}],
            as_of="2026-05-01",
        ),
        {
            "lines": [line("98985", "2026-03-30")],
            "not_billable": [{"code": "98985", "period": ["2026-03-31", "2026-04-29"], "why": "1 of 2"}],
        },
    ),
    Worked(
        "midnight-ends-a-month",
        "a call that ends at midnight is no contact of the next month",
        case(
            {"episode.discharged": "2026-04-29"},
            data=[{"on": "2026-03-05"}, {"on": "2026-04-20"}],
            management=[entry("2026-03-31T23:40", 20), entry("2026-04-10T10:00", 20, None)],
        ),
        {
            "lines": [line("98980", "2026-03-31")],
            "not_billable": [{"code": "98980", "period": ["2026-04-01", "2026-04-30"], "why": "no live"}],
        },
    ),
    Worked(
        "midnight-microsecond",
        "a call that lasts a second longer is, and that second is its month's",
        case(
            {"episode.discharged": "2026-04-29"},
            data=[{"on": "2026-03-05"}, {"on": "2026-04-20"}],
            management=[
                entry("2026-03-31T23:40", 20 + 1 / 60),
                entry("2026-04-10T10:00", 19 + 59 / 60, None),
            ],
        ),
        {"lines": [line("98980", "2026-03-31"), line("98980", "2026-04-30")]},
    ),
    Worked(
        "midnight-of-the-year",
        "15 minutes before and 15 after New Year: too few for the old year's code, enough for the new one's",
        case(
            {
                "episode.started": "2025-12-01",
                "episode.discharged": "2026-01-31",
                "episode.consent": OPEN,
                "episode.plan_of_care": OPEN,
            },
            data=[{"on": "2025-12-10"}, {"on": "2026-01-12"}],
            management=[entry("2025-12-31T23:45", 30)],
            as_of="2026-02-01",
        ),
        {
            "lines": [line("98979", "2026-01-31")],
            "not_billable": [{"code": "98980", "period": ["2025-12-01", "2025-12-31"], "why": "15 of 20"}],
        },
    ),
    Worked(
        "leap-window",
        "a window from 10 February of a leap year ends on 10 March, with 29 February inside",
        case(
            {
                "episode.started": "2024-02-10",
                "episode.discharged": "2024-03-10",
                "episode.consent": OPEN,
                "episode.plan_of_care": OPEN,
            },
            data=[*days("2024-02-10", 14), {"on": "2024-02-29"}, {"on": "2024-03-10"}],
            as_of="2024-03-11",
        ),
        {"lines": [line("98977", "2024-03-10")]},
    ),
    Worked(
        "leap-none",
        "in a common year the same window ends on 11 March",
        case(
            {
                "episode.started": "2025-02-10",
                "episode.discharged": "2025-03-11",
                "episode.consent": OPEN,
                "episode.plan_of_care": OPEN,
            },
            data=[*days("2025-02-10", 15), {"on": "2025-03-11"}],
            as_of="2025-03-12",
        ),
        {"lines": [line("98977", "2025-03-11")]},
    ),
    Worked(
        "leap-filing",
        "what is dated 29 February may be filed to 28 February of the next year",
        case(
            {
                "episode.started": "2024-02-01",
                "episode.discharged": "2024-02-29",
                "episode.consent": OPEN,
                "episode.plan_of_care": OPEN,
            },
            data=days("2024-02-01", 1),
            management=[entry("2024-02-29T10:00", 20)],
            as_of="2025-02-28",
        ),
        {"lines": [line("98980", "2024-02-29")]},
    ),
    Worked(
        "leap-filing-over",
        "on 1 March it is too late",
        case(
            {
                "episode.started": "2024-02-01",
                "episode.discharged": "2024-02-29",
                "episode.consent": OPEN,
                "episode.plan_of_care": OPEN,
            },
            data=days("2024-02-01", 1),
            management=[entry("2024-02-29T10:00", 20)],
            as_of="2025-03-01",
        ),
        {"lines": [], "not_billable": [{"code": "98980", "why": "too late"}]},
    ),
    Worked(
        "as-of-east",
        "east of the clinic the date of as_of has begun before its midnight: what is dated on it waits a day",
        case(
            {"patient.timezone": "Asia/Tokyo", "episode.setup": {"on": "2026-03-02"}},
            data=[{"on": "2026-03-03"}, {"at": "2026-03-06T01:00:00+09:00"}],
            as_of="2026-03-06",
        ),
        {"lines": [], "open": [{"codes": ["98975"], "have": 1, "need": 2}]},
    ),
    Worked(
        "as-of-east-next",
        "a day later it counts, by the patient's date",
        case(
            {"patient.timezone": "Asia/Tokyo", "episode.setup": {"on": "2026-03-02"}},
            data=[{"on": "2026-03-03"}, {"at": "2026-03-06T01:00:00+09:00"}],
            as_of="2026-03-07",
        ),
        {"lines": [line("98975", "2026-03-06")]},
    ),
    Worked(
        "as-of-west",
        "west of the clinic the date before as_of goes on after its midnight: what was measured then waits, too",
        case(
            {"patient.timezone": "Pacific/Honolulu", "episode.setup": {"on": "2026-03-02"}},
            data=[{"on": "2026-03-03"}, {"at": "2026-03-05T20:00:00-10:00"}],
            as_of="2026-03-06",
        ),
        {"lines": [], "open": [{"codes": ["98975"], "have": 1, "need": 2}]},
    ),
)
