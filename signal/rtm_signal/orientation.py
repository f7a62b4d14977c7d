"""Orientation of one sensor: which way is up, from gyroscope and accelerometer, offline and streaming.

VQF (Laidig and Seel, Information Fusion 2023) estimates orientation and gyroscope bias. Without a magnetometer
the heading is arbitrary and drifts; the inclination does not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import vqf
from numpy.typing import NDArray

from rtm_signal.recording import FloatArray, RecordingError
from rtm_signal.time_grid import GriddedSensor

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Orientation:
    """Orientation over time, on the sensor's grid.

    t: (n,) s; quat: (n, 4) w x y z, global from sensor, global z up; gyr: (n, 3) rad/s, free of bias.
    bias: (n, 3) rad/s; rest: (n,) bool; gap, saturated: (n,) bool; sigma: (n,) rad, standard uncertainty of the
    inclination; heading_known: the heading is that of the magnetic north throughout.
    """

    t: FloatArray
    rate_hz: float
    quat: FloatArray
    gyr: FloatArray
    acc: FloatArray
    bias: FloatArray
    rest: BoolArray
    gap: BoolArray
    saturated: BoolArray
    sigma: FloatArray
    heading_known: bool

    @property
    def up(self) -> FloatArray:
        """(n, 3) unit vector of the vertical, pointing up, in the sensor frame."""
        w, x, y, z = self.quat.T
        return np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=1)


def orient(sensor: GriddedSensor, *, use_magnetometer: bool = True) -> Orientation:
    """Orientation of a gridded sensor, offline."""
    if sensor.gyr is None:
        raise RecordingError("Without a gyroscope there is no orientation in movement.")
    gyr, acc = np.ascontiguousarray(sensor.gyr), np.ascontiguousarray(sensor.acc)
    mag = np.ascontiguousarray(sensor.mag) if use_magnetometer and sensor.mag is not None else None
    result = vqf.offlineVQF(gyr, acc, mag, 1.0 / sensor.rate_hz)
    undisturbed = mag is not None and not result["magDistDetected"].any()
    quat = result["quat9D"] if undisturbed else result["quat6D"]
    return Orientation(
        t=sensor.t,
        rate_hz=sensor.rate_hz,
        quat=quat,
        gyr=gyr - result["bias"],
        acc=acc,
        bias=result["bias"],
        rest=result["restDetected"].astype(bool),
        gap=sensor.gap,
        saturated=sensor.saturated,
        sigma=np.full(sensor.t.size, np.radians(0.5)),
        heading_known=undisturbed,
    )
