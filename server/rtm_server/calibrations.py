"""Calibrations: what became of one, and which one an exercise is measured against.

A calibration is a recording of some seconds of stillness and a few supervised repetitions. The analysis takes the
newest into use (`analyses`); here is what is told of it, and how it is taken out of use and into use again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

import numpy as np

from rtm_server import reading
from rtm_server.errors import CryptoError
from rtm_server.store import Store, Tx
from rtm_signal.recording import Recording, RecordingError, SensorRecording

TAKEN_BACK: Final = "calibration taken back"
"""Why a calibration that is out of use was set aside."""
STILL_S: Final = 2.0
"""A pose is a mean: two seconds at 50 Hz give gravity to a tenth of a degree with any sensor we know of."""
_STILL_RAD_S: Final = 0.25
_STILL_M_S2: Final = 0.6
"""Root mean square of turning, and of the acceleration about its mean, within half a second of somebody who keeps
still: breathing and swaying stay a third below, putting the phone down or lying down far above."""
_WINDOW_S: Final = 0.5

_CALIBRATION = """
SELECT r.recording_id, r.exercise, r.opened_at, r.zone, r.state, r.artefact_reason, r.episode_id,
       a.repetitions, a.result,
       EXISTS (SELECT 1 FROM prescription p WHERE p.tenant_id = r.tenant_id AND p.episode_id = r.episode_id
               AND p.calibration_recording_id = r.recording_id) AS in_use,
       (SELECT array_agg(w.placement ORDER BY w.placement) FROM assignment w
        WHERE w.tenant_id = r.tenant_id AND w.episode_id = r.episode_id AND w.assigned_from <= r.opened_at
          AND (w.assigned_to IS NULL OR w.assigned_to > r.opened_at)
          AND NOT EXISTS (SELECT 1 FROM recording_stream s WHERE s.tenant_id = r.tenant_id
                          AND s.recording_id = r.recording_id AND s.sensor_id = w.sensor_id)) AS unheard
FROM recording r
LEFT JOIN LATERAL (
    SELECT * FROM analysis n WHERE n.tenant_id = r.tenant_id AND n.recording_id = r.recording_id
    ORDER BY n.analysis_no DESC LIMIT 1) a ON true
WHERE r.tenant_id = %(tenant)s AND r.patient_id = %(patient)s AND r.recording_id = %(recording)s
  AND (r.manifest ->> 'calibration')::boolean
"""
_IN_USE = """
SELECT DISTINCT ON (p.exercise) p.exercise, r.recording_id, r.opened_at, p.calibration_repetitions
FROM prescription p
JOIN recording r ON r.tenant_id = p.tenant_id AND r.recording_id = p.calibration_recording_id
WHERE p.tenant_id = %(tenant)s AND p.episode_id = %(episode)s
ORDER BY p.exercise, p.valid_from DESC
"""
# The newest that counted something and was not taken back: this one, or the one before it.
_NEWEST = """
SELECT r.recording_id, a.repetitions FROM recording r
JOIN LATERAL (
    SELECT * FROM analysis n WHERE n.tenant_id = r.tenant_id AND n.recording_id = r.recording_id
    ORDER BY n.analysis_no DESC LIMIT 1) a ON true
WHERE r.tenant_id = %(tenant)s AND r.episode_id = %(episode)s AND r.exercise = %(exercise)s
  AND (r.manifest ->> 'calibration')::boolean AND r.artefact_reason IS NULL AND a.repetitions > 0
ORDER BY r.opened_at DESC LIMIT 1
"""
# What a therapist set aside for another reason stays set aside.
_MARK = """
UPDATE recording SET artefact_reason = %(reason)s
WHERE tenant_id = %(tenant)s AND recording_id = %(recording)s
  AND (artefact_reason IS NULL OR artefact_reason = %(ours)s)
"""
_USE = """
UPDATE prescription p SET calibration_recording_id = %(newest)s, calibration_repetitions = %(repetitions)s
WHERE p.tenant_id = %(tenant)s AND p.episode_id = %(episode)s AND p.exercise = %(exercise)s
  AND %(day)s <= coalesce(p.valid_to, 'infinity')
"""


@dataclass(frozen=True, slots=True)
class Calibration:
    """One calibration that has arrived.

    repetitions: None until it is analysed. rom_deg: median and half its 95 % interval, None where withheld. angle:
    its name. still: whether the sensors kept still before the first repetition, None where nobody can tell. unheard:
    places of sensors that were worn and gave nothing.
    """

    recording: UUID
    exercise: str
    at: datetime
    complete: bool
    repetitions: int | None
    rom_deg: tuple[float, float | None] | None
    angle: str | None
    still: bool | None
    unheard: Sequence[str]
    in_use: bool
    taken_back: bool


@dataclass(frozen=True, slots=True)
class InUse:
    """The calibration that an exercise is measured against."""

    recording: UUID
    at: datetime
    repetitions: int


def find(store: Store, tx: Tx, tenant: UUID, patient: UUID, recording: UUID) -> Calibration | None:
    """A calibration of this patient; None where there is none, or not yet."""
    values = {"tenant": tenant, "patient": patient, "recording": recording}
    row = tx.execute(_CALIBRATION, values).fetchone()
    if row is None:
        return None
    result: dict[str, Any] = row["result"] or {}
    rom = result.get("rom_deg") or {}
    counted = row["state"] == "analysed" and row["repetitions"] is not None
    return Calibration(
        recording=recording,
        exercise=row["exercise"] or "",
        at=row["opened_at"],
        complete=row["state"] != "incomplete",
        repetitions=row["repetitions"] if counted else None,
        rom_deg=None if rom.get("median") is None else (float(rom["median"]), rom.get("uncertainty")),
        angle=(result.get("angle") or {}).get("name"),
        still=_kept_still(store, tx, tenant, recording, result) if counted else None,
        unheard=tuple(row["unheard"] or ()),
        in_use=row["in_use"],
        taken_back=row["artefact_reason"] is not None,
    )


def in_use(tx: Tx, tenant: UUID, episode: UUID) -> dict[str, InUse]:
    """What each exercise of an episode is measured against, by exercise."""
    return {
        row["exercise"]: InUse(row["recording_id"], row["opened_at"], row["calibration_repetitions"])
        for row in tx.execute(_IN_USE, {"tenant": tenant, "episode": episode})
    }


def choose(tx: Tx, tenant: UUID, episode: UUID, found: Calibration, today: date, *, use: bool) -> None:
    """Take a calibration out of use, so that the one before it is used again, or take it back in.

    Results that stand keep what they were measured against; plans that have ended keep theirs.
    """
    reason = None if use else TAKEN_BACK
    tx.execute(_MARK, {"tenant": tenant, "recording": found.recording, "reason": reason, "ours": TAKEN_BACK})
    scope = {"tenant": tenant, "episode": episode, "exercise": found.exercise, "day": today}
    newest = tx.execute(_NEWEST, scope).fetchone()
    used = {
        "newest": None if newest is None else newest["recording_id"],
        "repetitions": None if newest is None else newest["repetitions"],
    }
    tx.execute(_USE, scope | used)


def _kept_still(store: Store, tx: Tx, tenant: UUID, recording: UUID, result: dict[str, Any]) -> bool | None:
    """Whether all sensors rested together before the first repetition."""
    begins = [one["start_s"] for every in result.get("sets", ()) for one in every["repetitions"]]
    if not begins:
        return None
    try:
        stored = reading.read(store, tx, tenant, recording).recording
    except (RecordingError, CryptoError):
        return None
    return longest_still_s(stored, min(begins)) >= STILL_S


def longest_still_s(recording: Recording, until_s: float) -> float:
    """The longest stretch in which every sensor rests, s, from the beginning until `until_s` (on the recording's t)."""
    every = list(recording.sensors.values())
    begins = max(float(each.t[0]) for each in every)
    windows = int((until_s - begins) / _WINDOW_S)
    longest = now = 0
    for number in range(windows):
        low = begins + number * _WINDOW_S
        now = now + 1 if all(_rests(each, low, low + _WINDOW_S) for each in every) else 0
        longest = max(longest, now)
    return longest * _WINDOW_S


def _rests(sensor: SensorRecording, low_s: float, high_s: float) -> bool:
    a, b = np.searchsorted(sensor.t, (low_s, high_s))
    if b - a < 2:
        return False  # nothing was heard: nobody knows
    acc = sensor.acc[a:b]
    if not _rms(acc - acc.mean(axis=0)) <= _STILL_M_S2:
        return False
    return sensor.gyr is None or bool(_rms(sensor.gyr[a:b]) <= _STILL_RAD_S)


def _rms(values: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    """Root mean square of the vectors' lengths."""
    return float(np.sqrt((values**2).sum(axis=1).mean()))
