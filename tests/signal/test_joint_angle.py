"""The joint angle: true on a synthetic hinge, unmoved by mounting, bias and time, honest where it cannot know."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from rtm_signal.alignment import align, neutral, rest_biases
from rtm_signal.angle import Angle
from rtm_signal.hinge_axis import hinge_axes
from rtm_signal.inclination import inclination
from rtm_signal.joint_angle import joint_angle, two_readings
from rtm_signal.lever_arm import angular_acceleration, lever_arms
from rtm_signal.orientation import orient
from rtm_signal.placement import misplaced
from rtm_signal.recording import Recording, RecordingError, SensorRecording
from rtm_signal.time_grid import to_grid
from rtm_signal.units_check import check_units

PAIR = ("thigh", "shank")
RATE = 50.0


def measured(recording: Recording, pose: Recording | None = None, joint: str = "knee_flexion") -> Angle:
    grid = to_grid(recording)
    still = None if pose is None else [neutral(to_grid(pose).sensors[n]) for n in PAIR]
    found = [
        orient(grid.sensors[n], bias=None if still is None else still[i].bias) for i, n in enumerate(PAIR)
    ]
    return joint_angle(*found, joint=joint, of=PAIR, pose=None if still is None else (still[0], still[1]))


def changed(recording: Recording, change: Callable[[str, SensorRecording], SensorRecording]) -> Recording:
    return Recording({name: change(name, sensor) for name, sensor in recording.sensors.items()})


@pytest.mark.parametrize("duration", [6.0, 30.0, 120.0])
@pytest.mark.parametrize("posed", [True, False])
def test_flexion_is_the_truth_with_its_sign_and_zero(
    squat: Callable[..., Any], duration: float, posed: bool
) -> None:
    for seed in range(3):
        made = squat(duration_s=duration, seed=seed, rest_s=1.0)
        found = measured(made.recording, made.pose if posed else None)
        error = np.degrees(found.angle) - made.flexion_deg
        assert np.sqrt(np.mean(error**2)) < 1.5
        assert abs(np.ptp(np.degrees(found.angle)) - 90) < 1.0
        assert found.valid.all()
        assert np.mean(np.abs(error - error.mean()) < 1.96 * np.degrees(found.sigma)) > 0.9


def test_a_clip_that_starts_bent_is_still_flexion_from_the_pose(squat: Callable[..., Any]) -> None:
    made = squat(duration_s=12.0, rest_s=0.0)
    late = made.recording.sensors["thigh"].t > 1.7
    cut = changed(made.recording, lambda _, s: SensorRecording(s.t[late], s.acc[late], s.gyr[late]))  # type: ignore[index]  # these have gyroscopes
    found = measured(cut, made.pose, "joint")
    assert np.abs(np.degrees(found.angle) - made.flexion_deg[late]).max() < 3.0


def test_twenty_minutes_do_not_drift(squat: Callable[..., Any]) -> None:
    made = squat(duration_s=1200.0)
    error = np.degrees(measured(made.recording).angle) - made.flexion_deg
    first, last = error[:6000], error[-6000:]
    assert abs(first.mean() - last.mean()) < 0.3
    assert np.sqrt(np.mean(error**2)) < 1.0


@settings(max_examples=8, deadline=None)
@given(turn=st.tuples(*[st.floats(-3, 3)] * 3), shift=st.floats(-1e3, 1e6), seed=st.integers(0, 20))
def test_mounting_and_time_do_not_change_the_range_of_motion(
    squat: Callable[..., Any], turn: tuple[float, float, float], shift: float, seed: int
) -> None:
    recording = squat(duration_s=16.0, seed=seed).recording
    mount = Rotation.from_rotvec(turn)

    def other(name: str, s: SensorRecording) -> SensorRecording:
        assert s.gyr is not None
        if name == "thigh":
            return SensorRecording(s.t + shift, s.acc, s.gyr)
        return SensorRecording(s.t + shift, mount.apply(s.acc), mount.apply(s.gyr))

    plain, moved = measured(recording), measured(changed(recording, other))
    assert np.degrees(abs(np.ptp(plain.angle) - np.ptp(moved.angle))) < 0.2


@settings(max_examples=8, deadline=None)
@given(bias=st.tuples(*[st.floats(-0.02, 0.02)] * 3))
def test_a_constant_bias_does_not_change_the_range_of_motion(
    squat: Callable[..., Any], bias: tuple[float, float, float]
) -> None:
    recording = squat(duration_s=20.0, rest_s=4.0, bias=0.0).recording

    def other(_: str, s: SensorRecording) -> SensorRecording:
        assert s.gyr is not None
        return SensorRecording(s.t, s.acc, s.gyr + np.array(bias))

    plain, moved = measured(recording), measured(changed(recording, other))
    assert np.degrees(abs(np.ptp(plain.angle) - np.ptp(moved.angle))) < 1.0


def test_gaps_and_full_scale_are_withheld_with_the_reason(squat: Callable[..., Any]) -> None:
    recording = squat(period_s=0.8, mounts=(Rotation.identity(), Rotation.identity())).recording

    def broken(name: str, s: SensorRecording) -> SensorRecording:
        assert s.gyr is not None
        if name == "thigh":
            kept = (s.t < 10) | (s.t > 12)
            return SensorRecording(s.t[kept], s.acc[kept], s.gyr[kept])
        return SensorRecording(s.t, s.acc, np.clip(s.gyr, -2.1, 2.1))

    found = measured(changed(recording, broken))
    gone = (found.t > 10.02) & (found.t < 11.98)
    assert not found.valid[gone].any()
    why = {w.why for w in found.withheld}
    assert any("missing" in w for w in why)
    assert any("full scale" in w for w in why)
    assert np.isnan(found.series().angle_deg[~found.valid]).all()


def test_lever_arms_and_hinge_axis_are_found(squat: Callable[..., Any]) -> None:
    mounts = (Rotation.from_euler("x", 0.4), Rotation.from_euler("z", 1.0))
    grid = to_grid(squat(mounts=mounts, period_s=1.5).recording)
    pair = (orient(grid.sensors["thigh"]), orient(grid.sensors["shank"]))
    arms = lever_arms([pair], [(angular_acceleration(pair[0]), angular_acceleration(pair[1]))])
    # Along the axis of a hinge a lever arm makes no acceleration and stays unknown.
    for arm, place, mount in zip(arms, ([0.06, 0, 0.2], [0.04, 0.02, -0.18]), mounts, strict=True):
        across = mount.apply(arm) * [1, 0, 1]
        assert np.linalg.norm(across - np.array(place) * [1, 0, 1]) < 0.05
    axes = hinge_axes(pair[0].gyr, pair[1].gyr)
    for axis, mount in zip(axes, mounts, strict=True):
        assert abs(mount.apply(axis)[1]) > 0.999


def test_one_sensor_gives_its_tilt_from_the_first_sample_or_the_pose(squat: Callable[..., Any]) -> None:
    made = squat(duration_s=20.0)
    thigh = orient(to_grid(made.recording).sensors["thigh"])
    for up in (None, neutral(to_grid(made.pose).sensors["thigh"]).up):
        found = inclination(thigh, of=("thigh",), neutral_up=up)
        assert found.name == "inclination"
        assert np.abs(np.degrees(found.angle) - 0.55 * made.flexion_deg).max() < 3.0


def test_a_pendulum_swings_to_both_sides_and_a_free_turn_has_none() -> None:
    t = np.arange(2000) / 100
    for axes, signed in (([[0, 1, 0]], True), ([[0, 1, 0], [1, 0, 0]], False)):
        swing = Rotation.identity(t.size)
        for i, axis in enumerate(axes):
            swing *= Rotation.from_rotvec(np.outer(0.6 * np.sin((2 + 0.7 * i) * t), axis))
        turn = (swing[:-1].inv() * swing[1:]).as_rotvec() * 100
        gyr = np.concatenate([turn[:1], turn])
        acc = swing.inv().apply([0, 0, 9.81])
        found = inclination(
            orient(to_grid(Recording({"wrist": SensorRecording(t, acc, gyr)})).sensors["wrist"])
        )
        assert (found.angle.min() < -0.5) == signed
        assert found.angle.max() == pytest.approx(0.6 if signed else 0.83, abs=0.05)
        if signed:
            np.testing.assert_allclose(found.angle, 0.6 * np.sin(2 * t), atol=0.03)


def test_sensors_swapped_or_turned_over_are_noticed(squat: Callable[..., Any]) -> None:
    made, other = squat(duration_s=20.0, seed=3), squat(duration_s=12.0, seed=3)
    then = [orient(to_grid(other.recording).sensors[n]) for n in PAIR]
    now = [orient(to_grid(made.recording).sensors[n]) for n in PAIR]
    assert misplaced(now, then, PAIR) is None
    assert "swapped" in (misplaced(now[::-1], then, PAIR) or "")
    half_turn = np.array([-1.0, -1.0, 1.0])

    def over(name: str, s: SensorRecording) -> SensorRecording:
        assert s.gyr is not None
        return s if name == "thigh" else SensorRecording(s.t, s.acc * half_turn, s.gyr * half_turn)

    turned = [orient(to_grid(changed(made.recording, over)).sensors[n]) for n in PAIR]
    assert "shank" in (misplaced(turned, then, PAIR) or "")
    found = joint_angle(turned[0], turned[1], of=PAIR, calibration=(then[0], then[1]))
    assert not found.valid.any()
    assert found.withheld[0].what == "rom_deg"
    upside = np.array([1.0, -1.0, -1.0])
    mounts = (Rotation.identity(), Rotation.identity())
    straight = squat(duration_s=12.0, mounts=mounts)

    def upside_down(name: str, s: SensorRecording) -> SensorRecording:
        assert s.gyr is not None
        return s if name == "shank" else SensorRecording(s.t, s.acc * upside, s.gyr * upside)

    found = measured(changed(straight.recording, upside_down), straight.pose)
    assert not found.valid.any()
    assert "other way up" in found.withheld[0].why


@pytest.mark.parametrize(
    ("acc", "gyr", "says"),
    [
        (1 / 9.81, 1.0, "in g, not m/s2"),
        (1000 / 9.81, 1.0, "thousandths of g"),
        (0.0, 1.0, "never changes"),
        (1.0, 180 / np.pi, "in deg/s, not rad/s"),
        (1.0, 0.0, "never changes"),
        (1.0, -1.0, "wrong sign"),
        (1.0, 0.5, "rate is wrong"),
        (1.0, 2.0, "rate is wrong"),
    ],
)
def test_wrong_units_are_named(squat: Callable[..., Any], acc: float, gyr: float, says: str) -> None:
    recording = squat(duration_s=10.0, rest_s=0.0).recording
    assert check_units(to_grid(recording)) == ()

    def other(_: str, s: SensorRecording) -> SensorRecording:
        assert s.gyr is not None
        return SensorRecording(s.t, s.acc * acc, s.gyr * gyr)

    doubts = check_units(to_grid(changed(recording, other)))
    assert {d.sensor for d in doubts} == set(PAIR)
    assert all(says in d.why for d in doubts)


def _still(s: SensorRecording) -> SensorRecording:
    return SensorRecording(s.t, 0 * s.acc + np.array([0, 0, 9.81]), 0 * s.acc)


def _empty(s: SensorRecording) -> SensorRecording:
    return SensorRecording(s.t, 0 * s.acc, 0 * s.acc)


def _full(s: SensorRecording) -> SensorRecording:
    return SensorRecording(s.t, 0 * s.acc + 20, 0 * s.acc + 5)


def _holed(s: SensorRecording) -> SensorRecording:
    holes = np.random.default_rng(0).random((s.t.size, 1)) < 0.3
    return SensorRecording(s.t, np.where(holes, np.nan, s.acc), s.gyr)


def _torn(s: SensorRecording) -> SensorRecording:
    return SensorRecording(s.t + np.where(s.t > s.t.mean(), 50.0, 0.0), s.acc, s.gyr)


@pytest.mark.parametrize("damage", [None, _still, _empty, _full, _holed, _torn])
@pytest.mark.parametrize("n", [2, 3, 7, 40, 400])
def test_no_recording_makes_it_fall_over(
    n: int, damage: Callable[[SensorRecording], SensorRecording] | None
) -> None:
    rng = np.random.default_rng(n)
    t = np.arange(n) / 100
    recording = Recording(
        {
            name: SensorRecording(
                t, rng.normal(size=(n, 3)) + np.array([0, 0, 9.81]), rng.normal(size=(n, 3))
            )
            for name in PAIR
        }
    )
    if damage is not None:
        recording = changed(recording, lambda _, s: damage(s))
    try:
        grid = to_grid(recording)
    except RecordingError as refused:
        assert str(refused).endswith(".")  # noqa: PT017 - either it is refused in a sentence or it gives an angle
        return
    check_units(grid)
    found = [orient(grid.sensors[name]) for name in PAIR]
    still = [neutral(grid.sensors[name]) for name in PAIR]
    pair = (found[0], found[1])
    angles = [
        inclination(found[0]),
        joint_angle(*pair),
        joint_angle(*pair, joint="knee_flexion", pose=(still[0], still[1]), calibration=pair),
    ]
    for angle in angles:
        assert np.isfinite(angle.angle).all()
        assert np.isfinite(angle.sigma).all()
        assert not angle.valid[grid.sensors["thigh"].gap].any()


def universal(rng: np.random.Generator, duration_s: float) -> tuple[Recording, Rotation]:
    """Two bodies across a universal joint (two axes at right angles), shaken; and the true relative rotation."""
    t = np.arange(int(duration_s * RATE)) / RATE

    def wave(size: float) -> Any:
        phase, pace = rng.uniform(0, 6, 3), rng.uniform(2, 6, 3)
        return size * np.sin(np.outer(t, pace) + phase).sum(axis=1) / 2

    first = Rotation.from_euler("xyz", np.column_stack([wave(0.4), wave(0.4), wave(0.8)]))
    second = first * Rotation.from_euler("YZ", np.column_stack([wave(0.7), wave(0.6)]))
    joint = 0.15 * np.column_stack([wave(1.0), wave(1.0), wave(0.5)])
    mounts = (Rotation.random(rng=rng), Rotation.random(rng=rng))
    sensors = {}
    for name, body, arm, mount in zip(
        PAIR, (first, second), ([0.12, 0, 0.02], [-0.15, 0, 0]), mounts, strict=True
    ):
        place, sensor = joint + body.apply(arm), body * mount
        force = np.gradient(np.gradient(place, t, axis=0), t, axis=0) + np.array([0, 0, 9.81])
        turn = (sensor[:-1].inv() * sensor[1:]).as_rotvec() * RATE
        # Sensors give means of the period before the stamp, behind a filter: half a period more.
        halfway = sensor[:-1] * Rotation.from_rotvec(turn / RATE / 2)
        before = np.concatenate([force[:1], (force[1:] + force[:-1]) / 2])
        acc = np.concatenate([sensor[:1].inv().apply(force[:1]), halfway.inv().apply(before[1:])])
        gyr = np.concatenate([turn[:1], turn])
        late = slice(None, -1)
        acc[1:], gyr[1:] = (acc[late] + acc[1:]) / 2, (gyr[late] + gyr[1:]) / 2
        noise = rng.normal(size=(2, t.size, 3))
        sensors[name] = SensorRecording(t, acc + 0.03 * noise[0], gyr + 0.003 * noise[1])
    return Recording(sensors), (first * mounts[0]).inv() * (second * mounts[1])


@pytest.mark.parametrize("seed", range(3))
def test_two_axes_are_told_apart_without_a_magnetometer(seed: int) -> None:
    recording, true = universal(np.random.default_rng(seed), 60.0)
    grid = to_grid(recording)
    found = align([(orient(grid.sensors["thigh"]), orient(grid.sensors["shank"]))])[0]
    relative = Rotation.from_quat(found.relative[:, [1, 2, 3, 0]])
    error = np.degrees((true.inv() * relative).magnitude())
    assert np.sqrt(np.mean(error[200:] ** 2)) < 3.0


def test_where_two_readings_fit_alike_nothing_is_said_and_why(squat: Callable[..., Any]) -> None:
    made = squat(duration_s=30.0)
    grid = to_grid(made.recording)
    found = align([(orient(grid.sensors["thigh"]), orient(grid.sensors["shank"]))])[0]
    rival = replace(found, relative=found.relative[::-1].copy(), rival=None)
    other = replace(rival, axis_proximal=np.roll(found.axis_proximal, 1))
    valid = np.ones(len(found.relative), dtype=bool)
    for margin, said in ((0.1, True), (3.0, False)):
        doubtful = replace(found, rival=other, margin=margin)
        why = two_readings(doubtful, None, np.radians(90.0), valid, (0.01, 0.0))
        assert (why is not None) == said
    assert (
        two_readings(replace(found, rival=rival, margin=0.1), None, np.radians(90.0), valid, (0.01, 0.0))
        is None
    )
    assert two_readings(found, None, np.radians(90.0), valid, (0.01, 0.0)) is None


def test_the_poses_rest_tells_the_bias_and_a_restless_one_does_not(squat: Callable[..., Any]) -> None:
    pose = to_grid(squat(bias=0.01, seed=6).pose)
    for name, bias in rest_biases(pose).items():
        gyr = pose.sensors[name].gyr
        assert gyr is not None
        np.testing.assert_allclose(bias, gyr.mean(axis=0), atol=1e-3)
    restless = to_grid(squat(rest_s=0.0, duration_s=8.0).recording)
    assert not rest_biases(restless)
