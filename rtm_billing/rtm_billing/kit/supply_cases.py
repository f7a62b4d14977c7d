"""Windows, data days, the two years' rules, and set-up."""

from .build import case, days, line
from .model import Worked

MARCH = "2026-03-30"  # last day of the window that begins on 2026-03-01


def _month(number: int) -> list[dict[str, object]]:
    return days("2026-03-01", number)


CASES = (
    Worked(
        "supply-16",
        "16 data days in a window of 2026 are the long supply, dated by the window's last day",
        case(data=_month(16)),
        {"lines": [line("98977", MARCH)]},
    ),
    Worked("supply-30", "every day of the window", case(data=_month(30)), {"lines": [line("98977", MARCH)]}),
    Worked(
        "supply-15", "15 days are the short twin", case(data=_month(15)), {"lines": [line("98985", MARCH)]}
    ),
    Worked(
        "supply-2",
        "2 days are enough for the short twin",
        case(data=_month(2)),
        {"lines": [line("98985", MARCH)]},
    ),
    Worked(
        "supply-1",
        "1 day is not enough, and says so",
        case(data=_month(1)),
        {"lines": [], "not_billable": [{"code": "98985", "why": "1 of 2 data days"}]},
    ),
    Worked(
        "supply-apart",
        "days need not be consecutive",
        case(data=days("2026-03-01", 15, 2)),
        {"lines": [line("98985", "2026-03-30")]},
    ),
    Worked(
        "supply-same-day",
        "ten readings in a day are one day",
        case(data=[{"at": f"2026-03-01T1{i}:00:00-05:00"} for i in range(10)]),
        {"lines": [], "not_billable": [{"code": "98985", "why": "1 of 2"}]},
    ),
    Worked(
        "supply-respiratory",
        "respiratory supply has its own pair",
        case({"episode.organ_system": "respiratory"}, data=_month(16)),
        {"lines": [line("98976", MARCH)]},
    ),
    Worked(
        "supply-respiratory-short",
        "respiratory supply, short",
        case({"episode.organ_system": "respiratory"}, data=_month(5)),
        {"lines": [line("98984", MARCH)]},
    ),
    Worked(
        "supply-behavioural",
        "cognitive behavioural supply has its own pair",
        case({"episode.organ_system": "cognitive_behavioral"}, data=_month(16)),
        {"lines": [line("98978", MARCH)]},
    ),
    Worked(
        "supply-behavioural-short",
        "cognitive behavioural supply, short",
        case({"episode.organ_system": "cognitive_behavioral"}, data=_month(2)),
        {"lines": [line("98986", MARCH)]},
    ),
    Worked(
        "supply-behavioural-2022",
        "98978 did not exist in 2022",
        case(
            {
                "episode.organ_system": "cognitive_behavioral",
                "episode.started": "2022-03-01",
                "episode.discharged": "2022-03-30",
                "episode.consent": [{"from": None, "to": None}],
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
        "kinds",
        "clinic, test and access days do not count; reported ones do",
        case(
            data=[
                *days("2026-03-01", 2, kind="reported"),
                *days("2026-03-05", 5, kind="test"),
                *days("2026-03-12", 5, kind="access"),
                *days("2026-03-18", 5, place="clinic"),
            ]
        ),
        {"lines": [line("98985", MARCH)]},
    ),
    Worked(
        "access-counted",
        "setting: access days count",
        case(data=days("2026-03-01", 16, kind="access"), settings={"access_days": "count"}),
        {"lines": [line("98977", MARCH)]},
    ),
    Worked(
        "clinic-counted",
        "setting: recordings in the clinic count",
        case(data=days("2026-03-01", 16, place="clinic"), settings={"clinic_recordings": "count"}),
        {"lines": [line("98977", MARCH)]},
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
        "supply-threshold",
        "setting: supply is decided as soon as the threshold is met",
        case(
            data=_month(16),
            settings={"supply_when": "threshold", "supply_date": "threshold"},
            as_of="2026-03-17",
        ),
        {"lines": [line("98977", "2026-03-16")]},
    ),
    Worked(
        "supply-date-threshold",
        "setting: dated by the day the threshold was met, decided when the window is over",
        case(data=_month(20), settings={"supply_date": "threshold"}),
        {"lines": [line("98977", "2026-03-16")]},
    ),
    Worked(
        "supply-date-threshold-short",
        "the short twin's threshold is its second day",
        case(data=days("2026-03-01", 5, 2), settings={"supply_date": "threshold"}),
        {"lines": [line("98985", "2026-03-03")]},
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
        "straddle-differs",
        "data in both years and the years' rules differ: hold",
        case(
            {
                "episode.started": "2025-12-20",
                "episode.discharged": None,
                "episode.consent": [{}],
                "episode.plan_of_care": [{}],
            },
            data=days("2025-12-20", 15),
            as_of="2026-01-19",
        ),
        {"lines": [line("98985", "2026-01-18", "hold")]},
    ),
    Worked(
        "straddle-agrees",
        "data in both years and both years' rules give the long supply: bill",
        case(
            {
                "episode.started": "2025-12-20",
                "episode.discharged": None,
                "episode.consent": [{}],
                "episode.plan_of_care": [{}],
            },
            data=days("2025-12-20", 16),
            as_of="2026-01-19",
        ),
        {"lines": [line("98977", "2026-01-18")]},
    ),
    Worked(
        "straddle-one-year",
        "a straddling window with data in one year goes by the date of service",
        case(
            {
                "episode.started": "2025-12-20",
                "episode.discharged": None,
                "episode.consent": [{}],
                "episode.plan_of_care": [{}],
            },
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
                "episode.plan_of_care": [{}],
            },
            data=days("2027-01-01", 16),
            as_of="2027-02-15",
        ),
        {"lines": [line("98977", "2027-01-30", "hold")]},
    ),
    Worked(
        "device-basis-missing",
        "without the device's regulatory basis supply and set-up are held",
        case({"episode.device_basis": False, "episode.setup": {"on": "2026-03-01"}}, data=_month(16)),
        {"lines": [line("98975", "2026-03-02", "hold"), line("98977", MARCH, "hold")]},
    ),
    Worked(
        "leap-year",
        "29 February is a day like any other",
        case(
            {
                "episode.started": "2024-02-01",
                "episode.discharged": "2024-03-01",
                "episode.consent": [{}],
                "episode.plan_of_care": [{}],
            },
            data=days("2024-02-15", 16),
            as_of="2024-03-16",
            settings={"window_anchor": "started"},
        ),
        {"lines": [line("98977", "2024-03-01")]},
    ),
    Worked(
        "setup-2026",
        "from 2026 set-up is billable at the second data day, before the window is over",
        case({"episode.setup": {"on": "2026-03-01"}}, data=days("2026-03-03", 2), as_of="2026-03-10"),
        {"lines": [line("98975", "2026-03-04")]},
    ),
    Worked(
        "setup-open",
        "before its minimum is met it stands in open",
        case({"episode.setup": {"on": "2026-03-01"}}, data=days("2026-03-03", 1), as_of="2026-03-10"),
        {
            "lines": [],
            "open": [{"codes": ["98975"], "period": ["2026-03-01", "2026-03-30"], "have": 1, "need": 2}],
        },
    ),
    Worked(
        "setup-education",
        "setting: 98975 is dated by the education",
        case(
            {"episode.setup": {"on": "2026-03-01"}},
            data=days("2026-03-03", 2),
            as_of="2026-03-10",
            settings={"setup_date": "education"},
        ),
        {"lines": [line("98975", "2026-03-01")]},
    ),
    Worked(
        "setup-before",
        "once per episode of care",
        case(
            {"episode.setup": {"on": "2026-03-01"}, "episode.setup_billed_before": True},
            data=_month(2),
            as_of="2026-03-10",
        ),
        {"lines": [], "not_billable": [{"code": "98975", "why": "already billed"}]},
    ),
    Worked(
        "setup-none",
        "without a set-up no 98975 is considered",
        case(data=_month(2), as_of="2026-03-10"),
        {"lines": []},
    ),
    Worked(
        "setup-2025",
        "before 2026 set-up needs 16 days",
        case(
            {
                "episode.started": "2025-03-01",
                "episode.discharged": "2025-03-30",
                "episode.setup": {"on": "2025-03-01"},
                "episode.consent": [{}],
                "episode.plan_of_care": [{}],
            },
            data=days("2025-03-01", 15),
            as_of="2025-03-31",
        ),
        {"lines": [], "not_billable": [{"code": "98975", "why": "15 of 16"}, {"code": "98977"}]},
    ),
    Worked(
        "setup-assistant",
        "more than a tenth of the set-up by an assistant: CQ",
        case(
            {"episode.setup": {"on": "2026-03-01", "assistant_share": 0.11}},
            data=_month(2),
            as_of="2026-03-10",
        ),
        {"lines": [line("98975", "2026-03-02", modifiers=["GP", "CQ"])]},
    ),
    Worked(
        "setup-assistant-tenth",
        "exactly a tenth is not more than a tenth",
        case(
            {"episode.setup": {"on": "2026-03-01", "assistant_share": 0.1}},
            data=_month(2),
            as_of="2026-03-10",
        ),
        {"lines": [line("98975", "2026-03-02")]},
    ),
    Worked(
        "supply-never-assistant",
        "an assistant's modifier never stands on supply",
        case({"episode.setup": {"on": "2026-03-01", "assistant_share": 1.0}}, data=_month(16)),
        {"lines": [line("98975", "2026-03-02", modifiers=["GP", "CQ"]), line("98977", MARCH)]},
    ),
)
