"""Random whole cases: everything a case can hold, near the edges where the answers change.

Times lie on whole half minutes and no reading is in doubt, so that `third_reading` can answer too.
"""

from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from zoneinfo import ZoneInfo

DAY = timedelta(days=1)
ZONES = ("America/New_York", "America/Los_Angeles", "Europe/London", "Asia/Kolkata", "Pacific/Auckland")
POSITIONS: dict[str, tuple[Any, ...]] = {
    "window_anchor": ("started", "consent"),
    "supply_when": ("threshold",),
    "supply_date": ("threshold",),
    "setup_date": ("education",),
    "management_date": ("threshold",),
    "day_zone": ("clinic",),
    "day_basis": ("received",),
    "contact_channels": (["phone", "video", "in_person", "message"],),
    "late_entry_days": (0, 8),
    "no_data_month": ("bill",),
    "clinic_recordings": ("count",),
    "access_days": ("count",),
    "month_split": ("start",),
    "timed_units": ("ama",),
}
SECONDS = (30, 60, 120, 570, 600, 630, 1170, 1200, 1200, 1800, 2400)
MINUTES = (0, 4, 7, 8, 10, 14, 15, 18, 22, 23, 24, 30, 33, 38)
SENT = ("98975", "98977", "98985", "98979", "98979", "98980", "98981")


class _Draw:
    """The chance, with the first date and the length of the episode."""

    def __init__(self, chance: Random) -> None:
        self.chance = chance
        year = chance.choice((2022, 2024, 2025, 2025, 2026, 2026, 2026, 2027))
        self.started = date(year, 1, 1) + timedelta(days=chance.randrange(-40, 330))
        self.span = chance.choice((20, 45, 80, 130))
        self.busy = (self.started.replace(day=1) + 40 * DAY).replace(day=1) - DAY  # the end of a month
        self.clinic = chance.choice(ZONES)
        self.patient = chance.choice((*[self.clinic] * 4, "America/New_York", "Asia/Tokyo"))

    def often(self, share: float) -> bool:
        return self.chance.random() < share

    def day(self, first: int = -5, last: int | None = None) -> date:
        return self.started + timedelta(days=self.chance.randrange(first, last or self.span))

    def utc(self, on: date, zone: str, hours: tuple[int, ...], minutes: tuple[int, ...]) -> datetime:
        hour, minute = self.chance.choice(hours), self.chance.choice(minutes)
        return datetime(on.year, on.month, on.day, hour, minute, tzinfo=ZoneInfo(zone)).astimezone(UTC)

    def range(self, wide: float) -> dict[str, str | None]:
        if self.often(wide):
            return {"from": self.day(-30, 1).isoformat(), "to": None}
        first = self.day(-10, 40)
        last = first + timedelta(days=self.chance.randrange(90))
        return {"from": first.isoformat(), "to": self.chance.choice((None, last.isoformat()))}


def random_whole(chance: Random) -> dict[str, Any]:
    """A case with readings, time, visits, spend, other services, claims sent, and settings."""
    draw = _Draw(chance)
    discipline = chance.choice(("PT", "PT", "OT", "SLP", "none"))
    organs = (*["musculoskeletal"] * 4, "respiratory", "cognitive_behavioral")
    setup = {"on": draw.day(-2, 10).isoformat(), "assistant_share": chance.choice((0.0, 0.1, 0.11, 1.0))}
    waited = chance.choice((draw.span, draw.span, chance.randrange(draw.span + 1), 380))
    first = draw.day(-3, 20)
    return {
        "as_of": (draw.started + timedelta(days=waited)).isoformat(),
        "practice": {"timezone": draw.clinic},
        "payer": {"profile": chance.choice(("medicare", "medicare", "commercial"))},
        "settings": {name: chance.choice(values) for name, values in POSITIONS.items() if draw.often(0.2)},
        "patient": {"timezone": draw.patient},
        "episode": {
            "started": draw.started.isoformat(),
            "discharged": chance.choice((None, None, draw.day(0).isoformat())),
            "organ_system": chance.choice(organs),
            "discipline": discipline,
            "therapist_billed": draw.often(0.9 if discipline != "none" else 0.05),
            "consent": [draw.range(0.8) for _ in range(chance.choice((1, 1, 1, 2, 0)))],
            "plan_of_care": [draw.range(0.7) for _ in range(chance.choice((1, 1, 2, 0)))],
            "device_basis": draw.often(0.9),
            "setup": chance.choice((None, setup)),
            "setup_billed_before": draw.often(0.1),
        },
        "data": [_reading(first, number, draw) for number in range(chance.choice((0, 2, 15, 16, 20, 45)))],
        "management": [_entry(draw) for _ in range(chance.choice((0, 1, 2, 3, 5, 8)))],
        "visits": [_visit(draw) for _ in range(chance.choice((0, 0, 1, 2)))],
        "therapy_spend": [
            {"on": draw.day(-100).isoformat(), "amount": chance.choice(("1240", "2410", "2480", "70.00", "0.01"))}
            for _ in range(chance.choice((0, 0, 1, 2)))
        ],
        "other_services": [_other(draw) for _ in range(chance.choice((0, 0, 0, 1, 2)))],
        "claims_sent": [
            {"code": chance.choice(SENT), "service_date": draw.day().isoformat(), "claim_id": f"A{number}"}
            for number in range(chance.choice((0, 0, 0, 1, 2, 3)))
        ],
    }  # fmt: skip


def _reading(first: date, number: int, draw: _Draw) -> dict[str, Any]:
    on = first + timedelta(days=number if draw.often(0.9) else draw.chance.randrange(60))
    made: dict[str, Any] = {"on": on.isoformat()}
    if draw.often(0.4):
        zone = draw.chance.choice((draw.patient, draw.clinic))
        at = draw.utc(on, zone, (0, 0, 12, 23), (0, 15, 59))
        late = timedelta(hours=draw.chance.choice((1, 12, 30, 80)))
        made = {"at": at.isoformat(), "zone": draw.chance.choice((None, zone))}
        made["received_at"] = (at + late).isoformat() if draw.often(0.3) else None
    made["kind"] = draw.chance.choice(("test", "access", "reported")) if draw.often(0.15) else "sensor"
    made["place"] = "clinic" if draw.often(0.1) else "home"
    return made


def _entry(draw: _Draw) -> dict[str, Any]:
    chance = draw.chance
    on = draw.day(-3) if draw.often(0.6) else draw.busy
    start = draw.utc(on, draw.clinic, (0, 10, 10, 10, 23), (0, 10, 50))
    end = start + timedelta(seconds=chance.choice(SECONDS))
    entered = end + timedelta(days=chance.choice((0, 6, 7, 7, 8, 20)), seconds=chance.choice((0, 0, 1)))
    return {
        "start": start.isoformat(),
        "end": end.isoformat(),
        "by": chance.choice(("a", "b")),
        "role": chance.choice((*["therapist"] * 4, "assistant", "assistant", "unlicensed", "clinical_staff")),
        "contact": chance.choice((None, "phone", "phone", "video", "in_person", "message", "voicemail")),
        "billed_elsewhere": draw.often(0.1),
        "idle": draw.often(0.07),
        "entered_at": entered.isoformat() if draw.often(0.3) else None,
    }


def _visit(draw: _Draw) -> dict[str, Any]:
    services = []
    for code in draw.chance.sample(
        ("97110", "97112", "97116", "97140", "97530"), draw.chance.randrange(1, 5)
    ):
        minutes = draw.chance.choice(MINUTES)
        by_assistant = draw.chance.choice((0, 0, min(minutes, 3), minutes))
        services.append({"code": code, "minutes": minutes, "assistant_minutes": by_assistant})
    on = draw.day() if draw.often(0.5) else draw.busy
    made: dict[str, Any] = {"on": on.isoformat(), "services": services}
    if draw.often(0.5):
        start = draw.utc(on, draw.clinic, (0, 10), (0, 5, 10))
        made |= {"start": start.isoformat(), "end": (start + timedelta(minutes=30)).isoformat()}
    return made


def _other(draw: _Draw) -> dict[str, Any]:
    first = draw.day(-20)
    last = first + timedelta(days=draw.chance.randrange(40))
    return {
        "kind": draw.chance.choice((*["code"] * 4, "global_surgery")),
        "code": draw.chance.choice(("99454", "99457", "99490", "98977", "98980")),
        "from": draw.chance.choice((None, first.isoformat(), first.isoformat())),
        "to": draw.chance.choice((None, last.isoformat(), last.isoformat())),
        "same_practitioner": draw.often(0.5),
        "related": draw.often(0.5),
    }
