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

SENSOR_SIGMA = np.radians(0.5)
"""A rigid hinge with good sensors: 0.4-0.7 degrees of flexion error after the constant offset."""
SOFT_SIGMA = 0.5
"""More for each radian of turn about other axes (root mean square): soft tissue and joints that are no hinge."""
ROM_SHARE = 0.10
"""More of a range of motion on a body: skin and muscle under the sensor move by up to a tenth of it."""


def joint_sigma(
    proximal: Orientation, distal: Orientation, alignment: Alignment, angle: FloatArray
) -> tuple[FloatArray, tuple[float, float]]:
    """Standard uncertainty (n,), rad, of a joint angle, and the two parts of that of a range of motion."""
    loose = float(np.sqrt(1.0 - alignment.shares[2]))
    sound = ~(proximal.gap | distal.gap)
    spread = float(np.std(angle[sound])) if sound.any() else float(np.pi)
    off_axis = SOFT_SIGMA * loose * spread
    sigma = np.sqrt(SENSOR_SIGMA**2 + off_axis**2 + proximal.sigma**2 + distal.sigma**2)
    return sigma, (float(np.hypot(SENSOR_SIGMA, off_axis)), ROM_SHARE * min(1.0, 3 * loose))


def withhold(
    proximal: Orientation, distal: Orientation, alignment: Alignment, name: str
) -> tuple[NDArray[np.bool_], tuple[Withheld, ...]]:
    """valid (n,) and the spans that are withheld, with reasons."""
    del alignment
    gap = proximal.gap | distal.gap
    clipped = close_to(proximal.saturated | distal.saturated, proximal.rate_hz)
    withheld = [Withheld(name, "samples are missing", a, b) for a, b in spans(gap, proximal.t)]
    withheld += [
        Withheld(name, "a sensor was at its full scale", a, b) for a, b in spans(clipped, proximal.t)
    ]
    return ~(gap | clipped), tuple(withheld)


def close_to(flag: NDArray[np.bool_], rate_hz: float) -> NDArray[np.bool_]:
    """flag with the stretches below 50 ms between two flagged samples closed."""
    if not flag.any():
        return flag
    return np.asarray(binary_closing(flag, np.ones(max(3, int(0.05 * rate_hz)), dtype=bool)) | flag)
