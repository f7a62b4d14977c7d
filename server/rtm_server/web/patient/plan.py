"""Changing a dose: the old line ends the day before, a new one begins. The past keeps its plan."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid4

from rtm_server.store import Tx
from rtm_server.web.enrolment import enrolling
from rtm_server.web.errors import InvalidError, NotFoundError
from rtm_server.web.policy import Actor
from rtm_server.web.wording import plural
from rtm_signal.catalogue import EXERCISES

_LINE = """
SELECT prescription_id, repetitions, holds, minutes, valid_from FROM prescription
WHERE tenant_id = %(tenant)s AND episode_id = %(episode)s AND exercise = %(exercise)s
  AND (valid_to IS NULL OR valid_to >= %(effective)s) AND valid_from <= %(effective)s
ORDER BY valid_from DESC LIMIT 1 FOR UPDATE
"""
_LATER = """
SELECT 1 FROM prescription
WHERE tenant_id = %(tenant)s AND episode_id = %(episode)s AND exercise = %(exercise)s
  AND valid_from > %(effective)s AND (valid_to IS NULL OR valid_to >= valid_from)
"""
_END = """
UPDATE prescription SET valid_to = %(last)s WHERE tenant_id = %(tenant)s AND prescription_id = %(line)s
"""
_ADD = """
SELECT 1 FROM prescription
WHERE tenant_id = %(tenant)s AND episode_id = %(episode)s AND exercise = %(exercise)s
  AND (valid_to IS NULL OR (valid_to >= %(effective)s AND valid_to >= valid_from))
"""
_NEW = """
INSERT INTO prescription (tenant_id, prescription_id, episode_id, exercise, sets, repetitions, holds, hold_s,
                          minutes, weekdays, valid_from, valid_to, calibration_recording_id,
                          calibration_repetitions, prescribed_by)
SELECT tenant_id, %(new)s, episode_id, exercise, %(sets)s, %(repetitions)s, %(holds)s, hold_s, %(minutes)s,
       weekdays, %(effective)s, %(until)s, calibration_recording_id, calibration_repetitions, %(by)s
FROM prescription WHERE tenant_id = %(tenant)s AND prescription_id = %(line)s
"""


@dataclass(frozen=True, slots=True)
class NewDose:
    """A checked change."""

    exercise: str
    sets: int
    amount: float
    effective: date


def checked(exercise: str, sets: str, amount: str, effective: str, today: date) -> NewDose:
    """The form's words, or InvalidError with what to mend. The past cannot be prescribed."""
    try:
        dose = NewDose(exercise, int(sets), float(amount.replace(",", ".")), date.fromisoformat(effective))
    except ValueError:
        raise InvalidError("Give the dose as numbers and the day it begins.") from None
    if not 1 <= dose.sets <= 20 or not math.isfinite(dose.amount) or not 0 < dose.amount <= 500:
        raise InvalidError("A dose is 1 to 20 sets of 1 to 500.")
    if dose.effective < today:
        raise InvalidError(
            "A new dose cannot begin in the past: what was done is held against the plan of its day."
        )
    if dose.effective > today + timedelta(days=365):
        raise InvalidError("A new dose begins within a year.")
    return dose


def _scope(who: Actor, episode: UUID, dose: NewDose) -> dict[str, Any]:
    return {"tenant": who.tenant, "episode": episode, "exercise": dose.exercise, "effective": dose.effective}


def _line(tx: Tx, scope: Mapping[str, Any]) -> Mapping[str, Any]:
    """The line in force on the day, held until the transaction ends; no change after it may be planned."""
    line = tx.execute(_LINE, scope).fetchone()
    if line is None:
        raise NotFoundError
    if tx.execute(_LATER, scope).fetchone() is not None:
        raise InvalidError(
            "A later change of this exercise is planned already. Choose its day or a later one."
        )
    return line


def change(tx: Tx, who: Actor, episode: UUID, dose: NewDose) -> str:
    """Store it; returns the change in words."""
    scope = _scope(who, episode, dose)
    line = _line(tx, scope)
    unit = next(name for name in ("repetitions", "holds", "minutes") if line[name] is not None)
    if unit != "minutes" and dose.amount != int(dose.amount):
        raise InvalidError(f"Give {unit} as a whole number.")
    values = {
        **scope,
        "line": line["prescription_id"],
        "new": uuid4(),
        "sets": dose.sets,
        "repetitions": None,
        "holds": None,
        "minutes": None,
        "until": None,
        "by": who.user,
        # a line changed on its first day ends before it began: it never asked for anything
        "last": dose.effective - timedelta(days=1),
        unit: dose.amount if unit == "minutes" else int(dose.amount),
    }
    tx.execute(_NEW, values)
    tx.execute(_END, values)
    return f"{plural(dose.sets, 'set')} of {dose.amount:g}"


def add(tx: Tx, who: Actor, episode: UUID, dose: NewDose) -> str:
    """Put one more exercise of the catalogue on the plan; returns it in words."""
    if dose.exercise not in EXERCISES:
        raise InvalidError("Choose an exercise of the list.")
    scope = _scope(who, episode, dose)
    if tx.execute(_ADD, scope).fetchone() is not None:
        raise InvalidError("This exercise is on the plan already: change its dose.")
    line = enrolling.Dose(dose.exercise, dose.sets, dose.amount)
    if line.unit != "minutes" and dose.amount != int(dose.amount):
        raise InvalidError(f"Give {line.unit} as a whole number.")
    enrolling.prescribe(tx, who, episode, line, dose.effective)
    return f"{dose.sets} x {dose.amount:g} {line.unit}"


def end(tx: Tx, who: Actor, episode: UUID, dose: NewDose) -> None:
    """Stop an exercise from a day on. The past keeps its plan."""
    scope = _scope(who, episode, dose)
    line = _line(tx, scope)
    last = dose.effective - timedelta(days=1)
    tx.execute(_END, {"tenant": who.tenant, "line": line["prescription_id"], "last": last})
