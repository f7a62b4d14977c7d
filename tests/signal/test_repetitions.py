"""Counting on the body model, whose truth is known, and the properties that hold whatever the movement."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rtm_firmware_sim.body import Motion, exercise
from rtm_firmware_sim.performance import Effort
from rtm_signal.analysis import analyze
from rtm_signal.recording import Recording, SensorRecording
from rtm_signal.repetitions_period import candidate_periods
from rtm_signal.repetitions_tiling import PHASES, bank, cycles, tile
from rtm_signal.result import Repetition
from rtm_signal.smoothness import sparc

FEW = settings(
    max_examples=6,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


def curls(**effort: float) -> Motion:
    return exercise(
        "biceps_curl",
        repetitions=8,
        rate_hz=50.0,
        seed=3,
        placements=["forearm"],
        effort=Effort(**effort),  # type: ignore[arg-type]  # all of these are numbers
    )


@pytest.fixture(scope="module")
def motion() -> Motion:
    return curls()


@pytest.fixture(scope="module")
def plain(motion: Motion) -> list[Repetition]:
    return all_repetitions(motion.recording)


def changed(
    recording: Recording, turn: Rotation | None = None, shift_s: float = 0.0, bias: float = 0.0
) -> Recording:
    sensors = {}
    for name, s in recording.sensors.items():
        assert s.gyr is not None
        acc, gyr = (s.acc, s.gyr) if turn is None else (turn.apply(s.acc), turn.apply(s.gyr))
        sensors[name] = SensorRecording(s.t + shift_s, acc, gyr + bias)
    return Recording(sensors)


def all_repetitions(recording: Recording, exercise_id: str = "biceps_curl") -> list[Repetition]:
    return [r for s in analyze(recording, exercise_id).sets for r in s.repetitions]


def test_counts_between_walking_and_handling(motion: Motion) -> None:
    assert len(all_repetitions(motion.recording)) == len(motion.repetitions) == 8


@pytest.mark.parametrize("exercise_id", ["squat", "shoulder_abduction", "heel_slide", "clamshell"])
def test_counts_exactly(exercise_id: str) -> None:
    done = exercise(exercise_id, repetitions=10, rate_hz=50.0, seed=0)
    result = analyze(done.recording, exercise_id)
    assert result.repetitions == 10
    low, high = result.repetitions_range
    assert low <= 10 <= high


@pytest.mark.parametrize("hold_s", [0.0, 2.0])
def test_phases_are_near_the_truth(hold_s: float) -> None:
    done = curls(hold_s=hold_s)
    mine = all_repetitions(done.recording)
    assert len(mine) == len(done.repetitions)
    error = np.abs(
        [
            [a.start_s - b.start_s, a.peak_s - b.peak_s, a.end_s - b.end_s, (a.hold_s or 0) - b.hold_s]
            for a, b in zip(mine, done.repetitions, strict=True)
        ]
    )
    assert (np.median(error, axis=0) < [0.15, 0.15, 0.15, 0.2]).all()


def test_phases_follow_each_other(motion: Motion) -> None:
    ends = 0.0
    for one in all_repetitions(motion.recording):
        assert ends <= one.start_s <= one.peak_s <= one.end_s
        assert one.concentric_s is not None
        assert one.eccentric_s is not None
        assert one.hold_s is not None
        assert one.concentric_s + one.hold_s + one.eccentric_s <= one.end_s - one.start_s + 0.1
        ends = one.end_s


@FEW
@given(angles=st.tuples(*[st.floats(-3.0, 3.0)] * 3))
def test_mounting_does_not_matter(
    motion: Motion, plain: list[Repetition], angles: tuple[float, float, float]
) -> None:
    turned = all_repetitions(changed(motion.recording, turn=Rotation.from_rotvec(angles)))
    assert len(turned) == len(plain)
    assert [r.rom_deg for r in turned] == pytest.approx([r.rom_deg for r in plain], abs=1.0)


@FEW
@given(shift_s=st.floats(-1e5, 1e5))
def test_clock_does_not_matter(motion: Motion, plain: list[Repetition], shift_s: float) -> None:
    shifted = all_repetitions(changed(motion.recording, shift_s=shift_s))
    assert [r.start_s - shift_s for r in shifted] == pytest.approx([r.start_s for r in plain], abs=0.1)


@FEW
@given(bias=st.floats(-0.02, 0.02))
def test_gyroscope_bias_does_not_matter(motion: Motion, plain: list[Repetition], bias: float) -> None:
    biased = all_repetitions(changed(motion.recording, bias=bias))
    assert len(biased) == len(plain)
    assert np.median([r.rom_deg or 0 for r in biased]) == pytest.approx(
        np.median([r.rom_deg or 0 for r in plain]), abs=2.0
    )


def test_stillness_and_noise_are_no_repetitions() -> None:
    rng = np.random.default_rng(0)
    t = np.arange(3000) / 50.0
    acc = np.array([0.0, 0.0, 9.81]) + rng.normal(scale=0.05, size=(3000, 3))
    still = Recording({"wrist": SensorRecording(t, acc, rng.normal(scale=0.005, size=(3000, 3)))})
    for trimmed in (False, True):
        result = analyze(still, "generic", trimmed=trimmed)
        assert result.repetitions == 0
        assert result.sets == ()
        assert result.repetitions_range == (0, 0)


def bumps(count: int, length: int, rest: int) -> NDArray[np.float64]:
    one = np.concatenate([(1 - np.cos(2 * np.pi * np.arange(length) / length)) / 2, np.zeros(rest)])
    signal = np.concatenate([np.zeros(rest), np.tile(one, count)])
    return np.column_stack([signal, np.gradient(signal)])


def test_period_of_a_known_signal() -> None:
    periods = candidate_periods(bumps(10, 40, 10), rate_hz=25.0)
    assert np.abs(periods - 2.0).min() < 0.05


@given(count=st.integers(1, 12), length=st.integers(12, 22))
@settings(max_examples=20, deadline=None)
def test_tiling_finds_every_bump_whatever_its_length(count: int, length: int) -> None:
    signal = bumps(count, length, PHASES // 2)
    template = cycles(bumps(1, PHASES, 1)[1:], np.array([0]), np.array([PHASES]))[0]
    moving = np.convolve(np.abs(signal[:, 1]), np.ones(3), "same") > 1e-6
    edges = tile(bank(signal, moving), template)
    assert len(edges) == count
    assert (np.diff(edges.ravel()) >= 0).all()


def test_smoothness_prefers_one_movement() -> None:
    t = np.linspace(0, 1, 100)
    smooth = 30 * t**2 * (1 - t) ** 2
    jerky = smooth * (1 + 0.5 * np.sin(40 * t))
    a, b = sparc(smooth, 100.0), sparc(jerky, 100.0)
    assert a is not None
    assert b is not None
    assert -2.0 < a < -1.3, "a minimum-jerk movement (Balasubramanian 2015)"
    assert b < a
    assert sparc(3 * smooth, 100.0) == pytest.approx(a)
    assert sparc(np.zeros(100), 100.0) is None
    assert sparc(smooth[:4], 100.0) is None
