"""Samples that were received before: kept as pieces of each recording, and looked for when the next is analysed.

A recording that holds samples of another is in doubt when the other counts already, or was received before it and it
does not count itself yet: of two that hold the same, one counts at most, and goes on counting. All recordings of the
clinic are looked at, whoever's they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from rtm_server.pieces import Piece, repeated, spans
from rtm_server.store import Store, Tx

_MOST_NAMED = 3  # earlier recordings named in a recording's doubts

_KEEP = """
INSERT INTO piece (tenant_id, hash, recording_id, at)
SELECT %b::uuid, h, %b::uuid, at FROM unnest(%b::bigint[], %b::timestamptz[]) AS p (h, at) ON CONFLICT DO NOTHING
"""
# Locked until the caller commits: an erasure that comes meanwhile deletes what is stored here.
_NOT_ERASED = """
SELECT 1 FROM patient WHERE tenant_id = %s AND patient_id = %s AND data_key IS NOT NULL FOR SHARE
"""
# The hashes first, whatever the planner believes of the tables: they are found by the key, and there are few.
_FIND = """
WITH same AS MATERIALIZED (
    SELECT hash, at, recording_id FROM piece
    WHERE tenant_id = %(tenant)s AND hash = ANY(%(hashes)s) AND recording_id <> %(recording)s)
SELECT same.hash, same.at, r.recording_id, r.patient_id, r.zone
FROM same JOIN recording r ON r.tenant_id = %(tenant)s AND r.recording_id = same.recording_id
WHERE (NOT %(counts)s AND r.received_at < (SELECT received_at FROM recording WHERE tenant_id = %(tenant)s
                                            AND recording_id = %(recording)s)
       OR (SELECT n.kind FROM analysis n WHERE n.tenant_id = r.tenant_id AND n.recording_id = r.recording_id
           ORDER BY n.analysis_no DESC LIMIT 1) IS NOT NULL)
ORDER BY same.at
"""


@dataclass(frozen=True, slots=True)
class Whose:
    """The recording that is looked at: times of its pieces are seconds after `opened_at`, told in `zone`."""

    tenant: UUID
    patient: UUID
    recording: UUID
    opened_at: datetime
    zone: str


def key_of(store: Store, tenant: UUID) -> bytes:
    """What hashes of a clinic's pieces are keyed with."""
    return store.master.index("piece", tenant.bytes)


def keep(tx: Tx, of: Whose, found: Sequence[Piece]) -> None:
    """Store the pieces of a recording, and that it was done. Twice is once; of an erased patient nothing is stored."""
    first = {each.hash: each.start_s for each in sorted(found, key=lambda each: -each.start_s)}
    times = [of.opened_at + timedelta(seconds=start_s) for start_s in first.values()]
    if first and tx.execute(_NOT_ERASED, (of.tenant, of.patient)).fetchone() is not None:
        tx.execute(_KEEP, (of.tenant, of.recording, list(first), times))
    tx.execute(
        "UPDATE recording SET pieces_kept = true WHERE tenant_id = %s AND recording_id = %s",
        (of.tenant, of.recording),
    )


def look(tx: Tx, of: Whose, found: Sequence[Piece], *, counts: bool) -> list[str]:
    """What of a recording was received before or stands in it twice, one sentence each; empty when nothing was.

    counts: its last result made a data day.
    """
    said = []
    if again := repeated(found):
        said.append(f"{_length(again)} of it stand in it more than once")
    rows = tx.execute(
        _FIND,
        {
            "tenant": of.tenant,
            "hashes": [each.hash for each in found],
            "recording": of.recording,
            "counts": counts,
        },
    ).fetchall()
    earlier: dict[UUID, list[dict[str, Any]]] = {}
    for row in rows:
        earlier.setdefault(row["recording_id"], []).append(row)
    most_first = sorted(earlier.values(), key=len, reverse=True)
    said += [_sentence(of, found, rows) for rows in most_first[:_MOST_NAMED]]
    if len(most_first) > _MOST_NAMED:
        said.append(f"samples of {len(most_first) - _MOST_NAMED} more recordings stand in it")
    return said


def forget(tx: Tx, tenant: UUID, patient: UUID) -> None:
    """Delete the pieces of a patient's recordings, for an erasure."""
    tx.execute(
        "DELETE FROM piece WHERE tenant_id = %s AND recording_id IN"
        " (SELECT recording_id FROM recording WHERE tenant_id = %s AND patient_id = %s)",
        (tenant, tenant, patient),
    )


def _sentence(of: Whose, found: Sequence[Piece], rows: Sequence[dict[str, Any]]) -> str:
    hashes = {row["hash"] for row in rows}
    same = [each for each in found if each.hash in hashes]
    since = of.opened_at + timedelta(seconds=min(each.start_s for each in same))
    whose = "another patient's" if rows[0]["patient_id"] != of.patient else "those"
    then = rows[0]["at"].astimezone(ZoneInfo(rows[0]["zone"]))
    return (
        f"{_length(same)} of it, from {since.astimezone(ZoneInfo(of.zone)):%H:%M} on, are the same samples as {whose}"
        f" of {then:%Y-%m-%d}, {then:%H:%M}"
    )


def _length(found: Sequence[Piece]) -> str:
    """What the pieces cover: a copy may begin and end up to ten seconds further out."""
    seconds = max(1, int(sum(end - start for start, end in spans(found))))
    count, unit = (seconds // 60, "minute") if seconds >= 60 else (seconds, "second")
    return f"at least {count} {unit}{'' if count == 1 else 's'}"
