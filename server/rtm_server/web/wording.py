"""Dates, spans and numbers the way a person reads them. Filters of the templates."""

import re
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

from rtm_billing.rules import RULES
from rtm_signal.catalogue import EXERCISES

CODE_WORDS = {rule.code: rule.words.capitalize() for rule in RULES}
"""Our own short words; the descriptors of the code set belong to its publisher."""


def code_words(code: str) -> str:
    """What a code is, in our words; empty for one we have no words for."""
    return CODE_WORDS.get(code, "")


def day(value: date) -> str:
    """`Mon 16 Nov`."""
    return f"{value:%a} {value.day} {value:%b}"


def full_day(value: date) -> str:
    """`16 November 2026`."""
    return f"{value.day} {value:%B %Y}"


def month_name(value: date) -> str:
    """`November 2026`."""
    return f"{value:%B %Y}"


def ago(value: date, today: date) -> str:
    """Age of a day in words, exact and relative belong together on a page."""
    days = (today - value).days
    if days <= 0:
        return "today"
    return "yesterday" if days == 1 else f"{days} days ago"


def clock_time(value: datetime, zone: str) -> str:
    """`5:40 PM` in the zone."""
    local = value.astimezone(ZoneInfo(zone))
    return f"{local.hour % 12 or 12}:{local:%M} {'AM' if local.hour < 12 else 'PM'}"


def local_day(value: datetime, zone: str) -> str:
    """`Mon 16 Nov` in the zone."""
    return day(value.astimezone(ZoneInfo(zone)).date())


def as_of(value: datetime, zone: str) -> str:
    """`Mon 23 Nov 2026, 4:14 PM EST`: a time never stands without its zone."""
    local = value.astimezone(ZoneInfo(zone))
    return f"{day(local.date())} {local.year}, {clock_time(value, zone)} {local.tzname()}"


def plural(count: int, one: str, many: str | None = None) -> str:
    """`1 day`, `2 days`."""
    return f"{count} {one if count == 1 else many or one + 's'}"


def whole(value: float) -> int:
    """Minutes rounded down: a clock never shows more than there is."""
    return int(value + 1e-9)


def sentence(text: str) -> str:
    """The text with a capital letter in front."""
    return text[:1].upper() + text[1:]


TILT = "inclination"
_PARTS = {"trunk": "Back"}
_ISO_DAY = re.compile(r"\b(\d{4}-\d\d-\d\d)\b")


def sentence_of(text: str) -> str:
    """A sentence of the rules for a reader: a capital letter in front, days in words."""
    return sentence(_ISO_DAY.sub(lambda found: _day_words(found[1]), text))


def _day_words(text: str) -> str:
    try:
        value = date.fromisoformat(text)
    except ValueError:
        return text
    return f"{value.day} {value:%b %Y}"


def exercise_name(identifier: str | None) -> str:
    """`shoulder_abduction` -> `Shoulder abduction`."""
    return "Free exercise" if not identifier else identifier.replace("_", " ").capitalize()


def place_words(place: str) -> str:
    """`left_upper_arm` -> `Left upper arm`."""
    return place.replace("_", " ").capitalize()


_PLAIN_PLACES = {"shank": "lower leg", "trunk": "chest", "pelvis": "hip"}


def body_part(place: str) -> str:
    """`left_shank` -> `left lower leg`, for the patient."""
    side, _, rest = place.rpartition("_") if place.endswith(tuple(_PLAIN_PLACES)) else ("", "", place)
    return f"{side} {_PLAIN_PLACES.get(rest, rest)}".strip().replace("_", " ")


def position(identifier: str | None) -> str:
    """Where an exercise begins, as the catalogue words it; empty for one it does not know."""
    known = EXERCISES.get(identifier or "")
    return "" if known is None else known.neutral_pose


def plain_exercise(identifier: str | None) -> str:
    """The catalogue's plain words for the patient: `Arm raise to the side`."""
    known = EXERCISES.get(identifier or "")
    return exercise_name(identifier) if known is None else known.name


def cue(identifier: str | None) -> str:
    """How the exercise is done, in one sentence; empty for one the catalogue does not know."""
    known = EXERCISES.get(identifier or "")
    return "" if known is None else known.cue


def angle_words(angle: str | None) -> str:
    """`knee_flexion` -> `Knee angle`; one sensor alone shows a `Tilt`."""
    if angle is None or angle == TILT:
        return "Tilt"
    part = angle.partition("_")[0]
    return f"{_PARTS.get(part, part.capitalize())} angle"


def now_utc() -> datetime:
    """The one clock of the pages; tests hand in their own."""
    return datetime.now(UTC)
