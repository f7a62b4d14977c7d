"""The recordings behind one day of a claim line: when, from which sensor, what was counted, and the angle itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from rtm_server.store import Store, Tx
from rtm_server.wearables import link_note
from rtm_server.web.billing.views import Line
from rtm_server.web.clinic import Clinic
from rtm_server.web.patient.angle import NOTHING, Series, series

# A delivery may be a week late, and zones are a day apart at most: `day_basis` received looks that far back.
_RECORDINGS = """
SELECT r.recording_id, r.exercise, r.zone, r.artefact_reason, r.received_at,
       a.first_at, a.last_at, a.kind, a.doubts, a.repetitions, a.result, a.pipeline_version,
       a.exercise AS analysed_as,
       (SELECT json_agg(DISTINCT jsonb_build_object('placement', rs.placement, 'profile', s.profile,
                                                    'serial', s.serial, 'simulated', s.simulated))
        FROM recording_stream rs JOIN sensor s ON s.tenant_id = rs.tenant_id AND s.sensor_id = rs.sensor_id
        WHERE rs.tenant_id = r.tenant_id AND rs.recording_id = r.recording_id) AS sensors
FROM recording r
JOIN LATERAL (
    SELECT * FROM analysis n WHERE n.tenant_id = r.tenant_id AND n.recording_id = r.recording_id
    ORDER BY n.analysis_no DESC LIMIT 1) a ON true
WHERE r.tenant_id = %(tenant)s AND r.episode_id = %(episode)s AND r.opened_at BETWEEN %(low)s AND %(high)s
ORDER BY r.opened_at, r.recording_id
"""


@dataclass(frozen=True, slots=True)
class Reading:
    """One recording of the day. why_not: empty when it counts. spans: repetitions in seconds of the recording."""

    recording: UUID
    exercise: str | None
    first: datetime | None
    last: datetime | None
    received: datetime
    zone: str
    repetitions: int | None
    rom_deg: float | None
    angle_name: str
    sensors: Sequence[str]
    why_not: Sequence[str]
    pipeline_version: str
    spans: Sequence[tuple[float, float]]
    angle: Series = NOTHING


@dataclass(frozen=True, slots=True)
class DayPage:
    """The page of one counted day."""

    month: date
    line: Line
    day: date
    readings: Sequence[Reading]
    as_of: datetime

    def drawn(self, store: Store, tenant: UUID) -> DayPage:
        """With each angle computed again from its samples, where they and the same pipeline are there."""
        return replace(
            self,
            readings=[
                each
                if each.exercise is None or each.first is None
                else replace(each, angle=_angle(store, tenant, each, each.exercise, each.first))
                for each in self.readings
            ],
        )


def load_day(tx: Tx, at: Clinic, episode: UUID, day: date, evidence: Mapping[str, Any]) -> list[Reading]:
    """Recordings of a day as the line's settings date it, in time."""
    settings = evidence.get("settings") or {}
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=ZoneInfo(at.zone))
    values = {
        "tenant": at.tenant,
        "episode": episode,
        "low": noon - timedelta(days=10),
        "high": noon + timedelta(days=2),
    }
    rows = tx.execute(_RECORDINGS, values).fetchall()
    return [_reading(row, at) for row in rows if _day_of(row, at, settings) == day]


def _day_of(row: Mapping[str, Any], at: Clinic, settings: Mapping[str, Any]) -> date | None:
    """The same two settings that date a day in the rules (docs/reference/billing-rules.md)."""
    moment = row["received_at"] if settings.get("day_basis") == "received" else row["first_at"]
    zone = at.zone if settings.get("day_zone") == "clinic" else row["zone"]
    return None if moment is None else moment.astimezone(ZoneInfo(zone)).date()


def _reading(row: Mapping[str, Any], at: Clinic) -> Reading:
    result = row["result"] or {}
    return Reading(
        recording=row["recording_id"],
        exercise=row["exercise"] or row["analysed_as"],
        first=row["first_at"],
        last=row["last_at"],
        received=row["received_at"],
        zone=row["zone"],
        repetitions=row["repetitions"],
        rom_deg=(result.get("rom_deg") or {}).get("median"),
        angle_name=str((result.get("angle") or {}).get("name") or "angle"),
        sensors=[_sensor(each) for each in row["sensors"] or ()],
        why_not=_why_not(row, test_counts=at.test_counts),
        pipeline_version=row["pipeline_version"] or "",
        spans=[
            (float(each["start_s"]), float(each["end_s"]))
            for one_set in result.get("sets") or ()
            for each in one_set["repetitions"]
        ],
    )


def _why_not(row: Mapping[str, Any], *, test_counts: bool) -> list[str]:
    if row["artefact_reason"]:
        return ["set aside by a clinician"]
    if row["kind"] is None:
        return list(row["doubts"]) or ["nothing was counted in it"]
    return ["a simulated sensor: a test, not a patient"] if row["kind"] == "test" and not test_counts else []


def _sensor(each: Mapping[str, Any]) -> str:
    parts = (each["placement"].replace("_", " "), each["profile"], each["serial"], link_note(each["profile"]))
    return ", ".join(part for part in parts if part) + (" (simulated)" if each["simulated"] else "")


def _angle(store: Store, tenant: UUID, each: Reading, exercise: str, first: datetime) -> Series:
    day = first.astimezone(ZoneInfo(each.zone)).date()
    return series(store, tenant, each.recording, exercise, day, each.pipeline_version)
