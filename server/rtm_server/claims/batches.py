"""What left is frozen: a batch of claims with its numbers, and every file of it as it was, encrypted.

The first export of a batch in a form makes the file; every later one hands out the same bytes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID, uuid4

import msgspec
from psycopg.types.json import Jsonb

from rtm_billing.claim import Claim
from rtm_server.claims import lifecycle
from rtm_server.claims.assemble import Prepared, numbered
from rtm_server.claims.numbers import next_number
from rtm_server.crypto import tenant_place
from rtm_server.store import Store, Tx

Format = Literal["837p", "csv", "corrections"]
ENDINGS: Mapping[Format, str] = {"837p": ".837", "csv": ".csv", "corrections": "-corrections.json"}
SUMMARY = ("file", "format", "claims", "rows", "units", "charge", "sha256", "by", "at")


@dataclass(frozen=True, slots=True)
class Batch:
    """Claims that were frozen together."""

    batch: UUID
    month: date
    number: int
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Frozen:
    """A claim of a batch, as it left, and the ids of its lines in its order."""

    claim: Claim
    lines: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A file as it left; its name has nothing personal. summary: its part of the manifest."""

    name: str
    content: bytes
    summary: dict[str, Any]


def batches(tx: Tx, tenant: UUID, month: date) -> list[Batch]:
    """Every batch of a month, oldest first."""
    rows = tx.execute(
        "SELECT * FROM claim_batch WHERE tenant_id = %s AND month = %s ORDER BY batch_no", (tenant, month)
    )
    return [Batch(row["batch_id"], row["month"], row["batch_no"], row["made_at"]) for row in rows]


def open_batch(tx: Tx, tenant: UUID, month: date, actor: UUID | None, at: datetime) -> Batch:
    """A new batch of a month."""
    batch = Batch(uuid4(), month, len(batches(tx, tenant, month)) + 1, at)
    tx.execute(
        "INSERT INTO claim_batch (tenant_id, batch_id, month, batch_no, made_by, made_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (tenant, batch.batch, month, batch.number, actor, at),
    )
    return batch


def freeze_claim(
    store: Store, tx: Tx, tenant: UUID, batch: Batch, prepared: Prepared, actor: UUID | None, form: Format
) -> str:
    """Number a claim and its lines, store it as it will leave, move its lines to `exported`; its number."""
    claim_id, number = uuid4(), f"HS{next_number(tx, tenant, 'claim'):09}"
    controls = {
        place: f"L{next_number(tx, tenant, 'line'):09}"
        for place, line in enumerate(prepared.claim.lines)
        if line.control_number.startswith("?")
    }
    claim = numbered(prepared, number, controls)
    frozen = msgspec.json.encode(Frozen(claim, (*prepared.lines, *prepared.carried)))
    key = store.tenant_key(tx, tenant)
    tx.execute(
        "INSERT INTO claim (tenant_id, claim_id, episode_id, number, month, format, document, sha256, created_by,"
        " created_at, batch_id, frequency, replaces) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            tenant, claim_id, prepared.episode, number, batch.month, form,
            key.seal(frozen, tenant_place(tenant, f"claim|{claim_id}")), hashlib.sha256(frozen).digest(), actor,
            batch.made_at, batch.batch, claim.frequency, prepared.replaces.claim if prepared.replaces else None,
        ),
    )  # fmt: skip
    for line, frozen_line in zip((*prepared.lines, *prepared.carried), claim.lines, strict=True):
        tx.execute(
            "UPDATE claim_line SET claim_id = %s, control = %s WHERE tenant_id = %s AND line_id = %s",
            (claim_id, frozen_line.control_number, tenant, line),
        )
    moved = (*prepared.lines, *(line for line in prepared.carried if _state(tx, tenant, line) != "exported"))
    lifecycle.move(tx, tenant, moved, "exported", actor=actor, reason=f"claim {number}", at=batch.made_at)
    lifecycle.move(
        tx, tenant, prepared.replaced, "replaced", actor=actor, reason=f"claim {number}", at=batch.made_at
    )
    return number


def frozen_claims(store: Store, tx: Tx, tenant: UUID, batch: UUID) -> list[Frozen]:
    """The claims of a batch as they left, by number."""
    key = store.tenant_key(tx, tenant)
    return [
        msgspec.json.decode(
            key.open(row["document"], tenant_place(tenant, f"claim|{row['claim_id']}")), type=Frozen
        )
        for row in tx.execute(
            "SELECT claim_id, document FROM claim WHERE tenant_id = %s AND batch_id = %s ORDER BY number",
            (tenant, batch),
        ).fetchall()
    ]


def document(
    store: Store, tx: Tx, tenant: UUID, batch: Batch, form: Format,
    make: Callable[[], tuple[bytes, dict[str, Any], int | None]] | None, at: datetime,
) -> Document | None:  # fmt: skip
    """The file of a batch in a form; `make` (content, summary, control number) the first time. None: there is none."""
    key, place = store.tenant_key(tx, tenant), tenant_place(tenant, f"claim_document|{batch.batch}|{form}")
    row = tx.execute(
        "SELECT file_name, document, summary FROM claim_document"
        " WHERE tenant_id = %s AND batch_id = %s AND format = %s",
        (tenant, batch.batch, form),
    ).fetchone()
    if row is not None:
        kept = {name: row["summary"][name] for name in SUMMARY}  # jsonb has an order of its own
        return Document(row["file_name"], key.open(row["document"], place), kept)
    if make is None:
        return None
    content, figures, control = make()
    name = f"claims-{batch.month:%Y-%m}-{tenant.hex[:8]}-{batch.number:03}{ENDINGS[form]}"
    digest = hashlib.sha256(content)
    known = {"file": name, "format": form, **figures, "sha256": digest.hexdigest()}
    summary = {each: known[each] for each in SUMMARY}
    tx.execute(
        "INSERT INTO claim_document (tenant_id, batch_id, format, file_name, control, document, sha256, summary,"
        " made_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            tenant, batch.batch, form, name, control, key.seal(content, place), digest.digest(), Jsonb(summary),
            at,
        ),
    )  # fmt: skip
    return Document(name, content, summary)


def _state(tx: Tx, tenant: UUID, line: UUID) -> str:
    row = tx.execute(
        "SELECT state FROM claim_line WHERE tenant_id = %s AND line_id = %s", (tenant, line)
    ).fetchone()
    return "" if row is None else str(row["state"])
