"""Device supply: how many data days, of which kind, and the two twins."""

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
        "device-basis-missing",
        "without the device's regulatory basis supply and set-up are held",
        case({"episode.device_basis": False, "episode.setup": {"on": "2026-03-01"}}, data=_month(16)),
        {"lines": [line("98975", "2026-03-02", "hold"), line("98977", MARCH, "hold")]},
    ),
    Worked(
        "threshold-short",
        "setting: the short supply as soon as its second day is there; the long one stays open",
        case(data=days("2026-03-01", 3), as_of="2026-03-10", settings={"supply_when": "threshold"}),
        {
            "lines": [line("98985", MARCH)],
            "open": [{"codes": ["98977"], "have": 3, "need": 16, "last_date": "2026-03-18"}],
        },
    ),
    Worked(
        "nothing-counts",
        "days that do not count are named",
        case(data=[*days("2026-03-01", 3, place="clinic"), *days("2026-03-05", 1, kind="test")]),
        {"lines": [], "not_billable": [{"code": "98977", "why": "1 day a test; 3 days in the clinic"}]},
    ),
    Worked(
        "kinds-on-one-day",
        "a date with a recording in the clinic and a report from home counts, for the report",
        case(
            data=[
                *_month(15),
                {"on": "2026-03-20", "place": "clinic"},
                {"on": "2026-03-20", "kind": "reported"},
            ]
        ),
        {"lines": [line("98977", MARCH)]},
    ),
    Worked(
        "kinds-clinic-only",
        "a date with a recording in the clinic alone does not",
        case(
            data=[
                *_month(15),
                {"on": "2026-03-20", "place": "clinic"},
                {"on": "2026-03-20", "kind": "access"},
            ]
        ),
        {"lines": [line("98985", MARCH)]},
    ),
)
