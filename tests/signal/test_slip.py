"""A sensor that slips in the middle: noticed, withheld from then on, and nobody accused who did not."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rtm_firmware_sim.body import Motion, exercise
from rtm_signal.analysis import analyze
from rtm_signal.recording import Recording, SensorRecording


def slipped(motion: Motion, name: str, at_s: float, by_deg: float) -> Recording:
    """Within half a second the sensor turns on its limb, across the movement; its gyroscope sees that, too."""
    sensor, felt = motion.recording.sensors[name], motion.felt[name]
    assert sensor.gyr is not None
    main = np.linalg.eigh(felt.gyr.T @ felt.gyr)[1][:, 2]
    across = np.cross(main, [0.0, 0.0, 1.0])
    axis = motion.mounting[name].T @ (across / np.linalg.norm(across))
    share = np.clip((sensor.t - at_s) / 0.5, 0.0, 1.0)
    back = Rotation.from_rotvec(np.radians(by_deg) * np.outer(share, axis)).inv()
    rate = np.radians(by_deg) * np.gradient(share, sensor.t)[:, None] * axis
    changed = SensorRecording(sensor.t, back.apply(sensor.acc), back.apply(sensor.gyr + rate))
    return Recording({**motion.recording.sensors, name: changed})


@pytest.fixture(scope="module")
def squats() -> Motion:
    return exercise("squat", repetitions=8, rate_hz=50.0, seed=3)


@pytest.fixture(scope="module")
def curls() -> Motion:
    return exercise("biceps_curl", repetitions=8, rate_hz=50.0, seed=3, placements=["wrist"])


@pytest.mark.parametrize("asked", ["squat", "generic"])
@pytest.mark.parametrize("by_deg", [40.0, 70.0])
def test_a_slip_is_told_by_name_and_withheld_from_then_on(squats: Motion, asked: str, by_deg: float) -> None:
    at_s = squats.repetitions[4].start_s
    result = analyze(slipped(squats, "shank", at_s, by_deg), asked)
    told = [w for w in result.withheld if "slipped" in w.why]
    assert len(told) == 1
    assert told[0].why.startswith("shank")
    assert told[0].from_s is not None
    assert abs(told[0].from_s - at_s) < 6.0
    series = result.angle_series
    assert series is not None
    assert not series.valid[series.t > told[0].from_s + 0.1].any()
    assert series.valid[series.t < at_s - 6.0].all()
    assert result.rom_deg.median is not None
    assert result.rom_deg.uncertainty is not None
    true = float(np.median([r.rom_deg for r in squats.repetitions[:4]]))
    assert abs(result.rom_deg.median - true) < 2 * result.rom_deg.uncertainty


def test_one_sensor_tells_it_only_where_the_exercise_is_known(curls: Motion) -> None:
    recording = slipped(curls, "wrist", curls.repetitions[4].start_s, 45.0)
    assert any("wrist: slipped" in w.why for w in analyze(recording, "biceps_curl").withheld)
    # Without that it may as well be another exercise.
    assert not any("slipped" in w.why for w in analyze(recording, "generic").withheld)


@pytest.mark.parametrize("asked", ["squat", "generic"])
def test_whoever_does_not_slip_is_not_accused(squats: Motion, asked: str) -> None:
    for recording in (squats.recording, slipped(squats, "shank", squats.repetitions[4].start_s, 8.0)):
        assert not any("slipped" in w.why for w in analyze(recording, asked).withheld)


@pytest.mark.parametrize(
    "exercise_id", ["shoulder_abduction", "knee_extension_seated", "trunk_flexion_standing"]
)
def test_walking_and_handling_are_no_slip(exercise_id: str) -> None:
    done = exercise(exercise_id, repetitions=6, rate_hz=50.0, seed=5)
    assert not any("slipped" in w.why for w in analyze(done.recording, exercise_id).withheld)
