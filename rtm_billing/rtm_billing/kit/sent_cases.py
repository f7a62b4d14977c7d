"""Claims already sent: nothing twice, corrections of what was outgrown."""

from .build import case, days, entry, line
from .model import Worked

WINDOW, MONTH = "2026-03-30", "2026-03-31"
DATA = days("2026-03-01", 16)
TWENTY = [entry("2026-03-05T10:00", 20)]

CASES = (
    Worked(
        "sent-same",
        "a line already sent is not emitted again",
        case(
            data=DATA,
            management=TWENTY,
            claims_sent=[{"code": "98977", "service_date": "2026-03-16", "claim_id": "A1"}],
        ),
        {"lines": [line("98980", MONTH)], "not_billable": [{"code": "98977", "why": "already sent as A1"}]},
    ),
    Worked(
        "sent-other-window",
        "a claim of another window has no effect",
        case(
            {"episode.discharged": None},
            data=[*DATA, *days("2026-03-31", 16)],
            claims_sent=[{"code": "98977", "service_date": WINDOW, "claim_id": "A1"}],
        ),
        {
            "lines": [line("98977", "2026-04-29")],
            "not_billable": [{"code": "98977", "why": "already sent as A1"}],
        },
    ),
    Worked(
        "sent-98979",
        "98979 sent and 20 minutes reached: 98980 replaces it",
        case(
            data=DATA[:1],
            management=[entry("2026-03-05T10:00", 40)],
            claims_sent=[{"code": "98979", "service_date": MONTH, "claim_id": "A1"}],
        ),
        {
            "lines": [
                line("98980", MONTH, "replace", replaces="A1"),
                line("98981", MONTH, "replace", replaces="A1"),
            ]
        },
    ),
    Worked(
        "sent-98979-again",
        "98979 sent and still under 20 minutes",
        case(
            data=DATA[:1],
            management=[entry("2026-03-05T10:00", 12)],
            claims_sent=[{"code": "98979", "service_date": MONTH, "claim_id": "A1"}],
        ),
        {"lines": [], "not_billable": [{"code": "98979", "why": "already sent as A1"}]},
    ),
    Worked(
        "sent-98980",
        "98979 never stands beside 98980",
        case(
            data=DATA[:1],
            management=[entry("2026-03-05T10:00", 12)],
            claims_sent=[{"code": "98980", "service_date": MONTH, "claim_id": "A1"}],
        ),
        {"lines": [], "not_billable": [{"code": "98979", "why": "98980 already sent as A1"}]},
    ),
    Worked(
        "sent-setup",
        "set-up is once per episode",
        case(
            {"episode.setup": {"on": "2026-03-01"}},
            data=DATA[:2],
            claims_sent=[{"code": "98975", "service_date": "2026-03-02", "claim_id": "A1"}],
        ),
        {"lines": [line("98985", WINDOW)], "not_billable": [{"code": "98975", "why": "already sent as A1"}]},
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
        "sent-both-twins",
        "both twins were sent: nothing of this window is emitted again",
        case(
            data=DATA,
            claims_sent=[
                {"code": "98985", "service_date": WINDOW, "claim_id": "A1"},
                {"code": "98977", "service_date": WINDOW, "claim_id": "A2"},
            ],
        ),
        {"lines": [], "not_billable": [{"code": "98977", "why": "already sent as A2"}]},
    ),
    Worked(
        "sent-next-window",
        "a claim dated the first day of the next window is the next window's",
        case(
            {"episode.discharged": None},
            data=[*DATA, *days("2026-03-31", 16)],
            claims_sent=[{"code": "98977", "service_date": "2026-03-31", "claim_id": "A1"}],
        ),
        {
            "lines": [line("98977", WINDOW)],
            "not_billable": [
                {"code": "98977", "period": ["2026-03-31", "2026-04-29"], "why": "already sent as A1"}
            ],
        },
    ),
    Worked(
        "sent-other-month",
        "98979 of February does not stand in the way of March",
        case(
            {"episode.started": "2026-02-01", "episode.consent": [{}]},
            data=[*days("2026-02-10", 1), *days("2026-03-05", 1)],
            management=[entry("2026-03-05T10:00", 20)],
            claims_sent=[{"code": "98979", "service_date": "2026-02-28", "claim_id": "A1"}],
        ),
        {"lines": [line("98985", "2026-03-11"), line("98980", MONTH)]},
    ),
    Worked(
        "sent-98979-commercial",
        "a payer that takes replacement claims gets one",
        case(
            data=DATA[:1],
            management=TWENTY,
            payer={"profile": "commercial"},
            claims_sent=[{"code": "98979", "service_date": MONTH, "claim_id": "A1"}],
        ),
        {"lines": [line("98980", MONTH, "replace", replaces="A1")]},
    ),
)
