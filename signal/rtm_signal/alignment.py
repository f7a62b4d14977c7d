"""How two segments stand to each other: joint axes, relative orientation, neutral pose.

The relative orientation comes from what both sensors see (`rtm_signal.common_view`); the dominant axis of the
joint from the relative angular rate, and, for a mechanical hinge, from the rates alone. Each improves the
other, in turns, from three starts: the forces alone, and the hinge axis with either sign. The joint's forces
decide between them, so that no branch is chosen by assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtm_signal import quaternion
from rtm_signal.common_view import View, nearest_rotation
from rtm_signal.hinge_axis import hinge_axes
from rtm_signal.lever_arm import Pair, angular_acceleration, lever_arms
from rtm_signal.recording import FloatArray
from rtm_signal.time_grid import GriddedSensor

Axes = tuple[FloatArray, FloatArray]

AXIS_WEIGHT = 1.0
"""Of the axis against the force, both as unit vectors (measured: 0.3 to 10 make no difference on the rig)."""
HINGE_WEIGHT = 10.0
"""Of an axis that is tried as that of a hinge, at the start of a refinement: it decides the heading alone."""
HINGE_SHARE = 0.98
"""Of the relative rotation about one axis: above it the joint is a mechanical hinge, whose axis the rates
alone know better than the relative orientation does."""
SECOND_AXIS = 0.6
"""Dominance up to which a joint may as well have two axes: no weight, unless a pose has shown the bend's axis."""
BEND_WEIGHT = 10.0
"""(rad/s)2: of the bend away from the pose as evidence for the axis, against the angular rate."""
UPRIGHT_PRIOR = 0.1
"""Share of rotation that must speak for an axis along the vertical of the standing pose before it counts: the
large joints turn about horizontal axes when one stands, save for internal and external rotation."""


@dataclass(frozen=True, slots=True)
class Neutral:
    """A sensor in the neutral pose.

    up: (3,) unit, the vertical in its frame; bias: (3,) rad/s of its gyroscope, None without one;
    restless: rad/s, median angular rate left: how far from still it was held.
    """

    up: FloatArray
    bias: FloatArray | None
    restless: float


@dataclass(frozen=True, slots=True)
class Alignment:
    """Two segments aligned.

    relative: (n, 4) proximal from distal; axis_proximal, axis_distal: (3,) unit, the dominant axis in either
    frame; shares: (3,) of the relative rotation about the principal axes, ascending, sum 1; disagreement: of
    the joint's specific force between the two sensors, share of the power of its changes (0 good, 2 random).
    """

    relative: FloatArray
    axis_proximal: FloatArray
    axis_distal: FloatArray
    shares: FloatArray
    disagreement: float


def neutral(sensor: GriddedSensor) -> Neutral:
    """The neutral pose of one sensor, from a recording of standing or lying still."""
    sound = ~sensor.gap if not sensor.gap.all() else np.ones(sensor.gap.size, dtype=bool)
    acc = np.median(sensor.acc[sound], axis=0)
    up = acc / max(float(np.linalg.norm(acc)), 1e-9)
    if sensor.gyr is None:
        return Neutral(up, None, 0.0)
    gyr = sensor.gyr[sound]
    bias = np.median(gyr, axis=0)
    return Neutral(up, bias, float(np.sqrt(np.median(np.sum((gyr - bias) ** 2, axis=1)))))


def align(pairs: Sequence[Pair], pose: tuple[Neutral, Neutral] | None = None) -> list[Alignment]:
    """Align each pair of (proximal, distal); lever arms and axes are found over all of them together.

    pairs: the recording first, then the calibration recording if there is one; sensors worn alike.
    pose: of both sensors, standing; used as a weak prior of the axis.
    """
    ups = None if pose is None else (pose[0].up, pose[1].up)
    slopes = [(angular_acceleration(first), angular_acceleration(second)) for first, second in pairs]
    arms = lever_arms(pairs, slopes)
    views = [View(pair, arms, slope) for pair, slope in zip(pairs, slopes, strict=True)]
    hinge = hinge_axes(*(np.concatenate([view.gyr[side] for view in views]) for side in (0, 1)))
    starts = [
        [view.turns() for view in views],
        [view.turns(hinge, HINGE_WEIGHT) for view in views],
        [view.turns((hinge[0], -hinge[1]), HINGE_WEIGHT) for view in views],
    ]
    best = min((_refined(views, start, ups) for start in starts), key=lambda found: found.doubt)
    if best.shares[2] >= HINGE_SHARE:
        axes = tuple(np.sign(h @ a) * h for h, a in zip(hinge, best.axes, strict=True))
        turns = [view.turns((axes[0], axes[1]), HINGE_WEIGHT) for view in views]
        best = _Found((axes[0], axes[1]), best.shares, turns, best.doubt)
    return [
        Alignment(view.relative(turn), *best.axes, best.shares, view.disagreement(turn))
        for view, turn in zip(views, best.turns, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Found:
    """Axes in both frames, shares of the rotation, each view's turns (k, 4), and what speaks against them."""

    axes: tuple[FloatArray, FloatArray]
    shares: FloatArray
    turns: list[FloatArray]
    doubt: float


def _refined(views: Sequence[View], turns: list[FloatArray], ups: Axes | None) -> _Found:
    """Axis and relative orientation in turn, from a start."""
    doubted = SECOND_AXIS if ups is None else 0.0
    for _ in range(3):
        axes, shares = _axes(views, turns, ups)
        dominance = float(1.0 - shares[1] / shares[2])
        weight = AXIS_WEIGHT * max(0.0, dominance - doubted) / (1.0 - doubted)
        turns = [view.turns(axes, weight) for view in views]
    axes, shares = _axes(views, turns, ups)
    forces = np.mean([view.disagreement(turn) for view, turn in zip(views, turns, strict=True)])
    return _Found(axes, shares, turns, float(forces + 1.0 - shares[2]))


def neutral_rotation(alignment: Alignment, pose: tuple[Neutral, Neutral]) -> FloatArray:
    """(4,) proximal from distal in the neutral pose: the verticals agree, and so do the dominant axes."""
    moments = np.outer(pose[0].up, pose[1].up) + np.outer(alignment.axis_proximal, alignment.axis_distal)
    return np.asarray(quaternion.from_matrix(nearest_rotation(moments[None]))[0])


def _axes(views: Sequence[View], turns: Sequence[FloatArray], ups: Axes | None) -> tuple[Axes, FloatArray]:
    """Dominant axis of the relative angular rate in both frames, and the shares of all three, ascending."""
    relative = [view.relative(turn, thin=True) for view, turn in zip(views, turns, strict=True)]
    back = [quaternion.conjugate(q) for q in relative]
    rates = [quaternion.rotate(q, view.gyr[1]) - view.gyr[0] for view, q in zip(views, relative, strict=True)]
    first = np.concatenate(rates)
    second = np.concatenate([quaternion.rotate(q, w) for q, w in zip(back, rates, strict=True)])
    spread = [first.T @ first, second.T @ second]
    values = np.linalg.eigvalsh(spread[0])
    if ups is not None:
        for q, inverse in zip(relative, back, strict=True):
            bend = np.cross(ups[0], quaternion.rotate(q, ups[1]))
            bend_2 = quaternion.rotate(inverse, bend)
            spread[0] += BEND_WEIGHT * bend.T @ bend
            spread[1] += BEND_WEIGHT * bend_2.T @ bend_2
        prior = UPRIGHT_PRIOR * values.sum()
        spread = [s - prior * np.outer(up, up) for s, up in zip(spread, ups, strict=True)]
    axis_1, axis_2 = (np.linalg.eigh(s)[1][:, 2] for s in spread)
    if np.sum((first @ axis_1) * (second @ axis_2)) < 0:
        axis_2 = -axis_2
    total = float(values.sum())
    shares = values / total if total > 1e-12 else np.full(3, 1 / 3)  # nothing turns: no axis dominates
    return (axis_1, axis_2), np.asarray(shares, dtype=np.float64)
