"""Inclination: how far one segment has tilted from its neutral direction, whatever the plane.

The angle between the vertical as the sensor sees it now and as it saw it in the neutral pose (without one, at
the first sample). It needs no mounting, plane or heading, and for a limb that hangs in the neutral pose it is
the elevation of the limb.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtm_signal.orientation import Orientation
from rtm_signal.recording import FloatArray
from rtm_signal.result import Withheld


@dataclass(frozen=True, slots=True)
class Angle:
    """An angle over time.

    t: (n,) s; angle: (n,) rad, unwrapped, meaningless where not valid; sigma: (n,) rad, standard uncertainty;
    valid: (n,) bool; name: what was measured; withheld: the spans that are not valid, with reasons.
    """

    t: FloatArray
    angle: FloatArray
    sigma: FloatArray
    valid: NDArray[np.bool_]
    name: str
    withheld: tuple[Withheld, ...] = ()


def inclination(orientation: Orientation, *, neutral_up: FloatArray | None = None) -> Angle:
    """Tilt of one segment from neutral_up, (3,) the vertical as the sensor saw it, or its first sample."""
    up = orientation.up
    reference = up[0] if neutral_up is None else neutral_up
    angle = np.arctan2(np.linalg.norm(np.cross(up, reference), axis=1), up @ reference)
    return Angle(orientation.t, angle, orientation.sigma, ~orientation.gap, "inclination")
