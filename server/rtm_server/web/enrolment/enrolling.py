"""From a checked form to an enrolled patient: what hangs together is checked, then all of it is made, or nothing."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from psycopg.errors import UniqueViolation

from rtm_server import enrol
from rtm_server.enrol import EnrolError
from rtm_server.store import Store, Tx
from rtm_server.web.enrolment import wearing
from rtm_server.web.enrolment.fields import DOSES, NEW, SENSORS, UNITS
from rtm_server.web.errors import ConflictError
from rtm_server.web.forms.checks import Value
from rtm_server.web.policy import Actor
from rtm_signal.catalogue import EXERCISES

Values = Mapping[str, Value | None]


@dataclass(frozen=True, slots=True)
class Dose:
    """One exercise of the plan; `amount` in the unit the exercise is counted in."""

    exercise: str
    sets: int
    amount: float

    @property
    def unit(self) -> str:
        """`repetitions`, `holds` or `minutes`."""
        return UNITS[EXERCISES[self.exercise].counted]


@dataclass(frozen=True, slots=True)
class Worn:
    """One sensor: a new one of a profile, or one that was returned."""

    profile: str | None
    sensor: UUID | None
    place: str
    serial: str
    exercise: str | None = None


@dataclass(frozen=True, slots=True)
class Enrolled:
    """What was made. password: shown once, kept nowhere. told: what the gateway is to be told."""

    patient: UUID
    email: str
    password: str
    told: tuple[wearing.Told, ...]


def problems(values: Values, today: date) -> dict[str, str]:
    """What hangs together and does not fit, by field; each field has passed its own check."""
    found: dict[str, str] = {}

    def later(path: str, other: str, words: str) -> None:
        first, last = values.get(other), values.get(path)
        if isinstance(first, str) and isinstance(last, str) and last < first:
            found[path] = words

    later("plan.to", "plan.from", "A plan ends on or after the day it begins.")
    later("episode.started", "patient.born", "It begins after the patient was born.")
    for path in ("episode.started", "consent.from", "plan.from", "device.setup_on"):
        typed = values.get(path)
        if isinstance(typed, str) and abs((date.fromisoformat(typed) - today).days) > 366:
            found[path] = "This is more than a year away."
    if values.get("plan.to") and not values.get("plan.from"):
        found["plan.from"] = "Give the day the plan begins."
    for number in range(1, DOSES + 1):
        found |= _dose_problems(values, f"dose{number}")
    places = [
        str(place) for number in range(1, SENSORS + 1) if (place := values.get(f"sensor{number}.place"))
    ]
    for number in range(1, SENSORS + 1):
        found |= sensor_problems(values, f"sensor{number}")
    if len(set(places)) < len(places):
        found["sensor2.place"] = "Two sensors cannot be worn at one place."
    stock = [which for number in range(1, SENSORS + 1) if (which := values.get(f"sensor{number}.which"))]
    if len({each for each in stock if not str(each).startswith(NEW)}) < sum(
        not str(e).startswith(NEW) for e in stock
    ):
        found["sensor2.which"] = "This sensor is chosen already."
    return found


def _dose_problems(values: Values, path: str) -> dict[str, str]:
    parts = ("exercise", "sets", "amount")
    given = [part for part in parts if values.get(f"{path}.{part}") is not None]
    if given and "exercise" in given and len(given) < len(parts):
        return {f"{path}.{part}": "Needed with an exercise." for part in parts if part not in given}
    exercise, size = values.get(f"{path}.exercise"), values.get(f"{path}.amount")
    if isinstance(exercise, str) and isinstance(size, str):
        unit = UNITS[EXERCISES[exercise].counted]
        if unit != "minutes" and float(size) != int(float(size)):
            return {f"{path}.amount": f"Give {unit} as a whole number."}
    return {}


def sensor_problems(values: Values, path: str) -> dict[str, str]:
    """A sensor and its place come together."""
    which, place = values.get(f"{path}.which"), values.get(f"{path}.place")
    if which and not place:
        return {f"{path}.place": "Where is it worn?"}
    return {f"{path}.which": "Which sensor is it?"} if place and not which else {}


def dose_of(values: Values, path: str) -> Dose | None:
    """The exercise at a path."""
    exercise = values.get(f"{path}.exercise")
    if not isinstance(exercise, str):
        return None
    return Dose(exercise, int(str(values[f"{path}.sets"])), float(str(values[f"{path}.amount"])))


def worn_of(values: Values, path: str) -> Worn | None:
    """The sensor at a path."""
    which = values.get(f"{path}.which")
    if not isinstance(which, str):
        return None
    kind, _, profile = which.partition(":")
    new = kind == NEW
    return Worn(
        profile if new else None, None if new else UUID(which), str(values[f"{path}.place"]),
        str(values.get(f"{path}.serial") or ""), str(values.get(f"{path}.exercise") or "") or None,
    )  # fmt: skip


def first_password() -> str:
    """53 bits in digits, for somebody who types it once from paper; tries are throttled."""
    return "-".join(f"{secrets.randbelow(10_000):04}" for _ in range(4))


def prescribe(tx: Tx, who: Actor, episode: UUID, dose: Dose, valid_from: date) -> None:
    """Put an exercise on the plan."""
    whole = None if dose.unit == "minutes" else int(dose.amount)
    enrol.prescribe(
        tx, who.tenant, episode, dose.exercise, valid_from=valid_from, sets=dose.sets, by=who.user,
        repetitions=whole if dose.unit == "repetitions" else None,
        holds=whole if dose.unit == "holds" else None,
        minutes=dose.amount if dose.unit == "minutes" else None,
    )  # fmt: skip


def put_on(
    tx: Tx, who: Actor, episode: UUID, worn: Worn, gateway: UUID, now: datetime
) -> tuple[UUID, wearing.Told]:
    """Assign a sensor from now on; a new one is made first. Its id, and what the gateway is to be told."""
    sensor = worn.sensor
    if sensor is None:
        sensor = enrol.add_sensor(tx, who.tenant, str(worn.profile), serial=worn.serial)
    place = wearing.Place(worn.place, worn.exercise)
    return sensor, wearing.wear(tx, who, episode, sensor, place, gateway, now)


def home_of(store: Store, tx: Tx, who: Actor, values: Values) -> UUID:
    """The chosen gateway, or a new one."""
    chosen = str(values["home.gateway"])
    if chosen == NEW:
        return enrol.add_gateway(store, tx, who.tenant, label=str(values.get("home.label") or ""))
    return UUID(chosen)


def enrol_patient(store: Store, tx: Tx, who: Actor, values: Values, now: datetime) -> Enrolled:
    """Make everything in the caller's transaction. ConflictError for a record number or an email that is taken."""
    day = {path: date.fromisoformat(str(value)) for path, value in values.items() if value and path in _DAYS}
    identifiers = {
        "name": f"{values['patient.first']} {values['patient.last']}",
        "first": values["patient.first"],
        "last": values["patient.last"],
        "birth_date": values["patient.born"],
        "record_number": values["patient.record"],
    }
    try:
        patient = enrol.create_patient(store, tx, who.tenant, identifiers)
    except UniqueViolation:
        raise ConflictError("A patient with this record number is enrolled already.") from None
    started = day["episode.started"]
    discipline = str(values["episode.discipline"])
    episode = enrol.create_episode(
        store, tx, who.tenant, patient,
        timezone=str(values["episode.zone"]), started=started, therapist=who.user,
        organ_system=str(values["episode.organ"]), discipline=discipline, therapist_billed=discipline != "none",
        setup_on=day.get("device.setup_on"), device_basis=str(values.get("device.basis") or "") or None,
        title=str(values["episode.title"]),
    )  # fmt: skip
    enrol.record_consent(
        tx, who.tenant, episode, who.user, valid_from=day["consent.from"], how=str(values["consent.how"])
    )
    if "plan.from" in day:
        enrol.record_plan(
            tx, who.tenant, episode, who.user, valid_from=day["plan.from"], valid_to=day.get("plan.to")
        )
    for number in range(1, DOSES + 1):
        if (dose := dose_of(values, f"dose{number}")) is not None:
            prescribe(tx, who, episode, dose, started)
    gateway = home_of(store, tx, who, values)
    told = tuple(
        put_on(tx, who, episode, worn, gateway, now)[1]
        for number in range(1, SENSORS + 1)
        if (worn := worn_of(values, f"sensor{number}")) is not None
    )
    email, password = str(values["sign_in.email"]), first_password()
    try:
        enrol.create_user(
            store, tx, who.tenant, "patient", login=email, password=password, name=str(identifiers["name"]),
            patient=patient,
        )  # fmt: skip
    except EnrolError:
        raise ConflictError("This email signs in somebody already.") from None
    return Enrolled(patient, email, password, told)


_DAYS = frozenset({"episode.started", "consent.from", "plan.from", "plan.to", "device.setup_on"})
