"""The live joint angle: the offline one as it comes, however the blocks are cut, and nothing where it cannot know."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rtm_signal.analysis import analyze
from rtm_signal.recording import Recording, RecordingError, SensorRecording
from rtm_signal.streaming_angle import LiveAngle, LiveJointAngle
from rtm_signal.streaming_pair import PairGrid

FloatArray = NDArray[np.float64]
PAIR = ("thigh", "shank")


def blocks(recording: Recording, size: int) -> Iterator[tuple[str, FloatArray, FloatArray, FloatArray]]:
    """What two sensors send, in turn."""
    most = max(s.t.size for s in recording.sensors.values())
    for first in range(0, most, size):
        for name, s in recording.sensors.items():
            assert s.gyr is not None
            part = slice(first, first + size)
            yield name, s.t[part], s.acc[part], s.gyr[part]


def course(live: LiveJointAngle, recording: Recording, size: int = 20) -> tuple[FloatArray, FloatArray]:
    """t and angle, degrees, of everything that was said."""
    said: list[LiveAngle] = [live.push(*block) for block in blocks(recording, size)]
    return np.concatenate([a.t for a in said]), np.degrees(np.concatenate([a.angle for a in said]))


@pytest.mark.parametrize("size", [10, 25])
def test_it_says_what_the_offline_path_says(squat: Callable[..., Any], size: int) -> None:
    made = squat(duration_s=60.0, seed=2)
    t, angle = course(LiveJointAngle(PAIR, 100.0, joint="knee_flexion", pose=made.pose), made.recording, size)
    offline = analyze(made.recording, "squat", pose=made.pose).angle_series
    assert offline is not None
    np.testing.assert_allclose(t, offline.t[: t.size], atol=1e-6)
    known = np.isfinite(angle)
    assert known.mean() > 0.85
    assert np.sqrt(np.mean((angle - offline.angle_deg[: t.size])[known] ** 2)) < 2.0
    assert np.sqrt(np.mean((angle - made.flexion_deg[: t.size])[known] ** 2)) < 2.0


def test_with_pose_and_calibration_it_follows_four_minutes_without_drift(squat: Callable[..., Any]) -> None:
    made = squat(duration_s=240.0, seed=4, rate_hz=50.0)
    shown = squat(duration_s=12.0, seed=4, rate_hz=50.0).recording
    live = LiveJointAngle(PAIR, 50.0, joint="knee_flexion", pose=made.pose, calibration=shown)
    t, angle = course(live, made.recording, 25)
    assert np.isfinite(angle[75:]).all()
    error = angle[75:] - made.flexion_deg[75 : t.size]
    assert np.sqrt(np.mean(error[:500] ** 2)) < 5.0
    assert np.sqrt(np.mean(error[-1500:] ** 2)) < 2.0
    assert live.push("thigh", *(np.zeros((0, *shape)) for shape in ((), (3,), (3,)))).latest_deg is None


def test_before_it_knows_the_axis_it_says_why_and_no_angle(squat: Callable[..., Any]) -> None:
    still = squat(duration_s=20.0, rest_s=30.0)
    live = LiveJointAngle(PAIR, 100.0)
    said = [live.push(*block) for block in blocks(still.recording, 20)]
    assert not any(np.isfinite(a.angle).any() for a in said)
    assert all(a.why is not None and a.latest_deg is None for a in said)


def test_a_long_gap_begins_anew_and_keeps_zero_and_sign(squat: Callable[..., Any]) -> None:
    made = squat(duration_s=60.0, seed=5)

    def torn(s: SensorRecording) -> SensorRecording:
        assert s.gyr is not None
        kept = (s.t < 25.0) | (s.t > 28.0)
        return SensorRecording(s.t[kept], s.acc[kept], s.gyr[kept])

    recording = Recording({n: torn(s) for n, s in made.recording.sensors.items()})
    t, angle = course(LiveJointAngle(PAIR, 100.0, joint="knee_flexion", pose=made.pose), recording)
    error = angle - np.interp(t, made.recording.sensors["thigh"].t, made.flexion_deg)
    known = np.isfinite(angle)
    assert not known[(t > 25.1) & (t < 28.0)].any()
    assert known[t > 40.0].all()
    assert np.sqrt(np.mean(error[known] ** 2)) < 2.5


def test_looking_may_be_left_to_the_caller(squat: Callable[..., Any]) -> None:
    made = squat(duration_s=20.0)
    live = LiveJointAngle(PAIR, 100.0, looks=False)
    looked = 0
    for block in blocks(made.recording, 20):
        live.push(*block)
        if live.due:
            live.look()
            looked += 1
            assert not live.due
    assert looked > 1
    s = made.recording.sensors["thigh"]
    assert live.push("thigh", s.t[-1:] + 0.01, s.acc[-1:], s.gyr[-1:]).why is None


def test_what_cannot_be_a_joint_is_refused_in_a_sentence(squat: Callable[..., Any]) -> None:
    made = squat(duration_s=6.0)
    one = Recording({"thigh": made.recording.sensors["thigh"]})
    wrong: list[Callable[[], object]] = [
        lambda: LiveJointAngle(("thigh", "thigh"), 100.0),
        lambda: LiveJointAngle(PAIR, float("nan")),
        lambda: LiveJointAngle(PAIR, 5.0),
        lambda: LiveJointAngle(PAIR, 100.0, pose=one),
        lambda: LiveJointAngle(PAIR, 100.0, calibration=one),
        lambda: LiveJointAngle(PAIR, 100.0).push("wrist", *_nothing()),
        lambda: LiveJointAngle(PAIR, 100.0).push("thigh", np.zeros(2), np.zeros((3, 3)), np.zeros((2, 3))),
    ]
    for attempt in wrong:
        with pytest.raises(RecordingError, match=r"\.$"):
            attempt()


def _nothing() -> tuple[FloatArray, FloatArray, FloatArray]:
    return np.zeros(0), np.zeros((0, 3)), np.zeros((0, 3))


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.tuples(*[st.lists(st.integers(1, 40), min_size=1, max_size=8)] * 2),
    shift=st.floats(-0.02, 0.02),
    seed=st.integers(0, 5),
)
def test_however_blocks_are_cut_the_grid_holds_the_same(
    sizes: tuple[list[int], list[int]], shift: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    t = np.arange(200) / 100
    values = [rng.normal(size=(200, 6)).cumsum(axis=0) for _ in PAIR]

    def through(cuts: tuple[list[int], list[int]]) -> list[FloatArray]:
        grid, out, at = PairGrid(100.0), [], [0, 0]
        turn = 0
        while min(at) < 200:
            for side in (0, 1):
                part = slice(at[side], at[side] + cuts[side][turn % len(cuts[side])])
                block = grid.push(
                    side, t[part] + side * shift, values[side][part, :3], values[side][part, 3:]
                )
                out.append(np.column_stack([block.t, *block.acc, *block.gyr, block.gap]))
                at[side] = min(200, part.stop)
            turn += 1
        return out

    cut, whole = (np.concatenate(through(c)) for c in (sizes, ([200], [200])))
    assert len(cut) >= 195
    np.testing.assert_allclose(cut, whole[: len(cut)], atol=1e-6)


def test_bad_samples_are_dropped_and_lost_ones_flagged() -> None:
    grid = PairGrid(100.0)
    t = np.arange(100) / 100
    values = np.tile([0.0, 0.0, 9.81], (100, 1))
    torn = np.r_[0:40, 60:100]
    grid.push(0, t[torn], values[torn], values[torn])
    holed = values.copy()
    holed[10] = np.nan
    block = grid.push(1, t, holed, values)
    assert np.isfinite(np.concatenate(block.acc)).all()
    flagged = block.t[block.gap]
    assert set(np.round(flagged, 2)) >= {0.1, *np.round(t[40:60], 2)}
    assert not block.gap[block.t > 0.605].any()
    late = grid.push(0, t[:5], values[:5], values[:5])
    assert not len(late.t)


def hinge(thigh_share: float, shank_share: float) -> tuple[Recording, FloatArray]:
    """70 s of bending by 45 degrees about one horizontal axis, each segment with its share, and the angle, degrees."""
    rng = np.random.default_rng(0)
    t = np.arange(7000) / 100.0
    bend = np.radians(45.0) * (0.5 - 0.5 * np.cos(2 * np.pi * t / 3.0)) * (t > 3.0)
    sensors = {}
    for name, share in zip(PAIR, (-thigh_share, shank_share), strict=True):
        angle = share * bend
        rate = np.gradient(angle, t)
        turned = Rotation.from_rotvec(angle[:, None] * [0.0, 1.0, 0.0]) * Rotation.random(random_state=rng)
        along, across = np.gradient(rate, t), rate**2
        force = np.stack([-0.2 * along, 0 * t, 0.2 * across], axis=1)  # of a lever 0.2 m below the joint
        held = Rotation.from_rotvec(angle[:, None] * [0.0, 1.0, 0.0]).apply(force)
        held[:, 2] += 9.81
        acc = turned.inv().apply(held) + rng.normal(0.0, 0.02, (t.size, 3))
        gyr = (
            turned.inv().apply(rate[:, None] * [0.0, 1.0, 0.0]) + rng.normal(0.0, 0.005, (t.size, 3)) + 0.004
        )
        sensors[name] = SensorRecording(t, acc, gyr, None)
    return Recording(sensors), np.degrees((shank_share + thigh_share) * bend)


def test_beside_a_still_segment_the_angle_stays_when_the_start_is_no_longer_remembered() -> None:
    """Nothing tells then how the axis lies about the vertical: the zero is carried from look to look."""
    recording, truth = hinge(0.0, 1.0)
    t, angle = course(LiveJointAngle(PAIR, 100.0, joint="knee_flexion"), recording)
    late = t > 10.0
    assert np.isfinite(angle[late]).all()
    assert np.abs(angle - truth[: t.size])[late].max() < 5.0


def test_where_the_forces_explain_nothing_the_two_readings_are_named() -> None:
    """In one plane about a resting joint no force tells how the sensors stand: nothing is said instead of one."""
    recording, _ = hinge(0.3, 1.0)
    live = LiveJointAngle(PAIR, 100.0, joint="knee_flexion")
    _, angle = course(live, recording)
    assert not np.isfinite(angle).any()
    last = live.push("thigh", *(np.zeros((0, *shape)) for shape in ((), (3,), (3,))))
    assert last.why is not None
    assert "two ways" in last.why
