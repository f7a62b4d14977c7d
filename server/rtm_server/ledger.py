"""From the database to the case of `rtm bill`, and from there to `rtm_billing.evaluate`.

Everything that could be evidence goes in; what counts is for the rules to say. Nothing here knows a code or a rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from rtm_billing import evaluate
from rtm_server.errors import ServerError
from rtm_server.store import Tx

_EPISODE = """
SELECT e.*, t.timezone AS clinic_zone, t.payer_profile, t.bill_settings, t.simulated_counts
FROM episode e JOIN tenant t USING (tenant_id) WHERE e.tenant_id = %s AND e.episode_id = %s
"""

# Recordings that make a data day (`kind`), each its own datum, so that every day opens its evidence.
_DATA = """
SELECT a.first_at, a.zone, a.kind, r.received_at, r.place
FROM analysis_current a JOIN recording r USING (tenant_id, recording_id)
WHERE r.tenant_id = %s AND r.episode_id = %s AND a.kind IS NOT NULL ORDER BY a.first_at, r.recording_id
"""

_SENT = """
SELECT l.code, l.service_date, c.number FROM claim_line l JOIN claim c USING (tenant_id, claim_id)
WHERE l.tenant_id = %s AND l.episode_id = %s AND l.state IN ('exported', 'accepted', 'paid', 'denied')
ORDER BY l.service_date, l.code, c.number
"""


def case(tx: Tx, tenant: UUID, episode: UUID, as_of: date) -> dict[str, Any]:
    """The case of an episode as the contract's JSON object. `as_of`: a date in the clinic's zone."""
    row = tx.execute(_EPISODE, (tenant, episode)).fetchone()
    if row is None:
        raise ServerError("there is no such episode")
    setup = (
        None
        if row["setup_on"] is None
        else {"on": _text(row["setup_on"]), "assistant_share": float(row["setup_assistant_share"])}
    )
    return {
        "as_of": as_of.isoformat(),
        "practice": {"timezone": row["clinic_zone"]},
        "payer": {"profile": row["payer_profile"]},
        "settings": row["bill_settings"],
        "patient": {"timezone": row["timezone"]},
        "episode": {
            "started": _text(row["started"]),
            "discharged": _text(row["discharged"]),
            "organ_system": row["organ_system"],
            "discipline": row["discipline"],
            "therapist_billed": row["therapist_billed"],
            "consent": _spans(tx, "consent", tenant, episode),
            "plan_of_care": _spans(tx, "plan_of_care", tenant, episode),
            "device_basis": row["device_basis"] is not None,
            "setup": setup,
            "setup_billed_before": row["setup_billed_before"],
        },
        "data": _data(tx, tenant, episode, simulated_counts=row["simulated_counts"]),
        "management": _management(tx, tenant, episode),
        "visits": _visits(tx, tenant, episode),
        "therapy_spend": _spend(tx, tenant, episode),
        "other_services": [
            each["detail"]
            for each in tx.execute(
                "SELECT detail FROM other_service WHERE tenant_id = %s AND episode_id = %s ORDER BY service_id",
                (tenant, episode),
            )
        ],
        "claims_sent": [
            {"code": each["code"], "service_date": _text(each["service_date"]), "claim_id": each["number"]}
            for each in tx.execute(_SENT, (tenant, episode))
        ],
    }


def evaluation(tx: Tx, tenant: UUID, episode: UUID, as_of: date) -> dict[str, Any]:
    """What the rules say about the whole episode: `lines`, `not_billable`, `open`, `warnings`, `rules_version`."""
    return dict(evaluate(case(tx, tenant, episode, as_of)))


def month(tx: Tx, tenant: UUID, episode: UUID, first_day: date, as_of: date) -> dict[str, Any]:
    """The same, of one calendar month: lines by their service date, the rest by any date in common with the month."""
    return of_month(evaluation(tx, tenant, episode, as_of), first_day)


def of_month(result: Mapping[str, Any], first_day: date) -> dict[str, Any]:
    """The part of an evaluation that belongs to a month."""
    first = first_day.replace(day=1)
    last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
    low, high = first.isoformat(), last.isoformat()

    def touches(item: Mapping[str, Any]) -> bool:
        start, end = item["period"]
        return (start is None or start <= high) and (end is None or end >= low)

    return {
        **result,
        "lines": [line for line in result["lines"] if low <= line["service_date"] <= high],
        "not_billable": [each for each in result["not_billable"] if touches(each)],
        "open": [each for each in result["open"] if touches(each)],
    }


def today(tx: Tx, tenant: UUID, now: datetime) -> date:
    """The date in the clinic's zone."""
    row = tx.execute("SELECT timezone FROM tenant WHERE tenant_id = %s", (tenant,)).fetchone()
    if row is None:
        raise ServerError("there is no such clinic")
    return now.astimezone(ZoneInfo(row["timezone"])).date()


def _data(tx: Tx, tenant: UUID, episode: UUID, *, simulated_counts: bool) -> list[dict[str, Any]]:
    """Days of simulated sensors are `test`, which no rule counts; in the demo's clinic they stand for real ones."""
    return [
        {
            "at": each["first_at"].astimezone(ZoneInfo(each["zone"])).isoformat(),
            "zone": each["zone"],
            "received_at": each["received_at"].isoformat(),
            "kind": "sensor" if simulated_counts else each["kind"],
            "place": each["place"],
        }
        for each in tx.execute(_DATA, (tenant, episode))
    ]


def _management(tx: Tx, tenant: UUID, episode: UUID) -> list[dict[str, Any]]:
    return [
        {
            "start": each["started_at"].isoformat(),
            "end": each["ended_at"].isoformat(),
            "by": str(each["author_id"]),
            "role": each["role"],
            "contact": each["contact"],
            "billed_elsewhere": each["billed_elsewhere"],
            "entered_at": each["entered_at"].isoformat(),
            "idle": each["idle"],
        }
        for each in tx.execute(
            "SELECT * FROM time_entry_current WHERE tenant_id = %s AND episode_id = %s ORDER BY started_at, entry_id",
            (tenant, episode),
        )
    ]


def _visits(tx: Tx, tenant: UUID, episode: UUID) -> list[dict[str, Any]]:
    return [
        {"on": _text(each["visited_on"]), "services": each["services"]}
        for each in tx.execute(
            "SELECT visited_on, services FROM visit WHERE tenant_id = %s AND episode_id = %s"
            " ORDER BY visited_on, visit_id",
            (tenant, episode),
        )
    ]


def _spend(tx: Tx, tenant: UUID, episode: UUID) -> list[dict[str, Any]]:
    return [
        {"on": _text(each["spent_on"]), "amount": str(each["amount"])}
        for each in tx.execute(
            "SELECT spent_on, amount FROM therapy_spend WHERE tenant_id = %s AND episode_id = %s"
            " ORDER BY spent_on, spend_id",
            (tenant, episode),
        )
    ]


def _spans(tx: Tx, table: str, tenant: UUID, episode: UUID) -> list[dict[str, str | None]]:
    rows = tx.execute(
        f"SELECT valid_from, valid_to FROM {table} WHERE tenant_id = %s AND episode_id = %s ORDER BY 1, 2",  # noqa: S608 - a table's name from this module
        (tenant, episode),
    )
    return [{"from": _text(each["valid_from"]), "to": _text(each["valid_to"])} for each in rows]


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()
