"""A sensor with a memory that is out of range: its recording waits for what the memory says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import numpy as np
import pytest

from rtm_gateway import recorder as recorders
from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec
from rtm_gateway.outbox import Outbox
from rtm_gateway.recorder import AWAY_S, Recorder
from rtm_gateway.recording_life import IDLE_S, RecordingLife
from rtm_gateway.sealer import Sealer
from rtm_gateway.stored_spans import StreamKey
from rtm_signal.chunk import Channel

TENANT, GATEWAY, SENSOR, OTHER, BOOT = (UUID(int=n) for n in range(31, 36))
CHANNELS = tuple(Channel(name, "m/s2", 0.01) for name in ("ax", "ay", "az"))
SPEC = StreamSpec("imu", CHANNELS, 100.0, "int16", 32768.0)


@dataclass
class Clock:
    now: float = 1000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_790_000_000.0 + self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    told = Clock()
    monkeypatch.setattr(recorders, "time", told)
    return told


@pytest.fixture
def outbox(tmp_path: Path) -> Iterator[Outbox]:
    box = Outbox(tmp_path / "outbox.db", bytes(32), limit_bytes=1 << 28)
    yield box
    box.close()


Start = Callable[..., Recorder]


@pytest.fixture
def start(outbox: Outbox, clock: Clock) -> Start:
    """The recorder of a gateway that has just been started."""

    def recorder(*, has_flash: bool = True, on_life: Callable[[], None] = lambda: None) -> Recorder:
        life = RecordingLife(TENANT, GATEWAY, outbox.recall("life"), now_s=clock.now)
        made = Recorder(outbox, Sealer(TENANT, BOOT), life, open_on_motion=False, on_life=on_life)
        made.add_sensor(SENSOR, "wrist", has_flash=has_flash)
        return made

    return recorder


def feed(
    recorder: Recorder, first: int, n: int, *, moving: bool = False, memory: bool = False, of: UUID = SENSOR
) -> None:
    values = np.zeros((n, 3), np.int16)
    values[:, 2] = 981
    if moving:
        values[:, 0] = np.rint(500 * np.sin(np.arange(n) / 8))
    flags = Flag.FLASH if memory else Flag.NONE
    recorder.on_block(of, SPEC, SampleBlock("imu", 1, first, values, first * 328, 32768.0, first, flags))


def test_a_sensor_out_of_range_holds_its_recording_open(start: Start, clock: Clock) -> None:
    recorder = start()
    recorder.resynced(SENSOR, [])
    recorder.open("start")
    feed(recorder, 0, 100, moving=True)
    recorder.left(SENSOR)
    clock.now += IDLE_S + 1
    assert not recorder.is_idle(clock.now)
    feed(recorder, 100, 100, moving=True, memory=True)
    recorder.resynced(SENSOR, [])
    assert not recorder.is_idle(clock.now), "it moved while it was away"
    assert recorder.is_idle(clock.now + IDLE_S)


def test_it_closes_when_the_memory_holds_no_movement(start: Start, clock: Clock) -> None:
    recorder = start()
    recorder.open("start")
    feed(recorder, 0, 100, moving=True)
    recorder.left(SENSOR)
    clock.now += IDLE_S + 1
    feed(recorder, 100, 200, memory=True)
    assert not recorder.is_idle(clock.now)
    recorder.resynced(SENSOR, [])
    assert recorder.is_idle(clock.now)


def test_it_does_not_wait_for_ever(start: Start, clock: Clock) -> None:
    recorder = start()
    recorder.open("start")
    feed(recorder, 0, 100)
    recorder.left(SENSOR)
    assert not recorder.is_idle(clock.now + AWAY_S - 1)
    assert recorder.is_idle(clock.now + AWAY_S)


@pytest.mark.parametrize("has_flash", [False, True])
def test_only_a_memory_is_worth_waiting_for(start: Start, clock: Clock, has_flash: bool) -> None:
    recorder = start(has_flash=has_flash)
    recorder.open("start")
    feed(recorder, 0, 100)
    recorder.left(SENSOR)
    assert recorder.is_idle(clock.now + IDLE_S) == (not has_flash)


def test_a_sensor_that_gave_nothing_holds_nothing_open(start: Start, clock: Clock) -> None:
    recorder = start()
    recorder.open("start")
    assert recorder.is_idle(clock.now + IDLE_S)


def test_after_a_restart_the_open_recording_waits_for_its_sensor(start: Start, clock: Clock) -> None:
    recorder = start()
    recorder.open("start")
    feed(recorder, 0, 1000)
    assert asyncio.run(recorder.store())
    again = start()
    assert not again.is_idle(clock.now + IDLE_S)
    again.resynced(SENSOR, [])
    assert again.is_idle(clock.now + IDLE_S)


def test_one_sensors_memory_is_one_recording_whoever_else_comes_back_meanwhile(start: Start) -> None:
    recorder = start()
    recorder.add_sensor(OTHER, "thigh", has_flash=True)
    feed(recorder, 0, 100, memory=True)
    opened = recorder.recording
    recorder.resynced(OTHER, [])
    feed(recorder, 100, 100, memory=True)
    assert recorder.recording == opened is not None
    recorder.resynced(SENSOR, [])
    assert recorder.recording is None


def test_start_does_not_wait_for_a_memory_to_be_read(start: Start) -> None:
    recorder = start()
    feed(recorder, 0, 100, memory=True)
    found = recorder.recording
    wished = UUID(int=99)
    assert recorder.open("start", recording=wished) == wished != found


@pytest.mark.parametrize(("earlier_boot", "first"), [(0, 0), (2, 300)])
def test_the_lost_beginning_of_a_boot_belongs_to_the_recording_it_fell_into(
    earlier_boot: int, first: int
) -> None:
    """Boot 1 began during the recording only where an earlier boot gave to it."""
    life = RecordingLife(TENANT, GATEWAY)
    life.open("start", datetime.now(UTC), 0.0)
    life.add(StreamKey(SENSOR, "imu", earlier_boot), "wrist", 0, 100)
    key = StreamKey(SENSOR, "imu", 1)
    life.add(key, "wrist", 300, 400)
    life.lose(key, [(0, 300)])
    manifest = life.close("stop", datetime.now(UTC))
    assert manifest is not None
    (share,) = [each for each in manifest.streams if each.boot == 1]
    assert (share.first, share.last) == (first, 399)
    assert share.lost == (((0, 299),) if first == 0 else ())


def test_opening_and_closing_are_told(start: Start) -> None:
    told: list[str] = []
    recorder = start(on_life=lambda: told.append("changed"))
    recorder.open("start")
    assert told == ["changed"]
    recorder.close("stop")
    assert told == ["changed"] * 2


def test_a_stopped_gateway_does_not_fetch_what_it_passed_by(start: Start) -> None:
    """Nothing is recorded; the last seconds, still in memory, belong to no recording either."""

    async def run_and_stop(recorder: Recorder) -> None:
        task = asyncio.create_task(recorder.run())
        await asyncio.sleep(0)
        for first in range(0, 1000, 100):
            feed(recorder, first, 100)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run_and_stop(start()))
    assert start().have(SENSOR) == {("imu", 1): [(0, 1000)]}
