"""A clinic that can bill, for tests: practice and patient on file, a clerk, released lines."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb

from rtm_server import enrol
from rtm_server.claims import lifecycle
from rtm_server.claims.lifecycle import Draft
from rtm_server.crypto import patient_place
from rtm_server.testing import Clinic

MARCH = date(2026, 3, 1)
NOW = datetime(2026, 5, 1, 13, 30, tzinfo=UTC)
LATER = datetime(2026, 5, 7, 8, 0, tzinfo=UTC)

PRACTICE: Mapping[str, Any] = {
    "name": "Riverside Physical Therapy",
    "npi": "1234567893",
    "tax_id": "123456789",
    "taxonomy": "261QP2000X",
    "address": {"street": "1 Main St", "city": "Albany", "state": "NY", "zip": "12207-1234"},
    "submitter": {"id": "SUB001", "contact": "Billing Office", "telephone": "(518) 555-0100"},
    "receiver": {"id": "13282", "name": "Contractor"},
    "interchange": {"sender": "SUB001", "receiver": "13282", "test": True},
    "charges": {"98975": "35", "98977": "65.00", "98979": "45.00", "98980": "90.00", "98981": "70.00", "98985": "65"},
}  # fmt: skip
PATIENT: Mapping[str, Any] = {
    "name": "Pat Example",
    "last": "Example",
    "first": "Pat",
    "birth_date": "1960-02-29",
    "record_number": "R1",
    "sex": "F",
    "address": {"street": "2 Elm St", "city": "Albany", "state": "NY", "zip": "12208"},
    "payer": {"name": "Medicare Part B", "id": "13282", "filing": "MB", "member_id": "1EG4TE5MK73"},
    "diagnoses": ["M25.561", "Z96.651"],
    "referring": {"last": "Vance", "first": "Nora", "npi": "1679576722"},
}


def file_practice(clinic: Clinic, **changes: Any) -> None:
    """Put the practice's master data on file."""
    providers = {str(clinic.therapist): {"last": "Minh", "first": "Rosa", "npi": "1003000126"}}
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        tx.execute(
            "UPDATE tenant SET practice = %s WHERE tenant_id = %s",
            (Jsonb({**PRACTICE, "providers": providers, **changes}), clinic.tenant),
        )


def furnish(
    clinic: Clinic, *, practice: Mapping[str, Any] | None = None, profile: str = "medicare", **patient: Any
) -> UUID:
    """Practice and patient on file, episode since March; a new clerk's id. Arguments change what is on file."""
    file_practice(clinic, **dict(practice or {}))
    store, tenant = clinic.store, clinic.tenant
    with store.tenant_tx(tenant) as tx:
        tx.execute("UPDATE tenant SET payer_profile = %s WHERE tenant_id = %s", (profile, tenant))
        for table, column in (
            ("episode", "started"),
            ("consent", "valid_from"),
            ("plan_of_care", "valid_from"),
        ):
            tx.execute(f"UPDATE {table} SET {column} = %s", (MARCH,))  # noqa: S608 - names above
        tx.execute("UPDATE assignment SET assigned_from = '2026-02-28 12:00+00'")
        filed = json.dumps({**PATIENT, **patient}).encode()
        sealed = store.sealing_key(tx, tenant, clinic.patient).seal(
            filed, patient_place(tenant, clinic.patient, "identifiers_enc")
        )
        tx.execute(
            "UPDATE patient SET identifiers_enc = %s WHERE tenant_id = %s AND patient_id = %s",
            (sealed, tenant, clinic.patient),
        )
        return enrol.create_user(
            store, tx, tenant, "billing", login=f"b{uuid4()}@example.org", password="p" * 12, name="Bea Clerk"
        )  # fmt: skip


def draft_of(
    clinic: Clinic, code: str, *, units: int = 1, on: date = date(2026, 3, 31), decision: str = "bill",
    evidence: Mapping[str, Any] | None = None,
) -> Draft:  # fmt: skip
    """A line as the rules would give it; its period is the month of its service date."""
    return Draft(
        episode=clinic.episode, code=code, units=units, modifiers=("GP",), service_date=on,
        period=(on.replace(day=1), on), decision=decision, reasons=("for the test",), evidence=evidence or {},
        rules_version="test",
    )  # fmt: skip


def add_line(
    clinic: Clinic, clerk: UUID, code: str, *, units: int = 1, on: date = date(2026, 3, 31),
    decision: str = "bill", evidence: Mapping[str, Any] | None = None,
) -> UUID:  # fmt: skip
    """Release a line; its id."""
    draft = draft_of(clinic, code, units=units, on=on, decision=decision, evidence=evidence)
    reason = "the record supports it" if decision == "hold" else ""
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        return lifecycle.approve(tx, clinic.tenant, clerk, draft, reason=reason, at=NOW)


def lines_of(clinic: Clinic) -> list[dict[str, Any]]:
    """Every stored line, by code."""
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        return tx.execute(
            "SELECT * FROM claim_line WHERE tenant_id = %s ORDER BY code, created_at", (clinic.tenant,)
        ).fetchall()
