"""Segments, how they hang together, and what a sensor on one of them feels.

World frame: x forward, y left, z up. In the standing neutral pose every segment's frame is the world's. The
right side is modelled. A segment's rotation in its parent is Ry(a) Rx(b) Rz(c): flexion about y first.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

GRAVITY = np.array([0.0, 0.0, -9.80665])
MAGNETIC_FIELD_UT = np.array([20.0, 0.0, -44.0])
"""The earth's field of middle northern latitudes: north along x, pointing down."""
AXES = "yxz"


@dataclass(frozen=True, slots=True)
class Segment:
    """parent: None for the root. joint: its proximal joint in the parent's frame, m. sensor: where one is
    worn, m from that joint."""

    parent: str | None
    joint: tuple[float, float, float]
    sensor: tuple[float, float, float]


# Lengths of a body of 1.72 m, after the segment proportions of Winter, Biomechanics and Motor Control
# (2009), table 4.1.
SEGMENTS: Mapping[str, Segment] = {
    "pelvis": Segment(None, (0.0, 0.0, 0.0), (-0.09, 0.0, 0.08)),
    "trunk": Segment("pelvis", (0.0, 0.0, 0.10), (0.11, 0.0, 0.30)),
    "head": Segment("trunk", (0.0, 0.0, 0.46), (0.10, 0.0, 0.12)),
    "upper_arm": Segment("trunk", (0.0, -0.20, 0.40), (0.0, -0.05, -0.20)),
    "forearm": Segment("upper_arm", (0.0, 0.0, -0.32), (0.0, -0.03, -0.12)),
    "wrist": Segment("forearm", (0.0, 0.0, 0.0), (0.0, -0.03, -0.23)),
    "hand": Segment("wrist", (0.0, 0.0, -0.25), (0.0, -0.02, -0.08)),
    "thigh": Segment("pelvis", (0.0, -0.09, 0.0), (0.03, -0.08, -0.25)),
    "shank": Segment("thigh", (0.0, 0.0, -0.42), (0.04, -0.03, -0.18)),
    "foot": Segment("shank", (0.0, 0.0, -0.42), (0.12, 0.0, 0.02)),
}

Angles = Callable[[FloatArray, Container[str]], Mapping[tuple[str, str], FloatArray]]
"""Times (n,) and the segments that matter -> angle, rad (n,), by (segment, axis); absent means 0. ("root",
"z") is a rise of the whole body, m."""


def multiply(a: FloatArray, b: FloatArray) -> FloatArray:
    """Hamilton product of quaternions (..., 4), scalar first."""
    aw, ax, ay, az = (a[..., i] for i in range(4))
    bw, bx, by, bz = (b[..., i] for i in range(4))
    return np.asarray(
        np.stack(
            [
                aw * bw - ax * bx - ay * by - az * bz,
                aw * bx + ax * bw + ay * bz - az * by,
                aw * by - ax * bz + ay * bw + az * bx,
                aw * bz + ax * by - ay * bx + az * bw,
            ],
            axis=-1,
        )
    )


def conjugate(q: FloatArray) -> FloatArray:
    """The inverse rotation of unit quaternions (..., 4)."""
    return np.asarray(q * np.array([1.0, -1.0, -1.0, -1.0]))


def rotate(q: FloatArray, v: FloatArray) -> FloatArray:
    """Vectors (..., 3) turned by unit quaternions (..., 4)."""
    w, u = q[..., :1], q[..., 1:]
    t = 2.0 * np.cross(u, v)
    return np.asarray(v + w * t + np.cross(u, t))


def log(q: FloatArray) -> FloatArray:
    """Rotation vectors (..., 3), rad, of unit quaternions (..., 4); the short way round."""
    q = np.where(q[..., :1] < 0.0, -q, q)
    size = np.linalg.norm(q[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(size, q[..., :1])
    # Below 1e-12 rad the ratio is 2 to machine precision.
    ratio = np.divide(angle, size, out=np.full_like(angle, 2.0), where=size > 1e-12)
    return np.asarray(q[..., 1:] * ratio)


def about(axis: str, angle: FloatArray) -> FloatArray:
    """Quaternions (n, 4) of rotations about a frame axis."""
    q = np.zeros((angle.size, 4))
    q[:, 0] = np.cos(angle / 2.0)
    q[:, 1 + "xyz".index(axis)] = np.sin(angle / 2.0)
    return q


def chain(segment: str) -> list[str]:
    """From the root to a segment."""
    names = [segment]
    while (parent := SEGMENTS[names[-1]].parent) is not None:
        names.append(parent)
    return names[::-1]


@dataclass(frozen=True, slots=True)
class Pose:
    """Orientation (n, 4), segment to world, and position of the proximal joint (n, 3), m, by segment."""

    orientation: Mapping[str, FloatArray]
    joint: Mapping[str, FloatArray]

    def point(self, segment: str, offset: Sequence[float]) -> FloatArray:
        """World position (n, 3) of a point fixed in a segment."""
        return self.joint[segment] + rotate(self.orientation[segment], np.asarray(offset, dtype=np.float64))


def pose(t: FloatArray, angles: Angles, segments: Sequence[str], anchor: str) -> Pose:
    """The body at times t (n,): the named segments and all between them and the root; `anchor`'s joint stands
    still."""
    wanted = {name: None for segment in (*segments, anchor) for name in chain(segment)}
    now = angles(t, wanted)
    orientation: dict[str, FloatArray] = {}
    joint: dict[str, FloatArray] = {}
    identity = np.tile([1.0, 0.0, 0.0, 0.0], (t.size, 1))
    for name in wanted:
        segment = SEGMENTS[name]
        turn = identity if segment.parent is None else orientation[segment.parent]
        here = np.zeros((t.size, 3))
        if segment.parent is not None:
            here = joint[segment.parent] + rotate(turn, np.array(segment.joint))
        for axis in AXES:
            if (name, axis) in now:
                turn = multiply(turn, about(axis, now[name, axis]))
        orientation[name], joint[name] = turn, here
    still = joint[anchor].copy()
    if ("root", "z") in now:
        still[:, 2] -= now["root", "z"]
    return Pose(orientation, {name: value - still for name, value in joint.items()})


def _three(
    t: FloatArray, angles: Angles, placements: Sequence[str], anchor: str, step_s: float
) -> tuple[Pose, Pose, Pose]:
    """The body a step before, at, and a step after each time; moved once where the step is that of t itself."""
    if t.size < 2 or not np.allclose(np.diff(t), step_s, rtol=1e-6, atol=0.0):
        before, now, after = (pose(t + shift, angles, placements, anchor) for shift in (-step_s, 0.0, step_s))
        return before, now, after
    wide = pose(np.concatenate([[t[0] - step_s], t, [t[-1] + step_s]]), angles, tuple(placements), anchor)
    slices = (slice(0, -2), slice(1, -1), slice(2, None))
    before, now, after = (
        Pose(
            {name: q[part] for name, q in wide.orientation.items()},
            {name: p[part] for name, p in wide.joint.items()},
        )
        for part in slices
    )
    return before, now, after


@dataclass(frozen=True, slots=True)
class Felt:
    """An ideal sensor aligned with its segment: orientation (n, 4) to world, position (n, 3) m, acc (n, 3)
    m/s2, gyr (n, 3) rad/s, mag (n, 3) uT."""

    orientation: FloatArray
    position: FloatArray
    acc: FloatArray
    gyr: FloatArray
    mag: FloatArray


def feel(
    t: FloatArray, angles: Angles, placements: Sequence[str], anchor: str, *, step_s: float = 1e-3
) -> dict[str, Felt]:
    """What ideal sensors at the placements measure at times t (n,).

    Specific force is R^T (a - g), angular rate the derivative of R, both by central differences over
    `step_s`: with angle curves that are twice continuously differentiable the error is of order step_s
    squared.
    """
    before, now, after = _three(t, angles, placements, anchor, step_s)
    felt = {}
    for name in placements:
        offset = SEGMENTS[name].sensor
        p0, p1, p2 = (one.point(name, offset) for one in (before, now, after))
        acceleration = (p0 - 2.0 * p1 + p2) / step_s**2
        q = now.orientation[name]
        turn = multiply(conjugate(before.orientation[name]), after.orientation[name])
        back = conjugate(q)
        felt[name] = Felt(
            q,
            p1,
            rotate(back, acceleration - GRAVITY),
            log(turn) / (2.0 * step_s),
            rotate(back, np.broadcast_to(MAGNETIC_FIELD_UT, acceleration.shape)),
        )
    return felt
