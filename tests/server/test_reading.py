"""Chunks back to samples: whatever way they were cut, doubled or lost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_server import reading
from rtm_server.ingest import commit_group
from rtm_server.testing import IMU, Clinic, make_batch, make_chunks, make_manifest, squat_like
from rtm_signal import chunk as chunks
from rtm_signal.recording import RecordingError

RATE = 50.0
START = 1_770_000_000
NOBODY = UUID(int=1)
VALUES = squat_like(400, RATE)


def cut(first: int, n: int, *, stretch: float = 1.0, add: int = 0) -> chunks.Chunk:
    """A chunk of VALUES; `stretch` spoils its clock fit, `add` its samples."""
    return chunks.Chunk(
        tenant=NOBODY,
        stream=NOBODY,
        boot=1,
        first=first,
        n=n,
        t_key=first,
        channels=IMU,
        rate_hz=RATE,
        start_us=round((START + first / RATE * stretch) * 1e6),
        period_ns=1e9 / RATE,
        values=VALUES[first : first + n] + np.int16(add),
    )


spans = st.tuples(st.integers(0, 399), st.integers(1, 120)).map(
    lambda span: (span[0], min(span[1], 400 - span[0]))
)


@settings(max_examples=60)
@given(st.lists(spans, min_size=1, max_size=12))
def test_any_cuts_in_any_order_merge_to_the_samples(cuts: list[tuple[int, int]]) -> None:
    stored = [cut(first, n) for first, n in cuts]
    merged = reading.merge(stored, 0, 399, START)
    covered = np.zeros(400, dtype=bool)
    for first, n in cuts:
        covered[first : first + n] = True
    assert np.array_equal(merged.index, np.flatnonzero(covered))
    assert merged.unequal == ()
    raw = np.stack([merged.values[name] / (scale * chunks.UNITS[unit]) for name, unit, scale in IMU], axis=1)
    assert np.array_equal(np.round(raw).astype(np.int16), VALUES[covered])
    assert np.allclose(merged.t, merged.index / RATE, atol=1e-5)


def test_where_two_chunks_disagree_the_span_is_flagged() -> None:
    merged = reading.merge([cut(0, 200), cut(150, 100, add=1)], 0, 399, START)
    assert merged.unequal == ((150, 199),)
    alone = reading.merge([cut(0, 200)], 0, 199, START)
    assert np.array_equal(merged.values["ax"][:200], alone.values["ax"])


def test_only_the_recordings_samples_are_taken() -> None:
    merged = reading.merge([cut(0, 400)], 100, 299, START)
    assert (merged.index[0], merged.index[-1]) == (100, 299)


@pytest.mark.parametrize("stretch", [0.5, 0.999, 1.001, 3.0])
def test_time_never_runs_backwards(stretch: float) -> None:
    merged = reading.merge([cut(first, 50, stretch=stretch) for first in range(0, 400, 50)], 0, 399, START)
    assert np.all(np.diff(merged.t) >= 0)


def test_apart_streams_are_joined_on_the_accelerometers_instants() -> None:
    t = np.arange(10) / 10
    acc = reading.Merged(np.arange(10), t, dict.fromkeys(("ax", "ay", "az"), t))
    gyr = reading.Merged(
        np.arange(20), np.arange(20) / 20, dict.fromkeys(("gx", "gy", "gz"), np.arange(20) / 20)
    )
    sensor = reading.join([gyr, acc])
    assert np.array_equal(sensor.t, t)
    assert sensor.gyr is not None
    assert np.allclose(sensor.gyr[:, 0], t)
    assert sensor.mag is None
    with pytest.raises(RecordingError, match="no accelerometer"):
        reading.join([gyr])


def test_a_count_that_jumped_is_refused_and_takes_no_memory() -> None:
    far = replace(cut(0, 10), first=1 << 40)
    with pytest.raises(RecordingError, match="count has jumped"):
        reading.merge([cut(0, 10), far], 0, 1 << 41, START)


def test_chunks_of_different_channels_are_not_one_stream() -> None:
    other = chunks.Chunk(
        **{
            name: getattr(cut(0, 10), name)
            for name in chunks.ChunkHeader.__dataclass_fields__
            if name != "channels"
        },
        channels=IMU[:3],
        values=VALUES[:10, :3],
    )
    with pytest.raises(RecordingError, match="different channels"):
        reading.merge([cut(0, 10), other], 0, 9, START)


def test_a_stored_recording_is_what_was_sent(clinic: Clinic) -> None:
    opened = datetime.now(UTC) - timedelta(hours=1)
    sent = make_chunks(clinic, VALUES, opened=opened, boot=1)
    manifest = make_manifest(clinic, opened=opened, boot=1, last=399, lost=((250, 399),))
    commit_group(clinic.store, [make_batch(clinic, sent[0], manifest.to_json())], datetime.now(UTC))
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        stored = reading.read(clinic.store, tx, clinic.tenant, manifest.recording)
    sensor = stored.recording.sensors["wrist"]
    assert len(sensor.t) == 250
    assert np.allclose(sensor.acc, VALUES[:250, :3] / 4096 * 9.80665)
    assert sensor.gyr is not None
    assert np.allclose(sensor.gyr, np.radians(VALUES[:250, 3:] / 16.4))
    assert np.allclose(sensor.t, np.arange(250) / RATE, atol=1e-5)


def test_the_same_samples_have_the_same_fingerprint_whenever_taken(clinic: Clinic) -> None:
    prints = []
    for boot, hours in ((1, 1), (2, 5)):
        opened = datetime.now(UTC) - timedelta(hours=hours)
        manifest = make_manifest(clinic, opened=opened, boot=boot, last=399)
        sent = make_chunks(clinic, VALUES, opened=opened, boot=boot)
        commit_group(clinic.store, [make_batch(clinic, *sent, manifest.to_json())], datetime.now(UTC))
        with clinic.store.tenant_tx(clinic.tenant) as tx:
            prints.append(reading.read(clinic.store, tx, clinic.tenant, manifest.recording).content_sha256)
    assert prints[0] == prints[1]


def test_nothing_stored_is_said_so(clinic: Clinic) -> None:
    opened = datetime.now(UTC) - timedelta(hours=1)
    manifest = make_manifest(clinic, opened=opened, boot=1, last=9, lost=((0, 9),))
    commit_group(clinic.store, [make_batch(clinic, manifest.to_json())], datetime.now(UTC))
    with clinic.store.tenant_tx(clinic.tenant) as tx, pytest.raises(RecordingError, match="Nothing"):
        reading.read(clinic.store, tx, clinic.tenant, manifest.recording)
