"""A recording of nothing but walking holds no repetitions of an exercise that nobody named."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_firmware_sim.body import exercise
from rtm_firmware_sim.performance import Effort
from rtm_signal.analysis import WALKING, analyze
from rtm_signal.features import Motion
from rtm_signal.gait import walks
from rtm_signal.movement import FoundSet, Movement
from rtm_signal.recording import Recording
from rtm_signal.repetitions_tiling import PHASES

RATE_HZ = 25.0


def walk(placement: str, stride_s: float = 1.1) -> Recording:
    return exercise(
        "treadmill",
        repetitions=25,
        rate_hz=50.0,
        seed=4,
        placements=(placement,),
        effort=Effort(tempo_s=stride_s),
    ).recording


def lifted(hz: float, strength: float = 1.5) -> Motion:
    """40 s in which the sensor rises and falls so often a second."""
    t = np.arange(0.0, 40.0, 1 / RATE_HZ)
    nothing = np.zeros((len(t), 4))
    lift = strength * np.sin(2 * np.pi * hz * t)[:, None]
    return Motion(t, RATE_HZ, nothing, nothing[:, :3], nothing[:, 0], lift)


def set_of(period_s: float) -> FoundSet:
    start = np.arange(1.0, 38.0, period_s)
    movement = Movement(np.zeros((PHASES, 7)), (1.0, 1.0), period_s, len(start))
    return FoundSet(start, start + period_s, movement, fit=1.0, likeness=0.0, cycles=float(len(start)))


@pytest.mark.parametrize("placement", ["wrist", "thigh", "shank", "foot", "trunk"])
def test_walking_is_no_exercise_and_says_so(placement: str) -> None:
    result = analyze(walk(placement), "generic")
    assert result.repetitions == 0
    assert result.repetitions_range == (0, 0)
    if placement != "trunk":  # whose turning is no movement at all
        assert [w.why for w in result.withheld if w.what == "repetitions"] == [WALKING]


def test_where_walking_is_the_exercise_its_strides_count() -> None:
    result = analyze(walk("thigh"), "treadmill")
    assert abs(result.repetitions - 25) <= 2
    assert not [w for w in result.withheld if w.what == "repetitions"]


def test_a_quick_exercise_at_the_pace_of_strides_is_no_walking() -> None:
    curls = exercise(
        "biceps_curl",
        repetitions=20,
        rate_hz=50.0,
        seed=2,
        placements=("forearm",),
        effort=Effort(tempo_s=1.1, hold_s=0.0, rest_s=0.0, pauses=0.0),
        context=False,
    )
    assert abs(analyze(curls.recording, "generic").repetitions - 20) <= 1


@given(stride_s=st.floats(0.9, 1.7))
@settings(max_examples=20, deadline=None)
def test_two_bounces_a_stride_are_walking_and_one_is_not(stride_s: float) -> None:
    assert walks(set_of(stride_s), lifted(2 / stride_s))
    assert walks(set_of(2 * stride_s), lifted(2 / stride_s))
    assert not walks(set_of(stride_s), lifted(1 / stride_s))


def test_no_bounce_or_none_known_is_no_walking() -> None:
    assert not walks(set_of(1.1), lifted(2 / 1.1, strength=0.1))
    motion = lifted(2 / 1.1)
    unknown = Motion(motion.t, motion.rate_hz, motion.posture, motion.rate, motion.speed)
    assert not walks(set_of(1.1), unknown)
    assert not walks(set_of(6.0), motion)


def swung(stride_s: float, skew: float) -> Motion:
    """A leg below the knee: half of the bounce hidden by its own rise, its turning rate skewed or not."""
    motion = lifted(2 / stride_s, strength=3.0)
    assert motion.lift is not None
    phase = 2 * np.pi * motion.t / stride_s
    rate = np.zeros((len(motion.t), 3))
    rate[:, 1] = np.cos(phase) + skew * np.cos(2 * phase)
    return replace(motion, rate=rate, lift=motion.lift + 1.8 * np.sin(phase)[:, None])


@given(stride_s=st.floats(0.9, 1.7))
@settings(max_examples=20, deadline=None)
def test_below_the_knee_the_skewed_swing_tells_walking_from_an_exercise(stride_s: float) -> None:
    assert walks(set_of(stride_s), swung(stride_s, skew=0.7))
    assert not walks(set_of(stride_s), swung(stride_s, skew=0.1))


def test_whose_swing_it_is_nobody_says_beside_a_sensor_without_a_gyroscope() -> None:
    one = swung(1.1, skew=0.7)
    assert walks(set_of(1.1), one)
    assert not walks(set_of(1.1), replace(one, rate=np.column_stack([one.rate, one.rate])))
