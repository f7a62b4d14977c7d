"""Inclination: how far one segment has tilted from its neutral direction, whatever the plane.

The angle between the vertical as the sensor sees it now and as it saw it in the neutral pose (without one, at
the first sample). It needs no mounting, plane or heading, and for a limb that hangs in the neutral pose it is
the elevation of the limb. A movement that stays in one plane has two sides: there the angle has a sign, the
first clear excursion is positive, and it may pass 180 degrees.
"""

from __future__ import annotations

import numpy as np

from rtm_signal.angle import Angle, excursion_sign
from rtm_signal.orientation import Orientation
from rtm_signal.recording import FloatArray
from rtm_signal.uncertainty import withhold

PLANAR = 0.95
"""Share of the tilt in one plane, from which it is taken as a movement in that plane (free rotation: 0.5-0.8)."""


def inclination(
    orientation: Orientation, *, of: tuple[str, ...] = (), neutral_up: FloatArray | None = None
) -> Angle:
    """Tilt of one segment from neutral_up, (3,) the vertical as the sensor saw it, or its first sample."""
    valid, withheld = withhold("inclination", orientation)
    up = orientation.up
    reference = up[int(np.argmax(valid))] if neutral_up is None else neutral_up
    angle = _tilt(up, reference, valid)
    spread = float(np.sqrt(2) * np.median(orientation.sigma))  # a range of motion is a difference of two
    return Angle(orientation.t, angle, orientation.sigma, valid, "inclination", of, (spread, 0.0), withheld)


def _tilt(up: FloatArray, reference: FloatArray, valid: np.typing.NDArray[np.bool_]) -> FloatArray:
    across = np.cross(reference, up)
    along = up @ reference
    values, vectors = np.linalg.eigh(across[valid].T @ across[valid])
    if values[2] < PLANAR * max(float(values.sum()), 1e-12):
        return np.asarray(np.arctan2(np.sqrt(np.einsum("ni,ni->n", across, across)), along))
    angle = np.unwrap(np.arctan2(across @ vectors[:, 2], along))
    return np.asarray(angle * excursion_sign(angle[valid]))
