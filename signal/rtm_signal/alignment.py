"""How two segments stand to each other: common heading, joint axes, neutral pose.

Without a magnetometer each sensor has a frame of its own that turns slowly against the other's. Over a window
the rotation between the two frames is found as the best one (Wahba 1965, by SVD) that makes pairs of vectors
agree which both sensors see: the specific force of the joint's centre, the vertical, and, where the joint has
a dominant axis, that axis. One linear-algebra step does what magnetometer-free heading correction does for
hinges (Laidig 2017), without a filter, without a branch to choose, and for joints with more axes too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter1d

from rtm_signal import quaternion
from rtm_signal.gravity import G
from rtm_signal.hinge_axis import hinge_axes
from rtm_signal.lever_arm import joint_force, lever_arms
from rtm_signal.orientation import Orientation
from rtm_signal.recording import FloatArray
from rtm_signal.time_grid import GriddedSensor

Pair = tuple[Orientation, Orientation]

KNOT_S = 1.0
WINDOW_S = 5.0
"""Standard deviation of the window: the gyroscope bias that VQF leaves (0.01-0.05 deg/s) turns the frames by
less than 0.25 degrees in it."""
AXIS_WEIGHT = 1.0
"""Of the axis against the force, both as unit vectors (measured: 0.3 to 10 make no difference on the rig)."""
HINGE_WEIGHT = 10.0
"""Of an axis that is tried as that of a hinge, at the start of a refinement: it decides the heading alone."""
HINGE_SHARE = 0.98
"""Of the relative rotation about one axis: above it the joint is a mechanical hinge, whose axis the rates
alone know better than the relative orientation does."""
FORCE_NOISE = 0.1
"""m/s2: of the joint's force between two good sensors."""
VERTICAL_WEIGHT = 0.3
"""Of the verticals against the force: VQF's inclination is good, the force knows more in short clips."""
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
    arms = lever_arms(pairs)
    views = [_View(first, second, arms) for first, second in pairs]
    rates = [np.concatenate([pair[side].gyr for pair in pairs]) for side in (0, 1)]
    hinge_1, hinge_2 = hinge_axes(rates[0], rates[1])
    starts = [
        [view.relative() for view in views],
        [view.relative(hinge_1, hinge_2, HINGE_WEIGHT) for view in views],
        [view.relative(hinge_1, -hinge_2, HINGE_WEIGHT) for view in views],
    ]
    best = min((_refined(pairs, views, start, ups) for start in starts), key=_doubt)
    if best[0].shares[2] < HINGE_SHARE:
        return best
    same = np.sign(hinge_1 @ best[0].axis_proximal), np.sign(hinge_2 @ best[0].axis_distal)
    return _with_axes(best[0].shares, views, same[0] * hinge_1, same[1] * hinge_2)


def _doubt(alignments: Sequence[Alignment]) -> float:
    """What speaks against an alignment: joint forces that disagree, rotation beside the dominant axis."""
    return float(np.mean([one.disagreement for one in alignments])) + float(1.0 - alignments[0].shares[2])


def _refined(
    pairs: Sequence[Pair],
    views: Sequence[_View],
    relative: Sequence[FloatArray],
    ups: tuple[FloatArray, FloatArray] | None,
) -> list[Alignment]:
    """Axis and relative orientation in turn, from a start."""
    for _ in range(3):
        axis_1, axis_2, shares = _axes(pairs, relative, ups)
        weight = AXIS_WEIGHT * float((shares[2] - shares[1]) / shares[2])
        relative = [view.relative(axis_1, axis_2, weight) for view in views]
    axis_1, axis_2, shares = _axes(pairs, relative, ups)
    return _with_axes(shares, views, axis_1, axis_2, relative)


def _with_axes(
    shares: FloatArray,
    views: Sequence[_View],
    axis_1: FloatArray,
    axis_2: FloatArray,
    relative: Sequence[FloatArray] | None = None,
) -> list[Alignment]:
    """The alignments for given axes; relative orientation found anew where it is not given."""
    found = relative or [view.relative(axis_1, axis_2, HINGE_WEIGHT) for view in views]
    return [
        Alignment(q, axis_1, axis_2, shares, view.disagreement(q))
        for view, q in zip(views, found, strict=True)
    ]


class _View:
    """The vectors that both sensors of one recording see, summed into windows."""

    def __init__(self, first: Orientation, second: Orientation, arms: tuple[FloatArray, FloatArray]) -> None:
        self.pair = (first, second)
        self.force = (joint_force(first, arms[0]), joint_force(second, arms[1]))
        n = first.t.size
        self._starts = np.arange(0, n, max(1, round(KNOT_S * first.rate_hz)))
        self._knots = 0.5 * (self._starts + np.append(self._starts[1:], n) - 1)
        length = [np.linalg.norm(f, axis=1) for f in self.force]
        weight = 1.0 / (1.0 + (length[0] - length[1]) ** 2)  # impacts and soft tissue: the lengths disagree
        weight[first.gap | second.gap | first.saturated | second.saturated] *= 0.01
        self._weight = weight / G**2
        globe = [quaternion.rotate(o.quat, f) for o, f in zip(self.pair, self.force, strict=True)]
        self._moments = self._sum(globe[0], globe[1], self._weight)
        changes = globe[0] - np.average(globe[0], axis=0, weights=weight)
        self._moving = float(np.average(np.einsum("ni,ni->n", changes, changes), weights=weight))

    def relative(
        self, axis_1: FloatArray | None = None, axis_2: FloatArray | None = None, weight: float = 0.0
    ) -> FloatArray:
        """(n, 4) proximal from distal."""
        first, second = self.pair
        moments = self._moments.copy()
        moments[:, 2, 2] += VERTICAL_WEIGHT * np.diff(np.append(self._starts, first.t.size))
        if axis_1 is not None and axis_2 is not None:
            seen = [quaternion.rotate(o.quat, a) for o, a in ((first, axis_1), (second, axis_2))]
            moments += self._sum(seen[0], seen[1], np.full(first.t.size, weight))
        spread = WINDOW_S / KNOT_S
        moments = gaussian_filter1d(moments, spread, axis=0, mode="constant", truncate=3.0)
        between = self._between(quaternion.from_matrix(_nearest_rotation(moments)))
        return quaternion.multiply(
            quaternion.conjugate(first.quat), quaternion.multiply(between, second.quat)
        )

    def disagreement(self, relative: FloatArray) -> float:
        """Power of the difference of the joint's force between the sensors over that of its changes."""
        difference = self.force[0] - quaternion.rotate(relative, self.force[1])
        lost = np.average(np.einsum("ni,ni->n", difference, difference), weights=self._weight)
        return float(lost / (self._moving + FORCE_NOISE**2))

    def _sum(self, first: FloatArray, second: FloatArray, weight: FloatArray) -> FloatArray:
        outer = (weight[:, None] * first)[:, :, None] * second[:, None, :]
        return np.asarray(np.add.reduceat(outer, self._starts, axis=0))

    def _between(self, knots: FloatArray) -> FloatArray:
        """(n, 4) from the windows' rotations, linear between neighbours (they differ by little)."""
        n = self.pair[0].t.size
        knots = quaternion.continuous(knots)
        q = np.stack([np.interp(np.arange(n), self._knots, column) for column in knots.T], axis=1)
        return np.asarray(q / np.linalg.norm(q, axis=1, keepdims=True))


def _nearest_rotation(moments: FloatArray) -> FloatArray:
    """(k, 3, 3) rotations R that maximise trace(R^T B) (Markley 1988)."""
    u, _, vt = np.linalg.svd(moments)
    u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return np.asarray(u @ vt)


def neutral_rotation(alignment: Alignment, pose: tuple[Neutral, Neutral]) -> FloatArray:
    """(4,) proximal from distal in the neutral pose: the verticals agree, and so do the dominant axes."""
    moments = np.outer(pose[0].up, pose[1].up) + np.outer(alignment.axis_proximal, alignment.axis_distal)
    return np.asarray(quaternion.from_matrix(_nearest_rotation(moments[None]))[0])


def _axes(
    pairs: Sequence[Pair], relative: Sequence[FloatArray], ups: tuple[FloatArray, FloatArray] | None
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Dominant axis of the relative angular rate in both frames, and the shares of all three, ascending."""
    in_first = [quaternion.rotate(q, b.gyr) - a.gyr for (a, b), q in zip(pairs, relative, strict=True)]
    in_second = [
        quaternion.rotate(quaternion.conjugate(q), w) for q, w in zip(relative, in_first, strict=True)
    ]
    first, second = np.concatenate(in_first), np.concatenate(in_second)
    spread = [first.T @ first, second.T @ second]
    values = np.linalg.eigvalsh(spread[0])
    if ups is not None:
        for q in relative:
            bend = np.cross(ups[0], quaternion.rotate(q, ups[1]))
            back = quaternion.rotate(quaternion.conjugate(q), bend)
            spread[0] += BEND_WEIGHT * bend.T @ bend
            spread[1] += BEND_WEIGHT * back.T @ back
        prior = UPRIGHT_PRIOR * values.sum()
        spread = [s - prior * np.outer(up, up) for s, up in zip(spread, ups, strict=True)]
    axis_1, axis_2 = (np.linalg.eigh(s)[1][:, 2] for s in spread)
    if np.sum((first @ axis_1) * (second @ axis_2)) < 0:
        axis_2 = -axis_2
    return axis_1, axis_2, np.asarray(values / max(float(values.sum()), 1e-12), dtype=np.float64)
