"""Everything a reviewer asks about one line, as plain JSON values: the PDF and the zip both show these."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from statistics import median
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from rtm_billing import evaluate
from rtm_server import audit, enrol, ledger
from rtm_server.claims import lifecycle
from rtm_server.claims.errors import ClaimsError
from rtm_server.store import Store, Tx
from rtm_server.wearables import link_note

_LINE = """
SELECT l.*, e.patient_id, e.timezone AS patient_zone, e.started, e.discharged, e.discipline, e.organ_system,
       e.therapist_id, e.setup_on, e.setup_assistant_share, e.device_basis, t.name AS clinic, t.timezone AS clinic_zone,
       t.payer_profile, t.practice, t.simulated_counts, c.number AS claim_number, p.identifiers_enc
FROM claim_line l JOIN episode e USING (tenant_id, episode_id) JOIN tenant t USING (tenant_id)
JOIN patient p ON p.tenant_id = e.tenant_id AND p.patient_id = e.patient_id
LEFT JOIN claim c ON c.tenant_id = l.tenant_id AND c.claim_id = l.claim_id
WHERE l.tenant_id = %s AND l.line_id = %s
"""
# The newest result by a lateral join, as in `ledger`: the view would be computed for the whole clinic.
_RECORDINGS = """
SELECT r.recording_id, r.exercise, r.zone, r.place, r.simulated, r.received_at, r.opened_at, r.artefact_reason,
       a.local_day, a.first_at, a.last_at, a.kind, a.doubts, a.repetitions, a.holds, a.minutes, a.rom_deg,
       a.pipeline_version, a.result, g.label AS gateway,
       (SELECT array_agg(DISTINCT s.profile || coalesce(' ' || nullif(s.serial, ''), '') || ', ' || rs.placement)
        FROM recording_stream rs JOIN sensor s USING (tenant_id, sensor_id)
        WHERE rs.tenant_id = r.tenant_id AND rs.recording_id = r.recording_id) AS sources
FROM recording r
CROSS JOIN LATERAL (
    SELECT * FROM analysis n WHERE n.tenant_id = r.tenant_id AND n.recording_id = r.recording_id
    ORDER BY n.analysis_no DESC LIMIT 1) a
LEFT JOIN gateway g ON g.tenant_id = r.tenant_id AND g.gateway_id = r.gateway_id
WHERE r.tenant_id = %s AND r.episode_id = %s AND r.opened_at BETWEEN %s AND %s ORDER BY r.opened_at, r.recording_id
"""
_CHUNKS = """
SELECT rs.recording_id, c.stream_id, c.boot, c.first_index, c.n, c.sha256
FROM recording_stream rs JOIN chunk c ON c.tenant_id = rs.tenant_id AND c.stream_id = rs.stream_id
  AND c.boot = rs.boot AND c.first_index <= rs.last_index AND c.first_index + c.n > rs.first_index
WHERE rs.tenant_id = %s AND rs.recording_id = ANY(%s)
ORDER BY rs.recording_id, c.stream_id, c.boot, c.first_index, c.n, c.t_key
"""
_TIME = """
SELECT t.*, s.entry_id AS superseded_by, s.voided AS taken_back
FROM time_entry t LEFT JOIN time_entry s ON s.tenant_id = t.tenant_id AND s.supersedes = t.entry_id
WHERE t.tenant_id = %s AND t.episode_id = %s AND NOT t.voided
  AND (t.started_at AT TIME ZONE %s)::date <= %s AND (t.ended_at AT TIME ZONE %s)::date >= %s
ORDER BY t.started_at, t.entry_id
"""

Record = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Facts:
    """record: one JSON file a key. analyses: recording -> result of the pipeline, for the counted days."""

    record: Record
    analyses: Mapping[str, Record]


def gather(store: Store, tx: Tx, tenant: UUID, line: UUID) -> Facts:
    """Read everything about a line. ClaimsError when there is none."""
    row = tx.execute(_LINE, (tenant, line)).fetchone()
    if row is None:
        raise ClaimsError("there is no such claim line")
    named = _names(store, tx, tenant)
    history = lifecycle.history(tx, tenant, line)
    case = _case(tx, tenant, row, history[0].at if history else row["created_at"])
    recordings = _recordings(tx, tenant, row, _doubts(case))
    counted = [each for each in recordings if each["counted"]]
    record: Record = {
        "line": _line(row),
        "patient": _patient(store, tx, tenant, row),
        "practice": {"name": row["practice"].get("name") or row["clinic"], "npi": row["practice"].get("npi"),
                     "payer_profile": row["payer_profile"], "zone": row["clinic_zone"]},
        "episode": {
            "episode": str(row["episode_id"]), "started": _day(row["started"]), "discharged": _day(row["discharged"]),
            "discipline": row["discipline"], "organ_system": row["organ_system"], "zone": row["patient_zone"],
            "therapist": named(row["therapist_id"]),
        },
        "consent": _spans(tx, "consent", tenant, row["episode_id"], named),
        "plan_of_care": _spans(tx, "plan_of_care", tenant, row["episode_id"], named),
        "prescriptions": _prescriptions(tx, tenant, row, named),
        "device": {"regulatory_basis": row["device_basis"], "sensors": _sensors(tx, tenant, row)},
        "setup": {"on": _day(row["setup_on"]), "assistant_share": float(row["setup_assistant_share"])},
        "data_days": [{name: value for name, value in each.items() if name != "result"} for each in recordings],
        "chunks": _chunks(tx, tenant, [UUID(each["recording"]) for each in counted]),
        "time_log": _time_log(tx, tenant, row, named),
        "history": [
            {"state": each.state, "by": named(each.actor), "at": each.at.isoformat(), "reason": each.reason}
            for each in history
        ],
        "audit_chain": _chain(tx, tenant, line),
        "case": case,
        "evaluation": dict(evaluate(case)),
    }  # fmt: skip
    return Facts(record, {each["recording"]: each["result"] for each in counted})


def _line(row: Mapping[str, Any]) -> Record:
    return {
        "line": str(row["line_id"]),
        "control": row["control"],
        "claim": row["claim_number"],
        "code": row["code"],
        "units": row["units"],
        "modifiers": row["modifiers"],
        "service_date": _day(row["service_date"]),
        "period": [_day(row["period_from"]), _day(row["period_to"])],
        "decision": row["decision"],
        "state": row["state"],
        "reasons": row["reasons"],
        "evidence": row["evidence"],
        "rules_version": row["rules_version"],
    }


def _patient(store: Store, tx: Tx, tenant: UUID, row: Mapping[str, Any]) -> Record:
    filed = enrol.identifiers(store, tx, tenant, row["patient_id"], row["identifiers_enc"])
    return {name: filed.get(name) for name in ("name", "birth_date", "record_number", "diagnoses")}


def _spans(
    tx: Tx, table: str, tenant: UUID, episode: UUID, named: Callable[[UUID | None], str]
) -> list[Record]:
    rows = tx.execute(
        f"SELECT * FROM {table} WHERE tenant_id = %s AND episode_id = %s ORDER BY valid_from, recorded_at",  # noqa: S608 - a table's name from this module
        (tenant, episode),
    )
    return [
        {
            "from": _day(row["valid_from"]), "to": _day(row["valid_to"]), "how": row.get("how"),
            "recorded_by": named(row["recorded_by"]), "recorded_at": row["recorded_at"].isoformat(),
        }
        for row in rows
    ]  # fmt: skip


def _prescriptions(
    tx: Tx, tenant: UUID, row: Mapping[str, Any], named: Callable[[UUID | None], str]
) -> list[Record]:
    rows = tx.execute(
        "SELECT * FROM prescription WHERE tenant_id = %s AND episode_id = %s AND valid_from <= %s"
        " AND (valid_to IS NULL OR valid_to >= %s) ORDER BY valid_from, exercise",
        (tenant, row["episode_id"], row["period_to"], row["period_from"]),
    )
    return [
        {
            "exercise": each["exercise"], "sets": each["sets"], "repetitions": each["repetitions"],
            "holds": each["holds"], "hold_s": each["hold_s"], "minutes": each["minutes"],
            "weekdays": each["weekdays"], "from": _day(each["valid_from"]), "to": _day(each["valid_to"]),
            "prescribed_by": named(each["prescribed_by"]),
        }
        for each in rows
    ]  # fmt: skip


def _sensors(tx: Tx, tenant: UUID, row: Mapping[str, Any]) -> list[Record]:
    rows = tx.execute(
        "SELECT a.*, s.profile, s.serial, s.simulated FROM assignment a JOIN sensor s USING (tenant_id, sensor_id)"
        " WHERE a.tenant_id = %s AND a.episode_id = %s ORDER BY a.assigned_from",
        (tenant, row["episode_id"]),
    )
    return [
        {
            "sensor": str(each["sensor_id"]), "profile": each["profile"], "serial": each["serial"],
            "simulated": each["simulated"], "placement": each["placement"],
            "radio_link": link_note(each["profile"]) or "encrypted",
            "from": each["assigned_from"].isoformat(),
            "to": None if each["assigned_to"] is None else each["assigned_to"].isoformat(),
        }
        for each in rows
    ]  # fmt: skip


def _doubts(case: Mapping[str, Any]) -> Mapping[tuple[datetime, str], str]:
    """Why the rules were told to doubt every reading of a moment and zone (a replay's original is not in doubt)."""
    found: dict[tuple[datetime, str], str] = {}
    certain = set()
    for each in case["data"]:
        moment = datetime.fromisoformat(each["at"]), each["zone"]
        if "doubt" in each:
            found[moment] = each["doubt"]
        else:
            certain.add(moment)
    return {moment: doubt for moment, doubt in found.items() if moment not in certain}


def _recordings(
    tx: Tx, tenant: UUID, row: Mapping[str, Any], doubts: Mapping[tuple[datetime, str], str]
) -> list[Record]:
    """Recordings of the period with the day each belongs to; those that do not count say why."""
    evidence, settings = row["evidence"], row["evidence"].get("settings") or {}
    wanted = set(evidence.get("data_days") or ())
    margin = timedelta(days=2)  # zones and, by `received`, a week's delay are sorted out below
    low = datetime.combine(row["period_from"], datetime.min.time(), ZoneInfo("UTC")) - margin
    high = datetime.combine(row["period_to"], datetime.max.time(), ZoneInfo("UTC")) + margin
    found = []
    for each in tx.execute(_RECORDINGS, (tenant, row["episode_id"], low, high)).fetchall():
        zone = row["clinic_zone"] if settings.get("day_zone") == "clinic" else each["zone"]
        at = each["received_at"] if settings.get("day_basis") == "received" else each["first_at"]
        day = None if at is None else at.astimezone(ZoneInfo(zone)).date()
        if day is not None and not row["period_from"] <= day <= row["period_to"]:
            continue
        why = _why_not(each, simulated_counts=row["simulated_counts"])
        if not why and (doubt := doubts.get((each["first_at"], each["zone"]))):
            why = [doubt]  # of this reading among others, such as a zone that hops
        possible = each["artefact_reason"] is None and each["first_at"] is not None
        possible &= row["simulated_counts"] or not each["simulated"]
        counted = possible and not why and day is not None and day.isoformat() in wanted
        if not counted and not why:
            why = [f"the line does not count {day}"]
        local = ZoneInfo(each["zone"])
        found.append(
            {
                "day": _day(day), "counted": counted, "possible": possible, "doubts": why,
                "recording": str(each["recording_id"]),
                "exercise": each["exercise"], "zone": each["zone"], "place": each["place"],
                "first": _at(each["first_at"], local), "last": _at(each["last_at"], local),
                "received": each["received_at"].isoformat(), "source": each["sources"] or [],
                "gateway": each["gateway"], "repetitions": each["repetitions"], "holds": each["holds"],
                "minutes": each["minutes"], "pipeline_version": each["pipeline_version"],
                "rom_deg_median": round(median(each["rom_deg"]), 1) if each["rom_deg"] else None,
                "result": each["result"],
            }
        )  # fmt: skip
    # A day that a held line counts although every reading of it is in doubt: a person decided so, and it is shown.
    certain = {each["day"] for each in found if each["counted"]}
    for each in found:
        each["counted"] |= each["possible"] and each["day"] in wanted - certain
        del each["possible"]
    return found


def _why_not(each: Mapping[str, Any], *, simulated_counts: bool) -> list[str]:
    why = list(each["doubts"])
    if each["kind"] is None and not why:
        why.append("nothing was counted in it")
    if each["kind"] == "test" and not simulated_counts:
        why.append("a simulated sensor: a test, not a patient")
    return [] if each["kind"] is not None and (each["kind"] == "sensor" or simulated_counts) else why


def _chunks(tx: Tx, tenant: UUID, recordings: list[UUID]) -> list[Record]:
    return [
        {
            "recording": str(each["recording_id"]), "stream": str(each["stream_id"]), "boot": each["boot"],
            "first": each["first_index"], "n": each["n"], "sha256": each["sha256"].hex(),
        }
        for each in tx.execute(_CHUNKS, (tenant, recordings))
    ]  # fmt: skip


def _time_log(
    tx: Tx, tenant: UUID, row: Mapping[str, Any], named: Callable[[UUID | None], str]
) -> list[Record]:
    zone = ZoneInfo(row["clinic_zone"])
    values = (tenant, row["episode_id"], zone.key, row["period_to"], zone.key, row["period_from"])
    return [
        {
            "start": _at(each["started_at"], zone), "end": _at(each["ended_at"], zone),
            "minutes": round((each["ended_at"] - each["started_at"]).total_seconds() / 60.0, 2),
            "by": named(each["author_id"]), "role": each["role"], "activity": each["activity"],
            "contact": each["contact"], "idle": each["idle"], "billed_elsewhere": each["billed_elsewhere"],
            "entered": _at(each["entered_at"], zone),
            "stands": each["superseded_by"] is None,
            "note_on_file": each["note_enc"] is not None,
        }
        for each in tx.execute(_TIME, values).fetchall()
    ]  # fmt: skip


def _chain(tx: Tx, tenant: UUID, line: UUID) -> Record:
    number, head = audit.head(tx, tenant)
    rows = tx.execute(
        "SELECT * FROM audit WHERE tenant_id = %s AND subject_id = %s ORDER BY entry_no", (tenant, line)
    )
    return {
        "head": {"entry": number, "hash": head},
        "entries": [
            {
                "tenant": str(each["tenant_id"]), "entry": each["entry_no"],
                "at": each["at"].astimezone(ZoneInfo("UTC")).isoformat(timespec="microseconds"),
                "actor": None if each["actor_id"] is None else str(each["actor_id"]), "action": each["action"],
                "subject": None if each["subject_id"] is None else str(each["subject_id"]),
                "detail": each["detail"], "prev": each["prev"].hex(), "hash": each["hash"].hex(),
            }
            for each in rows
        ],
    }  # fmt: skip


def _case(tx: Tx, tenant: UUID, row: Mapping[str, Any], released: datetime) -> Record:
    """The case as of the day of the release, without the claims that were sent since."""
    as_of = released.astimezone(ZoneInfo(row["clinic_zone"])).date()
    case = ledger.case(tx, tenant, row["episode_id"], as_of)
    later = {
        each["number"]
        for each in tx.execute(
            "SELECT number FROM claim WHERE tenant_id = %s AND episode_id = %s AND created_at >= %s",
            (tenant, row["episode_id"], released),
        )
    }
    return {**case, "claims_sent": [each for each in case["claims_sent"] if each["claim_id"] not in later]}


def _names(store: Store, tx: Tx, tenant: UUID) -> Callable[[UUID | None], str]:
    known = {
        row["user_id"]: enrol.user_name(store, tx, tenant, row["user_id"], row["name_enc"])
        for row in tx.execute(
            "SELECT user_id, name_enc FROM app_user WHERE tenant_id = %s AND role <> 'patient'", (tenant,)
        ).fetchall()
    }
    return lambda user: "the platform" if user is None else known.get(user, "unknown")


def _day(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _at(at: datetime | None, zone: ZoneInfo) -> str | None:
    return None if at is None else at.astimezone(zone).isoformat(timespec="seconds")
