"""Minutes, contacts, months, doubt."""

from typing import Any

from .build import case, days, entry, line
from .model import Worked

END = "2026-03-31"
ONE_DAY = days("2026-03-02", 1)


def _month(*entries: dict[str, Any], **more: Any) -> dict[str, Any]:
    return case(data=more.pop("data", ONE_DAY), management=list(entries), **more)


def _twenty(**more: Any) -> dict[str, Any]:
    return entry("2026-03-05T10:00", 20, **more)


CASES = (
    Worked(
        "minutes-10",
        "10 minutes with a contact",
        _month(entry("2026-03-05T10:00", 10)),
        {"lines": [line("98979", END)]},
    ),
    Worked(
        "minutes-9-59",
        "9 minutes 59 seconds are not 10",
        _month(entry("2026-03-05T10:00", 9 + 59 / 60)),
        {
            "lines": [],
            "not_billable": [{"code": "98979", "period": ["2026-03-01", END], "why": "9 of 10 minutes"}],
        },
    ),
    Worked(
        "minutes-19-59",
        "19 minutes 59 seconds are not 20",
        _month(entry("2026-03-05T10:00", 19 + 59 / 60)),
        {"lines": [line("98979", END)]},
    ),
    Worked("minutes-20", "20 minutes", _month(_twenty()), {"lines": [line("98980", END)]}),
    Worked(
        "minutes-39", "39 minutes", _month(entry("2026-03-05T10:00", 39)), {"lines": [line("98980", END)]}
    ),
    Worked(
        "minutes-40",
        "40 minutes are one add-on",
        _month(entry("2026-03-05T10:00", 40)),
        {"lines": [line("98980", END), line("98981", END)]},
    ),
    Worked(
        "minutes-85",
        "85 minutes are three add-ons on one line",
        _month(entry("2026-03-05T10:00", 85)),
        {"lines": [line("98980", END), line("98981", END, units=3)]},
    ),
    Worked(
        "floor-once",
        "seconds are summed unrounded and floored once",
        _month(*(entry(f"2026-03-{day:02}T10:00", 4.5) for day in (3, 4, 5, 6, 10))),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "no-contact",
        "without a live contact in the month nothing is billable",
        _month(_twenty(contact=None)),
        {"lines": [], "not_billable": [{"code": "98980", "why": "no live two-way contact"}]},
    ),
    Worked(
        "contact-voicemail", "voicemail is not contact", _month(_twenty(contact="voicemail")), {"lines": []}
    ),
    Worked(
        "contact-message",
        "a message is not contact by default",
        _month(_twenty(contact="message")),
        {"lines": []},
    ),
    Worked(
        "contact-message-setting",
        "setting: messages are contact",
        _month(
            _twenty(contact="message"),
            settings={"contact_channels": ["phone", "video", "in_person", "message"]},
        ),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "contact-in-person",
        "in person is contact",
        _month(_twenty(contact="in_person")),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "contact-in-person-setting",
        "setting: in person is not",
        _month(_twenty(contact="in_person"), settings={"contact_channels": ["phone", "video"]}),
        {"lines": []},
    ),
    Worked(
        "contact-other-month",
        "the contact must lie in the same month",
        _month(_twenty(contact=None), entry("2026-02-27T10:00", 5)),
        {"lines": []},
    ),
    Worked(
        "unlicensed",
        "an unlicensed person's minutes and contact do not count",
        _month(_twenty(role="unlicensed"), entry("2026-03-06T10:00", 10, contact=None)),
        {"lines": []},
    ),
    Worked(
        "idle-and-elsewhere",
        "idle time and time billed elsewhere count neither as time nor as contact",
        _month(
            entry("2026-03-05T10:00", 30, idle=True),
            entry("2026-03-06T10:00", 30, billed_elsewhere=True),
            entry("2026-03-07T10:00", 10, contact=None),
        ),
        {"lines": [], "not_billable": [{"code": "98979", "why": "no live"}]},
    ),
    Worked(
        "overlap-one-person",
        "overlapping entries of one person are united",
        _month(entry("2026-03-05T10:00", 15), entry("2026-03-05T10:05", 14)),
        {"lines": [line("98979", END)]},
    ),
    Worked(
        "overlap-two-persons",
        "two people in one meeting are counted once",
        _month(_twenty(), _twenty(by="pt2")),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "two-clinicians",
        "minutes of several clinicians of one practice add up",
        _month(entry("2026-03-05T10:00", 10), entry("2026-03-06T10:00", 10, contact=None, by="pt2")),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "month-2025",
        "before 2026 there is no code for 10 to 19 minutes",
        case(
            {
                "episode.started": "2025-03-01",
                "episode.discharged": "2025-03-30",
                "episode.consent": [{}],
                "episode.plan_of_care": [{}],
            },
            data=days("2025-03-02", 1),
            management=[entry("2025-03-05T10:00", 19)],
            as_of="2025-04-01",
        ),
        {"lines": [], "not_billable": [{"code": "98980", "why": "19 of 20 minutes"}]},
    ),
    Worked(
        "month-open",
        "the running month stands in open",
        _month(entry("2026-03-05T10:00", 12, contact=None), as_of="2026-03-20"),
        {
            "lines": [],
            "open": [
                {
                    "codes": ["98980"],
                    "period": ["2026-03-01", END],
                    "have": 12,
                    "need": 20,
                    "unit": "minutes",
                    "days_left": 12,
                },
                {"have": 0, "need": 1, "unit": "contact", "reachable": True},
            ],
        },
    ),
    Worked(
        "month-last-day",
        "on the month's last day the month is open",
        _month(_twenty(), as_of=END),
        {
            "lines": [],
            "open": [{"codes": ["98980"], "have": 20, "need": 20, "unit": "minutes", "days_left": 1}],
        },
    ),
    Worked(
        "month-over",
        "on the first of the next month it is over",
        _month(_twenty(), as_of="2026-04-01"),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "month-zone",
        "months end at the clinic's midnight",
        case(
            {"episode.discharged": None},
            as_of="2026-05-01",
            data=[*ONE_DAY, {"on": "2026-04-20"}],
            management=[
                {
                    "start": "2026-04-01T03:40:00Z",
                    "end": "2026-04-01T04:00:00Z",
                    "role": "therapist",
                    "contact": "phone",
                }
            ],
        ),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "month-split",
        "an entry over a month's end is split; its contact counts in each month",
        case(
            {"episode.discharged": "2026-04-29"},
            data=[*days("2026-03-10", 1), *days("2026-04-20", 1)],
            management=[entry("2026-03-31T23:50", 20)],
        ),
        {"lines": [line("98979", END), line("98979", "2026-04-30")]},
    ),
    Worked(
        "month-split-start",
        "setting: an entry belongs to the month it starts in",
        case(
            {"episode.discharged": "2026-04-29"},
            data=[*days("2026-03-10", 1), *days("2026-04-20", 1)],
            management=[entry("2026-03-31T23:50", 20)],
            settings={"month_split": "start"},
        ),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "dst-spring",
        "elapsed time, not the clock's: 01:50 to 03:10 on the day the clock jumps is 20 minutes",
        case(
            data=ONE_DAY,
            management=[
                {
                    "start": "2026-03-08T01:50:00-05:00",
                    "end": "2026-03-08T03:10:00-04:00",
                    "role": "therapist",
                    "contact": "video",
                }
            ],
        ),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "no-data-month",
        "management minutes in a month without a data day are held",
        _month(_twenty(), data=[]),
        {"lines": [line("98980", END, "hold")]},
    ),
    Worked(
        "no-data-month-setting",
        "setting: they are billable",
        _month(_twenty(), data=[], settings={"no_data_month": "bill"}),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "management-no-consent",
        "without consent no minute counts either",
        case({"episode.consent": []}, management=[_twenty()], settings={"no_data_month": "bill"}),
        {"lines": []},
    ),
    Worked(
        "management-date",
        "setting: dated by the day the 20th minute was reached",
        _month(
            entry("2026-03-05T10:00", 12),
            entry("2026-03-12T10:00", 12),
            entry("2026-03-20T10:00", 12),
            settings={"management_date": "threshold"},
        ),
        {"lines": [line("98980", "2026-03-12")]},
    ),
    Worked(
        "late",
        "an entry made more than 7 days after its end is held: what stands without it is billed",
        _month(
            entry("2026-03-05T10:00", 12),
            entry("2026-03-06T10:00", 10, entered_at="2026-03-20T10:00:00-04:00"),
        ),
        {"lines": [line("98979", END), line("98980", END, "hold")]},
    ),
    Worked(
        "late-seven-days",
        "exactly 7 days is not late",
        _month(
            entry("2026-03-10T10:00", 12),
            entry("2026-03-11T10:00", 10, entered_at="2026-03-18T10:10:00-04:00"),
        ),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "late-setting",
        "setting: the number of days",
        _month(
            entry("2026-03-05T10:00", 12),
            entry("2026-03-06T10:00", 10, entered_at="2026-03-20T10:00:00-04:00"),
            settings={"late_entry_days": 30},
        ),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "late-contact",
        "the only contact is late: all of it is held",
        _month(
            entry("2026-03-05T10:00", 22, contact=None),
            entry("2026-03-06T10:00", 1, entered_at="2026-03-20T10:00:00-04:00"),
        ),
        {"lines": [line("98980", END, "hold")]},
    ),
    Worked(
        "late-units",
        "the late entry adds a unit: only that unit is held",
        _month(
            entry("2026-03-05T10:00", 45),
            entry("2026-03-06T10:00", 20, entered_at="2026-03-20T10:00:00-04:00"),
        ),
        {"lines": [line("98980", END), line("98981", END), line("98981", END, "hold")]},
    ),
    Worked(
        "late-changes-nothing",
        "a late entry that changes nothing holds nothing",
        _month(
            entry("2026-03-05T10:00", 22),
            entry("2026-03-06T10:00", 5, entered_at="2026-03-20T10:00:00-04:00"),
        ),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "assistant-tenth",
        "exactly 10 % of the time by an assistant sets no modifier",
        _month(entry("2026-03-05T10:00", 18), entry("2026-03-06T10:00", 2, None, role="assistant")),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "assistant-more",
        "a second more does, on every management line of the month",
        _month(entry("2026-03-05T10:00", 36), entry("2026-03-06T10:00", 4 + 1 / 60, None, role="assistant")),
        {"lines": [line("98980", END, modifiers=["GP", "CQ"]), line("98981", END, modifiers=["GP", "CQ"])]},
    ),
    Worked(
        "assistant-beside-therapist",
        "time with a therapist present is not the assistant's",
        _month(_twenty(), entry("2026-03-05T10:05", 10, role="assistant")),
        {"lines": [line("98980", END)]},
    ),
    Worked(
        "assistant-ot",
        "an occupational therapy assistant: CO",
        case({"episode.discipline": "OT"}, data=ONE_DAY, management=[_twenty(role="assistant")]),
        {"lines": [line("98980", END, modifiers=["GO", "CO"])]},
    ),
    Worked(
        "assistant-slp",
        "speech-language pathology has no assistant modifier",
        case({"episode.discipline": "SLP"}, data=ONE_DAY, management=[_twenty(role="assistant")]),
        {"lines": [line("98980", END, modifiers=["GN"])]},
    ),
    Worked(
        "physician",
        "billed by a physician: no therapy modifier, no plan of care needed",
        case(
            {"episode.discipline": "none", "episode.therapist_billed": False, "episode.plan_of_care": []},
            data=ONE_DAY,
            management=[_twenty(role="physician")],
        ),
        {"lines": [line("98980", END, modifiers=[])]},
    ),
)
