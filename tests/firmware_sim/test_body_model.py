"""The body model: its truth, its physics, its repeatability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_firmware_sim.body import exercise
from rtm_firmware_sim.errors import SimulatorError
from rtm_firmware_sim.history import course, session
from rtm_firmware_sim.imu import IDEAL, Channel, Imu, corrupt
from rtm_firmware_sim.performance import Effort
from rtm_firmware_sim.skeleton import GRAVITY, conjugate, log, multiply, rotate
from rtm_signal.catalogue import EXERCISES

IDS = tuple(EXERCISES)
FEW = ("squat", "shoulder_abduction", "heel_slide", "sit_to_stand", "bridge", "treadmill", "pendulum")


@pytest.mark.parametrize("exercise_id", IDS)
def test_every_exercise_of_the_catalogue_has_its_repetitions(exercise_id: str) -> None:
    motion = exercise(exercise_id, repetitions=3, rate_hz=50.0, seed=4, context=False)
    assert len(motion.repetitions) == 3
    assert tuple(motion.recording.sensors) == EXERCISES[exercise_id].joint_placements
    ends = [0.0]
    for repetition in motion.repetitions:
        assert ends[-1] <= repetition.start_s < repetition.peak_s < repetition.end_s
        ends.append(repetition.end_s)
        inside = (motion.t >= repetition.start_s) & (motion.t <= repetition.end_s)
        assert np.ptp(motion.angle_deg[inside]) == pytest.approx(repetition.rom_deg, rel=0.06, abs=0.5)
    for sensor in motion.recording.sensors.values():
        assert sensor.gyr is not None
        assert np.isfinite(sensor.acc).all()
        assert np.isfinite(sensor.gyr).all()


@given(st.sampled_from(FEW), st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_integrating_the_gyroscope_gives_the_orientation(exercise_id: str, seed: int) -> None:
    motion = exercise(exercise_id, repetitions=2, rate_hz=200.0, seed=seed, imu=IDEAL)
    for felt in motion.felt.values():
        # Simpson over pairs of samples: rotation from k to k + 2 from the rates at k, k + 1, k + 2.
        dt = 1.0 / 200.0
        turned = log(multiply(conjugate(felt.orientation[:-2]), felt.orientation[2:]))
        integrated = (felt.gyr[:-2] + 4.0 * felt.gyr[1:-1] + felt.gyr[2:]) * dt / 3.0
        assert np.abs(turned - integrated).max() < 1e-3


@given(st.sampled_from(FEW), st.integers(0, 2**31))
@settings(max_examples=15, deadline=None)
def test_the_accelerometer_feels_acceleration_minus_gravity(exercise_id: str, seed: int) -> None:
    """Integrated, R acc + g is the change of velocity that the positions show, from the start to every later
    moment."""
    rate = 200.0
    motion = exercise(exercise_id, repetitions=2, rate_hz=rate, seed=seed, imu=IDEAL)
    for felt in motion.felt.values():
        acceleration = (rotate(felt.orientation, felt.acc) + GRAVITY)[1:-1]
        steps = (acceleration[1:] + acceleration[:-1]) / (2.0 * rate)
        velocity = (felt.position[2:] - felt.position[:-2]) * rate / 2.0
        assert np.abs(np.cumsum(steps, axis=0) - (velocity[1:] - velocity[0])).max() < 5e-3


def test_at_rest_the_accelerometer_reads_one_g_upward() -> None:
    motion = exercise("squat", repetitions=0, rate_hz=50.0, seed=1, imu=IDEAL, context=False)
    world = rotate(motion.felt["thigh"].orientation, motion.felt["thigh"].acc)
    assert world.mean(axis=0) == pytest.approx([0.0, 0.0, 9.80665], abs=0.05)


@pytest.mark.parametrize(
    "exercise_id", ["squat", "shoulder_abduction", "biceps_curl", "heel_slide", "hip_flexion_standing"]
)
def test_the_relative_orientation_of_the_pair_is_the_joint_angle(exercise_id: str) -> None:
    motion = exercise(exercise_id, repetitions=3, rate_hz=50.0, seed=2, imu=IDEAL, context=False)
    proximal, distal = (felt.orientation for felt in motion.felt.values())
    relative = multiply(conjugate(proximal), distal)
    turn = np.degrees(np.linalg.norm(log(multiply(conjugate(relative[:1]), relative)), axis=1))
    for repetition in motion.repetitions:
        inside = (motion.t >= repetition.start_s) & (motion.t <= repetition.end_s)
        assert np.ptp(turn[inside]) == pytest.approx(repetition.rom_deg, abs=3.0)


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others() -> None:
    def raw(seed: int) -> bytes:
        sensors = exercise("squat", repetitions=3, rate_hz=50.0, seed=seed).recording.sensors.values()
        return b"".join(s.acc.tobytes() + (b"" if s.gyr is None else s.gyr.tobytes()) for s in sensors)

    assert raw(5) == raw(5)
    assert raw(5) != raw(6)


def test_effort_shapes_the_repetitions() -> None:
    tired = exercise(
        "squat", repetitions=12, seed=3, context=False, effort=Effort(fatigue=0.4, variation=0.0, pauses=0.0)
    ).repetitions
    assert tired[-1].rom_deg == pytest.approx(0.6 * tired[0].rom_deg)
    assert tired[-1].end_s - tired[-1].start_s > tired[0].end_s - tired[0].start_s
    partial = exercise("squat", repetitions=40, seed=3, effort=Effort(partial=0.5, fatigue=0.0)).repetitions
    assert 8 < sum(not r.full for r in partial) < 32
    assert max(r.rom_deg for r in partial if not r.full) < 70.0
    sets = exercise("squat", repetitions=9, seed=3, effort=Effort(sets=3, sit_downs=True)).repetitions
    assert [r.set for r in sets] == [0] * 3 + [1] * 3 + [2] * 3


def test_a_session_of_history_has_its_truth_and_gets_better() -> None:
    assert len(session("heel_slide", 12, seed=3, effort=course(10, 45, 3)).repetitions) == 12
    assert course(44, 45, 1).fatigue < course(0, 45, 1).fatigue


@pytest.mark.parametrize(
    ("exercise_id", "options", "words"),
    [
        ("sqat", {}, "squat"),
        ("generic", {}, "catalogue"),
        ("squat", {"placements": ["knee"]}, "knee"),
        ("squat", {"rate_hz": 0.0}, "above 0"),
        ("squat", {"repetitions": -1}, "0 or more"),
    ],
)
def test_what_cannot_be_done_is_one_plain_sentence(
    exercise_id: str, options: dict[str, object], words: str
) -> None:
    with pytest.raises(SimulatorError, match=words) as error:
        exercise(exercise_id, **options)  # type: ignore[arg-type]  # wrong on purpose, or a plain keyword
    assert "\n" not in str(error.value)


def test_the_imu_saturates_and_quantises() -> None:
    rng = np.random.default_rng(0)
    clean = Channel(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, full_scale=8.0, bits=8)
    read = corrupt(np.array([[100.0, -100.0, 0.03]]), clean, 100.0, np.zeros(1), rng)
    assert read.tolist() == [[8.0 * 127 / 128, -8.0, 0.0]]


def test_imu_noise_has_its_density_and_bias() -> None:
    rng = np.random.default_rng(1)
    noisy = Channel(0.0, 0.0, 0.01, 0.0, 0.0, 0.0, full_scale=10.0, bits=0)
    read = corrupt(np.zeros((20000, 3)), noisy, 100.0, np.zeros(20000), rng)
    assert read.std() == pytest.approx(0.01 * np.sqrt(50.0), rel=0.05)
    biased = Channel(0.5, 0.0, 0.0, 0.0, 0.0, 0.0, full_scale=10.0, bits=0)
    assert np.ptp(corrupt(np.zeros((10, 3)), biased, 100.0, np.zeros(10), rng), axis=0).max() == 0.0


def test_an_ideal_imu_is_aligned_with_its_segment() -> None:
    motion = exercise("squat", repetitions=1, rate_hz=50.0, seed=1, imu=IDEAL)
    assert motion.mounting["thigh"].tolist() == np.eye(3).tolist()
    assert motion.recording.sensors["thigh"].acc.tobytes() == motion.felt["thigh"].acc.tobytes()
    assert isinstance(IDEAL, Imu)
