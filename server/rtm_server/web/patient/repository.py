"""What the patient page reads. SQL in one place."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from rtm_server.enrol import user_name
from rtm_server.home_status import warnings_of
from rtm_server.store import Store, Tx
from rtm_server.web import adherence, clinic
from rtm_server.web.charts import Clock, Mark, Point
from rtm_server.web.clinic import LIVE_CONTACTS, Clinic, Episode
from rtm_server.web.needs import management_needs, supply_need
from rtm_server.web.patient.views import Banner, Clocks, PatientPage, Prescription, SessionRow, TimeEntry
from rtm_server.web.wording import day as day_words
from rtm_server.web.wording import exercise_name, month_name
from rtm_server.web.worklist.repository import facts_of, pain_reports, windows
from rtm_server.web.worklist.rules import mean_adherence, reasons

TREND_DAYS = 60
SESSIONS_SHOWN = 12
SESSIONS_LIMIT = 500

ACTIVITY_WORDS = {"call": "call", "data_review": "data review", "programme_change": "plan change"}
CONTACT_WORDS = {
    "phone": "live by phone",
    "video": "live by video",
    "in_person": "live in person",
    "voicemail": "voicemail, not live",
    "message": "message, not live",
}

# The newest result by a lateral join: the view `analysis_current` would be computed for the whole clinic.
_SESSIONS = """
SELECT r.recording_id, r.opened_at, r.exercise, r.state, r.artefact_reason, r.zone,
       a.repetitions, a.exercise AS analysed_as, a.result -> 'rom_deg' AS rom,
       a.result -> 'withheld' AS withheld,
       (SELECT c.repetitions FROM correction c
        WHERE c.tenant_id = r.tenant_id AND c.recording_id = r.recording_id
        ORDER BY c.entered_at DESC LIMIT 1) AS corrected
FROM recording r
LEFT JOIN LATERAL (
    SELECT * FROM analysis n WHERE n.tenant_id = r.tenant_id AND n.recording_id = r.recording_id
    ORDER BY n.analysis_no DESC LIMIT 1) a ON true
WHERE r.tenant_id = %(tenant)s AND r.patient_id = %(patient)s
ORDER BY r.opened_at DESC, r.recording_id
LIMIT %(limit)s
"""

# Uncertainty of a day = the widest of its recordings; the median itself comes from the roll-up.
_ROM = """
SELECT d.local_day, d.exercise, d.rom_median_deg,
       (SELECT max(a.result #>> '{angle,name}') FROM analysis a
        WHERE a.tenant_id = d.tenant_id AND a.patient_id = d.patient_id
          AND a.local_day = d.local_day AND a.exercise = d.exercise) AS angle,
       (SELECT max((a.result #>> '{rom_deg,uncertainty}')::float8) FROM analysis a
        WHERE a.tenant_id = d.tenant_id AND a.patient_id = d.patient_id
          AND a.local_day = d.local_day AND a.exercise = d.exercise
          AND NOT EXISTS (SELECT 1 FROM analysis n WHERE n.tenant_id = a.tenant_id
                          AND n.recording_id = a.recording_id AND n.analysis_no > a.analysis_no)) AS spread
FROM daily d
WHERE d.tenant_id = %(tenant)s AND d.episode_id = %(episode)s AND d.local_day >= %(since)s
  AND d.rom_median_deg IS NOT NULL
ORDER BY d.local_day
"""

_TIME = """
SELECT t.entry_id, t.started_at, t.ended_at, t.activity, t.contact, t.author_id, u.name_enc,
       t.voided, t.idle, s.entry_id IS NOT NULL AS superseded
FROM time_entry t
JOIN app_user u ON u.tenant_id = t.tenant_id AND u.user_id = t.author_id
LEFT JOIN time_entry s ON s.tenant_id = t.tenant_id AND s.supersedes = t.entry_id
WHERE t.tenant_id = %(tenant)s AND t.episode_id = %(episode)s
  AND t.started_at < %(month_to)s AND t.ended_at > %(month_from)s
ORDER BY t.started_at DESC, t.entered_at DESC
"""


def banner(item: Episode, today: date) -> Banner:
    """Two identifiers and the episode."""
    return Banner(
        item.patient, item.name, item.born, item.record_number, item.condition, item.week(today), item.zone
    )


def load(
    store: Store, tx: Tx, at: Clinic, patient: UUID, now: datetime, *, all_sessions: bool = False
) -> PatientPage:
    """The page; NotFoundError for an unknown patient and for another clinic's."""
    item = clinic.episode_of(store, tx, at.tenant, patient)
    today = item.today(now)
    since = today - timedelta(days=TREND_DAYS - 1)
    doses = clinic.doses(tx, at.tenant, [item.episode])[item.episode]
    done = clinic.done(tx, at, [item.episode], item.started)[item.episode]
    pain = pain_reports(tx, at, item.episode, since)
    shares = adherence.by_day(doses, done)
    facts = facts_of(item, doses, done, pain, max(shares, default=None), today)
    time = time_entries(store, tx, at, item.episode, today)
    rom_name, rom = _rom(tx, at, item.episode, since)
    first_day = max(since, min(item.started, today - timedelta(days=13)))
    return PatientPage(
        banner=banner(item, today),
        reasons=reasons(facts),
        clocks=_clocks(tx, at, item, shares, today, at.today(now)),
        pain=_daily_pain([(report.on, report.value) for report in pain]),
        rom=rom,
        rom_name=rom_name,
        marks=_marks(doses),
        trend_period=(first_day, today),
        sessions=sessions(tx, at, patient, doses, SESSIONS_LIMIT if all_sessions else SESSIONS_SHOWN),
        time=time,
        prescriptions=_prescriptions(doses, today),
        adherence_week=mean_adherence(facts, today - timedelta(days=7), today - timedelta(days=1)),
        adherence_month=mean_adherence(facts, today - timedelta(days=29), today - timedelta(days=1)),
        today=today,
        as_of=now,
        home_warnings=[w for w in warnings_of(tx, at.tenant, item.episode, now) if w.ended_at is None],
    )


def _clocks(
    tx: Tx, at: Clinic, item: Episode, shares: dict[date, float | None], today: date, clinic_today: date
) -> Clocks:
    window = windows(tx, at, [item.episode], [today]).get(item.episode)
    month_first = clinic_today.replace(day=1)
    month_last = (month_first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    minutes, _ = clinic.minutes(tx, at, [item.episode], clinic_today).get(item.episode, (0.0, False))
    code, need = supply_need(item.organ_system, today)
    span = None if window is None else (window[0], window[0] + timedelta(days=adherence.WINDOW_DAYS - 1))
    return Clocks(
        window=None if span is None else Clock("30-day window", *span),
        month=Clock(month_name(month_first), month_first, month_last),
        data_days=shares,
        days_in_window=0 if window is None else window[1],
        days_needed=need,
        supply_code=code,
        management=management_needs(clinic_today),
        minutes=minutes,
        contacts=contact_days(tx, at, item.episode, clinic_today),
        today=today,
    )


def contact_days(tx: Tx, at: Clinic, episode: UUID, today: date) -> tuple[date, ...]:
    """Clinic days of this month with a live contact that stands."""
    month_from, month_to = at.month(today)
    rows = tx.execute(
        "SELECT started_at FROM time_entry_current WHERE tenant_id = %s AND episode_id = %s"
        " AND started_at >= %s AND started_at < %s AND contact = ANY(%s)"
        " AND NOT idle AND NOT billed_elsewhere AND role <> 'unlicensed' ORDER BY started_at",
        (at.tenant, episode, month_from, month_to, list(LIVE_CONTACTS)),
    )
    zone = ZoneInfo(at.zone)
    return tuple(dict.fromkeys(row["started_at"].astimezone(zone).date() for row in rows))


def _daily_pain(reports: Sequence[tuple[date, int]]) -> list[Point]:
    """The highest report of each day."""
    highest: dict[date, int] = {}
    for day, value in reports:
        highest[day] = max(value, highest.get(day, 0))
    return [Point(day, float(value)) for day, value in sorted(highest.items())]


def _rom(tx: Tx, at: Clinic, episode: UUID, since: date) -> tuple[str, list[Point]]:
    """The exercise with most measured days; exercises on one axis would compare what cannot be."""
    by_exercise: dict[str, dict[date, Point]] = {}
    angles: dict[str, str] = {}
    for row in tx.execute(_ROM, {"tenant": at.tenant, "episode": episode, "since": since}):
        point = Point(row["local_day"], float(row["rom_median_deg"]), row["spread"])
        by_exercise.setdefault(row["exercise"], {})[row["local_day"]] = point
        angles[row["exercise"]] = row["angle"] or "joint"
    if not by_exercise:
        return "Range of motion", []
    name, points = max(sorted(by_exercise.items()), key=lambda pair: len(pair[1]))
    return _rom_name(angles[name], name), [points[day] for day in sorted(points)]


def _rom_name(angle: str, exercise: str) -> str:
    """What was measured: the inclination of a sensor is no joint's range of motion."""
    measured = "joint motion" if angle == "joint" else exercise_name(angle).lower()
    during = "" if angle == exercise else f" during {exercise_name(exercise).lower()}"
    return f"Range of {measured}{during}"


def _marks(doses: Sequence[adherence.Dose]) -> list[Mark]:
    """Changes of the plan: a line that follows an earlier one of the same exercise."""
    seen: set[str] = set()
    marks = []
    for dose in sorted(doses, key=lambda line: line.valid_from):
        if dose.exercise in seen:
            marks.append(
                Mark(dose.valid_from, f"{exercise_name(dose.exercise)} {dose.sets} × {dose.value:g}")
            )
        seen.add(dose.exercise)
    return marks


def _prescriptions(doses: Sequence[adherence.Dose], today: date) -> list[Prescription]:
    """Lines that hold today or later, the newest of each exercise."""
    current: dict[str, adherence.Dose] = {}
    for dose in sorted(doses, key=lambda line: line.valid_from):
        if dose.valid_to is None or dose.valid_to >= max(today, dose.valid_from):
            current[dose.exercise] = dose
    return [
        Prescription(d.exercise, d.sets, d.value, d.unit, tuple(sorted(d.weekdays)), d.valid_from)
        for d in sorted(current.values(), key=lambda line: line.exercise)
    ]


def sessions(
    tx: Tx, at: Clinic, patient: UUID, doses: Sequence[adherence.Dose], limit: int
) -> list[SessionRow]:
    """Newest first."""
    rows = tx.execute(_SESSIONS, {"tenant": at.tenant, "patient": patient, "limit": limit}).fetchall()
    return [_session(row, doses) for row in rows]


def _session(row: dict[str, Any], doses: Sequence[adherence.Dose]) -> SessionRow:
    exercise = row["exercise"] or row["analysed_as"]
    day = row["opened_at"].astimezone(ZoneInfo(row["zone"])).date()
    dose = next((d for d in doses if d.exercise == exercise and d.unit == "repetitions" and d.due(day)), None)
    rom = row["rom"] or {}
    withheld = [str(item["why"]) for item in row["withheld"] or []]
    return SessionRow(
        recording=row["recording_id"],
        at=row["opened_at"],
        exercise=exercise,
        prescribed=None if dose is None else int(dose.target),
        repetitions=row["repetitions"],
        corrected=row["corrected"],
        rom_deg=rom.get("median"),
        rom_uncertainty_deg=rom.get("uncertainty"),
        withheld=withheld[0] if withheld else None,
        state="set aside" if row["artefact_reason"] else row["state"],
    )


def time_entries(store: Store, tx: Tx, at: Clinic, episode: UUID, today: date) -> list[TimeEntry]:
    """This month's entries, those taken back too; the entry that takes one back is not a line of its own."""
    month_from, month_to = at.month(today)
    values = {"tenant": at.tenant, "episode": episode, "month_from": month_from, "month_to": month_to}
    return [
        TimeEntry(
            entry=row["entry_id"],
            start=row["started_at"],
            end=row["ended_at"],
            by=user_name(store, tx, at.tenant, row["author_id"], row["name_enc"]),
            activity=ACTIVITY_WORDS.get(row["activity"], row["activity"].replace("_", " ")),
            contact=None if row["contact"] is None else CONTACT_WORDS[row["contact"]],
            superseded=row["superseded"],
            idle=row["idle"],
        )
        for row in tx.execute(_TIME, values).fetchall()
        if not row["voided"]
    ]


def overlap_words(entry: dict[str, Any], zone: str, by: str) -> str:
    """Which entry stands in the way; names the time, never another patient."""
    start = entry["started_at"].astimezone(ZoneInfo(zone))
    end = entry["ended_at"].astimezone(ZoneInfo(zone))
    return f"This overlaps with an entry of {by}: {day_words(start.date())}, {start:%H:%M} to {end:%H:%M}."
