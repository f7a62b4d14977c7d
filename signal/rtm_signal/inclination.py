"""Inclination: how far one segment has tilted from its neutral direction, whatever the plane.

The angle between the vertical as the sensor sees it now and as it saw it in the neutral pose (without one, at
the first sample). It needs no mounting, plane or heading, and for a limb that hangs in the neutral pose it is
the elevation of the limb. A movement that stays in one plane has two sides: there the angle has a sign, the
first clear excursion is positive, and it may pass 180 degrees.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtm_signal.angle import Angle, excursion_sign
from rtm_signal.orientation import Orientation
from rtm_signal.recording import FloatArray
from rtm_signal.uncertainty import withhold

BoolArray = NDArray[np.bool_]

PLANAR = 0.95
"""Share of the tilt in one plane, from which it is taken as a movement in that plane (free rotation: 0.5-0.8)."""
BESIDE = 0.35
"""Sine of 20 degrees: the vertical is farther than this from the exercise's plane, ..."""
MOST_BESIDE = 0.2
"""... in less than this share of all its way, or the few repetitions in that plane say nothing of the rest. Beside
exercise it is 0.11 to 0.18, walking and handling included; in free rotation 0.65."""


def inclination(
    orientation: Orientation,
    *,
    of: tuple[str, ...] = (),
    neutral_up: FloatArray | None = None,
    inside: BoolArray | None = None,
) -> Angle:
    """Tilt of one segment from neutral_up, (3,) the vertical as the sensor saw it, or its first sample.

    inside: (n,) samples of the exercise, whose plane counts; what the patient does besides may leave it.
    """
    valid, withheld = withhold("inclination", orientation)
    up = orientation.up
    reference = up[int(np.argmax(valid))] if neutral_up is None else neutral_up
    exercised = valid if inside is None else valid & inside
    plane = _plane(up[exercised])
    if plane is not None and _way_beside(up[valid], plane) > MOST_BESIDE:
        plane = None
    angle = _tilt(up, reference, valid) if plane is None else _in_plane(up, plane, reference, exercised)
    spread = float(np.sqrt(2) * np.median(orientation.sigma))  # a range of motion is a difference of two
    return Angle(orientation.t, angle, orientation.sigma, valid, "inclination", of, (spread, 0.0), withheld)


def _plane(up: FloatArray) -> FloatArray | None:
    """(3,) normal of the plane in which the vertical moves as the sensor sees it; None where it does not."""
    if len(up) < 3:
        return None
    values, vectors = np.linalg.eigh(up.T @ up / len(up))
    spread = np.linalg.eigvalsh(np.cov(up.T))
    flat = (
        values[0] < (1 - PLANAR) * float(spread.sum()) and abs(float(vectors[:, 0] @ up.mean(axis=0))) < 0.2
    )
    return np.asarray(vectors[:, 0]) if flat else None


def _way_beside(up: FloatArray, normal: FloatArray) -> float:
    """Share of the way of the vertical up, (n, 3), as the sensor sees it, that it makes beside a plane."""
    step = np.linalg.norm(np.diff(up, axis=0), axis=1)
    return float(step[np.abs(up[1:] @ normal) > BESIDE].sum() / max(float(step.sum()), 1e-12))


def _in_plane(up: FloatArray, normal: FloatArray, reference: FloatArray, inside: BoolArray) -> FloatArray:
    """(n,) rad in the plane, zero where the vertical was `reference`, first excursion of the exercise positive."""
    first = reference - (reference @ normal) * normal
    length = float(np.linalg.norm(first))
    if length < 0.5:  # seen from the neutral pose the movement has no plane of its own
        first = up[int(np.argmax(inside))]
        first = first - (first @ normal) * normal
        length = float(np.linalg.norm(first))
    first = first / length
    angle = np.unwrap(np.arctan2(up @ np.cross(normal, first), up @ first))
    return np.asarray(angle * excursion_sign(angle[inside]))


def _tilt(up: FloatArray, reference: FloatArray, valid: BoolArray) -> FloatArray:
    across = np.cross(reference, up)
    along = up @ reference
    values, vectors = np.linalg.eigh(across[valid].T @ across[valid])
    if values[2] < PLANAR * max(float(values.sum()), 1e-12):
        return np.asarray(np.arctan2(np.sqrt(np.einsum("ni,ni->n", across, across)), along))
    angle = np.unwrap(np.arctan2(across @ vectors[:, 2], along))
    return np.asarray(angle * excursion_sign(angle[valid]))
