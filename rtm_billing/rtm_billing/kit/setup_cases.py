"""Set-up and patient education."""

from .build import OPEN, OVER_NEW_YEAR, case, days, line
from .model import Worked

WINDOW = "2026-03-30"  # last day of the window that begins on 2026-03-01
STRADDLE = {**OVER_NEW_YEAR, "episode.setup": {"on": "2025-12-20"}}

CASES = (
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
            data=days("2026-03-01", 2),
            as_of="2026-03-10",
        ),
        {"lines": [], "not_billable": [{"code": "98975", "why": "already billed"}]},
    ),
    Worked(
        "setup-none",
        "without a set-up no 98975 is considered",
        case(data=days("2026-03-01", 2), as_of="2026-03-10"),
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
                "episode.consent": OPEN,
                "episode.plan_of_care": OPEN,
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
            data=days("2026-03-01", 2),
            as_of="2026-03-10",
        ),
        {"lines": [line("98975", "2026-03-02", modifiers=["GP", "CQ"])]},
    ),
    Worked(
        "setup-assistant-tenth",
        "exactly a tenth is not more than a tenth",
        case(
            {"episode.setup": {"on": "2026-03-01", "assistant_share": 0.1}},
            data=days("2026-03-01", 2),
            as_of="2026-03-10",
        ),
        {"lines": [line("98975", "2026-03-02")]},
    ),
    Worked(
        "supply-never-assistant",
        "an assistant's modifier never stands on supply",
        case({"episode.setup": {"on": "2026-03-01", "assistant_share": 1.0}}, data=days("2026-03-01", 16)),
        {"lines": [line("98975", "2026-03-02", modifiers=["GP", "CQ"]), line("98977", WINDOW)]},
    ),
    Worked(
        "setup-straddle",
        "set-up with data in both years, 16 days not reached: the years differ, hold",
        case(STRADDLE, data=days("2025-12-25", 10), as_of="2026-01-10"),
        {"lines": [line("98975", "2026-01-01", "hold")]},
    ),
    Worked(
        "setup-straddle-agrees",
        "16 days satisfy both years' rules",
        case(STRADDLE, data=days("2025-12-25", 16), as_of="2026-01-10"),
        {"lines": [line("98975", "2026-01-01")]},
    ),
    Worked(
        "setup-straddle-two",
        "one day on each side of the new year: the years differ, hold",
        case(STRADDLE, data=days("2025-12-31", 2), as_of="2026-01-10"),
        {"lines": [line("98975", "2026-01-01", "hold")]},
    ),
    Worked(
        "setup-straddle-first-day",
        "only the first of three days lies in the old year",
        case(STRADDLE, data=days("2025-12-31", 3), as_of="2026-01-10"),
        {"lines": [line("98975", "2026-01-01", "hold")]},
    ),
    Worked(
        "setup-straddle-last-day",
        "only the last of three days lies in the new year",
        case(STRADDLE, data=days("2025-12-30", 3), as_of="2026-01-10"),
        {"lines": [line("98975", "2026-01-01", "hold")]},
    ),
    Worked(
        "setup-last-day",
        "on the last of its 30 dates the set-up is still open",
        case({"episode.setup": {"on": "2026-03-01"}}, data=days("2026-03-01", 1), as_of=WINDOW),
        {
            "lines": [],
            "open": [{"codes": ["98975"], "have": 1, "need": 2, "days_left": 1, "reachable": True}],
        },
    ),
    Worked(
        "setup-plan",
        "the plan of care must cover the set-up from its first counted day",
        case(
            {
                "episode.setup": {"on": "2026-03-01"},
                "episode.plan_of_care": [{"from": "2026-03-02", "to": None}],
            },
            data=days("2026-03-01", 2),
            as_of="2026-03-10",
        ),
        {"lines": [line("98975", "2026-03-02", "hold")]},
    ),
    Worked(
        "setup-sent-earlier",
        "a set-up sent earlier in the episode, before this one's 30 dates, is not sent again",
        case(
            {"episode.setup": {"on": "2026-03-10"}},
            data=days("2026-03-10", 2),
            claims_sent=[{"code": "98975", "service_date": "2026-03-04", "claim_id": "A1"}],
            as_of="2026-03-20",
        ),
        {"lines": [], "not_billable": [{"code": "98975", "why": "already sent as A1"}]},
    ),
    Worked(
        "setup-straddle-new-year",
        "all data in 2026: its rule",
        case(STRADDLE, data=days("2026-01-02", 2), as_of="2026-01-10"),
        {"lines": [line("98975", "2026-01-03")]},
    ),
    Worked(
        "setup-straddle-old-year",
        "all data in 2025: its rule",
        case(STRADDLE, data=days("2025-12-20", 5), as_of="2026-01-19"),
        {"lines": [line("98985", "2026-01-18")], "not_billable": [{"code": "98975", "why": "5 of 16"}]},
    ),
    Worked(
        "setup-straddle-education",
        "setting: dated by an education in 2025, it needs 16 days",
        case(STRADDLE, data=days("2026-01-02", 5), as_of="2026-01-19", settings={"setup_date": "education"}),
        {"lines": [], "not_billable": [{"code": "98975", "why": "5 of 16"}]},
    ),
)
