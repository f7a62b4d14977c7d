"""`rtm simulate`: a recording, or an exercise of the body model, worn by simulated wearables on the air."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

from bumble.transport import open_transport

from rtm_firmware_sim.air import REAL_CONTROLLERS, Air
from rtm_firmware_sim.body import exercise as perform
from rtm_firmware_sim.clock import Crystal
from rtm_firmware_sim.errors import SimulatorError
from rtm_firmware_sim.peripheral import Peripheral
from rtm_firmware_sim.playback import Playback, track_of
from rtm_firmware_sim.profiles import PROFILES, Order
from rtm_signal.recording import Recording, RecordingError
from rtm_signal.recording_file import read_recording

DEFAULT_EXERCISE = "squat"
RATE_HZ = 100.0


async def run(
    profile: str,
    *,
    recording: Path | Recording | None = None,
    exercise: str | None = None,
    repetitions: int = 10,
    loop: bool = False,
    speed: float = 1.0,
    seed: int = 0,
    name: str | None = None,
    transport: str = "tcp-server:127.0.0.1:7300",
    on_ready: Callable[[str], None] | None = None,
) -> None:
    """Simulate wearables until cancelled, one for each sensor of the recording.

    profile: a name of `PROFILES`. recording: a file or a recording; else `exercise` (a catalogue id) is
    performed `repetitions` times. speed: how many times faster than the recording samples are delivered; the
    sensors' clocks run with them. name: of the peripheral; with several sensors the placement is appended.
    transport: a bumble transport. on_ready: called once everything advertises, with one line a sensor. Raises
    SimulatorError with one plain sentence.
    """
    source = _source(recording, exercise, repetitions, seed)
    sensors = make_sensors(profile, source, Playback(speed=speed, loop=loop), seed=seed, name=name)
    ready = "\n".join(f"{s.name} {s.address.to_string(False)} {s.placement}" for s in sensors)
    if transport.partition(":")[0] in REAL_CONTROLLERS:
        await _on_real_controller(sensors, transport, ready, on_ready)
        return
    async with Air(seed=seed) as air:
        for sensor in sensors:
            await air.add(sensor)
        await air.serve(transport)
        if on_ready is not None:
            on_ready(ready)
        await asyncio.Event().wait()


def make_sensors(
    profile: str,
    recording: Recording,
    playback: Playback,
    *,
    seed: int = 0,
    name: str | None = None,
    crystal: Crystal | None = None,
    mtu: int = 247,
) -> list[Peripheral]:
    """One peripheral for each sensor of a recording, switched off; see `run`."""
    make = PROFILES.get(profile)
    if make is None:
        raise SimulatorError(f"There is no wearable {profile!r}; there are {', '.join(PROFILES)}.")
    if not recording.sensors:
        raise SimulatorError("The recording has no sensors.")
    begins_at = min((float(s.t[0]) for s in recording.sensors.values() if s.t.size), default=0.0)
    sensors = []
    for number, (placement, samples) in enumerate(recording.sensors.items()):
        own_name = name if name is None or len(recording.sensors) == 1 else f"{name}-{placement}"
        track = track_of(samples, name=placement, begins_at=begins_at)
        order = Order(track, playback, placement, number, seed, own_name, crystal, mtu)
        sensor = make(order)
        sensor.placement = placement
        sensors.append(sensor)
    return sensors


async def wear(
    air: Air,
    profile: str,
    recording: Recording,
    *,
    speed: float = 1.0,
    loop: bool = False,
    seed: int = 0,
    name: str | None = None,
    crystal: Crystal | None = None,
    mtu: int = 247,
) -> list[Peripheral]:
    """Put a recording's sensors on the air of a room, for tests and benchmarks; see `make_sensors`."""
    playback = Playback(speed=speed, loop=loop)
    sensors = make_sensors(profile, recording, playback, seed=seed, name=name, crystal=crystal, mtu=mtu)
    for sensor in sensors:
        await air.add(sensor)
    return sensors


def _source(
    recording: Path | Recording | None, exercise: str | None, repetitions: int, seed: int
) -> Recording:
    if recording is not None and exercise is not None:
        raise SimulatorError("Give a recording or an exercise, not both.")
    if isinstance(recording, Recording):
        return recording
    if recording is not None:
        try:
            return read_recording(recording)
        except RecordingError as error:
            raise SimulatorError(str(error)) from error
    motion = perform(exercise or DEFAULT_EXERCISE, repetitions=repetitions, rate_hz=RATE_HZ, seed=seed)
    return motion.recording


async def _on_real_controller(
    sensors: list[Peripheral], transport: str, ready: str, on_ready: Callable[[str], None] | None
) -> None:
    if len(sensors) > 1:
        raise SimulatorError(
            f"A real controller carries one simulated sensor, the recording has {len(sensors)}."
        )
    try:
        opened = await open_transport(transport)
    except (OSError, OverflowError, ValueError, RuntimeError) as error:
        raise SimulatorError(
            f"The transport {transport} cannot be opened: {str(error).rstrip('.')}."
        ) from error
    async with opened:
        await sensors[0].power_on_with(opened.source, opened.sink)
        if on_ready is not None:
            on_ready(ready)
        try:
            await asyncio.Event().wait()
        finally:
            await sensors[0].power_off()
