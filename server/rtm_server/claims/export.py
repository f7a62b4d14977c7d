"""`rtm export claims`: the released lines of a month as 837P or CSV, with what could not go and why."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo

from rtm_billing.claim import Envelope
from rtm_billing.claim837p import write_837p
from rtm_billing.claims_csv import write_claims_csv
from rtm_server import audit, enrol
from rtm_server.claims import batches, corrections, lifecycle, parties, spreadsheet
from rtm_server.claims.assemble import (
    Assembled,
    Clinic,
    LeftOut,
    assemble,
    clinic_of,
    placeholder_envelope,
)
from rtm_server.claims.batches import Batch, Document, Frozen
from rtm_server.claims.errors import ClaimsError
from rtm_server.claims.numbers import next_number
from rtm_server.claims.parties import Reader
from rtm_server.store import Store, Tx

Form = Literal["837p", "csv"]
COMMAND = "rtm export claims"


@dataclass(frozen=True, slots=True)
class Exported:
    """The files of a month, oldest first, and what was left out."""

    documents: tuple[Document, ...]
    left_out: tuple[LeftOut, ...]


def export_month(
    store: Store, tenant: UUID, month: date, form: Form, *, now: datetime, actor: UUID | None = None
) -> Exported:
    """Freeze what is released and not yet out, and give back every file of the month in a form.

    month: any day of it. actor: the clerk; None = the command line. Twice gives the same bytes. A ClaimsError
    says what the 837P as a whole lacks (submitter, receiver).
    """
    first = month.replace(day=1)
    with store.tenant_tx(tenant) as tx:
        lifecycle.one_at_a_time(tx, tenant)
        if actor is not None:
            lifecycle.require_clerk(tx, tenant, actor)
        clinic = clinic_of(tx, tenant)
        at = now.astimezone(ZoneInfo(clinic.timezone)).replace(microsecond=0)
        last = (first + timedelta(days=32)).replace(day=1) - timedelta(days=1)
        found = assemble(store, tx, clinic, first, last, at, placeholder_envelope(at))
        if form == "837p" and any(not each.reopening for each in found.prepared):
            _envelope(clinic, 1, at)  # what it lacks is said before anything is numbered
        by = COMMAND if actor is None else _name(store, tx, tenant, actor)
        if (
            actor is not None
        ):  # a step of a line that is `approved` has a person; the command line says it by itself
            _note_left_out(tx, tenant, found.left_out, actor, at)
        if found.prepared:
            _freeze(store, tx, clinic, first, form, found, actor, by, at)
        documents = [
            document
            for batch in batches.batches(tx, tenant, first)
            for document in _documents(store, tx, clinic, batch, form, by, at)
        ]
        audit.append(
            tx, tenant, "claims_exported", actor=actor,
            detail={
                "month": f"{first:%Y-%m}", "format": form, "files": [each.name for each in documents],
                "sha256": [each.summary["sha256"] for each in documents], "left_out": len(found.left_out),
            },
        )  # fmt: skip
    return Exported(tuple(documents), tuple(found.left_out))


def export_all(store: Store, month: date, form: Form, out: Path, *, now: datetime) -> dict[str, Any]:
    """Every clinic's month into a folder, with `manifest.json`; the manifest. One clinic does not stop another."""
    done, failed = [], []
    for tenant in store.tenants():
        try:
            done.append(export_month(store, tenant, month, form, now=now))
        except ClaimsError as problem:
            failed.append({"clinic": str(tenant), "why": str(problem)})
    manifest = manifest_of(month, form, done, failed)
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    for document in (document for each in done for document in each.documents):
        _write(out / document.name, document.content)
    _write(out / "manifest.json", manifest_text(manifest))
    return manifest


def manifest_of(
    month: date, form: Form, done: Sequence[Exported], failed: Sequence[Mapping[str, str]] = ()
) -> dict[str, Any]:
    """What `manifest.json` says: totals, every file with its hash, who and when, what was left out and why."""
    files = [document.summary for each in done for document in each.documents]
    return {
        "month": f"{month:%Y-%m}",
        "format": form,
        "rows": sum(each["rows"] for each in files),
        "units": sum(each["units"] for each in files),
        "charge": str(sum((Decimal(each["charge"]) for each in files), Decimal("0.00"))),
        "by": files[-1]["by"] if files else COMMAND,
        "at": max((each["at"] for each in files), default=None),
        "files": files,
        "left_out": [
            {"episode": str(each.episode), "lines": list(each.lines), "why": each.why}
            for one in done
            for each in one.left_out
        ],
        "failed": list(failed),
    }


def manifest_text(manifest: Mapping[str, Any]) -> bytes:
    """The file `manifest.json`."""
    return (json.dumps(manifest, indent=2, ensure_ascii=False) + "\n").encode()


def _note_left_out(tx: Tx, tenant: UUID, left_out: Sequence[LeftOut], actor: UUID, at: datetime) -> None:
    """Beside each line what it lacks, once however often somebody tries."""
    for each in left_out:
        for line in each.ids:
            why = f"left out of the export: {each.why}"
            lifecycle.remark_once(tx, tenant, line, actor=actor, reason=why, at=at)


def _freeze(
    store: Store, tx: Tx, clinic: Clinic, first: date, form: Form, found: Assembled, actor: UUID | None,
    by: str, at: datetime,
) -> None:  # fmt: skip
    batch = batches.open_batch(tx, clinic.tenant, first, actor, at)
    for prepared in found.prepared:
        if not prepared.reopening:
            batches.freeze_claim(store, tx, clinic.tenant, batch, prepared, actor, form)
    reopened = [prepared for prepared in found.prepared if prepared.reopening]
    if reopened:
        items = corrections.take(tx, clinic.tenant, reopened, actor, at)
        batches.document(
            store, tx, clinic.tenant, batch, "corrections",
            lambda: (corrections.text(items), {**corrections.figures(items), **_who(by, at)}, None), at,
        )  # fmt: skip


def _documents(
    store: Store, tx: Tx, clinic: Clinic, batch: Batch, form: Form, by: str, at: datetime
) -> list[Document]:
    frozen = batches.frozen_claims(store, tx, clinic.tenant, batch.batch)

    def interchange() -> tuple[bytes, dict[str, Any], int | None]:
        control = next_number(tx, clinic.tenant, "interchange")
        text = write_837p([each.claim for each in frozen], _envelope(clinic, control, at))
        return text.encode("ascii"), {**_figures(frozen), **_who(by, at)}, control

    def table() -> tuple[bytes, dict[str, Any], int | None]:
        rows = [
            spreadsheet.row(tx, clinic.tenant, each.claim, line, _stored(tx, clinic.tenant, line_id), at)
            for each in frozen
            for line, line_id in zip(each.claim.lines, each.lines, strict=True)
        ]
        return write_claims_csv(rows).encode(), {**_figures(frozen), **_who(by, at)}, None

    made = [
        batches.document(store, tx, clinic.tenant, batch, form, interchange if form == "837p" else table, at)
        if frozen
        else None,
        batches.document(store, tx, clinic.tenant, batch, "corrections", None, at),
    ]
    return [each for each in made if each is not None]


def _envelope(clinic: Clinic, control: int, at: datetime) -> Envelope:
    practice = Reader(clinic.practice, "practice")
    envelope = parties.envelope(practice, clinic.name, control=control, at=at)
    if practice.missing:
        raise ClaimsError("the 837P cannot be written, not on file: " + ", ".join(practice.missing))
    return envelope


def _figures(frozen: list[Frozen]) -> dict[str, Any]:
    lines = [line for each in frozen for line in each.claim.lines]
    return {
        "claims": len(frozen),
        "rows": len(lines),
        "units": sum(line.units for line in lines),
        "charge": str(sum((line.charge for line in lines), Decimal("0.00"))),
    }


def _who(by: str, at: datetime) -> dict[str, str]:
    return {"by": by, "at": at.isoformat()}


def _stored(tx: Tx, tenant: UUID, line: UUID) -> dict[str, Any]:
    row = tx.execute(
        "SELECT * FROM claim_line WHERE tenant_id = %s AND line_id = %s", (tenant, line)
    ).fetchone()
    if row is None:
        raise ClaimsError("a line of an exported claim is gone")
    return row


def _name(store: Store, tx: Tx, tenant: UUID, actor: UUID) -> str:
    row = tx.execute(
        "SELECT name_enc FROM app_user WHERE tenant_id = %s AND user_id = %s", (tenant, actor)
    ).fetchone()
    return "" if row is None else enrol.user_name(store, tx, tenant, actor, row["name_enc"])


def _write(path: Path, content: bytes) -> None:
    """Readable by its owner only, and never half a file."""
    part = path.with_name(f".{path.name}.{hashlib.sha256(content).hexdigest()[:8]}.part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600)
    part.write_bytes(content)
    part.replace(path)
