"""The CSV of a batch: one row a line, from the frozen claim and the evidence the line was released on."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any
from uuid import UUID

from rtm_billing.claim import Claim, ClaimLine
from rtm_billing.claims_csv import ClaimRow
from rtm_billing.rules import SUPPLY_CODES
from rtm_server.store import Tx

_SPAN = """
SELECT * FROM {table} WHERE tenant_id = %s AND episode_id = %s AND valid_from <= %s
  AND (valid_to IS NULL OR valid_to >= %s) ORDER BY valid_from DESC LIMIT 1
"""
_SENSOR = """
SELECT sensor_id FROM assignment WHERE tenant_id = %s AND episode_id = %s AND assigned_from::date <= %s
  AND (assigned_to IS NULL OR assigned_to::date >= %s) ORDER BY assigned_from LIMIT 1
"""


def row(
    tx: Tx, tenant: UUID, claim: Claim, line: ClaimLine, stored: Mapping[str, Any], at: datetime
) -> ClaimRow:
    """One row. stored: the row of `claim_line`."""
    on, evidence = stored["service_date"], stored["evidence"]
    consent = _span(tx, "consent", tenant, stored["episode_id"], on)
    plan = _span(tx, "plan_of_care", tenant, stored["episode_id"], on)
    supply = line.code in SUPPLY_CODES
    contact = next(iter(evidence.get("contacts") or ()), None)
    days = evidence.get("data_days")
    pads = (*line.modifiers, "", "", "", "")
    icd = (*claim.diagnoses, "", "", "", "")
    return ClaimRow(
        claim_line_id=str(stored["line_id"]),
        clinic_id=str(tenant),
        billing_npi=claim.billing.npi,
        rendering_npi=claim.rendering.npi if claim.rendering else "",
        supervising_npi=claim.supervising.npi if claim.supervising else "",
        patient_account=claim.claim_id,
        mrn=claim.medical_record,
        last_name=claim.subscriber.last,
        first_name=claim.subscriber.first,
        dob=claim.subscriber.born,
        sex=claim.subscriber.sex,
        payer=claim.payer.name,
        member_id=claim.subscriber.member_id,
        episode_id=str(stored["episode_id"]),
        dx1=icd[0],
        dx2=icd[1],
        dx3=icd[2],
        dx4=icd[3],
        cpt=line.code,
        modifier1=pads[0],
        modifier2=pads[1],
        modifier3=pads[2],
        modifier4=pads[3],
        units=line.units,
        dos_from=line.service_date,
        dos_to=line.last_date or line.service_date,
        pos=claim.place,
        charge=line.charge,
        window_start=stored["period_from"] if supply else None,
        window_end=stored["period_to"] if supply else None,
        data_days=len(days) if days is not None else None,
        data_day_list_ref=f"audit file of line {line.control_number}" if days else "",
        month_minutes=evidence.get("minutes"),
        interactive_contact_date=date.fromisoformat(contact["on"]) if contact else None,
        contact_mode=contact["channel"] if contact else "",
        plan_of_care_from=plan["valid_from"] if plan else None,
        plan_of_care_to=plan["valid_to"] if plan else None,
        consent_date=consent["valid_from"] if consent else None,
        order_id=str(plan["plan_id"]) if plan else "",
        device_id=_sensor(tx, tenant, stored),
        rules_version=stored["rules_version"],
        generated_at_utc=at,
    )


def _span(tx: Tx, table: str, tenant: UUID, episode: UUID, on: date) -> dict[str, Any] | None:
    # `table` is one of two names of this module
    return tx.execute(_SPAN.format(table=table), (tenant, episode, on, on)).fetchone()


def _sensor(tx: Tx, tenant: UUID, stored: Mapping[str, Any]) -> str:
    found = tx.execute(
        _SENSOR, (tenant, stored["episode_id"], stored["period_to"], stored["period_from"])
    ).fetchone()
    return "" if found is None else str(found["sensor_id"])
