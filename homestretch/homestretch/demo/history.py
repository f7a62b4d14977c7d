"""The demo's history: sessions of the body model, packed as a gateway packs them, sent through the same door.

Nothing is written to the database here. Each session becomes chunks and a manifest in a real outbox, goes
over the broker to the ingest worker, and leaves the outbox when the server says that it is committed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from uuid import NAMESPACE_OID, UUID, uuid5

import numpy as np

from homestretch.demo.clinic import DemoClinic, Home
from homestretch.demo.cohort import PatientStory, Session
from rtm_firmware_sim import history as body_history
from rtm_gateway.outbox import Entry
from rtm_signal import chunk, wire
from rtm_signal.recording import SensorRecording

RATE_HZ = 50.0
CHUNK_S = 5.0
ACC_SCALE = 16 * 9.80665 / 32768  # m/s2 per step of a 16 g sensor
GYR_SCALE = math.radians(2000) / 32768  # rad/s per step of a 2000 deg/s sensor
CHANNELS = tuple(
    chunk.Channel(name, unit, scale)
    for names, unit, scale in (("ax ay az", "m/s2", ACC_SCALE), ("gx gy gz", "rad/s", GYR_SCALE))
    for name in names.split()
)


Quantised = np.ndarray[tuple[int, int], np.dtype[np.int16]]


def newest_first(stories: tuple[PatientStory, ...]) -> list[tuple[int, int, Session]]:
    """(patient's number, session's number of that patient, session), latest first: it is looked at first."""
    every = [
        (story.number, number, session) for story in stories for number, session in enumerate(story.sessions)
    ]
    return sorted(every, key=lambda item: item[2].starts_at, reverse=True)


def entries(
    clinic: DemoClinic, home: Home, number: int, of: int, session: Session, seed: int
) -> Iterator[Entry]:
    """One session as the outbox holds it: chunks of five seconds, then the manifest.

    number: which session of the patient's `of`, the oldest 0; it serves as the boot, and patients get better with it.
    """
    effort = body_history.course(number, of, seed)
    motion = body_history.session(
        session.exercise, session.repetitions, RATE_HZ, seed, placements=tuple(home.sensors), effort=effort
    )
    start = session.starts_at.astimezone(UTC)
    for placement, sensor in home.sensors.items():
        values = _quantise(motion.recording.sensors[placement])
        for sealed in _chunks(clinic.tenant, sensor, number, values, start):
            yield Entry(str(sealed.key), wire.CHUNK, chunk.encode(sealed))
    manifest = _manifest(clinic, home, number, session, start, len(motion.t))
    yield Entry(manifest.key, wire.MANIFEST, manifest.to_json())


def _chunks(
    tenant: UUID, sensor: UUID, boot: int, values: Quantised, start: datetime
) -> Iterator[chunk.Chunk]:
    stream = chunk.stream_id(sensor, "imu")
    step = round(RATE_HZ * CHUNK_S)
    for first in range(0, len(values), step):
        part = values[first : first + step]
        begins_us = round((start.timestamp() + first / RATE_HZ) * 1e6)
        yield chunk.Chunk(
            tenant=tenant,
            stream=stream,
            boot=boot,
            first=first,
            n=len(part),
            t_key=begins_us,
            channels=CHANNELS,
            rate_hz=RATE_HZ,
            start_us=begins_us,
            period_ns=1e9 / RATE_HZ,
            uncertainty_us=20_000,
            values=part,
        )


def _quantise(samples: SensorRecording) -> Quantised:
    """(n, 6) int16 as a sensor of 16 g and 2000 deg/s would send it."""
    if samples.gyr is None:
        raise ValueError("the body model's sensors have a gyroscope")
    steps = np.hstack((samples.acc / ACC_SCALE, samples.gyr / GYR_SCALE))
    return np.clip(np.rint(steps), -32768, 32767).astype(np.int16)


def _manifest(
    clinic: DemoClinic, home: Home, number: int, session: Session, start: datetime, n: int
) -> wire.Manifest:
    return wire.Manifest(
        tenant=clinic.tenant,
        recording=uuid5(NAMESPACE_OID, f"{home.sensor}/{number}"),
        revision=1,
        gateway=clinic.history_gateway,
        exercise=session.exercise,
        opened_at=start,
        closed_at=start + timedelta(seconds=n / RATE_HZ),
        closed_by="stop",
        streams=tuple(
            wire.ManifestStream(
                sensor=sensor,
                stream=chunk.stream_id(sensor, "imu"),
                name="imu",
                placement=placement,
                boot=number,
                first=0,
                last=n - 1,
            )
            for placement, sensor in home.sensors.items()
        ),
    )
