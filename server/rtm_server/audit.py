"""The audit trail: append only, one hash chain a clinic. Who did what to which id; never a name, never a note.

The chain finds a row that was changed, removed from the middle, added or moved. What it cannot find is a tail cut off
or a chain rewritten as a whole by a superuser: export `head` somewhere else every day and compare.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from psycopg.types.json import Jsonb

from rtm_server.store import Tx

Plain = str | int | bool | None
Detail = Mapping[str, Plain | list[Plain]]
_START = b"\x00" * 32


@dataclass(frozen=True, slots=True)
class ChainReport:
    """entries: read; first_bad: number of the first entry that does not fit, None when all do."""

    entries: int
    first_bad: int | None


def append(
    tx: Tx,
    tenant: UUID,
    action: str,
    *,
    actor: UUID | None = None,
    subject: UUID | None = None,
    detail: Detail | None = None,
) -> None:
    """Note an action in the caller's transaction. Writers of one clinic take turns until they commit: many reads make
    one entry. detail: ids, codes, counts; floats are refused, their text is not canonical."""
    noted: dict[str, Any] = dict(detail or {})
    _check(noted)
    tx.execute("SELECT pg_advisory_xact_lock(hashtextextended('audit ' || %s::text, 0))", (tenant,))
    last = tx.execute(
        "SELECT entry_no, hash FROM audit WHERE tenant_id = %s ORDER BY entry_no DESC LIMIT 1", (tenant,)
    ).fetchone()
    number, prev = (1, _START) if last is None else (last["entry_no"] + 1, last["hash"])
    row = {
        "tenant_id": tenant,
        "entry_no": number,
        "at": datetime.now(UTC),
        "actor_id": actor,
        "action": action,
        "subject_id": subject,
        "detail": noted,
    }
    tx.execute(
        "INSERT INTO audit (tenant_id, entry_no, at, actor_id, action, subject_id, detail, prev, hash)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (*list(row.values())[:-1], Jsonb(noted), prev, _hash(prev, row)),
    )


def check(tx: Tx, tenant: UUID) -> ChainReport:
    """Recompute the chain of a clinic."""
    prev, expected, entries = _START, 1, 0
    first_bad: int | None = None
    for row in tx.execute("SELECT * FROM audit WHERE tenant_id = %s ORDER BY entry_no", (tenant,)):
        entries += 1
        fits = row["entry_no"] == expected and row["prev"] == prev and row["hash"] == _hash(prev, row)
        if not fits and first_bad is None:
            first_bad = expected if row["entry_no"] != expected else row["entry_no"]
        prev, expected = row["hash"], row["entry_no"] + 1
    return ChainReport(entries, first_bad)


def head(tx: Tx, tenant: UUID) -> tuple[int, str]:
    """Number and hash (hex) of the last entry, to be kept elsewhere."""
    row = tx.execute(
        "SELECT entry_no, hash FROM audit WHERE tenant_id = %s ORDER BY entry_no DESC LIMIT 1", (tenant,)
    ).fetchone()
    return (0, _START.hex()) if row is None else (row["entry_no"], row["hash"].hex())


def _hash(prev: bytes, row: Mapping[str, Any]) -> bytes:
    canonical = json.dumps(
        [
            str(row["tenant_id"]),
            row["entry_no"],
            row["at"].astimezone(UTC).isoformat(timespec="microseconds"),
            None if row["actor_id"] is None else str(row["actor_id"]),
            row["action"],
            None if row["subject_id"] is None else str(row["subject_id"]),
            row["detail"],
        ],
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(prev + canonical.encode()).digest()


def _check(detail: Mapping[str, Any]) -> None:
    for name, value in detail.items():
        for each in value if isinstance(value, list) else [value]:
            if not (each is None or isinstance(each, str | int)) or "\x00" in str(each):
                raise TypeError(f"the audit detail {name} is neither text nor a whole number")
