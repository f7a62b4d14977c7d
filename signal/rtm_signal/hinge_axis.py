"""The axis of a hinge in both sensors' frames from the angular rates alone, up to its sign.

Across a hinge the two angular rates differ only along its axis, so that their parts perpendicular to it have
the same length: |omega_1 x j_1| = |omega_2 x j_2| (Seel 2014; robust least squares after Olsson 2020).
No orientation is needed. Whether j_2 or -j_2 is the same direction as j_1 the rates do not tell.
"""

from __future__ import annotations

import numpy as np

from rtm_signal.recording import FloatArray

_MOST_SAMPLES = 4000
_SETTLED = 1e-6
_FLOOR = 0.02
"""rad/s: noise of the rates and give of a hinge, below which a difference says nothing."""


def hinge_axes(first: FloatArray, second: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(3,) and (3,) unit: the hinge in the frames of the rates first and second, (n, 3) rad/s, free of bias.

    Starts at each rate's principal axis; Gauss-Newton in the tangent planes, Cauchy weights.
    """
    thin = slice(None, None, max(1, first.shape[0] // _MOST_SAMPLES))
    rates = (first[thin], second[thin])
    axes = [np.linalg.eigh(rate.T @ rate)[1][:, 2] for rate in rates]
    for _ in range(12):
        across = [np.cross(rate, axis) for rate, axis in zip(rates, axes, strict=True)]
        length = [np.maximum(np.linalg.norm(c, axis=1), 1e-9) for c in across]
        error = length[0] - length[1]
        tangent = [np.linalg.svd(axis[None])[2][1:] for axis in axes]
        slope = [
            np.cross(c / n[:, None], rate) @ plane.T
            for c, n, rate, plane in zip(across, length, rates, tangent, strict=True)
        ]
        jacobian = np.concatenate([slope[0], -slope[1]], axis=1)
        scale = max(1.48 * float(np.median(np.abs(error))), _FLOOR)
        weight = 1.0 / (1.0 + (error / (2 * scale)) ** 2)
        normal = (jacobian * weight[:, None]).T @ jacobian
        normal += 1e-6 * (np.trace(normal) + 1e-9) * np.eye(4)
        step = -np.linalg.solve(normal, jacobian.T @ (weight * error))
        axes = [
            axis + move @ plane for axis, move, plane in zip(axes, (step[:2], step[2:]), tangent, strict=True)
        ]
        axes = [axis / np.linalg.norm(axis) for axis in axes]
        if np.abs(step).max() < _SETTLED:
            break
    return axes[0], axes[1]
