"""Where the joint is, seen from the sensors on both sides of it, and the specific force of its centre.

Both segments share the joint's centre, so the specific force measured by each sensor and carried to the
centre by rigid-body kinematics is one vector: f = a - (omega x (omega x r) + d omega/dt x r). Its length does
not depend on orientation, which gives the lever arms r by least squares (Seel, Schauer and Raisch 2012).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import savgol_filter

from rtm_signal.orientation import Orientation
from rtm_signal.recording import FloatArray

Pair = tuple[Orientation, Orientation]

PRIOR_M = 0.25
"""Standard deviation of a lever arm about zero: few sensors are worn further from the joint than that."""
TOLD_HZ = 5.0
"""Independent samples a second: an accelerometer's offset and scale err alike for as long as it is held alike, and
taken as noise of each sample they would move the joint half a metre in slow movement."""
_SLOPE_S = 0.1
_MOST_SAMPLES = 6000
_SETTLED_M = 1e-5


def lever_arms(
    pairs: Sequence[Pair], slopes: Sequence[tuple[FloatArray, FloatArray]]
) -> tuple[FloatArray, FloatArray]:
    """(3,) m each: from the joint's centre to the proximal and to the distal sensor, in its frame.

    pairs: recordings (movement, calibration) of sensors worn alike; slopes: their angular accelerations,
    (n, 3) rad/s2. Unknown components stay near zero.
    """
    rows = [_informative(pair, slope) for pair, slope in zip(pairs, slopes, strict=True)]
    acc = [np.concatenate([row[side][0] for row in rows]) for side in (0, 1)]
    arm = [np.concatenate([row[side][1] for row in rows]) for side in (0, 1)]
    both = np.zeros(6)
    if acc[0].shape[0] < 6:
        return both[:3], both[3:]
    told = TOLD_HZ * sum(o.t.size / o.rate_hz for o, _ in pairs) / acc[0].shape[0]
    for _ in range(8):
        force = [acc[i] - np.einsum("nij,j->ni", arm[i], both[3 * i : 3 * i + 3]) for i in (0, 1)]
        size = [np.maximum(np.linalg.norm(f, axis=1), 1e-6) for f in force]
        error = size[0] - size[1]
        slope = [np.einsum("ni,nij->nj", f / s[:, None], a) for f, s, a in zip(force, size, arm, strict=True)]
        jacobian = np.concatenate([-slope[0], slope[1]], axis=1)
        scale = max(1.48 * float(np.median(np.abs(error))), 0.2)
        weight = 1.0 / (scale**2 * (1.0 + (error / (2 * scale)) ** 2))  # Cauchy: impacts count little
        weight *= told
        normal = (jacobian * weight[:, None]).T @ jacobian + np.eye(6) / PRIOR_M**2
        step = np.linalg.solve(normal, jacobian.T @ (weight * error) + both / PRIOR_M**2)
        both -= step
        if np.abs(step).max() < _SETTLED_M:
            break
    return both[:3], both[3:]


def joint_force(
    orientation: Orientation, arm: FloatArray, slope: FloatArray, rows: NDArray[np.intp]
) -> FloatArray:
    """(m, 3) m/s2: the specific force of the joint's centre in the sensor's frame, of some rows.

    arm: (3,) m, from joint to sensor; slope: (n, 3) rad/s2, the angular acceleration.
    """
    gyr = orientation.gyr[rows]
    along = (gyr @ arm)[:, None] * gyr - np.einsum("ni,ni->n", gyr, gyr)[:, None] * arm
    across = slope[rows] @ _skew(arm[None])[0]  # slope x arm = -[arm]x slope = slope [arm]x as rows
    return np.asarray(orientation.acc[rows] - along - across)


def _informative(
    pair: Pair, slopes: tuple[FloatArray, FloatArray]
) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
    """Specific force (m, 3) and lever matrix (m, 3, 3) of both sensors, where both are known, thinned."""
    first, second = pair
    sound = np.flatnonzero(~(first.gap | second.gap | first.saturated | second.saturated))
    sound = sound[:: max(1, sound.size // _MOST_SAMPLES)]
    return (
        (first.acc[sound], _lever_matrix(first, slopes[0], sound)),
        (second.acc[sound], _lever_matrix(second, slopes[1], sound)),
    )


def _lever_matrix(orientation: Orientation, slope: FloatArray, rows: NDArray[np.intp]) -> FloatArray:
    """(m, 3, 3): the matrix that makes the lever arm's acceleration of the lever arm."""
    rate = _skew(orientation.gyr[rows])
    return np.asarray(rate @ rate + _skew(slope[rows]))


def angular_acceleration(orientation: Orientation) -> FloatArray:
    """(n, 3) rad/s2, by a polynomial of fourth degree through a tenth of a second: a parabola flattens quick turns."""
    n = orientation.t.size
    window = max(3, int(_SLOPE_S * orientation.rate_hz / 2) * 2 + 1)
    if n < window:
        return np.zeros((n, 3)) if n < 2 else np.gradient(orientation.gyr, 1 / orientation.rate_hz, axis=0)
    order = min(4, window - 1)
    slope = savgol_filter(orientation.gyr, window, order, deriv=1, delta=1 / orientation.rate_hz, axis=0)
    return np.asarray(slope)


def _skew(v: FloatArray) -> FloatArray:
    out = np.zeros((*v.shape, 3))
    out[:, 0, 1], out[:, 0, 2] = -v[:, 2], v[:, 1]
    out[:, 1, 0], out[:, 1, 2] = v[:, 2], -v[:, 0]
    out[:, 2, 0], out[:, 2, 1] = -v[:, 1], v[:, 0]
    return out
