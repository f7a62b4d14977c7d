"""The catalogue: the fixed ids, complete entries, and help for a wrong id."""

from __future__ import annotations

import pytest

from rtm_signal import catalogue
from rtm_signal.catalogue import EXERCISES, GENERIC, UnknownExercise, get

FIXED = (
    "shoulder_abduction",
    "shoulder_forward_elevation",
    "shoulder_internal_rotation",
    "shoulder_external_rotation",
    "pendulum",
    "trapezius_extension",
    "upright_row",
    "biceps_curl",
    "shoulder_press",
    "bent_over_row",
    "squat",
    "forward_lunge",
    "side_lunge",
    "bridge",
    "heel_slide",
    "straight_leg_raise",
    "sit_to_stand",
    "knee_to_chest",
    "cycle_ergometer",
    "treadmill",
)


@pytest.mark.parametrize("exercise_id", FIXED)
def test_fixed_ids_hold(exercise_id: str) -> None:
    assert get(exercise_id).id == exercise_id


def test_forty_entries_over_all_joints() -> None:
    assert len(EXERCISES) >= 40
    joints = {entry.joint for entry in EXERCISES.values()}
    assert joints >= {"shoulder", "elbow", "wrist", "hip", "knee", "ankle", "trunk"}
    assert {entry.type for entry in EXERCISES.values()} == {"isotonic", "isometric", "isokinetic", "stretch"}
    assert {e.parameter for e in EXERCISES.values()} == {
        "strength",
        "endurance",
        "range_of_motion",
        "flexibility",
    }
    assert "97530" in {entry.code for entry in EXERCISES.values()}


@pytest.mark.parametrize("entry", EXERCISES.values(), ids=lambda entry: entry.id)
def test_every_entry_is_complete(entry: catalogue.Exercise) -> None:
    low, high = entry.normal_rom_deg
    shortest, longest = entry.tempo_s
    assert low < high
    assert 0 < shortest < longest
    assert 0 < entry.amplitude_deg <= 180
    assert len(set(entry.placements)) == len(entry.placements) >= 2
    assert entry.sources
    assert entry.normal_rom_source
    assert entry.muscles
    assert entry.name[0].isupper()
    assert entry.cue.endswith(".")
    assert entry.cue.count(".") == 1, "one sentence"


def test_wrong_id_names_the_nearest() -> None:
    with pytest.raises(UnknownExercise, match="squat"):
        get("sqaut")
    with pytest.raises(UnknownExercise, match="rtm exercises"):
        get("zzzzzz")


def test_generic_is_no_entry_of_the_list() -> None:
    assert get("generic") is GENERIC
    assert "generic" not in EXERCISES
