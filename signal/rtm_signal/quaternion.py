"""Unit quaternions, w x y z, as (..., 4) arrays: the few operations that the estimators need, vectorised."""

from __future__ import annotations

import numpy as np
from scipy.spatial.transform import Rotation

from rtm_signal.recording import FloatArray


def multiply(a: FloatArray, b: FloatArray) -> FloatArray:
    """Hamilton product: first b, then a."""
    aw, ax, ay, az = np.moveaxis(a, -1, 0)
    bw, bx, by, bz = np.moveaxis(b, -1, 0)
    out = np.empty(np.broadcast_shapes(a.shape, b.shape))
    out[..., 0] = aw * bw - ax * bx - ay * by - az * bz
    out[..., 1] = aw * bx + ax * bw + ay * bz - az * by
    out[..., 2] = aw * by - ax * bz + ay * bw + az * bx
    out[..., 3] = aw * bz + ax * by - ay * bx + az * bw
    return out


def conjugate(q: FloatArray) -> FloatArray:
    """The inverse rotation."""
    return np.asarray(q * np.array([1.0, -1.0, -1.0, -1.0]))


def rotate(q: FloatArray, v: FloatArray) -> FloatArray:
    """Vectors (..., 3) turned by q."""
    w, x, y, z = np.moveaxis(q, -1, 0)
    vx, vy, vz = np.moveaxis(v, -1, 0)
    tx, ty, tz = 2 * (y * vz - z * vy), 2 * (z * vx - x * vz), 2 * (x * vy - y * vx)
    out = np.empty((*np.broadcast_shapes(q.shape[:-1], v.shape[:-1]), 3))
    out[..., 0] = vx + w * tx + y * tz - z * ty
    out[..., 1] = vy + w * ty + z * tx - x * tz
    out[..., 2] = vz + w * tz + x * ty - y * tx
    return out


def from_rotation_vector(v: FloatArray) -> FloatArray:
    """(..., 3) axis times angle, rad."""
    half = 0.5 * np.sqrt(np.einsum("...i,...i", v, v))
    out = np.empty((*v.shape[:-1], 4))
    out[..., 0] = np.cos(half)
    out[..., 1:] = v * (0.5 * np.sin(half) / np.maximum(half, 1e-12) + (half < 1e-12) * 0.5)[..., None]
    return out


def from_matrix(m: FloatArray) -> FloatArray:
    """(..., 3, 3) rotation matrices."""
    return np.asarray(Rotation.from_matrix(m).as_quat()[..., [3, 0, 1, 2]], dtype=np.float64)


def accumulate(steps: FloatArray) -> FloatArray:
    """(n, 4) product of the first k + 1 steps, for each k: a scan inside blocks, side by side, then over the blocks."""
    n = steps.shape[0]
    if n < 2:
        return np.asarray(steps / np.sqrt(np.einsum("ni,ni->n", steps, steps))[:, None])
    width = max(2, round(np.cbrt(n)))  # about as many blocks again as the scan over them has steps
    blocks = -(-n // width)
    padded = np.tile([1.0, 0.0, 0.0, 0.0], (blocks * width, 1))
    padded[:n] = steps
    scan = np.ascontiguousarray(padded.reshape(blocks, width, 4).transpose(1, 0, 2))
    for i in range(1, width):
        scan[i] = multiply(scan[i - 1], scan[i])
    scan[:, 1:] = multiply(accumulate(scan[-1, :-1]), scan[:, 1:])
    out = scan.transpose(1, 0, 2).reshape(-1, 4)[:n]
    return np.asarray(out / np.sqrt(np.einsum("ni,ni->n", out, out))[:, None])


def continuous(q: FloatArray) -> FloatArray:
    """(n, 4) the same rotations, each with the sign nearest to the one before."""
    flips = np.where(np.einsum("ni,ni->n", q[1:], q[:-1]) < 0, -1.0, 1.0)
    return np.asarray(q * np.concatenate([[1.0], np.cumprod(flips)])[:, None])


def twist_angle(q: FloatArray, axis: FloatArray) -> FloatArray:
    """(n,) rad, unwrapped: the rotation about a fixed axis (3,) in the swing-twist decomposition."""
    q = continuous(q)
    angle = 2 * np.arctan2(q[:, 1:] @ axis, q[:, 0])
    jumps = np.round(np.diff(angle) / (4 * np.pi))  # of continuous quaternions there are no others
    if jumps.any():
        angle[1:] -= 4 * np.pi * np.cumsum(jumps)
    return np.asarray(angle)


def third_column(q: FloatArray) -> FloatArray:
    """(n, 3) the vertical of the global frame as the sensor sees it, for q global from sensor."""
    w, x, y, z = np.moveaxis(q, -1, 0)
    return np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=-1)


def aligning(a: FloatArray, b: FloatArray) -> FloatArray:
    """(..., 4) the shortest rotation from unit vectors a (..., 3) to b; of half turns, one of them."""
    cross = np.cross(a, b)
    w = 1.0 + np.einsum("...i,...i", a, b)
    q = np.concatenate([np.asarray(w)[..., None], cross], axis=-1)
    opposite = w < 1e-9
    if np.any(opposite):
        other = np.where(np.abs(a[..., :1]) < 0.9, [1.0, 0.0, 0.0], [0.0, 1.0, 0.0])
        half_turn = np.cross(a, other)
        q = np.where(
            np.asarray(opposite)[..., None],
            np.concatenate([np.zeros((*a.shape[:-1], 1)), half_turn], axis=-1),
            q,
        )
    return np.asarray(q / np.linalg.norm(q, axis=-1, keepdims=True))
