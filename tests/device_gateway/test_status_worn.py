"""Warnings at home: sensors that are swapped or turned over are noticed, those worn as before are not."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import numpy as np
import pytest

from rtm_firmware_sim import body
from rtm_gateway.drivers.driver import Flag, Identity, SampleBlock, StreamSpec
from rtm_gateway.home_warnings import HomeWarnings
from rtm_gateway.link_event import Event, LinkEvent
from rtm_gateway.outbox import Outbox
from rtm_gateway.settings import SensorSettings
from rtm_gateway.worn import WornWatch
from rtm_signal.chunk import Channel
from rtm_signal.recording import FloatArray, SensorRecording

THIGH, SHANK = UUID(int=21), UUID(int=22)
PLACES = {THIGH: "thigh", SHANK: "shank"}
RATE_HZ, ACC, GYR = 50.0, 0.005, 0.001
IMU = StreamSpec(
    "imu",
    tuple(Channel(name, "m/s2", ACC) for name in ("ax", "ay", "az"))
    + tuple(Channel(name, "rad/s", GYR) for name in ("gx", "gy", "gz")),
    RATE_HZ,
    "int16",
)
TURNED = np.diag([-1.0, -1.0, 1.0])


def performed(seed: int, exercise: str = "heel_slide") -> dict[UUID, SensorRecording]:
    """Thigh and shank, worn alike (the simulator puts sensors on by the same seed), performed anew."""
    motion = body.exercise(
        exercise, repetitions=14, rate_hz=RATE_HZ, seed=seed, placements=("thigh", "shank")
    )
    sensors = motion.recording.sensors
    return {THIGH: sensors["thigh"], SHANK: sensors["shank"]}


def turned(sensor: SensorRecording, rotation: FloatArray) -> SensorRecording:
    assert sensor.gyr is not None
    return SensorRecording(sensor.t, sensor.acc @ rotation.T, sensor.gyr @ rotation.T)


def blocks(sensor: SensorRecording) -> list[SampleBlock]:
    assert sensor.gyr is not None
    raw = np.rint(np.hstack([sensor.acc / ACC, sensor.gyr / GYR])).clip(-32768, 32767).astype(np.int16)
    return [
        SampleBlock("imu", 1, at, raw[at : at + 10], None, RATE_HZ, 0, Flag.NONE)
        for at in range(0, len(raw), 10)
    ]


def wear(watch: WornWatch, sensors: dict[UUID, SensorRecording], exercise: str | None = "heel_slide") -> int:
    """One recording, looked at every ten seconds; how many references it took."""
    recording, taken = uuid4(), 0
    every = {key: blocks(sensor) for key, sensor in sensors.items()}
    for number in range(min(len(each) for each in every.values())):
        for key, each in every.items():
            watch.on_block(recording, exercise, key, IMU, each[number])
        if number % 50 == 49:
            taken += watch.look()
    return taken


def test_worn_as_before_is_not_warned_about() -> None:
    watch = WornWatch(PLACES)
    assert wear(watch, performed(1)) == 1, "the first recording is the reference"
    for _ in range(2):
        assert wear(watch, performed(1)) == 0
        assert watch.problem is None


def test_swapped_and_turned_sensors_are_named_and_forgiven() -> None:
    known = performed(1)
    known[SHANK] = turned(known[SHANK], np.array([[0.0, 1, 0], [-1, 0, 0], [0, 0, 1]]))
    first = WornWatch(PLACES)
    wear(first, known)
    watch = WornWatch(PLACES, first.state())
    wear(watch, {THIGH: known[SHANK], SHANK: known[THIGH]})
    assert watch.problem == "The sensors on your thigh and your shank seem to be swapped."
    wear(watch, {**known, THIGH: turned(known[THIGH], TURNED)})
    assert watch.problem is not None
    assert "on your thigh sits differently" in watch.problem
    wear(watch, known)
    assert watch.problem is None, "put right, the warning goes"


def test_nothing_is_compared_across_exercises_or_without_one() -> None:
    watch = WornWatch(PLACES)
    wear(watch, performed(1))
    upside_down = {key: turned(sensor, TURNED) for key, sensor in performed(1).items()}
    assert wear(watch, upside_down, None) == 0
    assert watch.problem is None
    assert wear(watch, upside_down, "squat") == 1, "a reference of its own"
    assert watch.problem is None


def test_rest_is_not_exercise() -> None:
    watch = WornWatch(PLACES)
    wear(watch, performed(1))
    n = round(60 * RATE_HZ)
    t = np.arange(n) / RATE_HZ
    lying = SensorRecording(t, np.tile([0.0, 9.81, 0.0], (n, 1)), np.zeros((n, 3)))
    wear(watch, {THIGH: lying, SHANK: lying})
    assert watch.problem is None


@pytest.fixture
def outbox(tmp_path: Path) -> Any:
    box = Outbox(tmp_path / "outbox.db", b"k" * 32, limit_bytes=1 << 24)
    yield box
    box.close()


def said(event: Event, value: float | None = None) -> LinkEvent:
    return LinkEvent(event, "what happened", 0, value, None, Identity("S1"))


def test_battery_and_somebody_elses_sensor(outbox: Outbox) -> None:
    sensor = SensorSettings(sensor=THIGH, placement="left_thigh", serial="S1")
    warnings = HomeWarnings((sensor,), outbox)
    assert warnings.current() == []
    warnings.on_event(sensor, said(Event.BATTERY, 0.12))
    warnings.on_event(sensor, said(Event.REFUSED))
    assert {each["kind"] for each in warnings.current()} == {"battery", "refused"}
    for each in warnings.current():
        assert each["sensor"] == str(THIGH)
        assert "left thigh" in each["what"]
        assert "S1" not in each["what"]
    warnings.on_event(sensor, said(Event.CONNECTED))
    warnings.on_event(sensor, said(Event.BATTERY, 0.9))
    assert warnings.current() == []


def test_a_sensor_of_another_rate_is_not_called_somebody_elses(outbox: Outbox) -> None:
    sensor = SensorSettings(sensor=THIGH, placement="left_thigh")
    warnings = HomeWarnings((sensor,), outbox)
    warnings.on_event(sensor, said(Event.RATE, 50.0))
    warnings.on_event(sensor, said(Event.REFUSED))
    (warning,) = warnings.current()
    assert warning["kind"] == "rate"
    assert "left thigh measures at another speed" in warning["what"]


def test_a_fault_in_the_looking_costs_no_sample(
    outbox: Outbox, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object) -> bool:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(WornWatch, "look", broken)
    monkeypatch.setattr("rtm_gateway.home_warnings._LOOK_EVERY_S", 0.0)
    sensor = SensorSettings(sensor=THIGH, placement="thigh")
    warnings = HomeWarnings((sensor,), outbox)
    asyncio.run(asyncio.wait_for(warnings.run(), 5))
    assert "cannot be judged" in caplog.text
    for block in blocks(performed(1)[THIGH])[:3]:
        warnings.on_block(uuid4(), "squat", THIGH, IMU, block)
    assert warnings.current() == []
