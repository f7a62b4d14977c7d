"""A movement of five degrees beside the body's sway, and a calibration that shows nothing."""

from __future__ import annotations

import pytest

from rtm_firmware_sim.body import exercise
from rtm_signal.analysis import analyze
from rtm_signal.catalogue import get
from rtm_signal.recording import Recording
from rtm_signal.repetitions_prescribed import prior_of


@pytest.mark.parametrize("seed", [20, 21, 22])
def test_a_quadriceps_set_is_told_from_sway(seed: int) -> None:
    motion = exercise("quad_set", repetitions=8, rate_hz=50.0, seed=seed, placements=("shank",))
    assert abs(analyze(motion.recording, "quad_set").repetitions - 8) <= 1


def test_only_an_exercise_of_a_few_degrees_is_slight() -> None:
    slight, plain = prior_of(get("quad_set")), prior_of(get("squat"))
    assert slight is not None
    assert plain is not None
    assert slight.slight
    assert not plain.slight


def test_a_calibration_in_which_nothing_repeats_says_nothing() -> None:
    motion = exercise("squat", repetitions=6, rate_hz=50.0, seed=3, placements=("thigh",))
    still = motion.recording.sensors["thigh"]
    assert still.gyr is not None
    idle = Recording({"thigh": type(still)(still.t[:200], still.acc[:200], still.gyr[:200])})
    without = analyze(motion.recording, "squat")
    known = analyze(motion.recording, "squat", calibration=idle, calibration_repetitions=3)
    assert known.repetitions == without.repetitions
