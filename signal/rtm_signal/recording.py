"""A recording: what each worn sensor measured, on its own clock.

The one type that every estimator takes and every reader returns. Files are read and written by
`rtm_signal.recording_file`; chunks by `rtm_signal.chunk`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]


class RecordingError(ValueError):
    """A recording that cannot be used; the message is one plain sentence that names what and where."""


@dataclass(frozen=True, slots=True)
class SensorRecording:
    """Samples of one sensor.

    t: (n,) float64, s, the sensor's clock, non-decreasing, gaps allowed.
    acc: (n, 3) float64, m/s2, specific force, sensor frame.
    gyr: (n, 3) float64, rad/s, sensor frame; None where the sensor has no gyroscope.
    mag: (n, 3) float64, uT, sensor frame; None where the sensor has no magnetometer.
    """

    t: FloatArray
    acc: FloatArray
    gyr: FloatArray | None = None
    mag: FloatArray | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """One recording: sensors by placement (`thigh`, `left_shank`, `wrist`, ...), in the file's order."""

    sensors: Mapping[str, SensorRecording] = field(default_factory=dict)
