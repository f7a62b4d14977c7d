"""A clip of one repetition, cut in mid-movement, beside a calibration of one: it is one, whatever its tempo."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_signal.analysis import analyze
from rtm_signal.recording import Recording, SensorRecording

RATE_HZ = 100.0
GRAVITY = 9.81


def swing(seconds: float, *, still_s: float = 0.0, seed: int = 0) -> Recording:
    """A thigh that turns by a radian to one side and does not come back, at its own pace, after a rest."""
    rng = np.random.default_rng(seed)
    t = np.arange(0.0, still_s + seconds, 1 / RATE_HZ)
    share = np.clip((t - still_s) / seconds, 0.0, 1.0)
    angle = share + 0.05 * np.sin(2 * np.pi * share)
    rate = np.gradient(angle, t)
    nothing = np.zeros(len(t))
    acc = GRAVITY * np.column_stack([-np.sin(angle), nothing, np.cos(angle)])
    gyr = np.column_stack([nothing, rate, nothing])
    noise = rng.normal(scale=0.02, size=(2, len(t), 3))
    return Recording({"thigh": SensorRecording(t, acc + noise[0], gyr + noise[1])})


def counted(recording: Recording, calibration: Recording | None) -> int:
    known = None if calibration is None else 1
    return analyze(recording, "generic", calibration=calibration, calibration_repetitions=known).repetitions


@given(seconds=st.floats(0.3, 1.2), ratio=st.floats(0.7, 2.2))
@settings(max_examples=15, deadline=None)
def test_a_clip_of_one_movement_is_one_repetition_whatever_its_tempo(seconds: float, ratio: float) -> None:
    assert counted(swing(seconds, seed=1), swing(ratio * seconds)) == 1


@pytest.mark.parametrize("calibration", [None, swing(4.0)])
def test_without_a_calibration_as_long_nothing_says_that_it_is_one(calibration: Recording | None) -> None:
    assert counted(swing(0.6), calibration) == 0
