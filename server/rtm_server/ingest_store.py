"""One tenant's share of a group of messages, in one transaction: chunks, manifests, quarantine, jobs.

Idempotent: the key of a chunk is its name, so sending again stores nothing twice and is acknowledged again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

from psycopg.types.json import Jsonb
from psycopg.types.multirange import Multirange
from psycopg.types.range import Range

from rtm_server import job_queue
from rtm_server.crypto import patient_place, tenant_place
from rtm_server.ingest_items import ChunkItem, ManifestItem, Read, Refusal
from rtm_server.store import Store, Tx
from rtm_signal import chunk as chunks

ERASED = "erased"


@dataclass(slots=True)
class Outcome:
    """What became of the items: keys by gateway to acknowledge or refuse, and what to count."""

    committed: list[tuple[UUID, str]] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)

    def count(self, result: str, n: int = 1) -> None:
        """Raise a counter."""
        self.counts[result] = self.counts.get(result, 0) + n


@dataclass(frozen=True, slots=True)
class _Wearer:
    """Who wore a sensor during an assignment."""

    patient: UUID
    episode: UUID
    zone: str
    since: datetime
    until: datetime | None
    simulated: bool

    def at(self, when: datetime) -> bool:
        return self.since <= when and (self.until is None or when < self.until)


# Writers of one stream take turns until they commit: otherwise a manifest and the last chunk of its recording, in two
# workers at once, could each miss the other, and the recording would never be complete.
_LOCK_STREAMS = "SELECT pg_advisory_xact_lock(hashtextextended(s::text, 0)) FROM unnest(%s::uuid[]) AS s"

_WEARERS = """
SELECT s.stream_id, a.episode_id, a.assigned_from, a.assigned_to, e.patient_id, e.timezone, w.simulated
FROM stream s
JOIN sensor w USING (tenant_id, sensor_id)
LEFT JOIN assignment a USING (tenant_id, sensor_id)
LEFT JOIN episode e USING (tenant_id, episode_id)
WHERE s.tenant_id = %s AND s.stream_id = ANY(%s)
"""

# %b: binary arrays. Dumped as text, this statement is slower than executemany (docs/explanation/ingest.md).
_INSERT_CHUNKS = """
INSERT INTO chunk (tenant_id, stream_id, boot, first_index, n, t_key, patient_id, gateway_id, codec, sha256, ciphertext,
                   received_at)
SELECT %b::uuid, * FROM unnest(%b::uuid[], %b::bigint[], %b::bigint[], %b::integer[], %b::bigint[], %b::uuid[],
                               %b::uuid[], %b::smallint[], %b::bytea[], %b::bytea[], %b::timestamptz[])
ON CONFLICT DO NOTHING
RETURNING stream_id, boot, first_index, n, t_key
"""

_STORED = """
SELECT c.stream_id, c.boot, c.first_index, c.n, c.t_key, c.sha256
FROM unnest(%b::uuid[], %b::bigint[], %b::bigint[], %b::integer[], %b::bigint[])
     AS k (stream_id, boot, first_index, n, t_key)
JOIN chunk c ON c.tenant_id = %b AND (c.stream_id, c.boot, c.first_index, c.n, c.t_key)
                                   = (k.stream_id, k.boot, k.first_index, k.n, k.t_key)
"""

_UPSERT_RECORDING = """
INSERT INTO recording AS r (tenant_id, recording_id, patient_id, episode_id, gateway_id, exercise, opened_at, closed_at,
                            closed_by, revision, manifest, zone, simulated, received_at)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (tenant_id, recording_id) DO UPDATE
SET exercise = excluded.exercise, opened_at = excluded.opened_at, closed_at = excluded.closed_at,
    closed_by = excluded.closed_by, revision = excluded.revision, manifest = excluded.manifest,
    simulated = r.simulated OR excluded.simulated
WHERE excluded.revision > r.revision
RETURNING recording_id
"""

# Recordings that a new chunk or manifest adds to. Locked in one order, before any job is deferred (see `job_queue`).
_TOUCHED = """
SELECT r.recording_id FROM recording r
WHERE r.tenant_id = %s AND (r.recording_id = ANY(%s) OR r.recording_id IN (
    SELECT s.recording_id FROM recording_stream s
    JOIN unnest(%b::uuid[], %b::bigint[], %b::bigint[], %b::integer[]) AS k (stream_id, boot, first_index, n)
      ON s.stream_id = k.stream_id AND s.boot = k.boot
     AND s.first_index < k.first_index + k.n AND s.last_index >= k.first_index
    WHERE s.tenant_id = r.tenant_id))
ORDER BY r.recording_id FOR UPDATE
"""

# Complete = every index of every stream is stored or declared lost.
_COMPLETE = """
UPDATE recording r SET data_version = data_version + 1, state = CASE WHEN (
    SELECT bool_and(int8multirange(int8range(s.first_index, s.last_index, '[]')) <@ (s.lost + coalesce((
        SELECT range_agg(int8range(c.first_index, c.first_index + c.n)) FROM chunk c
        WHERE c.tenant_id = s.tenant_id AND c.stream_id = s.stream_id AND c.boot = s.boot
          AND c.first_index BETWEEN s.first_index - %(longest)s AND s.last_index), '{}')))
    FROM recording_stream s WHERE s.tenant_id = r.tenant_id AND s.recording_id = r.recording_id)
    THEN 'complete' ELSE 'incomplete' END
WHERE r.tenant_id = %(tenant)s AND r.recording_id = ANY(%(recordings)s)
RETURNING recording_id, state
"""


def commit(store: Store, tenant: UUID, items: Sequence[Read], now: datetime) -> Outcome:
    """Store what can be stored and quarantine the rest. When this returns, it is committed."""
    outcome = Outcome()
    with store.tenant_tx(tenant) as tx:
        wearers = _wearers(tx, tenant, items)
        refused = [item for item in items if isinstance(item, Refusal)]
        new_chunks = _store_chunks(store, tx, tenant, items, wearers, now, outcome, refused)
        recordings = [
            item.manifest.recording
            for item in items
            if isinstance(item, ManifestItem)
            and _store_manifest(tx, tenant, item, wearers, now, outcome, refused)
        ]
        if new_chunks or recordings:
            _finish_recordings(tx, tenant, new_chunks, recordings)
        _quarantine(store, tx, tenant, refused)
    for refusal in refused:
        outcome.count(refusal.reason)
    outcome.refused += refused
    return outcome


def _wearers(tx: Tx, tenant: UUID, items: Iterable[Read]) -> dict[UUID, list[_Wearer]]:
    """Stream -> its sensor's assignments. An empty list: known, never assigned. Absent: unknown."""
    streams = {item.key.stream for item in items if isinstance(item, ChunkItem)}
    for item in items:
        if isinstance(item, ManifestItem):
            streams |= {each.stream for each in item.manifest.streams}
    tx.execute(_LOCK_STREAMS, (sorted(streams),))
    found: dict[UUID, list[_Wearer]] = {}
    for row in tx.execute(_WEARERS, (tenant, list(streams))):
        worn = found.setdefault(row["stream_id"], [])
        if row["patient_id"] is not None:
            worn.append(
                _Wearer(
                    row["patient_id"],
                    row["episode_id"],
                    row["timezone"],
                    row["assigned_from"],
                    row["assigned_to"],
                    row["simulated"],
                )
            )
    return found


def _wearer(worn: Sequence[_Wearer], measured: datetime | None, now: datetime) -> _Wearer | None:
    """Who wore it when it was measured; if the clock fits no assignment, who wears it now: it is flagged later."""
    for when in (measured, now):
        for each in worn:
            if when is not None and each.at(when):
                return each
    return None


def _store_chunks(
    store: Store,
    tx: Tx,
    tenant: UUID,
    items: Sequence[Read],
    wearers: dict[UUID, list[_Wearer]],
    now: datetime,
    outcome: Outcome,
    refused: list[Refusal],
) -> list[chunks.ChunkKey]:
    """Insert; returns the keys that are new."""
    fresh: dict[chunks.ChunkKey, tuple[ChunkItem, UUID]] = {}
    again: list[ChunkItem] = []
    for item in items:
        if not isinstance(item, ChunkItem):
            continue
        worn = wearers.get(item.key.stream)
        wearer = None if worn is None else _wearer(worn, _time_of(item.key), now)
        if worn is None:
            refused.append(_refuse(item, "unknown_stream", "No sensor of this clinic has this stream."))
        elif wearer is None:
            refused.append(_refuse(item, "unassigned", "The sensor was assigned to nobody at that time."))
        elif item.key in fresh:
            again.append(item)
        else:
            fresh[item.key] = (item, wearer.patient)
    inserted: set[chunks.ChunkKey] = set()
    if fresh:
        rows = _sealed_rows(store, tx, tenant, fresh, now, refused)
        if rows:
            columns = list(zip(*rows, strict=True))
            for row in tx.execute(_INSERT_CHUNKS, (tenant, *(list(column) for column in columns))):
                inserted.add(_key_of(row))
    for key in inserted:
        item, _ = fresh[key]
        outcome.committed.append((item.gateway, str(key)))
    outcome.count("stored", len(inserted))
    given_up = {(refusal.gateway, refusal.key) for refusal in refused}
    again += [
        item
        for key, (item, _) in fresh.items()
        if key not in inserted and (item.gateway, str(key)) not in given_up
    ]
    _acknowledge_again(tx, tenant, again, outcome, refused)
    return list(inserted)


def _sealed_rows(
    store: Store,
    tx: Tx,
    tenant: UUID,
    fresh: dict[chunks.ChunkKey, tuple[ChunkItem, UUID]],
    now: datetime,
    refused: list[Refusal],
) -> list[tuple[Any, ...]]:
    """Rows for the insert, in key order, so that two workers given the same chunks cannot deadlock."""
    rows = []
    data_keys = store.sealing_keys(tx, tenant, {patient for _, patient in fresh.values()})
    for key in sorted(fresh):
        item, patient = fresh[key]
        if (data_key := data_keys.get(patient)) is None:
            refused.append(_refuse(item, ERASED, "The patient's data were erased."))
            continue
        box = data_key.seal(item.data, patient_place(tenant, patient, str(key)))
        rows.append((*key, patient, item.gateway, item.codec, item.sha256, box, now))
    return rows


def _acknowledge_again(
    tx: Tx, tenant: UUID, again: Sequence[ChunkItem], outcome: Outcome, refused: list[Refusal]
) -> None:
    """What is stored already: acknowledged once more if it is the same, refused if it is not."""
    if not again:
        return
    keys = list({item.key for item in again})
    stored = {
        _key_of(row): row["sha256"]
        for row in tx.execute(_STORED, (*(list(column) for column in zip(*keys, strict=True)), tenant))
    }
    for item in again:
        if stored.get(item.key) == item.sha256:
            outcome.committed.append((item.gateway, str(item.key)))
            outcome.count("duplicate")
        else:
            refused.append(_refuse(item, "altered", "Another chunk of the same name is stored already."))


def _store_manifest(
    tx: Tx,
    tenant: UUID,
    item: ManifestItem,
    wearers: dict[UUID, list[_Wearer]],
    now: datetime,
    outcome: Outcome,
    refused: list[Refusal],
) -> bool:
    """Insert or renew the recording; True when it changed something."""
    manifest = item.manifest
    worn = [
        None if each.stream not in wearers else _wearer(wearers[each.stream], manifest.opened_at, now)
        for each in manifest.streams
    ]
    fault = _fault_of(tx, tenant, item, worn, wearers)
    if fault is not None:
        refused.append(_refuse(item, *fault))
        return False
    wearer = next(each for each in worn if each is not None)
    changed = tx.execute(
        _UPSERT_RECORDING,
        (
            tenant,
            manifest.recording,
            wearer.patient,
            wearer.episode,
            item.gateway,
            manifest.exercise,
            manifest.opened_at,
            manifest.closed_at,
            manifest.closed_by,
            manifest.revision,
            Jsonb({**json.loads(item.data), "sha256": item.sha256.hex()}),
            wearer.zone,
            any(each.simulated for each in worn if each is not None),
            now,
        ),
    ).fetchone()
    outcome.committed.append((item.gateway, manifest.key))
    if changed is None:
        outcome.count("duplicate")
        return False
    outcome.count("stored")
    tx.execute(
        "DELETE FROM recording_stream WHERE tenant_id = %s AND recording_id = %s",
        (tenant, manifest.recording),
    )
    with tx.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO recording_stream (tenant_id, recording_id, stream_id, boot, sensor_id, name, placement,"
            " first_index, last_index, lost) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                (
                    tenant,
                    manifest.recording,
                    each.stream,
                    each.boot,
                    each.sensor,
                    each.name,
                    each.placement,
                    each.first,
                    each.last,
                    Multirange([Range(low, high, "[]") for low, high in each.lost]),
                )
                for each in manifest.streams
            ],
        )
    return True


def _fault_of(
    tx: Tx,
    tenant: UUID,
    item: ManifestItem,
    worn: Sequence[_Wearer | None],
    wearers: dict[UUID, list[_Wearer]],
) -> tuple[str, str] | None:
    manifest = item.manifest
    if any(each.stream not in wearers for each in manifest.streams):
        return "unknown_stream", "No sensor of this clinic has a stream of this manifest."
    if any(each is None for each in worn):
        return "unassigned", "A sensor of the recording was assigned to nobody at that time."
    episodes = {each.episode for each in worn if each is not None}
    if len(episodes) != 1:
        return "mixed_episodes", "The sensors of the recording belong to different people."
    known = tx.execute(
        "SELECT episode_id, revision, manifest->>'sha256' AS sha256 FROM recording"
        " WHERE tenant_id = %s AND recording_id = %s",
        (tenant, manifest.recording),
    ).fetchone()
    if known is not None and known["episode_id"] not in episodes:
        return "mixed_episodes", "A recording of this name belongs to somebody else."
    if known is not None and known["revision"] == manifest.revision and known["sha256"] != item.sha256.hex():
        return "altered", "Another manifest of the same name and revision is stored already."
    return None


def _finish_recordings(
    tx: Tx, tenant: UUID, new_chunks: Sequence[chunks.ChunkKey], recordings: Sequence[UUID]
) -> None:
    """Raise the data version of what was added to; have what is complete analysed."""
    keys = [(key.stream, key.boot, key.first, key.n) for key in new_chunks]
    columns = [list(column) for column in zip(*keys, strict=True)] if keys else [[], [], [], []]
    touched = [row["recording_id"] for row in tx.execute(_TOUCHED, (tenant, list(recordings), *columns))]
    if not touched:
        return
    states = tx.execute(
        _COMPLETE, {"tenant": tenant, "recordings": touched, "longest": chunks.MAX_SAMPLES}
    ).fetchall()
    for row in states:
        if row["state"] == "complete":
            job_queue.analyse(tx, tenant, row["recording_id"])


def _quarantine(store: Store, tx: Tx, tenant: UUID, refused: Sequence[Refusal]) -> None:
    """Nothing of an erased patient: the clinic's key would keep readable what the patient's own no longer does."""
    kept = [each for each in refused if each.reason != ERASED]
    if not kept:
        return
    key = store.tenant_key(tx, tenant)
    with tx.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO quarantine (tenant_id, quarantine_id, gateway_id, item_key, reason, why, sha256, ciphertext)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                (
                    tenant,
                    quarantine_id := uuid4(),
                    each.gateway,
                    each.key,
                    each.reason,
                    each.why,
                    hashlib.sha256(each.data).digest(),
                    key.seal(each.data, tenant_place(tenant, f"quarantine|{quarantine_id}")),
                )
                for each in kept
            ],
        )


def key_text(item: ChunkItem | ManifestItem) -> str:
    """The item's key as it travels."""
    return str(item.key) if isinstance(item, ChunkItem) else item.manifest.key


def _refuse(item: ChunkItem | ManifestItem, reason: str, why: str) -> Refusal:
    return Refusal(item.gateway, key_text(item), reason, why, item.data)


def _key_of(row: dict[str, Any]) -> chunks.ChunkKey:
    return chunks.ChunkKey(row["stream_id"], row["boot"], row["first_index"], row["n"], row["t_key"])


def _time_of(key: chunks.ChunkKey) -> datetime | None:
    try:
        return datetime.fromtimestamp(key.t_key / 1e6, UTC)
    except (ValueError, OverflowError, OSError):
        return None
