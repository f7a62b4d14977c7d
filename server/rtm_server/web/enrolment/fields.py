"""The fields of the enrolment, the home's sensors and the record, with the choices that the clinic has."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from uuid import UUID

from rtm_server.wearables import OPEN_LINK, WEARABLES
from rtm_server.web.forms import checks
from rtm_server.web.forms.fields import Field, Group
from rtm_server.web.wording import exercise_name, place_words
from rtm_signal.catalogue import EXERCISES, PLACEMENTS, Exercise

DOSES, SENSORS = 3, 2
PLAN_DAYS = 90  # a plan of care is certified for at most 90 days (42 CFR 424.24)
NEW = "new"

_PAIRED = ("upper_arm", "forearm", "wrist", "hand", "thigh", "shank", "foot")
PLACES: tuple[str, ...] = (
    *PLACEMENTS,
    *(f"{side}_{place}" for side in ("left", "right") for place in _PAIRED),
)
ZONES = (
    "America/New_York", "America/Chicago", "America/Denver", "America/Phoenix", "America/Los_Angeles",
    "America/Anchorage", "Pacific/Honolulu", "America/Puerto_Rico",
)  # fmt: skip
DISCIPLINES = (
    ("PT", "Physical therapy"), ("OT", "Occupational therapy"), ("SLP", "Speech-language pathology"),
    ("none", "None: a physician's or other practitioner's"),
)  # fmt: skip
ORGANS = (
    ("musculoskeletal", "Musculoskeletal"), ("respiratory", "Respiratory"),
    ("cognitive_behavioral", "Cognitive behavioral"),
)  # fmt: skip
CONSENTS = (("written", "Written"), ("verbal", "Verbal, noted in the chart"))
UNITS = {"repetitions": "repetitions", "holds": "holds", "time": "minutes"}


def one_of(choices: Sequence[tuple[str, str]]) -> checks.Check:
    """A check for a selection."""
    known = {value for value, _ in choices}

    def check(typed: str) -> str:
        if typed not in known:
            raise ValueError("Choose one of the list.")
        return typed

    return check


def selection(
    path: str, label: str, choices: Sequence[tuple[str, str]], hint: str = "", *, needed: bool = False
) -> Field:
    """A field with a list."""
    return Field(path, label, one_of(choices), hint, needed, tuple(choices))


def whole(low: int, high: int) -> checks.Check:
    """A whole number."""

    def check(typed: str) -> str:
        if not typed.isascii() or not typed.isdigit() or not low <= int(typed) <= high:
            raise ValueError(f"Give a whole number from {low} to {high}.")
        return str(int(typed))

    return check


def amount(typed: str) -> str:
    """Repetitions, holds or minutes of a set."""
    try:
        value = float(typed.replace(",", "."))
    except ValueError:
        value = math.nan
    if not 0 < value <= 500:
        raise ValueError("Give a number from 1 to 500.")
    return f"{value:g}"


email = checks.matching(r"[^@\s]{1,64}@[^@\s]+\.[^@\s]+", "Write an email address.")


def exercise_words(exercise: Exercise) -> str:
    """`Shoulder: arm raise to the side (shoulder abduction)`."""
    technical = exercise_name(exercise.id).lower()
    plain = exercise.name[:1].lower() + exercise.name[1:]
    also = "" if plain.lower() == technical else f" ({technical})"
    return f"{exercise.joint.capitalize()}: {plain}{also}"


EXERCISE_CHOICES: tuple[tuple[str, str], ...] = tuple(
    sorted(((each.id, exercise_words(each)) for each in EXERCISES.values()), key=lambda pair: pair[1])
)
PLACE_CHOICES: tuple[tuple[str, str], ...] = tuple((place, place_words(place)) for place in PLACES)
NEW_SENSORS: tuple[tuple[str, str], ...] = tuple(
    (f"{NEW}:{profile}", f"New: {each.name}" + ("" if each.encrypted else f" ({OPEN_LINK})"))
    for profile, each in WEARABLES.items()
)


def dose(path: str, *, needed: bool = False) -> tuple[Field, ...]:
    """One exercise of the plan."""
    return (
        selection(f"{path}.exercise", "Exercise", EXERCISE_CHOICES, needed=needed),
        Field(f"{path}.sets", "Sets a day", whole(1, 20), needed=needed, kind="number"),
        Field(
            f"{path}.amount",
            "In each set",
            amount,
            "Repetitions, holds or minutes, as it is counted.",
            needed,
        ),
    )


def sensor(path: str, stock: Mapping[UUID, str], *, needed: bool = False) -> tuple[Field, ...]:
    """One wearable. stock: sensors of the clinic that nobody wears."""
    choices = (*NEW_SENSORS, *((str(each), f"Returned: {words}") for each, words in stock.items()))
    return (
        selection(f"{path}.which", "Sensor", choices, needed=needed),
        selection(f"{path}.place", "Worn at", PLACE_CHOICES, needed=needed),
        Field(
            f"{path}.serial",
            "Serial number",
            hint="Of a new one; another sensor is then refused.",
            kind="text",
        ),
    )


def worn_for(path: str, exercises: Sequence[str]) -> Field:
    """What a recording is of that the sensor opens by itself. exercises: of the plan."""
    choices = tuple((each, exercise_name(each)) for each in exercises)
    return selection(
        path, "Without Start it records", choices, "By its button or when it moves; empty: free exercise."
    )


def home(homes: Mapping[UUID, str]) -> Group:
    """Which box the sensors talk to."""
    choices = ((NEW, "A new gateway"), *((str(each), label) for each, label in homes.items()))
    return Group(
        "Gateway",
        (
            selection("home.gateway", "Gateway", choices, needed=True),
            Field("home.label", "Its label", hint="Of a new one: where it stands; no name."),
        ),
    )


def consent(*, needed: bool) -> Group:
    """Without it nothing is counted."""
    return Group(
        "Consent to monitoring",
        (
            selection("consent.how", "How it was given", CONSENTS, needed=needed),
            Field("consent.from", "From", checks.day, needed=needed, kind="date"),
        ),
        "Days outside the consent count for nothing.",
    )


def plan_of_care() -> Group:
    """Therapy lines are held without one."""
    return Group(
        "Plan of care",
        (
            Field("plan.from", "From", checks.day, kind="date"),
            Field("plan.to", "To", checks.day, kind="date"),
        ),
        "Lines under a therapy plan are held until one covers them.",
    )


def device() -> Group:
    """What the device lines rest on."""
    return Group(
        "Set-up and device",
        (
            Field("device.setup_on", "Set up and explained on", checks.day, kind="date"),
            Field(
                "device.basis",
                "Why it is a medical device",
                hint="510(k) number or exemption; empty: lines are held.",
            ),
        ),
    )


def enrolment_groups(zone: str, homes: Mapping[UUID, str], stock: Mapping[UUID, str]) -> list[Group]:
    """The whole form."""
    zones = tuple((each, each.replace("_", " ")) for each in dict.fromkeys((zone, *ZONES)))
    return [
        Group(
            "Patient",
            (
                Field("patient.first", "First name", needed=True),
                Field("patient.last", "Last name", needed=True),
                Field("patient.born", "Born", checks.day, needed=True, kind="date"),
                Field("patient.record", "Record number", needed=True),
            ),
        ),
        Group(
            "What is treated",
            (
                Field("episode.title", "In plain words", hint="Such as: right knee replacement.", needed=True),
                Field("episode.started", "Monitoring begins", checks.day, needed=True, kind="date"),
                selection("episode.zone", "Time zone at home", zones, "Days are the patient's own.", needed=True),
                selection("episode.discipline", "Discipline", DISCIPLINES, needed=True),
                selection("episode.organ", "Monitored system", ORGANS, needed=True),
            ),
        ),
        consent(needed=True),
        plan_of_care(),
        device(),
        *(
            Group("First exercise" if number == 1 else f"Exercise {number}", dose(f"dose{number}", needed=number == 1))
            for number in range(1, DOSES + 1)
        ),
        home(homes),
        *(
            Group(
                f"Sensor {number}", sensor(f"sensor{number}", stock),
                "Two sensors, one on either side of the joint, measure its angle; one counts and shows the tilt."
                if number == 1 else "",
            )
            for number in range(1, SENSORS + 1)
        ),
        Group(
            "Sign-in of the patient",
            (Field("sign_in.email", "Email", email, "A password is shown once, next.", needed=True, kind="email"),),
        ),
    ]  # fmt: skip


def defaults(zone: str, today: date) -> dict[str, str]:
    """What an empty form begins with."""
    return {
        "episode.started": today.isoformat(),
        "episode.zone": zone,
        "episode.discipline": "PT",
        "episode.organ": "musculoskeletal",
        "consent.from": today.isoformat(),
        "plan.from": today.isoformat(),
        "plan.to": (today + timedelta(days=PLAN_DAYS - 1)).isoformat(),
        "device.setup_on": today.isoformat(),
        "dose1.sets": "2",
        "dose1.amount": "10",
        "home.gateway": NEW,
    }
