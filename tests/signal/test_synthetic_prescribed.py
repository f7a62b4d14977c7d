"""Prescribed exercises of the simulated body among walking and handling; walking told from an exercise."""

from __future__ import annotations

import numpy as np
import pytest

from rtm_firmware_sim.body import exercise
from rtm_firmware_sim.performance import Effort
from rtm_signal.analysis import analyze
from rtm_signal.catalogue import get
from rtm_signal.recording import Recording
from rtm_signal.repetitions_prescribed import prior_of
from rtm_signal.repetitions_tiling import PHASES, bank, cycles
from rtm_signal.self_similarity import walking

RATE_HZ = 50.0


@pytest.mark.parametrize(
    ("name", "placement", "count"),
    [("squat", "thigh", 5), ("bridge", "thigh", 10), ("shoulder_abduction", "upper_arm", 10)],
)
def test_one_sensor_counts_the_exercise_and_not_what_surrounds_it(
    name: str, placement: str, count: int
) -> None:
    motion = exercise(name, repetitions=count, rate_hz=RATE_HZ, seed=0, placements=(placement,))
    result = analyze(motion.recording, name)
    assert result.repetitions == count
    mine = [r for s in result.sets for r in s.repetitions]
    for true, found in zip(motion.repetitions, mine, strict=True):
        both = min(true.end_s, found.end_s) - max(true.start_s, found.start_s)
        assert both > 0.5 * (max(true.end_s, found.end_s) - min(true.start_s, found.start_s))


def test_range_of_motion_does_not_depend_on_what_was_done_before() -> None:
    effort = Effort(amplitude_deg=80.0, variation=0.0, fatigue=0.0, pauses=0.0)
    for context in (True, False):
        motion = exercise(
            "shoulder_abduction",
            repetitions=6,
            rate_hz=RATE_HZ,
            seed=3,
            placements=("upper_arm",),
            effort=effort,
            context=context,
        )
        assert analyze(motion.recording, "shoulder_abduction").rom_deg.median == pytest.approx(80.0, abs=5.0)


def test_strides_are_walking_and_slow_raises_are_not() -> None:
    t = np.arange(0.0, 40.0, 1 / RATE_HZ)
    stride = np.column_stack([np.sin(2 * np.pi * t / 1.1), np.cos(2 * np.pi * t / 1.1)])
    slow = np.column_stack([np.sin(2 * np.pi * t / 5.0), np.cos(2 * np.pi * t / 5.0)])
    assert walking(stride, RATE_HZ).mean() > 0.9
    assert not walking(slow, RATE_HZ).any()


def test_a_calibration_that_shows_only_walking_is_not_used() -> None:
    motion = exercise("squat", repetitions=8, rate_hz=RATE_HZ, seed=1, placements=("thigh",))
    walk = exercise("treadmill", repetitions=20, rate_hz=RATE_HZ, seed=1, placements=("thigh",))
    recording = Recording({"thigh": motion.recording.sensors["thigh"]})
    known = analyze(
        recording, "squat", calibration=Recording(walk.recording.sensors), calibration_repetitions=3
    )
    assert abs(known.repetitions - 8) <= 1


def test_generic_has_no_prior_and_a_hold_lasts_as_long_as_the_catalogue_says() -> None:
    assert prior_of(get("generic")) is None
    held = prior_of(get("hamstring_stretch"))
    assert held is not None
    assert held.held
    assert held.longest_s > get("hamstring_stretch").tempo_s[1]


def test_stretches_compared_in_place_are_those_written_out() -> None:
    rng = np.random.default_rng(0)
    signal = np.cumsum(rng.normal(size=(120, 4)), axis=0)
    stretches = bank(signal, np.ones(120, dtype=bool))
    for start, which in ((0, 0), (7, 3), (60, 22), (95, 8)):
        length = round(0.5 * PHASES) + which
        shape = cycles(signal, np.array([start]), np.array([length]))[0]
        assert 1 / stretches.per_energy[start, which] == pytest.approx(float((shape**2).sum()), rel=1e-3)
