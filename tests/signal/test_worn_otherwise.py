"""Sensors swapped or turned over since the calibration are told among walking, too."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rtm_firmware_sim.body import Motion, exercise
from rtm_signal.analysis import analyze
from rtm_signal.recording import Recording, SensorRecording
from rtm_signal.result import Analysis


@cache
def performed(name: str) -> Motion:
    return exercise(name, repetitions=8, rate_hz=50.0, seed=0)


def calibration(motion: Motion) -> Recording:
    """The first three repetitions of the same recording."""
    start, end = motion.repetitions[0].start_s - 1.5, motion.repetitions[3].start_s
    return Recording({name: cut(sensor, start, end) for name, sensor in motion.recording.sensors.items()})


def cut(sensor: SensorRecording, start_s: float, end_s: float) -> SensorRecording:
    assert sensor.gyr is not None
    kept = (sensor.t >= start_s) & (sensor.t <= end_s)
    return SensorRecording(sensor.t[kept], sensor.acc[kept], sensor.gyr[kept])


def swapped(motion: Motion) -> Recording:
    (first, one), (second, other) = motion.recording.sensors.items()
    return Recording({first: other, second: one})


def turned(motion: Motion, name: str) -> Recording:
    """One sensor turned by half a turn about its limb's long axis."""
    sensor = motion.recording.sensors[name]
    assert sensor.gyr is not None
    turn = Rotation.from_rotvec(np.pi * motion.mounting[name].T @ [0.0, 0.0, 1.0])
    worn = replace(sensor, acc=turn.apply(sensor.acc), gyr=turn.apply(sensor.gyr))
    return Recording({**motion.recording.sensors, name: worn})


def asked(recording: Recording, motion: Motion) -> Analysis:
    return analyze(recording, motion.exercise, calibration=calibration(motion), calibration_repetitions=3)


@pytest.mark.parametrize(
    ("name", "worn"), [("biceps_curl", "swapped"), ("squat", "shank"), ("sit_to_stand", "thigh")]
)
def test_sensors_worn_otherwise_among_walking_give_no_angle(name: str, worn: str) -> None:
    motion = performed(name)
    result = asked(swapped(motion) if worn == "swapped" else turned(motion, worn), motion)
    assert result.rom_deg.median is None
    assert any("as in the calibration" in w.why or "since the calibration" in w.why for w in result.withheld)


@pytest.mark.parametrize("name", ["biceps_curl", "squat", "sit_to_stand"])
def test_sensors_worn_alike_are_not_accused(name: str) -> None:
    motion = performed(name)
    result = asked(motion.recording, motion)
    assert result.rom_deg.median is not None
    assert not any("calibration" in w.why for w in result.withheld)


@pytest.mark.parametrize(
    "name", ["shoulder_abduction", "ankle_pumps", "forward_lunge", "wrist_extension_curl"]
)
def test_a_calibration_that_shows_walking_too_accuses_nobody(name: str) -> None:
    """Where one segment rests in the exercise, what both do while walking says nothing of how they are worn."""
    motion = performed(name)
    known = exercise(name, repetitions=3, rate_hz=50.0, seed=7)
    worn = {}
    for place, sensor in known.recording.sensors.items():
        turn = known.mounting[place].T @ motion.mounting[place]
        assert sensor.gyr is not None
        worn[place] = SensorRecording(sensor.t, sensor.acc @ turn, sensor.gyr @ turn)
    result = analyze(motion.recording, name, calibration=Recording(worn), calibration_repetitions=3)
    assert not any("as in the calibration" in w.why for w in result.withheld)
