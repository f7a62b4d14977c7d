"""Inclination: how far one segment has tilted from its neutral direction, whatever the plane.

The angle between the vertical as the sensor sees it now and as it saw it in the neutral pose (without one, at
the first sample). It needs no mounting, plane or heading, and for a limb that hangs in the neutral pose it is
the elevation of the limb.
"""

from __future__ import annotations

import numpy as np

from rtm_signal.angle import Angle, spans
from rtm_signal.orientation import Orientation
from rtm_signal.recording import FloatArray
from rtm_signal.result import Withheld
from rtm_signal.uncertainty import close_to


def inclination(
    orientation: Orientation, *, of: tuple[str, ...] = (), neutral_up: FloatArray | None = None
) -> Angle:
    """Tilt of one segment from neutral_up, (3,) the vertical as the sensor saw it, or its first sample."""
    up = orientation.up
    bad = orientation.gap | close_to(orientation.saturated, orientation.rate_hz)
    reference = up[int(np.argmin(bad))] if neutral_up is None else neutral_up
    cross = np.cross(up, reference)
    angle = np.arctan2(np.sqrt(np.einsum("ni,ni->n", cross, cross)), up @ reference)
    reasons = [
        Withheld("inclination", "samples are missing", a, b) for a, b in spans(orientation.gap, orientation.t)
    ]
    return Angle(
        orientation.t,
        angle,
        orientation.sigma,
        ~bad,
        "inclination",
        of,
        (float(np.sqrt(2) * np.median(orientation.sigma)), 0.0),
        tuple(reasons),
    )
