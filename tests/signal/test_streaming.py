"""The live counter: near the offline count, whatever the blocks, and never upset by bad samples."""

from __future__ import annotations

import numpy as np
import pytest

from rtm_firmware_sim.body import Motion, exercise
from rtm_signal.analysis import analyze
from rtm_signal.catalogue import UnknownExercise
from rtm_signal.recording import Recording, RecordingError
from rtm_signal.streaming import LiveCounter, LiveState

RATE = 50.0


def live(motion: Motion, block: int, calibration: Recording | None = None) -> list[LiveState]:
    sensor = next(iter(motion.recording.sensors.values()))
    assert sensor.gyr is not None
    counter = LiveCounter(motion.exercise, RATE, calibration=calibration)
    return [
        counter.push(sensor.acc[i : i + block], sensor.gyr[i : i + block])
        for i in range(0, len(sensor.t), block)
    ]


@pytest.mark.parametrize("exercise_id", ["biceps_curl", "shoulder_abduction", "knee_extension_seated"])
def test_agrees_with_offline_within_one(exercise_id: str) -> None:
    placement = {"knee_extension_seated": "shank"}.get(exercise_id, "wrist")
    motion = exercise(
        exercise_id, repetitions=10, rate_hz=RATE, seed=2, placements=[placement], context=False
    )
    offline = analyze(motion.recording, exercise_id).repetitions
    states = live(motion, 25)
    assert abs(states[-1].count - offline) <= 1
    assert states[0].count == 0
    assert all(np.isfinite(s.angle_deg) for s in states)
    assert {s.phase for s in states} >= {"rest", "out", "back"}


@pytest.mark.parametrize(("exercise_id", "placement"), [("squat", "thigh"), ("biceps_curl", "forearm")])
def test_walking_and_handling_around_are_left_out(exercise_id: str, placement: str) -> None:
    motion = exercise(exercise_id, repetitions=10, rate_hz=RATE, seed=6, placements=[placement])
    offline = analyze(motion.recording, exercise_id).repetitions
    assert abs(live(motion, 25)[-1].count - offline) <= 1


@pytest.mark.parametrize("placement", ["wrist", "shank"])
def test_a_walk_is_no_exercise(placement: str) -> None:
    walk = exercise("treadmill", repetitions=25, rate_hz=RATE, seed=4, placements=[placement], context=False)
    sensor = walk.recording.sensors[placement]
    assert sensor.gyr is not None
    counter = LiveCounter("generic", RATE)
    counter.push(sensor.acc, sensor.gyr)
    still = np.repeat(sensor.acc[-1:], 10, axis=0)
    for _ in range(50):  # ten seconds of rest
        state = counter.push(still, np.zeros_like(still))
    assert state.count <= 1


def test_of_several_movements_the_one_repeated_best_and_longest_counts() -> None:
    shown = exercise("biceps_curl", repetitions=6, rate_hz=RATE, seed=4, placements=["wrist"], context=False)
    other = exercise(
        "shoulder_abduction", repetitions=3, rate_hz=RATE, seed=4, placements=["wrist"], context=False
    )
    counter = LiveCounter("generic", RATE)
    for motion in (other, shown, shown):
        sensor = motion.recording.sensors["wrist"]
        assert sensor.gyr is not None
        for i in range(0, len(sensor.t), 25):
            counter.push(sensor.acc[i : i + 25], sensor.gyr[i : i + 25])
        for _ in range(16):
            state = counter.push(np.repeat(sensor.acc[-1:], 25, axis=0), np.zeros((25, 3)))
    assert abs(state.count - 12) <= 1


def test_block_size_hardly_matters() -> None:
    motion = exercise("biceps_curl", repetitions=6, rate_hz=RATE, seed=4, placements=["wrist"], context=False)
    counts = [live(motion, block)[-1].count for block in (7, 25, 200)]
    assert max(counts) - min(counts) <= 1
    assert abs(counts[1] - 6) <= 1


def test_calibration_counts_from_the_first_repetition() -> None:
    calibration = exercise(
        "biceps_curl", repetitions=3, rate_hz=RATE, seed=5, placements=["wrist"], context=False
    )
    motion = exercise("biceps_curl", repetitions=6, rate_hz=RATE, seed=5, placements=["wrist"], context=False)
    assert abs(live(motion, 25, calibration.recording)[-1].count - 6) <= 1


def test_bad_samples_do_no_harm() -> None:
    counter = LiveCounter("generic", RATE)
    still = np.tile([0.0, 0.0, 9.81], (25, 1))
    counter.push(still, np.zeros((25, 3)))
    state = counter.push(np.full((25, 3), np.nan), np.zeros((25, 3)))
    assert state.count == 0
    holed = still.copy()
    holed[3:9] = np.nan
    assert np.isfinite(counter.push(holed, np.zeros((25, 3))).angle_deg)
    assert counter.push(np.zeros((0, 3)), np.zeros((0, 3))).count == 0
    with pytest.raises(RecordingError):
        counter.push(still, np.zeros((24, 3)))


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), 1e9])
def test_impossible_rate(rate: float) -> None:
    with pytest.raises(RecordingError):
        LiveCounter("generic", rate)


def test_unknown_exercise() -> None:
    with pytest.raises(UnknownExercise):
        LiveCounter("sqat", RATE)
