"""Short words to write a case with: a plain case that bills nothing, days, time entries, expected lines."""

import copy
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

NEW_YORK = "America/New_York"

BASE: dict[str, Any] = {
    "as_of": "2026-05-01",
    "practice": {"timezone": NEW_YORK},
    "payer": {"profile": "medicare"},
    "settings": {},
    "patient": {"timezone": NEW_YORK},
    "episode": {
        "started": "2026-03-01",
        "discharged": "2026-03-30",
        "organ_system": "musculoskeletal",
        "discipline": "PT",
        "therapist_billed": True,
        "consent": [{"from": "2026-01-01", "to": None}],
        "plan_of_care": [{"from": "2026-01-01", "to": "2026-12-31"}],
        "device_basis": True,
        "setup": None,
        "setup_billed_before": False,
    },
    "data": [],
    "management": [],
    "visits": [],
    "therapy_spend": [],
    "other_services": [],
    "claims_sent": [],
}

OPEN: list[dict[str, None]] = [{"from": None, "to": None}]  # consent or a plan without an end
OVER_NEW_YEAR: dict[str, Any] = {
    "episode.started": "2025-12-20",
    "episode.discharged": None,
    "episode.consent": OPEN,
    "episode.plan_of_care": OPEN,
}


def case(changes: Mapping[str, Any] | None = None, **top: Any) -> dict[str, Any]:
    """The base with the top-level keys replaced, and `changes` by dotted path ("episode.started")."""
    made = copy.deepcopy(BASE)
    made.update(copy.deepcopy(top))
    for path, value in (changes or {}).items():
        *parents, last = path.split(".")
        target = made
        for name in parents:
            target = target[name]
        target[last] = copy.deepcopy(value)
    return made


def days(first: str, number: int, step: int = 1, **more: Any) -> list[dict[str, Any]]:
    """Readings on `number` local dates from `first`, every `step` dates."""
    start = date.fromisoformat(first)
    return [{"on": (start + timedelta(days=i * step)).isoformat(), **more} for i in range(number)]


def entry(
    start: str, minutes: float, contact: str | None = "phone", zone: str = NEW_YORK, **more: Any
) -> dict[str, Any]:
    """A time entry from a local start ("2026-03-05T10:00"), therapist pt1 unless said otherwise."""
    begin = datetime.fromisoformat(start).replace(tzinfo=ZoneInfo(zone))
    end = (begin.astimezone(ZoneInfo("UTC")) + timedelta(minutes=minutes)).astimezone(ZoneInfo(zone))
    made = {
        "start": begin.isoformat(),
        "end": end.isoformat(),
        "by": "pt1",
        "role": "therapist",
        "contact": contact,
    }
    return {**made, **more}


def line(
    code: str,
    on: str,
    decision: str = "bill",
    units: int = 1,
    modifiers: Sequence[str] = ("GP",),
    **more: Any,
) -> dict[str, Any]:
    """An expected line."""
    return {
        "code": code,
        "units": units,
        "modifiers": list(modifiers),
        "service_date": on,
        "decision": decision,
        **more,
    }
