"""One recording: its newest result, what a clinician counted, and where it all comes from."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID, uuid4

from rtm_server.enrol import user_name
from rtm_server.store import Store, Tx
from rtm_server.wearables import link_note
from rtm_server.web import clinic
from rtm_server.web.clinic import Clinic
from rtm_server.web.errors import ConflictError, NotFoundError
from rtm_server.web.patient.repository import banner
from rtm_server.web.patient.views import Correction, Repetition, SessionPage
from rtm_server.web.policy import Actor

_RECORDING = """
SELECT r.opened_at, r.closed_at, r.exercise, r.artefact_reason, a.analysis_no, a.exercise AS analysed_as,
       a.result, a.pipeline_version, a.created_at AS analysed_at, a.kind, a.doubts
FROM recording r
LEFT JOIN LATERAL (
    SELECT * FROM analysis n WHERE n.tenant_id = r.tenant_id AND n.recording_id = r.recording_id
    ORDER BY n.analysis_no DESC LIMIT 1) a ON true
WHERE r.tenant_id = %(tenant)s AND r.recording_id = %(recording)s AND r.patient_id = %(patient)s
"""
_DEVICES = """
SELECT DISTINCT s.profile, s.serial, s.simulated, rs.placement
FROM recording_stream rs
JOIN sensor s ON s.tenant_id = rs.tenant_id AND s.sensor_id = rs.sensor_id
WHERE rs.tenant_id = %(tenant)s AND rs.recording_id = %(recording)s
ORDER BY rs.placement, s.profile, s.serial
"""
_CORRECTIONS = """
SELECT c.repetitions, c.reason_enc, c.entered_at, c.author_id, u.name_enc
FROM correction c
JOIN app_user u ON u.tenant_id = c.tenant_id AND u.user_id = c.author_id
WHERE c.tenant_id = %(tenant)s AND c.recording_id = %(recording)s
ORDER BY c.entered_at DESC
"""
_CORRECT = """
INSERT INTO correction (tenant_id, correction_id, recording_id, analysis_no, author_id, repetitions,
                        reason_enc, entered_at)
VALUES (%(tenant)s, %(id)s, %(recording)s, %(analysis)s, %(author)s, %(repetitions)s, %(reason)s, %(now)s)
"""


def load(store: Store, tx: Tx, at: Clinic, patient: UUID, recording: UUID, now: datetime) -> SessionPage:
    """The page; NotFoundError unless the recording is this patient's."""
    item = clinic.episode_of(store, tx, at.tenant, patient)
    scope = {"tenant": at.tenant, "recording": recording, "patient": patient}
    row = tx.execute(_RECORDING, scope).fetchone()
    if row is None:
        raise NotFoundError
    result: Mapping[str, Any] = row["result"] or {}
    rom = result.get("rom_deg") or {}
    low, high = result.get("repetitions_range") or (None, None)
    return SessionPage(
        banner=banner(item, item.today(now)),
        recording=recording,
        at=row["opened_at"],
        exercise=row["exercise"] or row["analysed_as"],
        duration_s=float(result.get("duration_s") or (row["closed_at"] - row["opened_at"]).total_seconds()),
        repetitions=_repetitions(result),
        range_low=low,
        range_high=high,
        angle_name=str((result.get("angle") or {}).get("name") or "angle"),
        angle=((), ()),
        rom_median_deg=rom.get("median"),
        rom_max_deg=rom.get("max"),
        rom_uncertainty_deg=rom.get("uncertainty"),
        withheld=[(str(entry["what"]), str(entry["why"])) for entry in result.get("withheld") or []],
        pipeline_version=row["pipeline_version"] or "",
        analysed_at=row["analysed_at"],
        devices=[_device(device) for device in tx.execute(_DEVICES, scope)],
        corrections=_corrections(store, tx, at, patient, scope),
        earlier_results=max((row["analysis_no"] or 1) - 1, 0),
        set_aside=row["artefact_reason"],
        doubts=() if row["kind"] or row["artefact_reason"] else tuple(row["doubts"] or ()),
        as_of=now,
    )


def _repetitions(result: Mapping[str, Any]) -> list[Repetition]:
    """All sets in one row, in time."""
    return [
        Repetition(
            float(item["start_s"]),
            float(item["end_s"]),
            None if item.get("rom_deg") is None else float(item["rom_deg"]),
            tuple(str(flag) for flag in (item.get("quality") or {}).get("flags") or ()),
        )
        for one_set in result.get("sets") or []
        for item in one_set["repetitions"]
    ]


def _device(row: Mapping[str, Any]) -> str:
    parts = [row["placement"].replace("_", " "), row["profile"], row["serial"], link_note(row["profile"])]
    return ", ".join(part for part in parts if part) + (" (simulated)" if row["simulated"] else "")


def _corrections(
    store: Store, tx: Tx, at: Clinic, patient: UUID, scope: Mapping[str, Any]
) -> list[Correction]:
    return [
        Correction(
            row["repetitions"],
            ""
            if row["reason_enc"] is None
            else store.open_text(tx, at.tenant, patient, "reason_enc", row["reason_enc"]),
            user_name(store, tx, at.tenant, row["author_id"], row["name_enc"]),
            row["entered_at"],
        )
        for row in tx.execute(_CORRECTIONS, scope).fetchall()
    ]


def require(tx: Tx, tenant: UUID, patient: UUID, recording: UUID) -> None:
    """NotFoundError unless the recording is this patient's."""
    scope = {"tenant": tenant, "recording": recording, "patient": patient}
    if tx.execute(_RECORDING, scope).fetchone() is None:
        raise NotFoundError


def correct(
    store: Store, tx: Tx, at: Clinic, who: Actor, patient: UUID, recording: UUID,
    repetitions: int, why: str, now: datetime,
) -> None:  # fmt: skip
    """Keep a clinician's count beside the newest result."""
    scope = {"tenant": at.tenant, "recording": recording, "patient": patient}
    row = tx.execute(_RECORDING, scope).fetchone()
    if row is None:
        raise NotFoundError
    if row["analysis_no"] is None:
        raise ConflictError("This session has no result yet to stand beside.")
    tx.execute(
        _CORRECT,
        {
            **scope,
            "id": uuid4(),
            "analysis": row["analysis_no"],
            "author": who.user,
            "repetitions": repetitions,
            "reason": store.seal_text(tx, at.tenant, patient, "reason_enc", why),
            "now": now,
        },
    )
