"""Orientation: quaternion algebra, the gravity smoother, VQF offline and streaming."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.spatial.transform import Rotation

from rtm_signal import quaternion
from rtm_signal.inclination import inclination
from rtm_signal.orientation import Orientation, StreamingOrientation, orient
from rtm_signal.recording import FloatArray, Recording, RecordingError, SensorRecording
from rtm_signal.time_grid import to_grid

vectors = hnp.arrays(np.float64, (5, 3), elements=st.floats(-3, 3, allow_subnormal=False))


def scipy_of(q: FloatArray) -> Rotation:
    return Rotation.from_quat(q[..., [1, 2, 3, 0]])


@settings(max_examples=50, deadline=None)
@given(a=vectors, b=vectors, v=vectors)
def test_quaternions_agree_with_scipy(a: FloatArray, b: FloatArray, v: FloatArray) -> None:
    qa, qb = quaternion.from_rotation_vector(a), quaternion.from_rotation_vector(b)
    ra, rb = Rotation.from_rotvec(a), Rotation.from_rotvec(b)
    np.testing.assert_allclose(
        quaternion.rotate(quaternion.multiply(qa, qb), v), (ra * rb).apply(v), atol=1e-9
    )
    np.testing.assert_allclose(quaternion.rotate(quaternion.conjugate(qa), v), ra.inv().apply(v), atol=1e-9)
    np.testing.assert_allclose(
        scipy_of(quaternion.from_matrix(ra.as_matrix())).apply(v), ra.apply(v), atol=1e-9
    )
    np.testing.assert_allclose(quaternion.third_column(qa), ra.inv().apply([0, 0, 1]), atol=1e-9)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(1, 50), seed=st.integers(0, 99))
def test_accumulated_steps_are_their_product_in_order(n: int, seed: int) -> None:
    steps = quaternion.from_rotation_vector(np.random.default_rng(seed).normal(size=(n, 3)))
    product = np.array([1.0, 0, 0, 0])
    for step in steps:
        product = quaternion.multiply(product, step)
    np.testing.assert_allclose(np.abs(quaternion.accumulate(steps)[-1] @ product), 1, atol=1e-9)


@settings(max_examples=50, deadline=None)
@given(a=vectors, b=vectors)
def test_aligning_turns_one_vector_into_the_other(a: FloatArray, b: FloatArray) -> None:
    a, b = a + np.array([0, 0, 3.5]), b + np.array([3.5, 0, 0])
    b[0] = -a[0]
    a, b = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (a, b))
    np.testing.assert_allclose(quaternion.rotate(quaternion.aligning(a, b), a), b, atol=1e-6)


def test_twist_is_unwrapped_beyond_half_a_turn() -> None:
    angle = np.linspace(0, 9, 200)
    q = quaternion.from_rotation_vector(np.outer(angle, [0, 0.6, 0.8]))
    np.testing.assert_allclose(quaternion.twist_angle(q, np.array([0, 0.6, 0.8])), angle, atol=1e-9)


def tilt_error_deg(found: Orientation, truth: FloatArray) -> FloatArray:
    return np.asarray(np.degrees(np.arccos(np.clip(np.sum(found.up * truth, axis=1), -1, 1))))


def shank(squat: Callable[..., Any], **options: Any) -> tuple[SensorRecording, FloatArray]:
    """The shank's samples and the true vertical in its frame."""
    mount = Rotation.from_euler("xyz", [0.3, -0.8, 1.1])
    made = squat(mounts=(mount, mount), **options)
    flexion = np.radians(made.flexion_deg)
    segment = Rotation.from_rotvec(np.outer(0.45 * flexion, [0.0, 1.0, 0.0])) * mount
    return made.recording.sensors["shank"], segment.inv().apply([0.0, 0.0, 1.0])


@pytest.mark.parametrize("duration", [4.0, 12.0, 60.0])
def test_inclination_of_the_vertical_in_clips_and_recordings(
    squat: Callable[..., Any], duration: float
) -> None:
    sensor, truth = shank(squat, duration_s=duration, rest_s=0.0)
    found = orient(to_grid(Recording({"shank": sensor})).sensors["shank"])
    error = tilt_error_deg(found, truth)
    assert np.sqrt(np.mean(error**2)) < 1.5
    assert np.mean(error < 2.45 * np.degrees(found.sigma)) > 0.9


def test_lost_packets_cost_little_and_are_owned_up_to(squat: Callable[..., Any]) -> None:
    sensor, truth = shank(squat, duration_s=60.0, period_s=2.0)
    assert sensor.gyr is not None
    lost = np.random.default_rng(0).random(600) < 0.05
    lost[[0, -1]] = False
    kept = ~np.repeat(lost, 10)
    recording = Recording({"shank": SensorRecording(sensor.t[kept], sensor.acc[kept], sensor.gyr[kept])})
    found = orient(to_grid(recording).sensors["shank"])
    error = tilt_error_deg(found, truth)
    assert np.sqrt(np.mean(error[kept] ** 2)) < 1.5
    assert found.gap.sum() == (~kept).sum()
    whole = orient(to_grid(Recording({"shank": sensor})).sensors["shank"])
    assert found.sigma.mean() > whole.sigma.mean()
    angle = inclination(found)
    assert not angle.valid[~kept].any()
    assert {w.why for w in angle.withheld} == {"samples are missing"}


def test_a_constant_bias_is_found_at_rest_and_in_movement(squat: Callable[..., Any]) -> None:
    for rest in (0.0, 5.0):
        sensor, truth = shank(squat, duration_s=20.0, rest_s=rest, bias=0.02)
        found = orient(to_grid(Recording({"shank": sensor})).sensors["shank"])
        assert np.sqrt(np.mean(tilt_error_deg(found, truth) ** 2)) < 1.5


def test_streaming_in_blocks_is_the_same_as_at_once_and_near_the_offline_twin(
    squat: Callable[..., Any],
) -> None:
    sensor, truth = shank(squat, duration_s=40.0)
    assert sensor.gyr is not None
    at_once = StreamingOrientation(100.0).update(sensor.gyr, sensor.acc)
    live = StreamingOrientation(100.0)
    blocks = [
        live.update(sensor.gyr[i : i + 25], sensor.acc[i : i + 25]) for i in range(0, sensor.t.size, 25)
    ]
    in_blocks = np.concatenate(blocks)
    # A block's last sample is carried on with its own rate, and bias is that of the block's end.
    close = np.abs(np.sum(at_once * in_blocks, axis=1))
    assert np.degrees(2 * np.arccos(np.clip(close, 0, 1))).max() < 0.5
    up = quaternion.third_column(in_blocks)
    error = np.degrees(np.arccos(np.clip(np.sum(up * truth, axis=1), -1, 1)))[500:]
    assert np.sqrt(np.mean(error**2)) < 2.0
    assert live.update(np.empty((0, 3)), np.empty((0, 3))).shape == (0, 4)
    assert live.bias.shape == (3,)
    assert not live.resting


def test_no_gyroscope_no_orientation() -> None:
    t = np.arange(100) / 50
    grid = to_grid(Recording({"wrist": SensorRecording(t, np.tile([0, 0, 9.81], (100, 1)))}))
    with pytest.raises(RecordingError, match="gyroscope"):
        orient(grid.sensors["wrist"])


def test_the_magnetometer_gives_the_heading_only_where_it_is_undisturbed() -> None:
    rng = np.random.default_rng(0)
    n = 6000
    t = np.arange(n) / 100
    turn = Rotation.from_rotvec(np.outer(0.8 * np.sin(t), [0.2, 0.3, 0.9]))
    rate = (turn[:-1].inv() * turn[1:]).as_rotvec() * 100
    gyr = np.concatenate([rate[:1], rate]) + rng.normal(0, 0.002, (n, 3))
    acc = turn.inv().apply([0, 0, 9.81]) + rng.normal(0, 0.02, (n, 3))
    field = np.tile([0.0, 20.0, -44.0], (n, 1))
    for disturbed in (False, True):
        if disturbed:
            field[2000:4000] += [60.0, -30.0, 20.0]
        mag = turn.inv().apply(field) + rng.normal(0, 0.1, (n, 3))
        grid = to_grid(Recording({"wrist": SensorRecording(t, acc, gyr, mag)}))
        assert orient(grid.sensors["wrist"]).heading_known is not disturbed
