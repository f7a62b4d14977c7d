"""Windows of 30 dates: where they begin and end, and which dates lie in them."""

from .build import OPEN, case, days, entry, line
from .model import Worked

MARCH = "2026-03-30"  # last day of the window that begins on 2026-03-01


def _month(number: int) -> list[dict[str, object]]:
    return days("2026-03-01", number)


CASES = (
    Worked(
        "window-open",
        "a window is over when its last day is before as_of; until then it stands in open",
        case(data=_month(14), as_of="2026-03-26"),
        {
            "lines": [],
            "open": [
                {
                    "codes": ["98977"],
                    "have": 14,
                    "need": 16,
                    "unit": "days",
                    "days_left": 5,
                    "reachable": True,
                }
            ],
        },
    ),
    Worked(
        "window-unreachable",
        "14 of 16 days with one day left cannot be reached",
        case(data=_month(14), as_of="2026-03-30"),
        {"lines": [], "open": [{"codes": ["98977"], "have": 14, "days_left": 1, "reachable": False}]},
    ),
    Worked(
        "window-last-day",
        "on its last day the window is still open",
        case(data=_month(16), as_of="2026-03-30"),
        {
            "lines": [],
            "open": [{"codes": ["98977"], "have": 16, "need": 16, "days_left": 1, "reachable": True}],
        },
    ),
    Worked(
        "window-day-after",
        "the day after its last day it is over",
        case(data=_month(16), as_of="2026-03-31"),
        {"lines": [line("98977", MARCH)]},
    ),
    Worked(
        "windows-back-to-back",
        "windows follow each other, empty ones too",
        case(
            {"episode.started": "2026-01-01", "episode.discharged": "2026-03-31"},
            data=[*days("2026-01-01", 16), *days("2026-03-02", 3)],
        ),
        {
            "lines": [line("98977", "2026-01-30"), line("98985", "2026-03-31")],
            "not_billable": [{"code": "98985", "period": ["2026-01-31", "2026-03-01"], "why": "0 of 2"}],
        },
    ),
    Worked(
        "window-anchor-first-data",
        "the window starts on the first counted day, not on the start of the episode",
        case({"episode.discharged": None}, data=days("2026-03-20", 16), as_of="2026-04-20"),
        {"lines": [line("98977", "2026-04-18")]},
    ),
    Worked(
        "window-anchor-started",
        "setting: the window starts with the episode",
        case(data=days("2026-03-10", 16), settings={"window_anchor": "started"}),
        {"lines": [line("98977", MARCH)]},
    ),
    Worked(
        "window-anchor-consent",
        "setting: the window starts with the consent",
        case(
            {"episode.consent": [{"from": "2026-02-26", "to": None}]},
            data=days("2026-03-01", 16),
            settings={"window_anchor": "consent"},
            as_of="2026-04-01",
        ),
        {
            "lines": [line("98977", "2026-03-27")],
            "open": [{"codes": ["98977"], "period": ["2026-03-28", "2026-04-26"]}],
        },
    ),
    Worked(
        "window-discharge",
        "the window that holds the discharge still closes on its 30th day, and none follows",
        case({"episode.discharged": "2026-03-16"}, data=_month(30)),
        {"lines": [line("98977", MARCH)]},
    ),
    Worked(
        "window-discharge-counts",
        "days after discharge do not count",
        case({"episode.discharged": "2026-03-15"}, data=_month(30)),
        {"lines": [line("98985", MARCH)]},
    ),
    Worked(
        "days-before-start",
        "days before the episode do not count",
        case(data=days("2026-02-20", 12)),
        {"lines": [line("98985", MARCH)]},
    ),
    Worked(
        "consent-none",
        "without consent nothing counts",
        case({"episode.consent": []}, data=_month(20)),
        {"lines": [], "not_billable": [{"code": "98977"}]},
    ),
    Worked(
        "consent-later",
        "days before consent do not count; the window starts on the first that does",
        case(
            {"episode.consent": [{"from": "2026-03-10", "to": None}], "episode.discharged": None},
            data=_month(20),
            as_of="2026-04-09",
        ),
        {"lines": [line("98985", "2026-04-08")]},
    ),
    Worked(
        "consent-withdrawn",
        "days after the withdrawal do not count; the last day of consent does",
        case({"episode.consent": [{"from": None, "to": "2026-03-16"}]}, data=_month(30)),
        {"lines": [line("98977", MARCH)]},
    ),
    Worked(
        "day-zone-patient",
        "a reading belongs to the local date where the patient was",
        case(
            data=[
                {"at": "2026-03-02T04:30:00Z", "zone": "America/New_York"},
                {"at": "2026-03-02T07:30:00Z", "zone": "America/Los_Angeles"},
                {"at": "2026-03-02T04:59:00Z"},
            ]
        ),
        {"lines": [], "not_billable": [{"code": "98985", "why": "1 of 2"}]},
    ),
    Worked(
        "day-zone-clinic",
        "setting: the clinic's midnight divides the days",
        case(
            data=[
                {"at": "2026-03-02T04:30:00Z", "zone": "America/New_York"},
                {"at": "2026-03-02T07:30:00Z", "zone": "America/Los_Angeles"},
            ],
            settings={"day_zone": "clinic"},
        ),
        {"lines": [line("98985", "2026-03-30")]},
    ),
    Worked(
        "day-basis-received",
        "setting: a reading is dated by when it was received",
        case(
            data=[
                {"at": "2026-03-01T10:00:00-05:00", "received_at": "2026-03-01T10:01:00-05:00"},
                {"at": "2026-03-01T11:00:00-05:00", "received_at": "2026-03-02T09:00:00-05:00"},
            ],
            settings={"day_basis": "received"},
        ),
        {"lines": [line("98985", "2026-03-30")]},
    ),
    Worked(
        "day-basis-measured",
        "by default a reading is dated by when it was measured",
        case(
            data=[
                {"at": "2026-03-01T10:00:00-05:00", "received_at": "2026-03-01T10:01:00-05:00"},
                {"at": "2026-03-01T11:00:00-05:00", "received_at": "2026-03-02T09:00:00-05:00"},
            ]
        ),
        {"lines": []},
    ),
    Worked(
        "as-of-ignores",
        "what is dated on or after as_of is ignored",
        case(
            data=[*_month(15), {"at": "2026-03-31T00:00:00-04:00"}, {"on": "2026-03-31"}], as_of="2026-03-31"
        ),
        {"lines": [line("98985", MARCH)]},
    ),
    Worked(
        "consent-anchor-open",
        "setting: a consent without a beginning anchors at the start of the episode",
        case({"episode.consent": OPEN}, data=days("2026-03-03", 2), settings={"window_anchor": "consent"}),
        {"lines": [line("98985", MARCH)]},
    ),
    Worked(
        "discharge-open-month",
        "after discharge what is short stays short",
        case(
            {"episode.discharged": "2026-03-10"},
            data=days("2026-03-01", 10),
            management=[entry("2026-03-05T10:00", 5)],
            as_of="2026-03-20",
        ),
        {
            "lines": [],
            "open": [
                {"codes": ["98977"], "have": 10, "need": 16, "reachable": False, "last_date": None},
                {"codes": ["98985"], "have": 10, "need": 2, "reachable": True},
                {"codes": ["98979"], "have": 5, "need": 10, "reachable": False},
            ],
        },
    ),
    Worked(
        "window-edges",
        "the first and the thirtieth date lie in a window",
        case(
            {"episode.discharged": None},
            data=[{"on": "2026-03-01"}, {"on": "2026-03-30"}],
            as_of="2026-03-31",
        ),
        {"lines": [line("98985", MARCH)]},
    ),
    Worked(
        "window-day-31",
        "the thirty-first lies in the next: nothing is carried over",
        case(
            {"episode.discharged": None},
            data=[{"on": "2026-03-01"}, {"on": "2026-03-31"}],
            as_of="2026-04-30",
        ),
        {
            "lines": [],
            "not_billable": [
                {"code": "98985", "period": ["2026-03-01", MARCH], "why": "1 of 2"},
                {"code": "98985", "period": ["2026-03-31", "2026-04-29"], "why": "1 of 2"},
            ],
        },
    ),
    Worked(
        "window-no-carry-over",
        "15 days in one window and 1 in the next are not 16",
        case(
            {"episode.discharged": None},
            data=[{"on": "2026-03-01"}, *days("2026-03-17", 15)],
            as_of="2026-04-30",
        ),
        {
            "lines": [line("98985", MARCH)],
            "not_billable": [{"code": "98977", "period": ["2026-03-31", "2026-04-29"], "why": "1 of 16"}],
        },
    ),
    Worked(
        "window-discharge-first-day",
        "a discharge on a window's first day still has its window, and it is the last",
        case({"episode.discharged": "2026-03-31"}, data=days("2026-03-01", 40), as_of="2026-07-01"),
        {
            "lines": [line("98977", MARCH)],
            "not_billable": [{"code": "98985", "period": ["2026-03-31", "2026-04-29"], "why": "1 of 2"}],
        },
    ),
    Worked(
        "consent-gap",
        "dates between a withdrawal and the next consent do not count: 5 and 11 are 16",
        case(
            {
                "episode.consent": [
                    {"from": "2026-03-01", "to": "2026-03-05"},
                    {"from": "2026-03-20", "to": None},
                ]
            },
            data=_month(30),
        ),
        {"lines": [line("98977", MARCH)]},
    ),
    Worked(
        "consent-gap-longer",
        "a gap one date longer leaves 15",
        case(
            {
                "episode.consent": [
                    {"from": "2026-03-01", "to": "2026-03-05"},
                    {"from": "2026-03-21", "to": None},
                ]
            },
            data=_month(30),
        ),
        {"lines": [line("98985", MARCH)]},
    ),
)
