"""Doubtful evidence, corrections of what was sent, payers described by the case, and corners of time."""

from .build import case, days, entry, line
from .model import Worked

WINDOW, MONTH = "2026-03-30", "2026-03-31"
OPEN = [{"from": None, "to": None}]
STRADDLE = {
    "episode.started": "2025-12-20",
    "episode.discharged": None,
    "episode.consent": OPEN,
    "episode.plan_of_care": OPEN,
    "episode.setup": {"on": "2025-12-20"},
}
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
    Worked(
        "sent-98980-more-time",
        "98980 sent, 40 minutes reached: only the add-on is new",
        case(
            data=days("2026-03-01", 1),
            management=[entry("2026-03-05T10:00", 40)],
            claims_sent=[{"code": "98980", "service_date": MONTH, "claim_id": "A1"}],
        ),
        {"lines": [line("98981", MONTH)], "not_billable": [{"code": "98980", "why": "already sent as A1"}]},
    ),
    Worked(
        "sent-twin",
        "the short supply was sent at its threshold and 16 days were reached: the long one replaces it",
        case(
            data=days("2026-03-01", 16),
            claims_sent=[{"code": "98985", "service_date": "2026-03-02", "claim_id": "A1"}],
        ),
        {"lines": [line("98977", WINDOW, "replace", replaces="A1")]},
    ),
    Worked(
        "sent-twin-less",
        "the long supply was sent: the short one is never billed beside it",
        case(
            data=days("2026-03-01", 3),
            claims_sent=[{"code": "98977", "service_date": WINDOW, "claim_id": "A1"}],
        ),
        {"lines": [], "not_billable": [{"code": "98985", "why": "98977 already sent as A1"}]},
    ),
    Worked(
        "sent-other-device",
        "one supply in 30 days however many devices there are",
        case(
            data=days("2026-03-01", 16),
            claims_sent=[{"code": "98976", "service_date": WINDOW, "claim_id": "A1"}],
        ),
        {"lines": [], "not_billable": [{"code": "98977", "why": "98976 already sent as A1"}]},
    ),
    Worked(
        "sent-not-open",
        "what was sent is not open any more",
        case(
            {"episode.setup": {"on": "2026-03-01"}},
            data=days("2026-03-01", 1),
            claims_sent=[{"code": "98975", "service_date": "2026-03-02", "claim_id": "A1"}],
            as_of="2026-03-10",
        ),
        {
            "lines": [],
            "open": [{"codes": ["98985"], "have": 1, "need": 2, "reachable": True, "last_date": WINDOW}],
        },
    ),
    Worked(
        "elsewhere-same-person",
        "time a person logged for another service is not counted again",
        case(
            data=days("2026-03-01", 1),
            management=[entry("2026-03-05T10:00", 25), entry("2026-03-05T10:10", 10, billed_elsewhere=True)],
        ),
        {"lines": [line("98979", MONTH)]},
    ),
    Worked(
        "elsewhere-other-person",
        "another person's time beside it is",
        case(
            data=days("2026-03-01", 1),
            management=[
                entry("2026-03-05T10:00", 20),
                entry("2026-03-05T10:00", 20, billed_elsewhere=True, by="pt2"),
            ],
        ),
        {"lines": [line("98980", MONTH)]},
    ),
    Worked(
        "visit-minutes",
        "minutes of a visit are not therapeutic monitoring, nor is what was said in it a contact",
        case(
            data=days("2026-03-01", 1),
            management=[entry("2026-03-05T10:00", 20, "in_person"), entry("2026-03-06T10:00", 20, None)],
            visits=[
                {
                    "on": "2026-03-05",
                    "start": "2026-03-05T10:00:00-05:00",
                    "end": "2026-03-05T10:30:00-05:00",
                    "services": [{"code": "97110", "minutes": 30}],
                }
            ],
        ),
        {
            "lines": [line("97110", "2026-03-05", units=2)],
            "not_billable": [{"code": "98980", "why": "no live"}],
        },
    ),
    Worked(
        "contact-without-duration",
        "a contact of no recorded length is still a contact",
        case(
            data=days("2026-03-01", 1),
            management=[entry("2026-03-05T10:00", 20, None), entry("2026-03-06T10:00", 0, "video")],
        ),
        {"lines": [line("98980", MONTH)]},
    ),
    Worked(
        "entry-outside-consent",
        "an entry over the start of consent counts from there",
        case(
            {"episode.consent": [{"from": "2026-03-05", "to": None}]},
            data=days("2026-03-06", 1),
            management=[entry("2026-03-04T23:50", 25)],
        ),
        {"lines": [line("98979", MONTH)]},
    ),
    Worked(
        "entry-after-discharge",
        "minutes after discharge do not count",
        case(
            {"episode.discharged": "2026-03-10"},
            data=days("2026-03-01", 1),
            management=[entry("2026-03-05T10:00", 12), entry("2026-03-11T10:00", 20)],
        ),
        {"lines": [line("98979", MONTH)]},
    ),
    Worked(
        "management-date-contact",
        "setting: the threshold is met when the contact is there too",
        case(
            data=days("2026-03-01", 1),
            management=[entry("2026-03-05T10:00", 45, None), entry("2026-03-20T10:00", 1)],
            settings={"management_date": "threshold"},
        ),
        {"lines": [line("98980", "2026-03-20"), line("98981", "2026-03-20")]},
    ),
    Worked(
        "management-date-units",
        "setting: an add-on is dated by its last full unit",
        case(
            data=days("2026-03-01", 1),
            management=[entry(f"2026-03-{day:02}T10:00", 20) for day in (5, 9, 12, 20)],
            settings={"management_date": "threshold"},
        ),
        {"lines": [line("98980", "2026-03-05"), line("98981", "2026-03-20", units=3)]},
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
    Worked(
        "supply-date-old-year",
        "setting: short supply whose data all lie in 2025 did not exist on its date",
        case(
            {**STRADDLE, "episode.setup": None},
            data=days("2025-12-20", 5),
            as_of="2026-01-19",
            settings={"supply_date": "threshold"},
        ),
        {"lines": [], "not_billable": [{"code": "98985"}]},
    ),
    Worked(
        "threshold-short",
        "setting: the short supply as soon as its second day is there; the long one stays open",
        case(data=days("2026-03-01", 3), as_of="2026-03-10", settings={"supply_when": "threshold"}),
        {
            "lines": [line("98985", WINDOW)],
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
        "consent-anchor-open",
        "setting: a consent without a beginning anchors at the start of the episode",
        case({"episode.consent": OPEN}, data=days("2026-03-03", 2), settings={"window_anchor": "consent"}),
        {"lines": [line("98985", WINDOW)]},
    ),
    Worked(
        "surgery-unknown",
        "whose global period it is, is not said: somebody must say",
        case(
            data=days("2026-03-01", 16),
            other_services=[{"kind": "global_surgery", "from": "2026-03-01", "to": None}],
        ),
        {"lines": [line("98977", WINDOW, "hold")]},
    ),
    Worked(
        "discipline-none",
        "billed by a therapist without a discipline: the modifier cannot be set",
        case({"episode.discipline": "none"}, data=days("2026-03-01", 16)),
        {"lines": [line("98977", WINDOW, "hold", modifiers=[])]},
    ),
    Worked(
        "payer-custom",
        "a payer described by the case: only some codes, 90 days to file",
        case(
            data=days("2026-03-01", 16),
            management=[entry("2026-03-05T10:00", 20)],
            payer={"profile": "custom", "covered": ["98977"], "timely_filing_days": 90},
            as_of="2026-06-28",
        ),
        {"lines": [line("98977", WINDOW)], "not_billable": [{"code": "98980", "why": "does not cover"}]},
    ),
    Worked(
        "payer-custom-late",
        "90 days and one",
        case(
            data=days("2026-03-01", 16),
            payer={"profile": "custom", "timely_filing_days": 90},
            as_of="2026-06-29",
        ),
        {"lines": [], "not_billable": [{"code": "98977", "why": "too late"}]},
    ),
    Worked(
        "untimed",
        "a service without a clock is one unit and outside the total",
        case(
            visits=[
                {
                    "on": "2026-03-20",
                    "services": [{"code": "97161", "minutes": 30}, {"code": "97110", "minutes": 7}],
                }
            ]
        ),
        {"lines": [line("97161", "2026-03-20")], "not_billable": [{"code": "97110"}]},
    ),
    Worked(
        "visits-of-a-day",
        "two visits of a day are one total",
        case(
            visits=[
                {"on": "2026-03-20", "services": [{"code": "97110", "minutes": 4}]},
                {"on": "2026-03-20", "services": [{"code": "97110", "minutes": 4}]},
            ]
        ),
        {"lines": [line("97110", "2026-03-20")]},
    ),
    Worked(
        "visit-sent",
        "a visit's line already sent is not emitted again",
        case(
            visits=[{"on": "2026-03-20", "services": [{"code": "97110", "minutes": 15}]}],
            claims_sent=[{"code": "97110", "service_date": "2026-03-20", "claim_id": "V1"}],
        ),
        {"lines": [], "not_billable": [{"code": "97110", "why": "already sent as V1"}]},
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
)
