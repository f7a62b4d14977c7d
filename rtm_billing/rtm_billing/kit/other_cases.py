"""Plan of care, other services, claims already sent, payers, the annual threshold."""

from .build import case, days, entry, line
from .model import Worked

WINDOW, MONTH = "2026-03-30", "2026-03-31"
DATA = days("2026-03-01", 16)
TWENTY = [entry("2026-03-05T10:00", 20)]
RPM = {"kind": "code", "code": "99454", "from": "2026-03-30", "to": "2026-04-28", "same_practitioner": True}
RTM = {"kind": "code", "code": "98977", "from": "2026-03-15", "to": "2026-04-13", "same_practitioner": False}
SURGERY = {
    "kind": "global_surgery",
    "from": "2026-02-01",
    "to": "2026-03-10",
    "same_practitioner": True,
    "related": True,
}
BOTH = {"lines": [line("98977", WINDOW), line("98980", MONTH)]}

CASES = (
    Worked(
        "both-clocks",
        "supply on the window, management on the month",
        case(data=DATA, management=TWENTY),
        BOTH,
    ),
    Worked(
        "plan-none",
        "without a therapy plan a therapist's lines are held",
        case({"episode.plan_of_care": []}, data=DATA, management=TWENTY),
        {"lines": [line("98977", WINDOW, "hold"), line("98980", MONTH, "hold")]},
    ),
    Worked(
        "plan-late",
        "the plan must cover from the first counted day or minute",
        case({"episode.plan_of_care": [{"from": "2026-03-02", "to": None}]}, data=DATA, management=TWENTY),
        {"lines": [line("98977", WINDOW, "hold"), line("98980", MONTH)]},
    ),
    Worked(
        "plan-short",
        "to the service date",
        case({"episode.plan_of_care": [{"from": None, "to": "2026-03-30"}]}, data=DATA, management=TWENTY),
        {"lines": [line("98977", WINDOW), line("98980", MONTH, "hold")]},
    ),
    Worked(
        "plan-renewed",
        "two plans without a gap cover as one",
        case(
            {
                "episode.plan_of_care": [
                    {"from": None, "to": "2026-03-10"},
                    {"from": "2026-03-11", "to": None},
                ]
            },
            data=DATA,
            management=TWENTY,
        ),
        BOTH,
    ),
    Worked(
        "plan-gap",
        "two plans with a gap do not",
        case(
            {
                "episode.plan_of_care": [
                    {"from": None, "to": "2026-03-10"},
                    {"from": "2026-03-12", "to": None},
                ]
            },
            data=DATA,
            management=TWENTY,
        ),
        {"lines": [line("98977", WINDOW, "hold"), line("98980", MONTH, "hold")]},
    ),
    Worked(
        "rpm-one-day",
        "one date in common with physiologic monitoring holds supply and management alike",
        case(data=DATA, management=TWENTY, other_services=[RPM]),
        {"lines": [line("98977", WINDOW, "hold"), line("98980", MONTH, "hold")]},
    ),
    Worked(
        "rpm-month-only",
        "the last day of March is the month's, not the window's",
        case(data=DATA, management=TWENTY, other_services=[{**RPM, "from": "2026-03-31"}]),
        {"lines": [line("98977", WINDOW), line("98980", MONTH, "hold")]},
    ),
    Worked(
        "rpm-after",
        "no date in common, no effect",
        case(data=DATA, management=TWENTY, other_services=[{**RPM, "from": "2026-04-01"}]),
        BOTH,
    ),
    Worked(
        "rtm-other-practitioner",
        "therapeutic monitoring by another practitioner holds",
        case(data=DATA, management=TWENTY, other_services=[RTM]),
        {"lines": [line("98977", WINDOW, "hold"), line("98980", MONTH, "hold")]},
    ),
    Worked(
        "care-management",
        "care management has no effect",
        case(data=DATA, management=TWENTY, other_services=[{**RPM, "code": "99490"}]),
        BOTH,
    ),
    Worked(
        "unknown-other",
        "an unknown code is a warning, no more",
        case(data=DATA, management=TWENTY, other_services=[{**RPM, "code": "12345"}]),
        BOTH,
    ),
    Worked(
        "surgery",
        "in the same practitioner's global period and related: not billable",
        case(data=DATA, management=TWENTY, other_services=[SURGERY]),
        {
            "lines": [],
            "not_billable": [{"code": "98977", "why": "global"}, {"code": "98980", "why": "global"}],
        },
    ),
    Worked(
        "surgery-unrelated",
        "an unrelated condition can be billed",
        case(data=DATA, management=TWENTY, other_services=[{**SURGERY, "related": False}]),
        BOTH,
    ),
    Worked(
        "surgery-other",
        "so can a therapist of another practice",
        case(data=DATA, management=TWENTY, other_services=[{**SURGERY, "same_practitioner": False}]),
        BOTH,
    ),
    Worked(
        "filing-last-day",
        "Medicare: a claim may be filed up to one year from the date of service",
        case(data=DATA, as_of="2027-03-30"),
        {"lines": [line("98977", WINDOW)]},
    ),
    Worked(
        "filing-over",
        "older is not billable",
        case(data=DATA, as_of="2027-03-31"),
        {"lines": [], "not_billable": [{"code": "98977", "why": "too late"}]},
    ),
    Worked(
        "payer-2025",
        "a payer on the codes of 2025 knows neither the short supply nor 98979",
        case(
            data=DATA[:15], management=[entry("2026-03-05T10:00", 19)], payer={"profile": "commercial_2025"}
        ),
        {
            "lines": [],
            "not_billable": [{"code": "98977", "why": "15 of 16"}, {"code": "98980", "why": "19 of 20"}],
        },
    ),
    Worked(
        "payer-none",
        "a payer that covers no RTM",
        case(data=DATA, management=TWENTY, payer={"profile": "none_covered"}),
        {
            "lines": [],
            "not_billable": [
                {"code": "98977", "why": "does not cover"},
                {"code": "98980", "why": "does not cover"},
            ],
        },
    ),
    Worked(
        "kx-at",
        "spend at the threshold needs no KX",
        case(data=DATA, therapy_spend=[{"on": "2026-02-01", "amount": "2480.00"}]),
        {"lines": [line("98977", WINDOW)]},
    ),
    Worked(
        "kx-above",
        "above it every therapy line carries KX",
        case(
            data=DATA,
            management=TWENTY,
            therapy_spend=[{"on": "2026-02-01", "amount": "2480.00"}, {"on": "2026-03-31", "amount": "0.01"}],
        ),
        {"lines": [line("98977", WINDOW), line("98980", MONTH, modifiers=["GP", "KX"])]},
    ),
    Worked(
        "kx-other-year",
        "only the spend of the year counts",
        case(data=DATA, therapy_spend=[{"on": "2025-12-31", "amount": "9000.00"}]),
        {"lines": [line("98977", WINDOW)]},
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
        "rpm-first-day",
        "physiologic monitoring that ends on the window's first date has it in common",
        case(data=DATA, other_services=[{**RPM, "from": "2026-02-01", "to": "2026-03-01"}]),
        {"lines": [line("98977", WINDOW, "hold")]},
    ),
    Worked(
        "rpm-day-before",
        "one that ends the date before has not",
        case(data=DATA, other_services=[{**RPM, "from": "2026-02-01", "to": "2026-02-28"}]),
        {"lines": [line("98977", WINDOW)]},
    ),
    Worked(
        "surgery-day-before",
        "a global period that ended the date before does not matter",
        case(data=DATA, other_services=[{**SURGERY, "to": "2026-02-28"}]),
        {"lines": [line("98977", WINDOW)]},
    ),
    Worked(
        "physician-without-plan",
        "a physician without a therapy plan: no plan is asked for, no modifier is set, no threshold counts",
        case(
            {"episode.discipline": "none", "episode.therapist_billed": False, "episode.plan_of_care": []},
            data=DATA,
            management=[entry("2026-03-05T10:00", 20, role="physician")],
            therapy_spend=[{"on": "2026-02-01", "amount": "9000.00"}],
        ),
        {"lines": [line("98977", WINDOW, modifiers=[]), line("98980", MONTH, modifiers=[])]},
    ),
    Worked(
        "kx-commercial",
        "the annual threshold is Medicare's",
        case(
            data=DATA,
            payer={"profile": "commercial"},
            therapy_spend=[{"on": "2026-02-01", "amount": "9000.00"}],
        ),
        {"lines": [line("98977", WINDOW)]},
    ),
)
