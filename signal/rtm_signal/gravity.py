"""Which way is up, over a whole recording at once: a least-squares smoother that knows of lost samples.

VQF needs a few seconds to settle and knows nothing of gaps. Over a clip that starts in mid-movement, and
across lost packets, this smoother is better: in a frame carried along by the gyroscope (strapdown), gravity
stands almost still, so that the mean of the specific force over the clip is gravity plus the change of
velocity. With gravity g_k and velocity v_k at knots every 50 ms it minimises the squares of

- v_{k+1} - v_k - (integral of specific force - gravity): noise of the accelerometer, unknown inside a gap;
- v_k: a worn sensor does not travel (zero-velocity pseudo-measurement, as in Foxlin 2005);
- g_{k+1} - g_k - (drift by the remaining gyroscope bias b): noise of the gyroscope, large across a gap;
- b: its prior.

The normal matrix is banded (three off-diagonals), so that the cost is linear in the length.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.ndimage import uniform_filter1d

from rtm_signal.recording import FloatArray

G = 9.80665
KNOT_S = 0.05
VELOCITY_SIGMA = 0.2
"""m/s over one second: a limb segment that exercises on the spot."""
GYRO_WALK = np.radians(0.05)
"""rad in one second of random walk of the direction: noise and changing bias of a worn MEMS gyroscope."""
ACC_NOISE = 0.02
"""m/s per root second, integrated accelerometer noise and its remaining offset."""
GAP_ACC = 3.0
"""m/s2 by which the specific force inside a gap may differ from the line across it."""
_PROBES = 6


@dataclass(frozen=True, slots=True)
class Gravity:
    """up: (n, 3) unit, strapdown frame; sigma: (n,) rad; bias: (3,) rad/s that was left in the gyroscope."""

    up: FloatArray
    sigma: FloatArray
    bias: FloatArray


def smooth_gravity(
    force: FloatArray,
    carry: FloatArray,
    rate_hz: float,
    *,
    gap: NDArray[np.bool_],
    gap_sigma: FloatArray,
    bias_sigma: float,
) -> Gravity:
    """Gravity in the strapdown frame.

    force: (n, 3) m/s2, specific force in the strapdown frame; carry: (n, 3, 3) strapdown from sensor.
    gap: (n,) bridged samples; gap_sigma: (n,) rad, random walk of the direction in each of them.
    bias_sigma: rad/s, standard uncertainty of the gyroscope bias that is left.
    """
    n, dt = force.shape[0], 1.0 / rate_hz
    knots = np.unique(np.concatenate([np.arange(0, n, max(1, round(KNOT_S * rate_hz))), [n - 1]]))
    if knots.size < 2:
        mean = force.mean(axis=0)
        up = np.tile(mean / max(float(np.linalg.norm(mean)), 1e-9), (n, 1))
        return Gravity(up, np.full(n, 0.1), np.zeros(3))
    length = np.diff(knots) * dt
    pushed = np.add.reduceat(force[1:], knots[:-1], axis=0) * dt
    carried = np.add.reduceat(carry[1:], knots[:-1], axis=0) * dt
    lost = np.add.reduceat(gap[1:].astype(np.float64), knots[:-1]) * dt
    drift = np.add.reduceat(np.where(gap, gap_sigma, 0.0)[1:] ** 2, knots[:-1])

    w_push = 1.0 / (ACC_NOISE**2 * length + (GAP_ACC * lost) ** 2)
    w_turn = 1.0 / (G**2 * (GYRO_WALK**2 * length + drift))
    matrix, push = _normal_matrix(length, w_push, w_turn, float(np.median(length)))
    factor = cholesky_banded(matrix, check_finite=False)

    right = np.zeros((2 * knots.size, 3))
    for place in range(4):
        right[place : place + 2 * length.size : 2] += (push[:, place] * w_push)[:, None] * pushed
    plain = cho_solve_banded((factor, False), right, check_finite=False)

    direction = plain[1::2] / np.maximum(np.linalg.norm(plain[1::2], axis=1, keepdims=True), 1e-6)
    turn = -G * np.einsum("kij,kjl->kil", _cross_matrix(direction[:-1]), carried)  # d(g_{k+1} - g_k) / db
    effect = np.zeros((2 * knots.size, 9))
    effect[1:-1:2] -= w_turn[:, None] * turn.reshape(-1, 9)
    effect[3::2] += w_turn[:, None] * turn.reshape(-1, 9)
    reply = cho_solve_banded((factor, False), effect, check_finite=False)[1::2].reshape(-1, 3, 3)
    weighted = w_turn[:, None, None] * turn
    stiff = np.einsum("kij,kil->jl", weighted, turn - np.diff(reply, axis=0)) + np.eye(3) / bias_sigma**2
    bias = np.linalg.solve(stiff, np.einsum("kij,ki->j", weighted, np.diff(plain[1::2], axis=0)))
    gravity = plain[1::2] + reply @ bias

    noise = _posterior_sigma(factor, length, w_push, w_turn, push) / G
    at = np.arange(n)
    up = np.stack([np.interp(at, knots, column) for column in gravity.T], axis=1)
    size = np.maximum(np.linalg.norm(up, axis=1, keepdims=True), 1e-6)
    return Gravity(up / size, np.interp(at, knots, noise), bias)


def _normal_matrix(
    length: FloatArray, w_push: FloatArray, w_turn: FloatArray, knot_s: float
) -> tuple[FloatArray, FloatArray]:
    """Upper banded form (4, 2 K) of the unknowns v0 g0 v1 g1 ..., and the rows (K - 1, 4) of the push."""
    count = length.size + 1
    half = 0.5 * length
    push = np.stack([-np.ones_like(half), half, np.ones_like(half), half], axis=1)
    turn = np.tile([0.0, -1.0, 0.0, 1.0], (length.size, 1))
    matrix = np.zeros((4, 2 * count))
    matrix[3, 0::2] += knot_s / VELOCITY_SIGMA**2
    for i in range(4):
        for j in range(i, 4):
            entry = push[:, i] * push[:, j] * w_push + turn[:, i] * turn[:, j] * w_turn
            matrix[3 - (j - i), j : j + 2 * length.size : 2] += entry
    return matrix, push


def _posterior_sigma(
    factor: FloatArray, length: FloatArray, w_push: FloatArray, w_turn: FloatArray, push: FloatArray
) -> FloatArray:
    """(K,) standard deviation of g, m/s2, by solving for noise that has the normal matrix as covariance.

    Perturb-and-MAP (Papandreou and Yuille 2010): a few probes, their squares smoothed over a second of knots.
    """
    rng = np.random.default_rng(0)  # the same answer for the same recording
    count = length.size + 1
    noise = np.zeros((2 * count, _PROBES))
    pushes = rng.standard_normal((length.size, _PROBES)) * np.sqrt(w_push)[:, None]
    turns = rng.standard_normal((length.size, _PROBES)) * np.sqrt(w_turn)[:, None]
    for place in range(4):
        noise[place : place + 2 * length.size : 2] += push[:, place][:, None] * pushes
    noise[1:-1:2] -= turns
    noise[3::2] += turns
    noise[0::2] += rng.standard_normal((count, _PROBES)) * np.sqrt(np.median(length)) / VELOCITY_SIGMA
    spread = cho_solve_banded((factor, False), noise, check_finite=False)[1::2]
    variance = uniform_filter1d((spread**2).mean(axis=1), size=min(21, count), mode="nearest")
    return np.asarray(np.sqrt(variance))


def _cross_matrix(v: FloatArray) -> FloatArray:
    out = np.zeros((*v.shape, 3))
    out[:, 0, 1], out[:, 0, 2] = -v[:, 2], v[:, 1]
    out[:, 1, 0], out[:, 1, 2] = v[:, 2], -v[:, 0]
    out[:, 2, 0], out[:, 2, 1] = -v[:, 1], v[:, 0]
    return out
