"""An exercise that nobody named, among walking, handling and lying down; and none where there is none."""

from __future__ import annotations

import pytest

from rtm_firmware_sim.body import Motion, exercise
from rtm_signal.analysis import analyze
from rtm_signal.features import motion as features_of
from rtm_signal.orientation import orient
from rtm_signal.repetitions_anywhere import found_anywhere
from rtm_signal.time_grid import to_grid


def session(exercise_id: str, placement: str, *, repetitions: int, seed: int) -> Motion:
    return exercise(exercise_id, repetitions=repetitions, rate_hz=50.0, seed=seed, placements=(placement,))


@pytest.mark.parametrize(
    ("exercise_id", "placement"), [("abdominal_crunch", "trunk"), ("ankle_dorsiflexion_band", "foot")]
)
def test_most_of_a_bout_may_be_other_movement(exercise_id: str, placement: str) -> None:
    motion = session(exercise_id, placement, repetitions=8, seed=31)
    assert abs(analyze(motion.recording, "generic").repetitions - 8) <= 1


@pytest.mark.parametrize(
    ("placement", "seed"), [("forearm", 50), ("thigh", 51), ("shank", 52), ("trunk", 53)]
)
def test_walking_handling_and_lying_down_are_no_exercise(placement: str, seed: int) -> None:
    motion = session("heel_slide", placement, repetitions=0, seed=seed)
    sensor = to_grid(motion.recording).sensors[placement]
    assert found_anywhere(features_of([orient(sensor)])) == []
    assert analyze(motion.recording, "generic").repetitions == 0
