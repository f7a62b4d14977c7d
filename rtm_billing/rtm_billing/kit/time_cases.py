"""Practitioner time to the second: overlaps, other services, visits, consent, staff, thresholds."""

from .build import case, days, entry, line
from .model import Worked

MONTH = "2026-03-31"

CASES = (
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
        "seconds",
        "three times 6 minutes 39.9 seconds and 0.3 seconds are 20 minutes to the microsecond",
        case(
            data=days("2026-03-01", 1),
            management=[
                *(entry(f"2026-03-{day:02}T10:00", 399.9 / 60) for day in (5, 6, 9)),
                entry("2026-03-10T10:00", 0.3 / 60, None),
            ],
        ),
        {"lines": [line("98980", MONTH)]},
    ),
    Worked(
        "seconds-short",
        "without the 0.3 seconds they are 19",
        case(
            data=days("2026-03-01", 1),
            management=[entry(f"2026-03-{day:02}T10:00", 399.9 / 60) for day in (5, 6, 9)],
        ),
        {"lines": [line("98979", MONTH)]},
    ),
    Worked(
        "overlap-chain",
        "three people, each joining before the one before left: 10:00 to 10:19:59, once",
        case(
            data=days("2026-03-01", 1),
            management=[
                entry("2026-03-05T10:00", 12),
                entry("2026-03-05T10:06", 12, None, by="pt2"),
                entry("2026-03-05T10:12", 7 + 59 / 60, None, by="pt3"),
            ],
        ),
        {"lines": [line("98979", MONTH)]},
    ),
    Worked(
        "assistant-within",
        "an assistant who works within a therapist's time is never alone",
        case(
            data=days("2026-03-01", 1),
            management=[
                entry("2026-03-05T10:00", 40),
                entry("2026-03-05T10:10", 20, None, by="pta", role="assistant"),
            ],
        ),
        {"lines": [line("98980", MONTH), line("98981", MONTH)]},
    ),
    Worked(
        "assistant-before",
        "an assistant alone for 5 of 25 minutes: CQ",
        case(
            data=days("2026-03-01", 1),
            management=[
                entry("2026-03-05T10:00", 10, None, by="pta", role="assistant"),
                entry("2026-03-05T10:05", 20),
            ],
        ),
        {"lines": [line("98980", MONTH, modifiers=["GP", "CQ"])]},
    ),
    Worked(
        "assistant-occupational",
        "in occupational therapy it is CO",
        case(
            {"episode.discipline": "OT"},
            data=days("2026-03-01", 1),
            management=[entry("2026-03-05T10:00", 20, role="assistant")],
        ),
        {"lines": [line("98980", MONTH, modifiers=["GO", "CO"])]},
    ),
    Worked(
        "assistant-speech",
        "speech-language pathology has no assistant's modifier",
        case(
            {"episode.discipline": "SLP"},
            data=days("2026-03-01", 1),
            management=[entry("2026-03-05T10:00", 20, role="assistant")],
        ),
        {"lines": [line("98980", MONTH, modifiers=["GN"])]},
    ),
    Worked(
        "staff",
        "clinical staff and other qualified professionals count like a therapist",
        case(
            data=days("2026-03-01", 1),
            management=[
                entry("2026-03-05T10:00", 10, None, by="cs", role="clinical_staff"),
                entry("2026-03-06T10:00", 10, "video", by="oq", role="other_qualified"),
            ],
        ),
        {"lines": [line("98980", MONTH)]},
    ),
    Worked(
        "unlicensed-beside",
        "an unlicensed person beside a therapist adds nothing",
        case(
            data=days("2026-03-01", 1),
            management=[
                entry("2026-03-05T10:00", 40, "phone", by="aide", role="unlicensed"),
                entry("2026-03-05T10:10", 10, "phone"),
            ],
        ),
        {"lines": [line("98979", MONTH)]},
    ),
    Worked(
        "late-by-a-second",
        "seven days and a second is late",
        case(
            data=days("2026-03-01", 1),
            management=[entry("2026-03-10T10:00", 20, entered_at="2026-03-17T10:20:01-04:00")],
        ),
        {"lines": [line("98980", MONTH, "hold")]},
    ),
    Worked(
        "late-twice",
        "the same minutes entered in time and again late stand on the entry in time",
        case(
            data=days("2026-03-01", 1),
            management=[
                entry("2026-03-10T10:00", 20, entered_at="2026-03-10T11:00:00-04:00"),
                entry("2026-03-10T10:00", 20, entered_at="2026-03-30T11:00:00-04:00"),
            ],
        ),
        {"lines": [line("98980", MONTH)]},
    ),
)
