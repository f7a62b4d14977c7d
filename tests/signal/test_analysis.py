"""The analysis: its document, which sensors it takes, and what it withholds."""

from __future__ import annotations

import json

import numpy as np
import pytest

from rtm_firmware_sim.body import exercise
from rtm_signal.analysis import analyze, to_json
from rtm_signal.catalogue import UnknownExercise
from rtm_signal.recording import Recording, RecordingError, SensorRecording


@pytest.fixture(scope="module")
def squats() -> Recording:
    return exercise("squat", repetitions=6, rate_hz=50.0, seed=1).recording


@pytest.fixture(scope="module")
def curls() -> Recording:
    return exercise("biceps_curl", repetitions=6, rate_hz=50.0, seed=1, placements=["wrist"]).recording


def part(recording: Recording, low: float, high: float) -> Recording:
    out = {}
    for name, s in recording.sensors.items():
        assert s.gyr is not None
        keep = (s.t >= low) & (s.t < high)
        out[name] = SensorRecording(s.t[keep], s.acc[keep], s.gyr[keep])
    return Recording(out)


def test_document_has_the_keys_of_the_contract(squats: Recording) -> None:
    document = json.loads(json.dumps(to_json(analyze(squats, "squat")), allow_nan=False))
    assert list(document) == [
        "exercise",
        "duration_s",
        "repetitions",
        "repetitions_range",
        "angle",
        "sets",
        "rom_deg",
        "withheld",
        "pipeline_version",
    ]
    assert document["angle"] == {"name": "knee_flexion", "of": ["thigh", "shank"]}
    assert document["repetitions"] == sum(len(s["repetitions"]) for s in document["sets"])
    repetition = document["sets"][0]["repetitions"][0]
    assert set(repetition) == {
        "start_s",
        "peak_s",
        "end_s",
        "rom_deg",
        "concentric_s",
        "eccentric_s",
        "hold_s",
        "quality",
    }
    assert set(repetition["quality"]) == {"regularity", "smoothness", "amplitude_ratio", "flags"}
    assert set(document["rom_deg"]) == {"median", "max", "uncertainty"}


def test_two_sensors_of_generic_are_a_joint(squats: Recording) -> None:
    result = analyze(squats, "generic")
    assert result.angle is not None
    assert result.angle.name == "joint"
    assert result.angle.of == ("thigh", "shank")


def test_entry_takes_its_pair_from_more_sensors() -> None:
    worn = exercise(
        "squat", repetitions=6, rate_hz=50.0, seed=1, placements=["trunk", "pelvis", "shank", "thigh"]
    )
    result = analyze(worn.recording, "squat")
    assert result.angle is not None
    assert result.angle.of == ("thigh", "shank")
    assert result.repetitions == 6


def test_one_sensor_gives_an_inclination_by_name(curls: Recording) -> None:
    result = analyze(curls, "biceps_curl")
    assert result.angle is not None
    assert result.angle.name == "inclination"
    assert result.repetitions == 6
    assert result.rom_deg.median is not None


def test_sensor_that_does_not_fit_counts_but_withholds(curls: Recording) -> None:
    result = analyze(curls, "squat")
    assert result.repetitions == 6
    assert result.rom_deg.median is None
    assert all(r.rom_deg is None for s in result.sets for r in s.repetitions)
    assert any("wrist" in w.why for w in result.withheld)


@pytest.mark.parametrize("exercise_id", ["shoulder_external_rotation", "shoulder_internal_rotation"])
def test_turning_about_the_vertical_is_withheld(exercise_id: str) -> None:
    done = exercise(exercise_id, repetitions=6, rate_hz=50.0, seed=1, placements=["wrist"])
    result = analyze(done.recording, exercise_id)
    assert result.repetitions == 6
    assert result.rom_deg.median is None
    assert any("vertical" in w.why for w in result.withheld)
    assert result.angle_series is not None
    assert not result.angle_series.valid.any()


def test_without_gyroscope_only_the_count(curls: Recording) -> None:
    s = curls.sensors["wrist"]
    result = analyze(Recording({"wrist": SensorRecording(s.t, s.acc)}), "biceps_curl")
    assert result.rom_deg.median is None
    assert any("gyroscope" in w.why for w in result.withheld)
    assert abs(result.repetitions - 6) <= 1


def test_gap_withholds_the_repetition_it_hits(curls: Recording) -> None:
    whole = analyze(curls, "biceps_curl")
    hit = whole.sets[0].repetitions[2]
    s = curls.sensors["wrist"]
    assert s.gyr is not None
    keep = (s.t < hit.peak_s - 0.4) | (s.t > hit.peak_s + 0.4)
    result = analyze(
        Recording({"wrist": SensorRecording(s.t[keep], s.acc[keep], s.gyr[keep])}), "biceps_curl"
    )
    across = [r for one in result.sets for r in one.repetitions if r.start_s < hit.peak_s < r.end_s]
    assert across
    assert across[0].rom_deg is None
    assert "gap" in across[0].quality.flags
    assert any(w.from_s is not None for w in result.withheld)


def test_a_clip_of_one_repetition_counts_one(curls: Recording) -> None:
    one = analyze(curls, "biceps_curl").sets[0].repetitions[1]
    clip = part(curls, one.start_s, one.end_s)
    assert analyze(clip, "generic", trimmed=True).repetitions == 1
    other = analyze(curls, "biceps_curl").sets[0].repetitions[3]
    calibration = part(curls, other.start_s, other.end_s)
    assert analyze(clip, "generic", calibration=calibration, calibration_repetitions=1).repetitions == 1


def test_calibration_at_another_speed_does_not_change_the_count(curls: Recording) -> None:
    reps = analyze(curls, "biceps_curl").sets[0].repetitions
    s = part(curls, reps[0].start_s, reps[2].end_s).sensors["wrist"]
    assert s.gyr is not None
    slow = Recording({"wrist": SensorRecording(1.6 * s.t, s.acc, s.gyr / 1.6)})
    for nominal in (3, 4):
        result = analyze(curls, "biceps_curl", calibration=slow, calibration_repetitions=nominal)
        assert result.repetitions == 6


def test_one_second_and_no_rest(curls: Recording) -> None:
    start = analyze(curls, "biceps_curl").sets[0].start_s
    assert analyze(part(curls, start, start + 1.0), "generic").duration_s == pytest.approx(1.0, abs=0.05)


def test_unknown_exercise(curls: Recording) -> None:
    with pytest.raises(UnknownExercise):
        analyze(curls, "no_such_thing")


@pytest.mark.parametrize("samples", [0, 1])
def test_too_little_is_an_error(samples: int) -> None:
    t = np.arange(samples) / 50.0
    with pytest.raises(RecordingError):
        analyze(
            Recording({"wrist": SensorRecording(t, np.ones((samples, 3)), np.ones((samples, 3)))}), "generic"
        )
    with pytest.raises(RecordingError):
        analyze(Recording({}), "generic")


@pytest.mark.parametrize("trimmed", [False, True])
@pytest.mark.parametrize("value", [0.0, 1.0, 9.81])
def test_constant_input_counts_nothing(value: float, trimmed: bool) -> None:
    t = np.arange(500) / 50.0
    constant = Recording({"wrist": SensorRecording(t, np.full((500, 3), value), np.zeros((500, 3)))})
    assert analyze(constant, "generic", trimmed=trimmed).repetitions == 0


def test_values_that_are_no_numbers_are_bridged_not_believed(curls: Recording) -> None:
    s = curls.sensors["wrist"]
    assert s.gyr is not None
    acc, gyr = s.acc.copy(), s.gyr.copy()
    acc[1000:1040], gyr[1500] = np.nan, np.inf
    result = analyze(Recording({"wrist": SensorRecording(s.t, acc, gyr)}), "biceps_curl")
    json.dumps(to_json(result), allow_nan=False)
    assert result.angle_series is not None
    assert not result.angle_series.valid.all()
    assert abs(result.repetitions - 6) <= 1


@pytest.mark.parametrize(("acc", "gyr", "unit"), [(1 / 9.81, 1.0, "in g"), (1.0, 180 / np.pi, "deg/s")])
def test_wrong_units_are_named_and_withheld(curls: Recording, acc: float, gyr: float, unit: str) -> None:
    s = curls.sensors["wrist"]
    assert s.gyr is not None
    result = analyze(Recording({"wrist": SensorRecording(s.t, acc * s.acc, gyr * s.gyr)}), "biceps_curl")
    assert result.rom_deg.median is None
    assert any(unit in w.why for w in result.withheld)
    assert abs(result.repetitions - 6) <= 1


def test_sensors_that_measured_at_different_times_are_no_pair(squats: Recording) -> None:
    late = squats.sensors["shank"]
    apart = Recording({**squats.sensors, "shank": SensorRecording(late.t + 1000.0, late.acc, late.gyr)})
    with pytest.raises(RecordingError, match="same time"):
        analyze(apart, "squat")


def test_one_sensor_named_twice_is_no_joint(squats: Recording) -> None:
    thigh = squats.sensors["thigh"]
    result = analyze(Recording({"thigh": thigh, "shank": thigh}), "squat")
    assert result.rom_deg.median is None
    assert any("very same samples" in w.why for w in result.withheld)


@pytest.mark.parametrize("most", [0.5, 1.0])
def test_a_gyroscope_at_a_small_full_scale_is_flagged(squats: Recording, most: float) -> None:
    sensors = {}
    for name, s in squats.sensors.items():
        assert s.gyr is not None
        sensors[name] = SensorRecording(s.t, s.acc, np.clip(s.gyr, -most, most))
    result = analyze(Recording(sensors), "squat")
    assert any("full scale" in w.why for w in result.withheld)
