"""The patient's own day from the store. SQL in one place; every query is bound to the signed-in patient."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from uuid import UUID, uuid4

from rtm_server.store import Store, Tx
from rtm_server.web import adherence, clinic
from rtm_server.web.clinic import Clinic, Episode
from rtm_server.web.live import OpenSet
from rtm_server.web.today.views import Day, Task

_GATEWAYS = """
SELECT DISTINCT a.gateway_id, a.assigned_from FROM assignment a
JOIN gateway g ON g.tenant_id = a.tenant_id AND g.gateway_id = a.gateway_id AND g.revoked_at IS NULL
WHERE a.tenant_id = %(tenant)s AND a.episode_id = %(episode)s
  AND a.assigned_from <= %(now)s AND (a.assigned_to IS NULL OR a.assigned_to > %(now)s)
ORDER BY a.assigned_from DESC, a.gateway_id
"""
_PAIN_TODAY = """
SELECT score FROM pain_report
WHERE tenant_id = %(tenant)s AND episode_id = %(episode)s AND local_day = %(today)s
ORDER BY reported_at DESC LIMIT 1
"""
_REPORT = """
INSERT INTO pain_report (tenant_id, report_id, patient_id, episode_id, score, reported_at, local_day, zone)
VALUES (%(tenant)s, %(report)s, %(patient)s, %(episode)s, %(score)s, %(now)s, %(today)s, %(zone)s)
"""
_RECORDING = """
SELECT r.exercise, a.repetitions, coalesce((r.manifest ->> 'calibration')::boolean, false) AS calibration
FROM recording r
LEFT JOIN LATERAL (
    SELECT * FROM analysis n WHERE n.tenant_id = r.tenant_id AND n.recording_id = r.recording_id
    ORDER BY n.analysis_no DESC LIMIT 1) a ON true
WHERE r.tenant_id = %(tenant)s AND r.recording_id = %(recording)s AND r.patient_id = %(patient)s
"""

# What nobody stopped is over when its recording has arrived, at the latest after LONGEST_SET.
_OPEN = """
SELECT o.recording_id, o.gateway_id, o.exercise, o.calibration, o.opened_at FROM open_set o
WHERE o.tenant_id = %(tenant)s AND o.patient_id = %(patient)s AND o.opened_at > %(since)s AND o.stopped_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM recording r
                  WHERE r.tenant_id = o.tenant_id AND r.recording_id = o.recording_id)
ORDER BY o.opened_at DESC, o.recording_id LIMIT 1
"""
_REMEMBER = """
INSERT INTO open_set (tenant_id, recording_id, patient_id, gateway_id, exercise, calibration, opened_at)
VALUES (%(tenant)s, %(recording)s, %(patient)s, %(gateway)s, %(exercise)s, %(calibration)s, %(now)s)
"""
# A gateway records one set at a time: who shares it waits for the other.
_BUSY = """
SELECT 1 FROM open_set o
WHERE o.tenant_id = %(tenant)s AND o.gateway_id = %(gateway)s AND o.patient_id <> %(patient)s
  AND o.opened_at > %(since)s AND o.stopped_at IS NULL
  AND NOT EXISTS (SELECT 1 FROM recording r
                  WHERE r.tenant_id = o.tenant_id AND r.recording_id = o.recording_id)
"""
LONGEST_SET = timedelta(
    hours=3
)  # a gateway closes after five idle minutes: longer is a set nobody heard of again


def load(store: Store, tx: Tx, at: Clinic, patient: UUID, now: datetime, open_recording: UUID | None) -> Day:
    """Today's exercises, the last seven days, and today's pain."""
    item = clinic.episode_of(store, tx, at.tenant, patient)
    today = item.today(now)
    doses = clinic.doses(tx, at.tenant, [item.episode])[item.episode]
    done = clinic.done(tx, at, [item.episode], today - timedelta(days=6))[item.episode]
    shares = adherence.by_day(doses, done)
    week = [today - timedelta(days=offset) for offset in range(6, -1, -1)]
    pain = tx.execute(_PAIN_TODAY, {"tenant": at.tenant, "episode": item.episode, "today": today}).fetchone()
    return Day(
        first_name=item.name.split()[0] if item.name.split() else "",
        today=today,
        as_of=now,
        zone=item.zone,
        tasks=_tasks(doses, done, today),
        week=[(day, shares.get(day, 0.0 if any(d.due(day) for d in doses) else None)) for day in week],
        pain_today=None if pain is None else pain["score"],
        open_recording=open_recording,
        clinic=at.name,
        phone=at.phone,
    )


def _tasks(doses: list[adherence.Dose], done: list[adherence.Done], today: date) -> list[Task]:
    counted = {item.exercise: item for item in done if item.day == today}
    return [
        Task(
            exercise=dose.exercise,
            sets=dose.sets,
            value=dose.value,
            unit=dose.unit,
            done=counted[dose.exercise].amount(dose.unit) if dose.exercise in counted else 0.0,
            target=dose.target,
        )
        for dose in sorted(doses, key=lambda line: (line.valid_from, line.exercise))
        if dose.due(today)
    ]


def gateways(tx: Tx, tenant: UUID, episode: UUID, now: datetime) -> list[UUID]:
    """Gateways of the sensors this patient wears now, the newest assignment first."""
    rows = tx.execute(_GATEWAYS, {"tenant": tenant, "episode": episode, "now": now})
    return list(dict.fromkeys(row["gateway_id"] for row in rows))


def report_pain(tx: Tx, tenant: UUID, item: Episode, score: int, now: datetime) -> None:
    """Keep an answer, dated by the patient's own day."""
    tx.execute(
        _REPORT,
        {
            "tenant": tenant,
            "report": uuid4(),
            "patient": item.patient,
            "episode": item.episode,
            "score": score,
            "now": now,
            "today": item.today(now),
            "zone": item.zone,
        },
    )


@dataclass(frozen=True, slots=True)
class Arrived:
    """A recording that has arrived. repetitions: None until it is analysed."""

    exercise: str | None
    repetitions: int | None
    calibration: bool


def stored(tx: Tx, tenant: UUID, patient: UUID, recording: UUID) -> Arrived | None:
    """A recording of this patient; None when it has not arrived."""
    row = tx.execute(_RECORDING, {"tenant": tenant, "recording": recording, "patient": patient}).fetchone()
    return None if row is None else Arrived(row["exercise"], row["repetitions"], row["calibration"])


def open_set(tx: Tx, tenant: UUID, patient: UUID, now: datetime) -> OpenSet | None:
    """The set this patient has started on a page, by this process or another, and not stopped."""
    values = {"tenant": tenant, "patient": patient, "since": now - LONGEST_SET}
    row = tx.execute(_OPEN, values).fetchone()
    if row is None:
        return None
    return OpenSet(
        row["recording_id"],
        tenant,
        patient,
        row["gateway_id"],
        row["exercise"],
        row["calibration"],
        row["opened_at"],
    )


def is_busy(tx: Tx, tenant: UUID, gateway: UUID, patient: UUID, now: datetime) -> bool:
    """Whether somebody else's set runs on this gateway."""
    values = {"tenant": tenant, "gateway": gateway, "patient": patient, "since": now - LONGEST_SET}
    return tx.execute(_BUSY, values).fetchone() is not None


def remember_set(tx: Tx, running: OpenSet, now: datetime) -> None:
    """Keep a set that begins, in place of any before it."""
    tx.execute(
        "DELETE FROM open_set WHERE tenant_id = %s AND patient_id = %s", (running.tenant, running.patient)
    )
    values = {
        "tenant": running.tenant,
        "recording": running.recording,
        "patient": running.patient,
        "gateway": running.gateway,
        "exercise": running.exercise,
        "calibration": running.calibration,
        "now": now,
    }
    tx.execute(_REMEMBER, values)


def end_set(tx: Tx, tenant: UUID, patient: UUID, recording: UUID, now: datetime) -> None:
    """A set that was stopped."""
    tx.execute(
        "UPDATE open_set SET stopped_at = %s WHERE tenant_id = %s AND patient_id = %s AND recording_id = %s",
        (now, tenant, patient, recording),
    )


def asked_for(tx: Tx, tenant: UUID, patient: UUID, recording: UUID) -> tuple[str, datetime] | None:
    """(exercise, when it was stopped or began) of the calibration this patient asked for last; None for another."""
    row = tx.execute(
        "SELECT exercise, coalesce(stopped_at, opened_at) AS at FROM open_set"
        " WHERE tenant_id = %s AND patient_id = %s AND recording_id = %s AND calibration",
        (tenant, patient, recording),
    ).fetchone()
    return None if row is None else (row["exercise"], row["at"])


def forget_set(tx: Tx, tenant: UUID, patient: UUID, recording: UUID) -> None:
    """A set that never began."""
    tx.execute(
        "DELETE FROM open_set WHERE tenant_id = %s AND patient_id = %s AND recording_id = %s",
        (tenant, patient, recording),
    )
