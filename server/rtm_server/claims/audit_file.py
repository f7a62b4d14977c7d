"""The audit file of a line: a PDF to read, and a zip that proves itself whole (`rtm_billing.audit_check`)."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from rtm_billing.sealed_zip import pack
from rtm_server import audit
from rtm_server.claims import audit_facts, audit_pdf, lifecycle
from rtm_server.store import Store


@dataclass(frozen=True, slots=True)
class AuditFile:
    """name: without ending and without anything personal. fingerprint: SHA-256 of the zip, also in the audit chain."""

    name: str
    pdf: bytes
    packed: bytes
    fingerprint: str


def audit_file(store: Store, tenant: UUID, line: UUID, *, actor: UUID, now: datetime) -> AuditFile:
    """Make the file of a released line for a billing clerk. What was read is one entry of the audit chain."""
    with store.tenant_tx(tenant) as tx:
        lifecycle.require_clerk(tx, tenant, actor)
        facts = audit_facts.gather(store, tx, tenant, line)
        pdf = audit_pdf.render(facts)
        files = {f"{name}.json": _json(value) for name, value in facts.record.items()}
        files |= {f"analyses/{recording}.json": _json(result) for recording, result in facts.analyses.items()}
        files["audit.pdf"] = pdf
        made = now.astimezone(UTC).isoformat(timespec="seconds")
        packed = pack(
            files, {"kind": "homestretch audit file", "version": 1, "line": str(line), "made_at": made}
        )
        fingerprint = hashlib.sha256(packed).hexdigest()
        audit.append(tx, tenant, "audit_file_made", actor=actor, subject=line, detail={"sha256": fingerprint})
    control = facts.record["line"]["control"]
    return AuditFile(f"audit-{control or str(line)[:8]}", pdf, packed, fingerprint)


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1, ensure_ascii=False, default=str) + "\n").encode()
