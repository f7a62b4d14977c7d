"""`/billing/corrections`: what to ask payers to correct, in words, and what they answered."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from starlette.responses import Response

from rtm_server.claims import batches
from rtm_server.claims.batches import Batch
from rtm_server.store import Store, Tx
from rtm_server.web import clinic, trail
from rtm_server.web.billing.line_history import STATE_WORDS
from rtm_server.web.billing.repository import line_key
from rtm_server.web.policy import Action, allow
from rtm_server.web.services import Svc, Who

router = APIRouter()

_BATCHES = """
SELECT b.batch_id, b.month, b.batch_no, b.made_at FROM claim_batch b
JOIN claim_document d ON d.tenant_id = b.tenant_id AND d.batch_id = b.batch_id AND d.format = 'corrections'
WHERE b.tenant_id = %s ORDER BY b.made_at DESC, b.batch_no DESC
"""
_LINES = """
SELECT control, episode_id, code, period_from, period_to, service_date, state
FROM claim_line WHERE tenant_id = %s AND control = ANY(%s)
"""
ANSWERED = frozenset({"paid", "denied", "rejected", "replaced"})


@dataclass(frozen=True, slots=True)
class Entry:
    """A line of a claim. page: the address of its own page, for a line of ours that stands; state: in words."""

    code: str
    units: int
    service_date: date
    control: str
    charge: str = ""
    page: str = ""
    state: str = ""
    answered: bool = False


@dataclass(frozen=True, slots=True)
class Correction:
    """One claim the payer is to be asked to correct: what stood on it and what it becomes."""

    claim: str
    claim_at_payer: str
    payer: str
    patient: str
    born: date
    member_id: str
    asked_at: datetime
    stood: Sequence[Entry]
    becomes: Sequence[Entry]

    @property
    def answered(self) -> bool:
        """Whether the payer has decided on every line of it."""
        return all(each.answered for each in self.becomes)


@router.get("/billing/corrections")
@allow(Action.BILLING_READ)
def show(request: Request, svc: Svc, who: Who) -> Response:
    """Open ones first."""
    with svc.store.tenant_tx(who.tenant) as tx:
        at = clinic.clinic(tx, who.tenant)
        found = load(svc.store, tx, who.tenant)
        trail.note(tx, who, "corrections_read", None, {"rows": len(found)})
    values = {
        "open": [each for each in found if not each.answered],
        "answered": [each for each in found if each.answered],
        "zone": at.zone,
        "as_of": svc.now(),
    }
    return svc.pages.render(request, "corrections.html", values)


def load(store: Store, tx: Tx, tenant: UUID) -> list[Correction]:
    """Every correction that exports have written, the newest first."""
    return [
        _correction(tx, tenant, item, batch.made_at)
        for batch in _batches(tx, tenant)
        for item in _items(store, tx, tenant, batch)
    ]


def _batches(tx: Tx, tenant: UUID) -> list[Batch]:
    rows = tx.execute(_BATCHES, (tenant,)).fetchall()
    return [Batch(row["batch_id"], row["month"], row["batch_no"], row["made_at"]) for row in rows]


def _items(store: Store, tx: Tx, tenant: UUID, batch: Batch) -> Iterable[Mapping[str, Any]]:
    document = batches.document(store, tx, tenant, batch, "corrections", None, batch.made_at)
    return () if document is None else json.loads(document.content)


def _correction(tx: Tx, tenant: UUID, item: Mapping[str, Any], made_at: datetime) -> Correction:
    controls = [line["line"] for line in (*item["stood"], *item["becomes"])]
    stored = {row["control"]: row for row in tx.execute(_LINES, (tenant, controls)).fetchall()}
    patient = item["patient"]
    return Correction(
        claim=item["claim"],
        claim_at_payer=item["claim_at_payer"] or "",
        payer=item["payer"],
        patient=f"{patient['first']} {patient['last']}",
        born=date.fromisoformat(patient["born"]),
        member_id=patient["member_id"],
        asked_at=made_at,
        stood=[_entry(line, None) for line in item["stood"]],
        becomes=[_entry(line, stored.get(line["line"])) for line in item["becomes"]],
    )


def _entry(line: Mapping[str, Any], row: Mapping[str, Any] | None) -> Entry:
    page = state = ""
    if row is not None:
        key = line_key(row["episode_id"], row["code"], (row["period_from"], row["period_to"]))
        page = f"/billing/{row['service_date']:%Y-%m}/lines/{key}"
        state = row["state"]
    return Entry(
        code=" ".join([line["code"], *line["modifiers"]]),
        units=line["units"],
        service_date=date.fromisoformat(line["service_date"]),
        control=line["line"],
        charge=line.get("charge", ""),
        page="" if state in {"rejected", "withdrawn"} else page,
        state=STATE_WORDS.get(state, ""),
        answered=state in ANSWERED,
    )
