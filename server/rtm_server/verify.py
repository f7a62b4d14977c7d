"""`rtm verify`: is everything that was acknowledged here, once, unaltered, and do all derived numbers follow from it?

Compares the database with the ack journals (written outside it), every ciphertext with its hash, stored samples with
what gateways declared lost, the audit chain with itself, and the roll-up with the analyses.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, LiteralString
from uuid import UUID

from rtm_server import ack_journal, audit, rollup
from rtm_server.crypto import patient_place
from rtm_server.errors import CryptoError, ErasedError
from rtm_server.store import Store, Tx
from rtm_signal import chunk as chunks

Progress = Callable[[str, int, int], None]
"""Called with the stage, how many of its steps are done, and how many there are."""

_AT_ONCE = 500  # rows
_RECORDINGS = "SELECT recording_id, revision FROM recording WHERE tenant_id = %s"
_KEYS = "SELECT stream_id, boot, first_index, n, t_key FROM chunk WHERE tenant_id = %s"

_CONTENT = """
SELECT stream_id, boot, first_index, n, t_key, patient_id, sha256, ciphertext
FROM chunk WHERE tenant_id = %s ORDER BY stream_id, boot, first_index, n DESC, t_key
"""

_TWICE = """
SELECT coalesce(sum(times - 1), 0)::bigint AS n FROM (
    SELECT count(*) AS times FROM chunk WHERE tenant_id = %s GROUP BY stream_id, boot, first_index, n) AS g
"""

# Index spans: what the gateway declared lost, what is not stored, and what is missing though nobody declared it. A
# recording that was never complete is still on its way: what it waits for was not acknowledged, and the journal
# answers for what was. Data that arrived after they were declared lost are a gain, not a difference.
_GAPS = """
WITH g AS (
    SELECT r.state, s.lost, int8multirange(int8range(s.first_index, s.last_index, '[]')) - coalesce((
        SELECT range_agg(int8range(c.first_index, c.first_index + c.n)) FROM chunk c
        WHERE c.tenant_id = s.tenant_id AND c.stream_id = s.stream_id AND c.boot = s.boot
          AND c.first_index BETWEEN s.first_index - %(longest)s AND s.last_index), '{}') AS missing
    FROM recording_stream s JOIN recording r USING (tenant_id, recording_id) WHERE s.tenant_id = %(tenant)s)
SELECT coalesce(sum((SELECT count(*) FROM unnest(lost))), 0)::bigint AS reported,
       coalesce(sum((SELECT count(*) FROM unnest(missing))), 0)::bigint AS found,
       coalesce(sum((SELECT count(*) FROM unnest(missing - lost)))
                FILTER (WHERE state <> 'incomplete'), 0)::bigint AS different
FROM g
"""


@dataclass(slots=True)
class _Acknowledged:
    """marks: of the keys that are still to be found; chunks: how many of all keys were chunks'."""

    marks: set[bytes] = field(default_factory=set)
    chunks: int = 0


@dataclass(slots=True)
class _Report:
    acknowledged: int = 0
    stored: int = 0
    missing: int = 0
    duplicated: int = 0
    altered: int = 0
    reported: int = 0
    found: int = 0
    different: int = 0
    entries: int = 0
    first_bad: str | None = None
    checked: int = 0
    rollups_different: int = 0
    faults: list[str] = field(default_factory=list)

    def fault(self, n: int, sentence: str) -> None:
        if n:
            self.faults.append(sentence.format(n=n))


def run(store: Store, data_dir: Path, progress: Progress | None = None) -> dict[str, Any]:
    """The JSON document of `rtm verify` over all tenants."""
    return check(store, data_dir, progress)[0]


def check(store: Store, data_dir: Path, progress: Progress | None = None) -> tuple[dict[str, Any], list[str]]:
    """The document, and one sentence a fault, the first of which the command prints."""
    report = _Report()
    journal = _journal(data_dir)
    tenants = store.tenants()
    for number, tenant in enumerate(tenants, 1):
        with store.tenant_tx(tenant) as tx:
            _chunks(store, tx, tenant, journal.pop(tenant, _Acknowledged()), report, progress)
            _gaps(tx, tenant, report)
            _audit(tx, tenant, report)
            _rollups(tx, tenant, report)
        if progress is not None:
            progress("clinics", number, len(tenants))
    for acknowledged in journal.values():  # a clinic that is gone altogether
        report.acknowledged += acknowledged.chunks
        report.missing += len(acknowledged.marks)
    _sentences(report)
    document = {
        "chunks": {
            "acknowledged": report.acknowledged,
            "stored": report.stored,
            "missing": report.missing,
            "duplicated": report.duplicated,
            "altered": report.altered,
        },
        "gaps": {"reported": report.reported, "found": report.found, "different": report.different},
        "audit": {"entries": report.entries, "first_bad": report.first_bad},
        "rollups": {"checked": report.checked, "different": report.rollups_different},
        "ok": not report.faults,
    }
    return document, report.faults


def _chunks(
    store: Store,
    tx: Tx,
    tenant: UUID,
    acknowledged: _Acknowledged,
    report: _Report,
    progress: Progress | None,
) -> None:
    stored = 0
    for row in _many(tx, "verify_keys", _KEYS, tenant):
        acknowledged.marks.discard(_mark(str(_key(row))))
        stored += 1
    for row in _many(tx, "verify_recordings", _RECORDINGS, tenant):
        for revision in range(1, row["revision"] + 1):  # a newer revision stands for those before it
            acknowledged.marks.discard(_mark(f"m:{row['recording_id']}:{revision}"))
    report.acknowledged += acknowledged.chunks
    report.stored += stored
    report.missing += len(acknowledged.marks)
    twice = tx.execute(_TWICE, (tenant,)).fetchone()
    report.duplicated += 0 if twice is None else twice["n"]
    for number, row in enumerate(_many(tx, "verify_chunks", _CONTENT, tenant), 1):
        report.altered += _altered(store, tx, tenant, row)
        if progress is not None and number % _AT_ONCE == 0:
            progress("chunks", number, stored)


def _journal(data_dir: Path) -> dict[UUID, _Acknowledged]:
    """What the journals say was acknowledged, by clinic."""
    found: dict[UUID, _Acknowledged] = {}
    for tenant, key in ack_journal.acknowledged(data_dir):
        acknowledged = found.setdefault(tenant, _Acknowledged())
        before = len(acknowledged.marks)
        acknowledged.marks.add(_mark(key))
        acknowledged.chunks += key.startswith("c:") and len(acknowledged.marks) > before
    return found


def _mark(key: str) -> bytes:
    """A key in 16 bytes: there are as many as chunks of the archive, and the text of one is ten times that."""
    return hashlib.blake2b(key.encode(), digest_size=16).digest()


def _many(tx: Tx, name: str, query: LiteralString, tenant: UUID) -> Iterator[dict[str, Any]]:
    """Rows by a server-side cursor: an archive does not fit in memory."""
    with tx.cursor(name=name) as cursor:
        cursor.itersize = _AT_ONCE
        yield from cursor.execute(query, (tenant,))


def _altered(store: Store, tx: Tx, tenant: UUID, row: dict[str, Any]) -> bool:
    """Whether a stored chunk is other than it was acknowledged. An erased patient's cannot be read, and need not be."""
    try:
        key = store.patient_key(tx, tenant, row["patient_id"])
    except ErasedError:
        return False
    except CryptoError:  # not to be opened with this master key
        return True
    name = _key(row)
    try:
        plain = key.open(row["ciphertext"], patient_place(tenant, row["patient_id"], str(name)))
        header = chunks.peek(plain)
    except (CryptoError, chunks.ChunkError):
        return True
    return hashlib.sha256(plain).digest() != row["sha256"] or header.key != name or header.tenant != tenant


def _gaps(tx: Tx, tenant: UUID, report: _Report) -> None:
    row = tx.execute(_GAPS, {"tenant": tenant, "longest": chunks.MAX_SAMPLES}).fetchone()
    if row is not None:
        report.reported += row["reported"]
        report.found += row["found"]
        report.different += row["different"]


def _audit(tx: Tx, tenant: UUID, report: _Report) -> None:
    chain = audit.check(tx, tenant)
    report.entries += chain.entries
    if chain.first_bad is not None and report.first_bad is None:
        report.first_bad = f"{tenant}/{chain.first_bad}"


def _rollups(tx: Tx, tenant: UUID, report: _Report) -> None:
    checked, different = rollup.compare(tx, tenant)
    report.checked += checked
    report.rollups_different += different


def _sentences(report: _Report) -> None:
    report.fault(report.missing, "{n} acknowledged items are not stored")
    report.fault(report.duplicated, "{n} chunks are stored twice under different times of sealing")
    report.fault(report.altered, "{n} stored chunks are not what was acknowledged")
    report.fault(report.different, "{n} gaps differ from what the gateways reported")
    if report.first_bad is not None:
        report.faults.append(f"the audit chain is broken at entry {report.first_bad}")
    report.fault(report.rollups_different, "{n} daily roll-ups do not follow from the analyses")


def _key(row: dict[str, Any]) -> chunks.ChunkKey:
    return chunks.ChunkKey(row["stream_id"], row["boot"], row["first_index"], row["n"], row["t_key"])
