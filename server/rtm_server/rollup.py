"""From analyses to days: what a recording counts for, and the daily roll-up, always recomputable.

A day is dated by the start of its first counted repetition, in the zone the patient had when the recording arrived.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from rtm_server.store import Tx
from rtm_signal import catalogue
from rtm_signal.result import Analysis

# A reading outside this span around its arrival came late or has a wrong clock: stored, shown, never a data day by
# itself. The ledger hands it on with its doubt, so that what only it adds waits for a person.
_OLDEST = timedelta(days=7)
_AHEAD = timedelta(minutes=5)

DayKind = Literal["sensor", "test"]


@dataclass(frozen=True, slots=True)
class Circumstances:
    """What decides, beside the result, whether a recording makes a data day.

    imported: history of simulated sensors in the demo's clinic, which is older than its arrival by design.
    replays: what of it was received before, one sentence each.
    calibration: supervised repetitions that later recordings are measured against, no exercise.
    """

    zone: str
    received_at: datetime
    simulated: bool
    imported: bool
    replays: tuple[str, ...]
    set_aside: bool
    calibration: bool = False


@dataclass(frozen=True, slots=True)
class Day:
    """What one recording adds to a day. kind None: it is no data day, `doubts` say why."""

    local_day: date | None
    kind: DayKind | None
    doubts: tuple[str, ...]
    repetitions: int
    holds: int
    minutes: float
    sets: int
    rom_deg: tuple[float, ...]
    first_at: datetime | None
    last_at: datetime | None


def day_of(analysis: Analysis, opened_at: datetime, circumstances: Circumstances) -> Day:
    """The day of one analysed recording. Times of the analysis are seconds after `opened_at`."""
    counted = catalogue.get(analysis.exercise).counted
    total = sum(len(each.repetitions) for each in analysis.sets)
    timed = sum(each.end_s - each.start_s for each in analysis.sets) / 60.0 if counted == "time" else 0.0
    spans = [(r.start_s, r.end_s) for each in analysis.sets for r in each.repetitions] or [
        (each.start_s, each.end_s) for each in analysis.sets if counted == "time"
    ]
    first = _instant(opened_at, min((start for start, _ in spans), default=None))
    last = _instant(opened_at, max((end for _, end in spans), default=None))
    doubts = tuple(_doubts(first, circumstances))
    kind: DayKind = "test" if circumstances.simulated else "sensor"
    return Day(
        local_day=None if first is None else first.astimezone(ZoneInfo(circumstances.zone)).date(),
        kind=None if doubts else kind,
        doubts=doubts,
        repetitions=total if counted != "holds" else 0,
        holds=total if counted == "holds" else 0,
        minutes=timed,
        sets=len(analysis.sets),
        rom_deg=tuple(r.rom_deg for each in analysis.sets for r in each.repetitions if r.rom_deg is not None),
        first_at=first,
        last_at=last,
    )


def _doubts(first: datetime | None, of: Circumstances) -> Iterable[str]:
    if first is None:
        yield "nothing was counted"
        return
    if not of.imported and first < of.received_at - _OLDEST:
        yield f"it arrived more than {_OLDEST.days} days after it was measured, or the clock was wrong"
    if not of.imported and first > of.received_at + _AHEAD:
        yield "the clock was wrong: it was measured after it arrived"
    yield from of.replays
    if of.set_aside:
        yield "set aside as an artefact"
    if of.calibration:
        yield "a calibration, not exercise"


def _instant(opened_at: datetime, seconds: float | None) -> datetime | None:
    return None if seconds is None else opened_at + timedelta(seconds=seconds)


# The one definition of a day's numbers; `rtm verify` runs it again and compares: in an order of its own, because the
# last digit of a sum of floats depends on the order. "Newest" by an anti-join: the view
# `analysis_current` would be computed for the whole clinic at every recording.
DAILY = """
SELECT a.tenant_id, a.patient_id, a.local_day, a.exercise, a.kind,
       (array_agg(r.episode_id ORDER BY a.first_at, a.recording_id))[1] AS episode_id,
       (array_agg(a.zone ORDER BY a.first_at, a.recording_id))[1] AS zone,
       count(*)::integer AS recordings, sum(a.repetitions)::integer AS repetitions, sum(a.holds)::integer AS holds,
       sum(a.minutes ORDER BY a.first_at, a.recording_id)::real AS minutes, sum(a.sets)::integer AS sets,
       (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY v)::real FROM analysis b, unnest(b.rom_deg) AS v
        WHERE b.tenant_id = a.tenant_id AND b.patient_id = a.patient_id AND b.local_day = a.local_day
          AND b.exercise = a.exercise AND b.kind = a.kind
          AND NOT EXISTS (SELECT 1 FROM analysis n WHERE n.tenant_id = b.tenant_id
                          AND n.recording_id = b.recording_id AND n.analysis_no > b.analysis_no)) AS rom_median_deg,
       max((SELECT max(v) FROM unnest(a.rom_deg) AS v)) AS rom_max_deg,
       min(a.first_at) AS first_at, max(a.last_at) AS last_at, min(r.received_at) AS received_at
FROM analysis a JOIN recording r USING (tenant_id, recording_id)
WHERE a.tenant_id = %(tenant)s AND a.kind IS NOT NULL
  AND NOT EXISTS (SELECT 1 FROM analysis n WHERE n.tenant_id = a.tenant_id
                  AND n.recording_id = a.recording_id AND n.analysis_no > a.analysis_no)
"""
_GROUP = " GROUP BY a.tenant_id, a.patient_id, a.local_day, a.exercise, a.kind"
_COLUMNS = (
    "tenant_id, patient_id, local_day, exercise, kind, episode_id, zone, recordings, repetitions, holds, minutes, sets,"
    " rom_median_deg, rom_max_deg, first_at, last_at, received_at"
)


def renew(tx: Tx, tenant: UUID, patient: UUID, days: Sequence[date]) -> None:
    """Write the patient's roll-up of these days anew, in the caller's transaction."""
    parameters = {"tenant": tenant, "patient": patient, "days": list(days)}
    tx.execute(
        "DELETE FROM daily WHERE tenant_id = %(tenant)s AND patient_id = %(patient)s AND local_day = ANY(%(days)s)",
        parameters,
    )
    tx.execute(
        f"INSERT INTO daily ({_COLUMNS}) {DAILY}"
        f" AND a.patient_id = %(patient)s AND a.local_day = ANY(%(days)s) {_GROUP}",
        parameters,
    )


# One statement, one snapshot: an analysis committed between two of them would look like a fault.
_COMPARE = f"""
WITH wanted AS ({DAILY} {_GROUP}), have AS (SELECT {_COLUMNS} FROM daily WHERE tenant_id = %(tenant)s)
SELECT (SELECT count(*) FROM wanted) AS checked, count(*) AS different
FROM (SELECT {_COLUMNS} FROM wanted) AS w
FULL JOIN have h USING (tenant_id, patient_id, local_day, exercise, kind)
WHERE w IS DISTINCT FROM h
"""  # noqa: S608 - put together from this module's own text


def compare(tx: Tx, tenant: UUID) -> tuple[int, int]:
    """(days that the analyses of a tenant give, days of which the roll-up says something else)."""
    row = tx.execute(_COMPARE, {"tenant": tenant}).fetchone()
    return (0, 0) if row is None else (row["checked"], row["different"])
