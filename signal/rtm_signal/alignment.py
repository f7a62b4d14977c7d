"""How two segments stand to each other: joint axes, relative orientation, neutral pose.

The relative orientation comes from what both sensors see (`rtm_signal.common_view`); the dominant axis of the
joint from the relative angular rate, and, for a mechanical hinge, from the rates alone. Each improves the
other, in turns, from three starts: the forces alone, and the hinge axis with either sign. The joint's forces
decide between them, so that no branch is chosen by assumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from rtm_signal import quaternion
from rtm_signal.common_view import View, nearest_rotation
from rtm_signal.hinge_axis import hinge_axes
from rtm_signal.lever_arm import Pair, angular_acceleration, lever_arms
from rtm_signal.recording import FloatArray
from rtm_signal.time_grid import GriddedRecording, GriddedSensor

Axes = tuple[FloatArray, FloatArray]

RESTLESS = 0.05
"""rad/s: a pose held no stiller tells no gyroscope bias (standing: 0.02)."""
MOST_BIAS = np.radians(5.0)
"""rad/s: no worn gyroscope is off by more; what turns so steadily is turned."""
AXIS_WEIGHT = 1.0
"""Of the axis against the force, both as unit vectors (measured: 0.3 to 10 make no difference on the rig)."""
HINGE_WEIGHT = 10.0
"""Of an axis that is tried as that of a hinge, at the start of a refinement: it decides the heading alone."""
HINGE_SHARE = 0.98
"""Of the relative rotation about one axis: above it the joint is a mechanical hinge, whose axis the rates
alone know better than the relative orientation does."""
BESIDE_NOISE = 0.0025
"""(rad/s)2: rotation beside the axis that noise and give of a hinge show."""
FORCES_COUNT = 2.0
"""Of the forces against the rotation beside the axis: they are the more direct evidence (1 to 5 choose alike)."""
DISTINCT = np.radians(10.0)
"""Two readings of the frames closer than this are one."""
FARTHEST, IMPOSSIBLE = np.radians(190.0), 3.0
"""No joint turns further (the shoulder: 180 degrees); a reading in which it does is as doubtful as one that leaves
twenty times as much unexplained."""
HINGE_WORSE, HINGE_FORCES = 1.5, 0.05
"""By how much the forces may disagree more with a hinge's axis than without it, factor and share: on a body that
moves in one plane the rates alone may mistake the axis, and the forces say so (0.01 on the rig, above 1 then)."""
EXPLAINS_NOTHING = 1.0
"""Disagreement of the forces at which the difference is as large as what it should explain. Two readings beyond it
are told apart by their forces only where a pose has shown how the sensors hang."""
CLEARLY_WORSE = 1.0
"""As a logarithm: a reading that leaves so many times as much unexplained is no rival."""
STEPS, SETTLED = 3, 1e-3
"""Turns of a refinement, at most, and the change of the axes (0.06 degrees) at which it has come to rest."""
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
    the joint's horizontal acceleration between the two sensors, share of its power (0 good, 2 random). rival: of
    the recording, the next best reading that is not the same nor clearly worse; margin: by how much (logarithm).
    """

    relative: FloatArray
    axis_proximal: FloatArray
    axis_distal: FloatArray
    shares: FloatArray
    disagreement: float
    rival: Alignment | None = None
    margin: float = np.inf


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


def rest_biases(pose: GriddedRecording) -> dict[str, FloatArray]:
    """(3,) rad/s, the gyroscope bias of each sensor that lay or stood still in the pose, by name."""
    stills = {name: neutral(sensor) for name, sensor in pose.sensors.items()}
    return {
        name: still.bias
        for name, still in stills.items()
        if still.bias is not None and still.restless < RESTLESS and np.linalg.norm(still.bias) < MOST_BIAS
    }


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
    found = sorted((_refined(views, start, ups) for start in starts), key=lambda one: one.doubt())
    rivals = [one for one in found[1:] if _apart(found[0], one) > DISTINCT]
    best = _as_hinge(found[0], views, hinge)
    aligned = [best.of(views, i) for i in range(len(views))]
    if rivals:
        most = EXPLAINS_NOTHING if pose is None else np.inf
        margin = rivals[0].doubt(most) - found[0].doubt(most)
        if margin < CLEARLY_WORSE:
            aligned[0] = replace(aligned[0], rival=rivals[0].of(views, 0), margin=margin)
    return aligned


@dataclass(frozen=True, slots=True)
class _Found:
    """Axes in both frames, shares of the rotation, each view's turns (k, 4), and what speaks against it.

    forces: how far they disagree; beside: (rad/s)2, rotation beside the axis; swing: rad, about it.
    """

    axes: tuple[FloatArray, FloatArray]
    shares: FloatArray
    turns: list[FloatArray]
    forces: float
    beside: float
    swing: float

    def doubt(self, most: float = np.inf) -> float:
        """Logarithm of what is left unexplained: a difference of 1 between two readings is a factor of e.

        most: forces that disagree more count as this.
        """
        impossible = IMPOSSIBLE if self.swing > FARTHEST else 0.0
        forces = min(self.forces, most)
        return float(FORCES_COUNT * np.log(forces) + np.log(self.beside + BESIDE_NOISE) + impossible)

    def of(self, views: Sequence[View], i: int) -> Alignment:
        """As the alignment of one of the views."""
        turns = self.turns[i]
        return Alignment(views[i].relative(turns), *self.axes, self.shares, views[i].disagreement(turns))


def _as_hinge(best: _Found, views: Sequence[View], hinge: Axes) -> _Found:
    """With the axes of a mechanical hinge, where the joint is one and the forces do not speak against it."""
    if best.shares[2] < HINGE_SHARE:
        return best
    axes = tuple(np.sign(h @ a) * h for h, a in zip(hinge, best.axes, strict=True))
    turns = [view.turns((axes[0], axes[1]), HINGE_WEIGHT) for view in views]
    forces = _forces(views, turns)
    if forces > HINGE_WORSE * best.forces + HINGE_FORCES:
        return best
    return replace(best, axes=(axes[0], axes[1]), turns=turns, forces=forces)


def _apart(one: _Found, other: _Found) -> float:
    """rad: how far two readings of the recording set the frames apart, on average."""
    between = quaternion.multiply(quaternion.conjugate(one.turns[0]), other.turns[0])
    return float(np.mean(2 * np.arccos(np.clip(np.abs(between[:, 0]), 0.0, 1.0))))


def _refined(views: Sequence[View], turns: list[FloatArray], ups: Axes | None) -> _Found:
    """Axis and relative orientation in turn, from a start."""
    doubted = SECOND_AXIS if ups is None else 0.0
    axes, shares, power = _axes(views, turns, ups)
    for _ in range(STEPS):
        before = axes
        dominance = float(1.0 - shares[1] / shares[2])
        weight = AXIS_WEIGHT * max(0.0, dominance - doubted) / (1.0 - doubted)
        turns = [view.turns(axes, weight) for view in views]
        axes, shares, power = _axes(views, turns, ups)
        if np.abs(np.subtract(axes, before)).max() < SETTLED:
            break
    beside = float(power * (1.0 - shares[2]))
    relative = views[0].relative(turns[0], thin=True)
    swing = float(np.ptp(quaternion.twist_angle(relative, axes[0])))
    return _Found(axes, shares, turns, _forces(views, turns), beside, swing)


def _forces(views: Sequence[View], turns: Sequence[FloatArray]) -> float:
    return float(np.mean([view.disagreement(turn) for view, turn in zip(views, turns, strict=True)]))


def neutral_rotation(alignment: Alignment, pose: tuple[Neutral, Neutral]) -> FloatArray:
    """(4,) proximal from distal in the neutral pose: the verticals agree, and so do the dominant axes."""
    moments = np.outer(pose[0].up, pose[1].up) + np.outer(alignment.axis_proximal, alignment.axis_distal)
    return np.asarray(quaternion.from_matrix(nearest_rotation(moments[None]))[0])


def _axes(
    views: Sequence[View], turns: Sequence[FloatArray], ups: Axes | None
) -> tuple[Axes, FloatArray, float]:
    """Dominant axis of the relative angular rate in both frames, the shares of all three, ascending, and the
    power of all, (rad/s)2."""
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
    return (axis_1, axis_2), np.asarray(shares, dtype=np.float64), total / len(first)
