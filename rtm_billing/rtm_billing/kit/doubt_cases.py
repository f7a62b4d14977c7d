"""Doubtful evidence: what stands without it is billed, what only it adds is held."""

from .build import case, days, entry, line
from .model import Worked

WINDOW, MONTH = "2026-03-30", "2026-03-31"
JUMP = "the sensor's clock jumped"

CASES = (
    Worked(
        "doubt-days",
        "14 certain days and 2 doubtful ones: the short supply stands, the long one is held",
        case(data=[*days("2026-03-01", 14), *days("2026-03-20", 2, doubt=JUMP)]),
        {"lines": [line("98985", WINDOW), line("98977", WINDOW, "hold")]},
    ),
    Worked(
        "doubt-day-also-certain",
        "a doubtful reading on a certain day holds nothing",
        case(data=[*days("2026-03-01", 16), *days("2026-03-01", 16, doubt=JUMP)]),
        {"lines": [line("98977", WINDOW)]},
    ),
    Worked(
        "doubt-first-day",
        "a doubtful first day moves no window",
        case(data=[*days("2026-03-01", 1, doubt=JUMP), *days("2026-03-05", 16)]),
        {"lines": [line("98977", "2026-04-03")]},
    ),
    Worked(
        "doubt-only",
        "only doubtful days: all of it is held",
        case({"episode.setup": {"on": "2026-03-01"}}, data=days("2026-03-01", 2, doubt=JUMP)),
        {"lines": [line("98975", "2026-03-02", "hold"), line("98985", WINDOW, "hold")]},
    ),
    Worked(
        "doubt-day-of-month",
        "the month's only data day is doubtful: its minutes stay held",
        case(data=days("2026-03-01", 1, doubt=JUMP), management=[entry("2026-03-05T10:00", 20)]),
        {"lines": [line("98980", MONTH, "hold")]},
    ),
    Worked(
        "doubt-entry",
        "a doubtful time entry is held like a late one",
        case(data=days("2026-03-01", 1), management=[entry("2026-03-05T10:00", 20, doubt="idle timer")]),
        {"lines": [line("98980", MONTH, "hold")]},
    ),
    Worked(
        "doubt-day-long-entry",
        "an entry of more than 24 hours is doubtful",
        case(data=days("2026-03-01", 1), management=[entry("2026-03-05T10:00", 1441)]),
        {"lines": [line("98980", MONTH, "hold"), line("98981", MONTH, "hold", units=71)]},
    ),
    Worked(
        "doubt-add-on",
        "20 minutes are certain, 20 more in doubt: the add-on is held beside its base, not instead of it",
        case(
            data=days("2026-03-01", 1),
            management=[entry("2026-03-05T10:00", 20), entry("2026-03-06T10:00", 20, doubt="idle timer")],
        ),
        {"lines": [line("98980", MONTH), line("98981", MONTH, "hold", evidence={"minutes": 40})]},
    ),
    Worked(
        "doubt-more-units",
        "45 minutes are certain, 40 more in doubt: one unit of the add-on stands, two more are held",
        case(
            data=days("2026-03-01", 1),
            management=[entry("2026-03-05T10:00", 45), entry("2026-03-06T10:00", 40, doubt="idle timer")],
        ),
        {"lines": [line("98980", MONTH), line("98981", MONTH), line("98981", MONTH, "hold", units=2)]},
    ),
    Worked(
        "doubt-more-units-sent",
        "the same when the add-on was sent without them: nothing joins it, and the units in doubt are named",
        case(
            data=days("2026-03-01", 1),
            management=[entry("2026-03-05T10:00", 45), entry("2026-03-06T10:00", 40, doubt="idle timer")],
            claims_sent=[
                {"code": "98980", "service_date": MONTH, "claim_id": "A1"},
                {"code": "98981", "service_date": MONTH, "claim_id": "A1"},
            ],
        ),
        {
            "lines": [],
            "not_billable": [
                {"code": "98981", "why": "already sent as A1; 2 more units would rest on doubtful evidence"}
            ],
        },
    ),
    Worked(
        "late-and-sent",
        "98979 was sent, 20 minutes are only reached with a late entry: held, and it would replace",
        case(
            data=days("2026-03-01", 1),
            management=[
                entry("2026-03-05T10:00", 12),
                entry("2026-03-06T10:00", 10, entered_at="2026-03-20T10:00:00-04:00"),
            ],
            claims_sent=[{"code": "98979", "service_date": MONTH, "claim_id": "A1"}],
        ),
        {
            "lines": [line("98980", MONTH, "hold", replaces="A1")],
            "not_billable": [{"code": "98979", "why": "already sent as A1"}],
        },
    ),
)
