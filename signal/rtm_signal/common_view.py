"""What two sensors on adjacent segments both see, and the rotation between their frames that makes it agree.

Without a magnetometer each sensor has a frame of its own that turns slowly against the other's. Over a window
the rotation between the two frames is the best one (Wahba 1965, by SVD: Markley 1988) that makes pairs of
vectors agree: the specific force of the joint's centre, the vertical, and, where the joint has a dominant
axis, that axis. One step of linear algebra does what magnetometer-free heading correction does for hinges
(Laidig 2017), without a filter, and for joints with more axes too.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d, uniform_filter1d

from rtm_signal import quaternion
from rtm_signal.gravity import G
from rtm_signal.lever_arm import Pair, joint_force
from rtm_signal.orientation import DELAY_PERIODS, Orientation
from rtm_signal.recording import FloatArray

KNOT_S = 1.0
WINDOW_S = 5.0
"""Standard deviation of the window: the gyroscope bias that VQF leaves (0.01-0.05 deg/s) turns the frames by
less than 0.25 degrees in it."""
VERTICAL_WEIGHT = 0.3
"""Of the verticals against the force: VQF's inclination is good, the force knows more in short clips."""
STILL_S = 4.0
"""A joint that exercises on the spot has no horizontal acceleration on average over so long: what is seen of one is
gravity, by a tilt of either orientation that is off, and would pull the frames together falsely."""
LONG_S = 12.0
"""Recordings beyond it are so corrected; in shorter ones the forces tell the tilt, too, better than it is known."""
FORCE_NOISE = 0.1
"""m/s2: of the joint's force between two good sensors."""
_MOST = 30000
"""Samples of a recording from which the rotation is found: five minutes at 100 Hz, every k-th of longer ones."""
_TOLD, _STEPS = 1e-3, 16
"""Of the product of the sums of two singular values each, for moments of norm 1, above which the closed form is sound;
Newton's steps that settle the root then."""
_THIN = 5000
"""Samples of a recording from which axes are found: all of two minutes at 50 Hz, fewer of longer ones."""


class View:
    """The vectors that both sensors of one recording see, summed into knots of a second.

    A rate or a force is the mean of the period that ends at its stamp, behind the sensor's low-pass filter; the
    orientation is that at the stamp. A force must be turned by the orientation of its own moment: on the two-axis
    rig (50 Hz) a period between them costs five degrees.

    gyr: (m, 3) rad/s of both sensors, thinned.
    """

    def __init__(
        self, pair: Pair, arms: tuple[FloatArray, FloatArray], slopes: tuple[FloatArray, FloatArray]
    ) -> None:
        first, second = pair
        n = first.t.size
        self._quat = (first.quat, second.quat)
        used = np.arange(0, n, max(1, n // _MOST))
        m_rate = used.size / n * first.rate_hz
        quat = (_behind(first, used), _behind(second, used))
        force = [joint_force(o, arm, slope, used) for o, arm, slope in zip(pair, arms, slopes, strict=True)]
        length = [np.sqrt(np.einsum("ni,ni->n", f, f)) for f in force]
        weight = 1.0 / (1.0 + (length[0] - length[1]) ** 2)  # impacts and soft tissue: the lengths disagree
        weight[(first.gap | second.gap | first.saturated | second.saturated)[used]] *= 0.01
        globe = [quaternion.rotate(q, f) for q, f in zip(quat, force, strict=True)]
        moved = [
            f[:, :2] - uniform_filter1d(f[:, :2], max(3, round(STILL_S * m_rate)), axis=0, mode="nearest")
            for f in globe
        ]
        if n > LONG_S * first.rate_hz:
            for f, changes in zip(globe, moved, strict=True):
                f[:, :2] = changes
        self._moving = float(np.average(np.einsum("ni,ni->n", moved[0], moved[0]), weights=weight))

        m = used.size
        starts = np.arange(0, m, max(1, round(KNOT_S * m / n * first.rate_hz)))
        ends = np.append(starts[1:], m)
        self._sizes = ends - starts
        self._knots = 0.5 * (used[starts] + used[ends - 1])
        outer = (weight[:, None] / G**2 * globe[0])[:, :, None] * globe[1][:, None, :]
        self._moments = np.add.reduceat(outer.reshape(m, 9), starts, axis=0).reshape(-1, 3, 3)

        picked = np.arange(0, m, max(1, m // _THIN))
        self._thin = used[picked]
        self._knot_of = np.searchsorted(starts, picked, side="right") - 1
        self._thin_quat = (quat[0][picked], quat[1][picked])
        self._moved = (moved[0][picked], moved[1][picked])
        self._thin_weight = weight[picked]
        self._thinned_by = m / picked.size
        self.gyr = (first.gyr[self._thin], second.gyr[self._thin])

    def turns(self, axes: tuple[FloatArray, FloatArray] | None = None, weight: float = 0.0) -> FloatArray:
        """(k, 4) second frame to first, at the knots; axes: (3,) in either sensor's frame, where known."""
        moments = self._moments.copy()
        moments[:, 2, 2] += VERTICAL_WEIGHT * self._sizes
        if axes is not None:
            seen = [quaternion.rotate(q, a) for q, a in zip(self._thin_quat, axes, strict=True)]
            pairs = (seen[0][:, :, None] * seen[1][:, None, :]).reshape(-1, 9)
            sums = [np.bincount(self._knot_of, column, len(moments)) for column in pairs.T]
            moments += weight * self._thinned_by * np.stack(sums, axis=1).reshape(-1, 3, 3)
        moments = gaussian_filter1d(moments, WINDOW_S / KNOT_S, axis=0, mode="constant", truncate=3.0)
        return quaternion.continuous(quaternion.from_matrix(nearest_rotation(moments)))

    def relative(self, turns: FloatArray, *, thin: bool = False) -> FloatArray:
        """(n, 4) or thinned (m, 4): first sensor from second; turns: at the knots, linear between them."""
        first, second = self._thin_quat if thin else self._quat
        at = self._thin if thin else np.arange(first.shape[0])
        between = self._between(turns, at)
        return quaternion.multiply(quaternion.conjugate(first), quaternion.multiply(between, second))

    def disagreement(self, turns: FloatArray) -> float:
        """Power of the difference of the joint's horizontal acceleration between the sensors over its own."""
        second = np.concatenate([self._moved[1], np.zeros((len(self._thin), 1))], axis=1)
        difference = self._moved[0] - quaternion.rotate(self._between(turns, self._thin), second)[:, :2]
        lost = np.average(np.einsum("ni,ni->n", difference, difference), weights=self._thin_weight)
        return float((lost + FORCE_NOISE**2) / (self._moving + FORCE_NOISE**2))

    def _between(self, turns: FloatArray, at: NDArray[np.intp]) -> FloatArray:
        """(m, 4) second frame to first at some samples; turns: at the knots, linear between them."""
        between = np.stack([np.interp(at, self._knots, column) for column in turns.T], axis=1)
        between /= np.sqrt(np.einsum("ni,ni->n", between, between))[:, None]
        return between


def _behind(orientation: Orientation, rows: NDArray[np.intp]) -> FloatArray:
    """(m, 4) the orientation at the moment that the rates and forces of some rows tell of."""
    turn = orientation.gyr[rows] * (-(0.5 + DELAY_PERIODS) / orientation.rate_hz)
    return quaternion.multiply(orientation.quat[rows], quaternion.from_rotation_vector(turn))


def nearest_rotation(moments: FloatArray) -> FloatArray:
    """(..., 3, 3) rotations R that maximise trace(R^T B).

    In closed form (Markley 1993, FOMA), given the maximum itself, which is the largest root of a quartic; by singular
    values where a single direction is seen, so that the turn about it is as good as free.
    """
    b = moments.reshape(-1, 3, 3)
    largest = np.abs(b).max(axis=(1, 2), initial=0.0)[:, None, None]
    b = b / np.where(largest > 0, largest, 1.0)  # first, since the square of a tiny number is none
    b = b / np.where(largest > 0, np.sqrt(np.einsum("kij,kij->k", b, b))[:, None, None], 1.0)
    adjoint = np.stack([np.cross(b[:, i - 2], b[:, i - 1]) for i in range(3)], axis=1)  # of cofactors
    det = np.einsum("kj,kj->k", b[:, 0], adjoint[:, 0])
    most = _largest_root(det, np.einsum("kij,kij->k", adjoint, adjoint))
    kappa = (most**2 - 1) / 2
    zeta = kappa * most - det
    told = zeta > _TOLD
    out = (kappa + 1)[:, None, None] * b + most[:, None, None] * adjoint - b @ b.swapaxes(1, 2) @ b
    out /= np.where(told, zeta, 1.0)[:, None, None]
    if not told.all():
        out[~told] = _by_singular_values(b[~told])
    return np.asarray(out.reshape(moments.shape))


def _largest_root(det: FloatArray, minors: FloatArray) -> FloatArray:
    """(k,) of (x^2 - 1)^2 - 8 det x - 4 minors, for moments of norm 1: Newton's way down from above it."""
    x = np.full(det.shape, np.sqrt(3.0))
    for _ in range(_STEPS):
        beyond = x**2 - 1
        x -= (beyond**2 - 8 * det * x - 4 * minors) / np.maximum(4 * x * beyond - 8 * det, 1e-12)
    return x


def _by_singular_values(moments: FloatArray) -> FloatArray:
    u, _, vt = np.linalg.svd(moments)
    u[..., :, 2] *= np.sign(np.linalg.det(u @ vt))[..., None]
    return np.asarray(u @ vt)
