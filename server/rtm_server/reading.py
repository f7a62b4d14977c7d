"""From stored chunks back to a recording: merged by sample index, never by computed time.

Flash and live transmission overlap: overlapping samples must be equal, else the span is flagged (the values of
the chunk that begins first stand). Time is the device's own (`device_time`); for a sensor without a clock it is the
gateway's fit, one line through the chunks of a boot where they allow it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from rtm_server import device_time
from rtm_server.crypto import patient_place
from rtm_server.pieces import Track
from rtm_server.store import Store, Tx
from rtm_signal import chunk as chunks
from rtm_signal.recording import FloatArray, Recording, RecordingError, SensorRecording

# Chunk starts of one boot lie on a line when the sensor's clock is steady; 20 ms is a sample at 50 Hz. Beyond that
# (a re-fit, a clock that was stepped) every chunk keeps its own start.
_STRAIGHT_S = 0.02
_ACC = ("ax", "ay", "az")
# A day at 800 Hz. A sensor whose count jumped must not make the worker ask for all the memory of the machine.
_MOST_SAMPLES = 70_000_000

_CHUNKS = """
SELECT c.boot, c.first_index, c.n, c.t_key, c.sha256, c.ciphertext, c.received_at
FROM chunk c
WHERE c.tenant_id = %s AND c.stream_id = %s AND c.boot = %s AND c.first_index BETWEEN %s AND %s
  AND c.first_index + c.n > %s
ORDER BY c.first_index, c.n DESC, c.t_key
"""


@dataclass(frozen=True, slots=True)
class StreamSpan:
    """Which samples of a stream belong to a recording, ends included; placement as worn."""

    stream: UUID
    name: str
    placement: str
    boot: int
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Merged:
    """Samples of one stream in index order, without those that are missing.

    index: (n,) int64; t: (n,) float64, s after the recording was opened; values: channel -> (n,) float64 in SI.
    unequal: index spans (ends included) where two chunks disagree. track: the accelerometer as received, if any.
    """

    index: NDArray[np.int64]
    t: FloatArray
    values: Mapping[str, FloatArray]
    unequal: tuple[tuple[int, int], ...] = ()
    track: Track | None = None


@dataclass(frozen=True, slots=True)
class StoredRecording:
    """A recording as estimators take it, and what is to be known about where it came from.

    received_at: when the first of it arrived. content_sha256: of the samples alone, without names and times, so that
    the same samples sent under another name are found out. unequal: sentences about spans that disagree.
    tracks: each accelerometer as received.
    """

    recording: Recording
    opened_at: datetime
    received_at: datetime
    content_sha256: bytes
    unequal: tuple[str, ...] = ()
    tracks: tuple[Track, ...] = ()


def read(store: Store, tx: Tx, tenant: UUID, recording: UUID) -> StoredRecording:
    """Read, decrypt and merge a recording. RecordingError when nothing of it is stored or makes no sensor."""
    row = tx.execute(
        "SELECT patient_id, opened_at, received_at FROM recording WHERE tenant_id = %s AND recording_id = %s",
        (tenant, recording),
    ).fetchone()
    if row is None:
        raise RecordingError("There is no such recording.")
    opened, received = row["opened_at"], row["received_at"]
    digest = hashlib.sha256()
    parts: dict[str, list[Merged]] = {}
    unequal: list[str] = []
    for span in _spans(tx, tenant, recording):
        stored, first_received = _chunks_of(store, tx, tenant, row["patient_id"], span)
        if not stored:
            continue
        received = min(received, first_received)
        merged = merge(stored, span.first, span.last, opened.timestamp())
        for channel in sorted(merged.values):
            digest.update(np.ascontiguousarray(merged.values[channel]).tobytes())
        parts.setdefault(span.placement, []).append(merged)
        unequal += [
            f"samples {low} to {high} of {span.placement} were received twice and differ"
            for low, high in merged.unequal
        ]
    sensors = {placement: join(streams) for placement, streams in parts.items()}
    if not sensors:
        raise RecordingError("Nothing of the recording is stored.")
    tracks = tuple(each.track for streams in parts.values() for each in streams if each.track is not None)
    return StoredRecording(Recording(sensors), opened, received, digest.digest(), tuple(unequal), tracks)


def merge(stored: Sequence[chunks.Chunk], first: int, last: int, origin_s: float) -> Merged:
    """Chunks of one stream and boot, in any order and overlapping, to samples first..last (ends included).

    origin_s: Unix time that becomes t = 0. Raises RecordingError when the chunks have different channels, hold none of
    these samples, or lie further apart than a day's recording is long.
    """
    channels = stored[0].channels
    if any(chunk.channels != channels for chunk in stored):
        raise RecordingError("The chunks of one stream have different channels.")
    ordered = sorted(stored, key=lambda chunk: (chunk.first, -chunk.n, chunk.t_key))
    low = max(first, ordered[0].first)
    high = min(last, max(chunk.first + chunk.n - 1 for chunk in ordered))
    length = high - low + 1
    if length <= 0:
        raise RecordingError("The chunks hold no sample of the recording.")
    if length > _MOST_SAMPLES:
        raise RecordingError(
            f"The recording's samples lie {length} counts apart: the sensor's count has jumped."
        )
    raw = np.zeros((length, len(channels)), dtype=ordered[0].values.dtype)
    t = np.zeros(length)
    have = np.zeros(length, dtype=bool)
    differ = np.zeros(length, dtype=bool)
    clock = device_time.fit(ordered)
    starts = _chunk_times(ordered, origin_s)
    for chunk, (start_s, period_s) in zip(ordered, starts, strict=True):
        a, b = max(chunk.first, low), min(chunk.first + chunk.n, high + 1)
        if a >= b:
            continue
        here, there = slice(a - low, b - low), slice(a - chunk.first, b - chunk.first)
        values = chunk.values[there]
        old = have[here]
        differ[here] |= old & (raw[here] != values).any(axis=1)
        new = ~old
        raw[here][new] = values[new]
        own_t = start_s + period_s * np.arange(a - chunk.first, b - chunk.first)
        t[here][new] = (own_t if clock is None else clock.at(np.arange(a, b, dtype=np.float64), origin_s))[
            new
        ]
        have[here] = True
    index = np.flatnonzero(have)
    si = {
        channel.name: raw[index, column].astype(np.float64) * (channel.scale * chunks.UNITS[channel.unit])
        for column, channel in enumerate(channels)
    }
    # A re-fit may set a chunk's start before the end of the one before: time never runs backwards.
    t = np.maximum.accumulate(t[index])
    columns = [column for name in _ACC for column, channel in enumerate(channels) if channel.name == name]
    track = Track(raw[index][:, columns], index + low, t) if len(columns) == len(_ACC) else None
    return Merged(index + low, t, si, tuple(_spans_of(differ, low)), track)


def join(streams: Sequence[Merged]) -> SensorRecording:
    """Streams of one sensor to one: `imu` as it is; `acc`, `gyr`, `mag` apart on the accelerometer's instants.

    Several boots follow each other in time. Raises RecordingError without an accelerometer.
    """
    acc = _series(streams, _ACC)
    if acc is None:
        raise RecordingError("A sensor of the recording has no accelerometer.")
    t, values = acc
    return SensorRecording(
        t=t,
        acc=values,
        gyr=_on_grid(_series(streams, ("gx", "gy", "gz")), t),
        mag=_on_grid(_series(streams, ("mx", "my", "mz")), t),
    )


def _series(streams: Iterable[Merged], names: tuple[str, ...]) -> tuple[FloatArray, FloatArray] | None:
    having = sorted((each for each in streams if names[0] in each.values), key=lambda each: float(each.t[0]))
    if not having:
        return None
    t = np.concatenate([each.t for each in having])
    values = np.concatenate([np.stack([each.values[name] for name in names], axis=1) for each in having])
    return np.maximum.accumulate(t), values


def _on_grid(series: tuple[FloatArray, FloatArray] | None, t: FloatArray) -> FloatArray | None:
    """The series at instants t: as it is when they are its own, else interpolated (rates of one sensor are alike)."""
    if series is None:
        return None
    own, values = series
    if len(own) == len(t) and np.array_equal(own, t):
        return values
    return np.stack([np.interp(t, own, column) for column in values.T], axis=1)


def _chunk_times(ordered: Sequence[chunks.Chunk], origin_s: float) -> list[tuple[float, float]]:
    """(start in s after the origin, period in s) per chunk."""
    # In integers first: Unix microseconds do not fit a float to better than 0.2 us.
    origin_us = round(origin_s * 1e6)
    own = [((chunk.start_us - origin_us) / 1e6, chunk.period_ns / 1e9) for chunk in ordered]
    if len(ordered) < 3:
        return own
    index = np.array([chunk.first for chunk in ordered], dtype=np.float64)
    starts = np.array([start for start, _ in own])
    if index[-1] <= index[0]:
        return own
    slope, offset = np.polyfit(index - index[0], starts, 1)
    if slope <= 0 or np.max(np.abs(offset + slope * (index - index[0]) - starts)) > _STRAIGHT_S:
        return own
    return [(float(offset + slope * (chunk.first - index[0])), float(slope)) for chunk in ordered]


def _spans(tx: Tx, tenant: UUID, recording: UUID) -> list[StreamSpan]:
    rows = tx.execute(
        "SELECT stream_id, name, placement, boot, first_index, last_index FROM recording_stream"
        " WHERE tenant_id = %s AND recording_id = %s ORDER BY placement, name, boot",
        (tenant, recording),
    )
    return [
        StreamSpan(
            row["stream_id"],
            row["name"],
            row["placement"],
            row["boot"],
            row["first_index"],
            row["last_index"],
        )
        for row in rows
    ]


def _chunks_of(
    store: Store, tx: Tx, tenant: UUID, patient: UUID, span: StreamSpan
) -> tuple[list[chunks.Chunk], datetime]:
    key = store.patient_key(tx, tenant, patient)
    rows = tx.execute(
        _CHUNKS,
        (tenant, span.stream, span.boot, span.first - chunks.MAX_SAMPLES, span.last, span.first),
    ).fetchall()
    stored = []
    for row in rows:
        name = chunks.ChunkKey(span.stream, row["boot"], row["first_index"], row["n"], row["t_key"])
        plain = key.open(row["ciphertext"], patient_place(tenant, patient, str(name)))
        stored.append(chunks.decode(plain))
    return stored, min((row["received_at"] for row in rows), default=datetime.max.replace(tzinfo=UTC))


def _spans_of(flags: NDArray[np.bool_], low: int) -> Iterable[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flags, [False])).astype(np.int8)))
    for start, end in edges.reshape(-1, 2):
        yield int(start) + low, int(end) - 1 + low
