"""How far an angle may be off, and where it is withheld."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_closing

from rtm_signal.alignment import Alignment
from rtm_signal.angle import spans
from rtm_signal.orientation import Orientation
from rtm_signal.recording import FloatArray
from rtm_signal.result import Withheld

HINGE_SIGMA = np.radians(0.4)
"""A rigid hinge with good sensors: 0.3 to 0.7 degrees of flexion error after the constant offset."""
LOOSE_SIGMA = np.radians(7.0)
"""More, times `loose`, the share (root of power) of rotation about other axes than the dominant one."""
ROM_SHARE = 0.1
"""More of a range of motion on a body: under the sensor, skin and muscle move by up to a tenth of it."""
SCALE_SHARE = 0.015
"""Of any range of motion: gyroscopes of worn sensors are off in scale and alignment by one or two per cent."""
BODY_LOOSE = 0.2
"""`loose` of a good two-segment movement of a leg; a mechanical hinge has 0.03."""


def joint_sigma(
    proximal: Orientation, distal: Orientation, alignment: Alignment
) -> tuple[FloatArray, tuple[float, float]]:
    """Standard uncertainty (n,), rad, of a joint angle, and the two parts of that of a range of motion.

    A range of motion is a difference, in which the constant errors cancel, of two extremes, in which the
    movement of soft tissue is largest.
    """
    loose = float(np.sqrt(max(0.0, 1.0 - alignment.shares[2])))
    turning = LOOSE_SIGMA * loose
    tilt = np.maximum(proximal.sigma, distal.sigma)
    return (
        np.sqrt(HINGE_SIGMA**2 + turning**2 + tilt**2),
        (
            float(np.hypot(HINGE_SIGMA, turning)),
            float(np.hypot(SCALE_SHARE, ROM_SHARE * min(1.0, (loose / BODY_LOOSE) ** 2))),
        ),
    )


def withhold(name: str, *orientations: Orientation) -> tuple[NDArray[np.bool_], tuple[Withheld, ...]]:
    """valid (n,) where every sensor measured, and the spans of the angle `name` that are withheld, with reasons."""
    t, rate_hz = orientations[0].t, orientations[0].rate_hz
    gap = np.any([o.gap for o in orientations], axis=0)
    clipped = close_to(np.any([o.saturated for o in orientations], axis=0), rate_hz)
    withheld = [Withheld(name, "samples are missing", a, b) for a, b in spans(gap, t)]
    withheld += [Withheld(name, "a sensor was at its full scale", a, b) for a, b in spans(clipped, t)]
    return ~(gap | clipped), tuple(withheld)


def close_to(flag: NDArray[np.bool_], rate_hz: float) -> NDArray[np.bool_]:
    """flag with the stretches below 50 ms between two flagged samples closed."""
    if not flag.any():
        return flag
    return np.asarray(binary_closing(flag, np.ones(max(3, int(0.05 * rate_hz)), dtype=bool)) | flag)
