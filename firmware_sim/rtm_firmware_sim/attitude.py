"""The coarse attitude filter inside a wearable that reports angles itself: gyroscope, pulled towards gravity.

It stands for the makers' firmware; it is no estimator of ours and nothing is judged by it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtm_firmware_sim.skeleton import multiply, rotate

FloatArray = NDArray[np.float64]
GRAVITY_S = 2.0
"""Time constant of the pull."""


class Attitude:
    """Sensor to world, as a unit quaternion, scalar first, w >= 0."""

    def __init__(self) -> None:
        self.q: FloatArray | None = None

    def update(self, acc: FloatArray, gyr: FloatArray, dt: float) -> FloatArray:
        """One sample: acc (3,) m/s2, gyr (3,) rad/s."""
        if self.q is None:
            self.q = _shortest(acc, np.array([0.0, 0.0, 1.0]))
        else:
            angle = float(np.linalg.norm(gyr)) * dt
            half = np.sinc(angle / (2.0 * np.pi)) * dt / 2.0
            self.q = multiply(self.q, np.array([np.cos(angle / 2.0), *(gyr * half)]))
            up = rotate(self.q, acc)
            pull = _shortest(up, np.array([0.0, 0.0, 1.0]))
            share = min(1.0, dt / GRAVITY_S)
            pull[1:] *= share
            pull[0] = 1.0
            self.q = multiply(pull / np.linalg.norm(pull), self.q)
        self.q /= np.linalg.norm(self.q)
        if self.q[0] < 0.0:
            self.q = -self.q
        return self.q

    def over(self, acc: FloatArray, gyr: FloatArray, dt: float) -> FloatArray:
        """Quaternions (n, 4) after each of n samples."""
        return np.stack([self.update(a, w, dt) for a, w in zip(acc, gyr, strict=True)])


def euler_deg(q: FloatArray) -> FloatArray:
    """Roll, pitch, yaw (n, 3), degrees, of quaternions (n, 4)."""
    w, x, y, z = q.T
    roll = np.arctan2(2.0 * (w * x + y * z), 1.0 - 2.0 * (x * x + y * y))
    pitch = np.arcsin(np.clip(2.0 * (w * y - z * x), -1.0, 1.0))
    yaw = np.arctan2(2.0 * (w * z + x * y), 1.0 - 2.0 * (y * y + z * z))
    return np.asarray(np.degrees(np.stack([roll, pitch, yaw], axis=1)))


def _shortest(from_: FloatArray, to: FloatArray) -> FloatArray:
    """The rotation that takes one direction to another the short way."""
    size = float(np.linalg.norm(from_))
    if size < 1e-9:
        return np.array([1.0, 0.0, 0.0, 0.0])
    a = from_ / size
    cosine = float(a @ to)
    if cosine < -1.0 + 1e-9:
        return np.array([0.0, 1.0, 0.0, 0.0])
    q = np.array([1.0 + cosine, *np.cross(a, to)])
    return np.asarray(q / np.linalg.norm(q))
