"""Random cases over the turn of the rules, to hold what must be true of every case against any product.

Drawn from a `random.Random`: a seed makes a case again; a test that hands in a Random of its own can shrink it.
"""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any

from .build import case

ZONES = (
    "America/New_York", "America/Los_Angeles", "Pacific/Honolulu", "Pacific/Kiritimati", "Pacific/Pago_Pago",
    "Australia/Lord_Howe", "Asia/Kathmandu", "Africa/Cairo", "America/Santiago", "Europe/London", "UTC",
    "America/St_Johns", "Asia/Beirut", "America/Havana", "Pacific/Chatham", "Africa/Casablanca",
)  # fmt: skip
START, AS_OF = date(2025, 11, 1), date(2026, 6, 1)
BEGIN = datetime(2025, 11, 1, tzinfo=UTC)
BUSY = datetime(2026, 3, 2, tzinfo=UTC)
SPAN_MINUTES = 200 * 24 * 60

POSITIONS: dict[str, tuple[str, ...]] = {
    "window_anchor": ("first_data", "started", "consent"),
    "supply_when": ("closed", "threshold"),
    "supply_date": ("window_end", "threshold"),
    "setup_date": ("minimum_met", "education"),
    "management_date": ("month_end", "threshold"),
    "day_zone": ("patient", "clinic"),
    "month_split": ("split", "start"),
    "no_data_month": ("hold", "bill"),
}


def random_reading(chance: Random) -> dict[str, Any]:
    """A reading at any minute, in any zone, of any kind, now and then in doubt."""
    made: dict[str, Any] = {"at": (BEGIN + timedelta(minutes=chance.randrange(SPAN_MINUTES))).isoformat()}
    for name, values in (
        ("zone", ZONES),
        ("kind", ("sensor", "reported", "access", "test")),
        ("place", ("home", "home", "clinic")),
        ("doubt", (None, None, None, "a clock jump")),
    ):
        if chance.random() < 0.5:
            made[name] = chance.choice(values)
    return made


def random_entry(chance: Random) -> dict[str, Any]:
    """A time entry of up to 50 minutes, to the second; half of them in one busy month."""
    start = BEGIN + timedelta(minutes=chance.randrange(SPAN_MINUTES))
    if chance.random() < 0.5:
        start = BUSY + timedelta(hours=chance.randrange(700))
    end = start + timedelta(seconds=chance.randrange(3001))
    entered = chance.choice((None, None, None, 1, 6, 8, 20))
    return {
        "start": start.isoformat(),
        "end": end.isoformat(),
        "by": chance.choice(("pt1", "pt2", "pta")),
        "role": chance.choice(("therapist", "therapist", "assistant", "clinical_staff", "unlicensed")),
        "contact": chance.choice((None, "phone", "video", "message", "voicemail")),
        "idle": chance.random() < 0.25,
        "billed_elsewhere": chance.random() < 0.25,
        "entered_at": None if entered is None else (end + timedelta(days=entered)).isoformat(),
    }


def random_settings(chance: Random) -> dict[str, Any]:
    """Any position of any disputed point."""
    return {name: chance.choice(values) for name, values in POSITIONS.items() if chance.random() < 0.5}


def random_case(chance: Random) -> dict[str, Any]:
    """A case over the turn of the rules: any zones, any settings, a run of days and some strays."""
    first = START + timedelta(days=chance.randrange(151))
    run = [{"on": (first + timedelta(days=i)).isoformat()} for i in range(chance.randrange(21))]
    organs = ("musculoskeletal", "respiratory", "cognitive_behavioral")
    return case(
        {
            "practice.timezone": chance.choice(ZONES),
            "patient.timezone": chance.choice(ZONES),
            "episode.started": START.isoformat(),
            "episode.discharged": chance.choice((None, "2026-04-15")),
            "episode.consent": [{"from": chance.choice(("2025-10-01", "2026-03-10")), "to": None}],
            "episode.plan_of_care": [{"from": "2025-10-01", "to": None}],
            "episode.organ_system": chance.choice(organs),
            "episode.setup": chance.choice((None, {"on": "2025-12-20"}, {"on": "2026-03-02"})),
        },
        as_of=AS_OF.isoformat(),
        data=run + [random_reading(chance) for _ in range(chance.randrange(13))],
        management=[random_entry(chance) for _ in range(chance.randrange(11))],
        settings=random_settings(chance),
    )
