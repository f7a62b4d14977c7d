"""A clinic, its samples and its manifests, for tests: of the server's own suite and of whoever builds on it."""

from __future__ import annotations

import itertools
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray

from rtm_server import enrol
from rtm_server.ingest import commit_group
from rtm_server.ingest_items import Message
from rtm_server.store import Store
from rtm_signal import chunk as chunks
from rtm_signal import wire


def scratch_folder(prefix: str) -> Path:
    """A folder for an embedded PostgreSQL: any user may pass (root hands the server to another), short, and in memory
    where there is room (a test is not about how long fsync takes)."""
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a private folder in it
    made = Path(tempfile.mkdtemp(prefix=prefix, dir=memory if os.access(memory, os.W_OK) else None))
    made.chmod(0o711)
    return made


@dataclass(frozen=True)
class Database:
    """A migrated database of its own: `dsn` signs in as the application, `owner_dsn` owns the tables."""

    name: str
    dsn: str
    owner_dsn: str
    superuser_dsn: str


@dataclass
class Clinic:
    """An enrolled clinic with one patient who wears one sensor, and a gateway."""

    store: Store
    tenant: UUID
    therapist: UUID
    patient: UUID
    episode: UUID
    gateway: UUID
    sensor: UUID
    stream: UUID
    zone: str
    since: datetime
    boots: Iterator[int] = field(default_factory=lambda: itertools.count(1))


def make_clinic(
    store: Store,
    *,
    simulated: bool = False,
    simulated_counts: bool = False,
    zone: str = "America/New_York",
    placement: str = "wrist",
) -> Clinic:
    """Enrol a clinic with random ids; the sensor has been worn for 100 days."""
    since = datetime.now(UTC) - timedelta(days=100)
    tenant = enrol.create_tenant(store, "Test clinic", "America/New_York", simulated_counts=simulated_counts)
    with store.tenant_tx(tenant) as tx:
        therapist = enrol.create_user(
            store, tx, tenant, "therapist", login=f"t{uuid4()}@example.org", password="p" * 12, name="Thea"
        )
        patient = enrol.create_patient(
            store, tx, tenant, {"name": "Pat Example", "birth_date": "1960-02-29", "record_number": "R1"}
        )
        episode = enrol.create_episode(
            store,
            tx,
            tenant,
            patient,
            timezone=zone,
            started=since.date(),
            therapist=therapist,
            device_basis="test",
        )
        day = since.date() - timedelta(days=1)
        enrol.record_consent(tx, tenant, episode, therapist, valid_from=day)
        enrol.record_plan(tx, tenant, episode, therapist, valid_from=day, valid_to=date(2099, 1, 1))
        gateway = enrol.add_gateway(store, tx, tenant)
        sensor = enrol.add_sensor(tx, tenant, "homestretch", simulated=simulated)
        enrol.assign(tx, tenant, sensor, episode, placement, assigned_from=since, gateway=gateway)
    return Clinic(
        store,
        tenant,
        therapist,
        patient,
        episode,
        gateway,
        sensor,
        chunks.stream_id(sensor, "imu"),
        zone,
        since,
    )


IMU = tuple(
    chunks.Channel(name, unit, scale)
    for names, unit, scale in (
        (("ax", "ay", "az"), "g", 1 / 4096),
        (("gx", "gy", "gz"), "deg/s", 1 / 16.4),
    )
    for name in names
)


def squat_like(
    n: int, rate_hz: float, *, period_s: float = 4.0, rest_s: float = 3.0, seed: int = 0
) -> NDArray[np.int16]:
    """(n, 6) int16 of a limb that turns to and fro about x by 60 degrees: what the count is about, not realism.

    Other numbers or another seed, other noise: as with a real sensor, no two recordings have samples in common.
    """
    t = np.arange(n) / rate_hz
    moving = (t > rest_s) & (t < t[-1] - rest_s)
    phase = 2 * np.pi * (t - rest_s) / period_s
    angle = np.where(moving, np.radians(30.0) * (1 - np.cos(phase)), 0.0)
    rate = np.gradient(angle, t)
    rng = np.random.default_rng([n, round(1000 * period_s), round(1000 * rest_s), seed])
    acc = np.stack([np.zeros(n), np.sin(angle), np.cos(angle)], axis=1) + rng.normal(0, 2e-3, (n, 3))
    gyr = np.stack([np.degrees(rate), np.zeros(n), np.zeros(n)], axis=1) + rng.normal(0, 0.1, (n, 3))
    return np.round(np.hstack([acc * 4096, gyr * 16.4])).clip(-32768, 32767).astype(np.int16)


def make_chunks(
    clinic: Clinic,
    values: NDArray[np.int16],
    *,
    opened: datetime,
    boot: int,
    rate_hz: float = 50.0,
    chunk_s: float = 5.0,
    first: int = 0,
    stream: UUID | None = None,
) -> list[bytes]:
    """Encoded chunks of one stream, sealed as they would have been."""
    size = int(rate_hz * chunk_s)
    start_us = int(opened.timestamp() * 1e6)
    encoded = []
    for at in range(0, len(values), size):
        part = values[at : at + size]
        when = start_us + round(at / rate_hz * 1e6)
        encoded.append(
            chunks.encode(
                chunks.Chunk(
                    tenant=clinic.tenant,
                    stream=stream or clinic.stream,
                    boot=boot,
                    first=first + at,
                    n=len(part),
                    t_key=when + round(len(part) / rate_hz * 1e6),
                    channels=IMU[: values.shape[1]],
                    rate_hz=rate_hz,
                    start_us=when,
                    period_ns=1e9 / rate_hz,
                    fit_version=1,
                    values=part,
                )
            )
        )
    return encoded


def make_manifest(
    clinic: Clinic,
    *,
    opened: datetime,
    boot: int,
    last: int,
    first: int = 0,
    rate_hz: float = 50.0,
    lost: tuple[tuple[int, int], ...] = (),
    revision: int = 1,
    recording: UUID | None = None,
    exercise: str | None = "squat",
    calibration: bool = False,
) -> wire.Manifest:
    """The manifest of a recording of the clinic's one sensor."""
    return wire.Manifest(
        tenant=clinic.tenant,
        recording=recording or uuid4(),
        revision=revision,
        gateway=clinic.gateway,
        exercise=exercise,
        opened_at=opened,
        closed_at=opened + timedelta(seconds=(last + 1 - first) / rate_hz),
        closed_by="stop",
        streams=(
            wire.ManifestStream(
                sensor=clinic.sensor,
                stream=clinic.stream,
                name="imu",
                placement="wrist",
                boot=boot,
                first=first,
                last=last,
                lost=lost,
            ),
        ),
        calibration=calibration,
    )


def make_batch(clinic: Clinic, *items: bytes) -> Message:
    """A message of the clinic's gateway: chunks, and manifests as JSON."""
    kinds = [wire.MANIFEST if item.startswith(b"{") else wire.CHUNK for item in items]
    return Message(clinic.gateway, wire.pack_batch(zip(kinds, items, strict=True)))


def send_recording(
    clinic: Clinic,
    values: NDArray[np.int16],
    *,
    opened: datetime,
    boot: int,
    rate_hz: float = 50.0,
    exercise: str | None = "squat",
    received: datetime | None = None,
    calibration: bool = False,
) -> UUID:
    """Commit a whole recording (as ingest does) and return its id."""
    manifest = make_manifest(
        clinic,
        opened=opened,
        boot=boot,
        last=len(values) - 1,
        rate_hz=rate_hz,
        exercise=exercise,
        calibration=calibration,
    )
    encoded = make_chunks(clinic, values, opened=opened, boot=boot, rate_hz=rate_hz)
    message = make_batch(clinic, *encoded, manifest.to_json())
    ack = commit_group(clinic.store, [message], received or datetime.now(UTC)).acks[clinic.gateway]
    if ack.refused or len(ack.committed) != len(encoded) + 1:
        raise AssertionError(ack)
    return manifest.recording
