"""Analysing one stored recording: read, estimate, write result and roll-up in one transaction.

Idempotent: a result of the same pipeline version for the same data is not computed twice. An older result stays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import structlog
from psycopg.types.json import Jsonb

from rtm_server import metrics, pieces, reading, replays, rollup
from rtm_server.errors import CryptoError
from rtm_server.pieces import Piece
from rtm_server.reading import StoredRecording
from rtm_server.replays import Whose
from rtm_server.store import Store, Tx
from rtm_signal import analysis as pipeline
from rtm_signal import catalogue
from rtm_signal.recording import Recording, RecordingError
from rtm_signal.result import Analysis, RangeOfMotion, Withheld

log = structlog.get_logger(__name__)

_TASK = """
SELECT r.data_version, r.exercise, r.zone, r.simulated, r.artefact_reason, r.patient_id, r.episode_id, r.opened_at,
       r.pieces_kept,
       coalesce((r.manifest->>'calibration')::boolean, false) AS calibration,
       t.simulated_counts, a.pipeline_version, a.data_version AS analysed_version,
       p.calibration_recording_id, p.calibration_repetitions
FROM recording r
JOIN tenant t USING (tenant_id)
LEFT JOIN analysis_current a USING (tenant_id, recording_id)
LEFT JOIN LATERAL (
    SELECT * FROM prescription p
    WHERE p.tenant_id = r.tenant_id AND p.episode_id = r.episode_id AND p.exercise = r.exercise
      AND p.calibration_recording_id IS NOT NULL AND p.calibration_recording_id <> r.recording_id
      AND (r.opened_at AT TIME ZONE r.zone)::date BETWEEN p.valid_from AND coalesce(p.valid_to, 'infinity')
    ORDER BY p.valid_from DESC LIMIT 1) p ON true
WHERE r.tenant_id = %s AND r.recording_id = %s
"""

_INSERT = """
INSERT INTO analysis (tenant_id, recording_id, analysis_no, patient_id, pipeline_version, data_version, exercise,
                      result, local_day, zone, kind, doubts, repetitions, holds, minutes, sets, rom_deg,
                      first_at, last_at)
SELECT %(tenant)s, %(recording)s, coalesce(max(analysis_no), 0) + 1, %(patient)s, %(pipeline_version)s,
       %(data_version)s, %(exercise)s, %(result)s, %(local_day)s, %(zone)s, %(kind)s, %(doubts)s, %(repetitions)s,
       %(holds)s, %(minutes)s, %(sets)s, %(rom_deg)s, %(first_at)s, %(last_at)s
FROM analysis WHERE tenant_id = %(tenant)s AND recording_id = %(recording)s
"""

# The newest calibration of an exercise is the one that recordings analysed from now on are measured against.
_CALIBRATE = """
UPDATE prescription p SET calibration_recording_id = %(recording)s, calibration_repetitions = %(repetitions)s
WHERE p.tenant_id = %(tenant)s AND p.episode_id = %(episode_id)s AND p.exercise = %(exercise)s
  AND (%(opened_at)s::timestamptz AT TIME ZONE %(zone)s)::date <= coalesce(p.valid_to, 'infinity')
  AND NOT EXISTS (SELECT 1 FROM recording n WHERE n.tenant_id = p.tenant_id
                  AND n.recording_id = p.calibration_recording_id AND n.opened_at > %(opened_at)s)
"""


SENT_BEFORE = "the same samples were received before under another name"
_CALIBRATED = ("episode_id", "exercise", "opened_at", "zone")


@dataclass(frozen=True, slots=True)
class _Task:
    row: dict[str, Any]
    stored: StoredRecording | None
    calibration: Recording | None
    fault: str | None
    """Why `stored`, or the calibration beside it, cannot be read."""
    current: bool = False
    """It has this pipeline's result for these data; only its pieces are to be kept."""

    def pieces(self, key: bytes) -> list[Piece]:
        """What of its samples is kept to know them again."""
        return [] if self.stored is None else pieces.pieces(self.stored.tracks, key)

    def whose(self, tenant: UUID, recording: UUID) -> Whose:
        """Whose samples they are."""
        row = self.row
        return Whose(tenant, row["patient_id"], recording, row["opened_at"], row["zone"])


def analyse(store: Store, tenant: UUID, recording: UUID) -> bool:
    """Analyse a recording if its data or the pipeline are newer than its result; True when a result was written."""
    with store.tenant_tx(tenant) as tx:
        # Waits for whoever is adding to the recording at this moment: its commit deferred this very job. Who adds while
        # we read defers another; nobody waits for our reading.
        tx.execute(
            "SELECT 1 FROM recording WHERE tenant_id = %s AND recording_id = %s FOR SHARE",
            (tenant, recording),
        )
    with store.tenant_tx(tenant) as tx:
        task = _load(store, tx, tenant, recording)
    found = [] if task is None else task.pieces(replays.key_of(store, tenant))
    if task is None or task.current:
        if task is not None:
            with store.tenant_tx(tenant) as tx:
                replays.keep(tx, task.whose(tenant, recording), found)
        metrics.ANALYSES.labels("unchanged").inc()
        return False
    with metrics.ANALYSIS_S.time():
        result = _estimate(task)
    with store.tenant_tx(tenant) as tx:
        _save(tx, tenant, recording, task, found, result)
    metrics.ANALYSES.labels("done").inc()
    return True


def set_aside(tx: Tx, tenant: UUID, recording: UUID, reason: str | None) -> None:
    """Mark a recording as an artefact (None: no longer). Its days are counted anew by the analysis that follows."""
    tx.execute(
        "UPDATE recording SET artefact_reason = %s, data_version = data_version + 1, state = 'complete'"
        " WHERE tenant_id = %s AND recording_id = %s",
        (reason, tenant, recording),
    )


def _load(store: Store, tx: Tx, tenant: UUID, recording: UUID) -> _Task | None:
    # The version before the samples: with more samples than it says a result is made anew, with fewer it would not be.
    row = tx.execute(_TASK, (tenant, recording)).fetchone()
    if row is None:
        return None
    newest = (pipeline.PIPELINE_VERSION, row["data_version"])
    current = (row["pipeline_version"], row["analysed_version"]) == newest
    if current and row["pieces_kept"]:
        return None
    try:
        stored = reading.read(store, tx, tenant, recording)
    except (RecordingError, CryptoError) as error:
        return _Task(row, None, None, str(error), current)
    if current or (calibration := row["calibration_recording_id"]) is None:
        return _Task(row, stored, None, None, current)
    try:
        return _Task(row, stored, reading.read(store, tx, tenant, calibration).recording, None)
    except (RecordingError, CryptoError) as error:
        return _Task(row, stored, None, str(error))


def _estimate(task: _Task) -> Analysis:
    """The pipeline's result; a recording that cannot be analysed has one too, with nothing counted and the reason."""
    exercise = task.row["exercise"] or "generic"
    withheld: tuple[Withheld, ...] = ()
    try:
        catalogue.get(exercise)
    except catalogue.UnknownExercise:
        withheld = (Withheld("exercise", f"the exercise {exercise} is not in the catalogue"),)
        exercise = "generic"
    if task.stored is None:
        return _nothing(exercise, (*withheld, Withheld("everything", task.fault or "nothing is stored")))
    withheld += tuple(Withheld("samples", each) for each in task.stored.unequal)
    if task.fault is not None:
        withheld += (Withheld("calibration", f"the calibration cannot be used: {task.fault}"),)
    try:
        result = pipeline.analyze(
            task.stored.recording,
            exercise,
            calibration=task.calibration,
            calibration_repetitions=task.row["calibration_repetitions"] if task.calibration else None,
        )
    except RecordingError as error:
        metrics.ANALYSES.labels("failed").inc()
        return _nothing(exercise, (*withheld, Withheld("everything", str(error))))
    return result if not withheld else _with(result, withheld)


def _save(
    tx: Tx, tenant: UUID, recording: UUID, task: _Task, found: Sequence[Piece], result: Analysis
) -> None:
    row, stored, whose = task.row, task.stored, task.whose(tenant, recording)
    tx.execute(
        "SELECT 1 FROM recording WHERE tenant_id = %s AND recording_id = %s FOR UPDATE", (tenant, recording)
    )
    _one_writer(tx, tenant)
    previous = tx.execute(
        "SELECT local_day, kind FROM analysis_current WHERE tenant_id = %s AND recording_id = %s",
        (tenant, recording),
    ).fetchone()
    opened: datetime = row["opened_at"]
    day = rollup.day_of(
        result,
        opened,
        rollup.Circumstances(
            zone=row["zone"],
            received_at=opened if stored is None else stored.received_at,
            simulated=row["simulated"],
            imported=row["simulated"] and row["simulated_counts"],
            replays=()
            if row["simulated"] or stored is None
            else (
                *([SENT_BEFORE] if _replayed(tx, tenant, recording, row, stored) else []),
                *replays.look(tx, whose, found, counts=previous is not None and previous["kind"] is not None),
            ),
            set_aside=row["artefact_reason"] is not None,
            calibration=row["calibration"],
        ),
    )
    tx.execute(
        _INSERT,
        {
            "tenant": tenant,
            "recording": recording,
            "patient": row["patient_id"],
            "pipeline_version": result.pipeline_version,
            "data_version": row["data_version"],
            "exercise": result.exercise,
            "result": Jsonb(pipeline.to_json(result)),
            "local_day": day.local_day,
            "zone": row["zone"],
            "kind": day.kind,
            "doubts": list(day.doubts),
            "repetitions": day.repetitions,
            "holds": day.holds,
            "minutes": day.minutes,
            "sets": day.sets,
            "rom_deg": list(day.rom_deg),
            "first_at": day.first_at,
            "last_at": day.last_at,
        },
    )
    replays.keep(tx, whose, found)
    # If more arrived while we computed, the state stays `complete`: the job deferred with it is still to run.
    tx.execute(
        "UPDATE recording SET content_sha256 = %s,"
        " state = CASE WHEN data_version = %s AND state <> 'incomplete' THEN 'analysed' ELSE state END"
        " WHERE tenant_id = %s AND recording_id = %s",
        (None if stored is None else stored.content_sha256, row["data_version"], tenant, recording),
    )
    if row["calibration"] and result.repetitions and row["artefact_reason"] is None:
        told = {"tenant": tenant, "recording": recording, "repetitions": result.repetitions}
        tx.execute(_CALIBRATE, told | {each: row[each] for each in _CALIBRATED})
    days = {day.local_day, None if previous is None else previous["local_day"]} - {None}
    if days:
        rollup.renew(tx, tenant, row["patient_id"], sorted(each for each in days if each is not None))


def _one_writer(tx: Tx, tenant: UUID) -> None:
    """Two recordings of a day, or of the same samples, may be analysed at once: a clinic's are saved in turn."""
    tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('daily ' || %s::text, 0))", (tenant,))


def _replayed(tx: Tx, tenant: UUID, recording: UUID, row: dict[str, Any], stored: StoredRecording) -> bool:
    """Whether another recording that counts already holds the very same samples (real noise never repeats).

    Which of the two is analysed first does not matter: one of them counts.
    """
    found = tx.execute(
        "SELECT 1 FROM recording r CROSS JOIN LATERAL (SELECT n.kind FROM analysis n"
        " WHERE n.tenant_id = r.tenant_id AND n.recording_id = r.recording_id"
        " ORDER BY n.analysis_no DESC LIMIT 1) a"
        " WHERE r.tenant_id = %s AND r.patient_id = %s AND r.content_sha256 = %s AND r.recording_id <> %s"
        " AND a.kind IS NOT NULL",
        (tenant, row["patient_id"], stored.content_sha256, recording),
    ).fetchone()
    return found is not None


def _nothing(exercise: str, withheld: tuple[Withheld, ...]) -> Analysis:
    return Analysis(
        exercise=exercise,
        duration_s=0.0,
        repetitions=0,
        repetitions_range=(0, 0),
        angle=None,
        sets=(),
        rom_deg=RangeOfMotion(),
        withheld=withheld,
        pipeline_version=pipeline.PIPELINE_VERSION,
    )


def _with(result: Analysis, withheld: tuple[Withheld, ...]) -> Analysis:
    return replace(result, withheld=(*withheld, *result.withheld))
