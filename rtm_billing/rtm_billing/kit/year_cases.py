"""Years and the rules of each: codes that did not exist yet, windows over New Year, dates nobody has verified."""

from .build import OPEN, OVER_NEW_YEAR, case, days, entry, line
from .model import Worked

CASES = (
    Worked(
        "supply-behavioural-2022",
        "98978 did not exist in 2022",
        case(
            {
                "episode.organ_system": "cognitive_behavioral",
                "episode.started": "2022-03-01",
                "episode.discharged": "2022-03-30",
                "episode.consent": OPEN,
            },
            data=days("2022-03-01", 20),
            as_of="2022-05-01",
        ),
        {"lines": [], "not_billable": [{"code": "98978", "why": "did not exist"}]},
    ),
    Worked(
        "supply-2025-15",
        "before 2026 there is no short supply",
        case(
            {
                "episode.started": "2025-03-01",
                "episode.discharged": "2025-03-30",
                "episode.consent": [{"from": "2025-01-01", "to": None}],
                "episode.plan_of_care": [{"from": "2025-01-01", "to": None}],
            },
            data=days("2025-03-01", 15),
            as_of="2025-05-01",
        ),
        {"lines": [], "not_billable": [{"code": "98977", "why": "15 of 16 data days"}]},
    ),
    Worked(
        "supply-2025-16",
        "16 days in 2025",
        case(
            {
                "episode.started": "2025-03-01",
                "episode.discharged": "2025-03-30",
                "episode.consent": [{"from": "2025-01-01", "to": None}],
                "episode.plan_of_care": [{"from": "2025-01-01", "to": None}],
            },
            data=days("2025-03-01", 16),
            as_of="2025-05-01",
        ),
        {"lines": [line("98977", "2025-03-30")]},
    ),
    Worked(
        "straddle-differs",
        "data in both years and the years' rules differ: hold",
        case(
            OVER_NEW_YEAR,
            data=days("2025-12-20", 15),
            as_of="2026-01-19",
        ),
        {"lines": [line("98985", "2026-01-18", "hold")]},
    ),
    Worked(
        "straddle-agrees",
        "data in both years and both years' rules give the long supply: bill",
        case(
            OVER_NEW_YEAR,
            data=days("2025-12-20", 16),
            as_of="2026-01-19",
        ),
        {"lines": [line("98977", "2026-01-18")]},
    ),
    Worked(
        "straddle-one-year",
        "a straddling window with data in one year goes by the date of service",
        case(
            OVER_NEW_YEAR,
            data=days("2025-12-20", 3),
            as_of="2026-01-19",
        ),
        {"lines": [line("98985", "2026-01-18")]},
    ),
    Worked(
        "unverified-2027",
        "a date of service beyond what is verified is held",
        case(
            {
                "episode.started": "2027-01-01",
                "episode.discharged": "2027-01-30",
                "episode.plan_of_care": OPEN,
            },
            data=days("2027-01-01", 16),
            as_of="2027-02-15",
        ),
        {"lines": [line("98977", "2027-01-30", "hold")]},
    ),
    Worked(
        "leap-year",
        "29 February is a day like any other",
        case(
            {
                "episode.started": "2024-02-01",
                "episode.discharged": "2024-03-01",
                "episode.consent": OPEN,
                "episode.plan_of_care": OPEN,
            },
            data=days("2024-02-15", 16),
            as_of="2024-03-16",
            settings={"window_anchor": "started"},
        ),
        {"lines": [line("98977", "2024-03-01")]},
    ),
    Worked(
        "setting-dated",
        "a setting with dates holds from its date",
        case(
            data=days("2026-03-01", 20, place="clinic"),
            settings={"clinic_recordings": [{"from": "2026-03-11", "value": "count"}]},
        ),
        {"lines": [line("98985", "2026-04-09")]},
    ),
    Worked(
        "supply-date-old-year",
        "setting: short supply whose data all lie in 2025 did not exist on its date",
        case(
            OVER_NEW_YEAR,
            data=days("2025-12-20", 5),
            as_of="2026-01-19",
            settings={"supply_date": "threshold"},
        ),
        {
            "lines": [],
            "not_billable": [
                {
                    "code": "98985",
                    "why": "the last of its 5 data days was 2025-12-24, when 98985 did not exist",
                }
            ],
        },
    ),
    Worked(
        "straddle-payer-2025",
        "for a payer still on the codes of 2025 the two years do not differ: 15 days are too few, nothing to decide",
        case(
            OVER_NEW_YEAR,
            data=days("2025-12-25", 15),
            payer={"profile": "commercial_2025"},
            as_of="2026-02-01",
        ),
        {
            "lines": [],
            "not_billable": [{"code": "98977", "period": ["2025-12-25", "2026-01-23"], "why": "15 of 16"}],
        },
    ),
    Worked(
        "straddle-first-day-only",
        "only the first of two days lies in the old year: the years differ, hold",
        case(OVER_NEW_YEAR, data=days("2025-12-31", 2), as_of="2026-02-01"),
        {"lines": [line("98985", "2026-01-29", "hold")]},
    ),
    Worked(
        "straddle-one-day",
        "a single data day lies in one year only",
        case(OVER_NEW_YEAR, data=days("2025-12-31", 1), as_of="2026-02-01"),
        {"lines": [], "not_billable": [{"code": "98985", "why": "1 of 2"}]},
    ),
    Worked(
        "unverified-window",
        "all data in 2026, the window ends in 2027: its date of service is not verified",
        case(
            {"episode.started": "2026-12-08", "episode.discharged": None, "episode.plan_of_care": OPEN},
            data=days("2026-12-08", 16),
            management=[entry("2026-12-10T10:00", 20)],
            as_of="2027-01-07",
        ),
        {"lines": [line("98980", "2026-12-31"), line("98977", "2027-01-06", "hold")]},
    ),
    Worked(
        "verified-window",
        "one date earlier it would have ended with the year",
        case(
            {"episode.started": "2026-12-01", "episode.discharged": None, "episode.plan_of_care": OPEN},
            data=days("2026-12-02", 16),
            as_of="2027-01-01",
        ),
        {"lines": [line("98977", "2026-12-31")]},
    ),
)
