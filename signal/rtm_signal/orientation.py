"""Orientation of one sensor from gyroscope and accelerometer, and magnetometer where it is undisturbed.

Long intact recordings go through VQF (Laidig and Seel, Information Fusion 91, 2023), offline: orientation,
gyroscope bias, rest. Clips too short for it to settle and recordings with lost packets take VQF's bias and
the smoother of `rtm_signal.gravity`. Without a magnetometer the heading is arbitrary and drifts, the
inclination does not. `StreamingOrientation` is the twin for blocks as they come.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import vqf
from numpy.typing import NDArray
from scipy.ndimage import label, uniform_filter1d

from rtm_signal import quaternion
from rtm_signal.gravity import smooth_gravity
from rtm_signal.recording import FloatArray, RecordingError
from rtm_signal.time_grid import GriddedSensor

BoolArray = NDArray[np.bool_]

SHORT_S = 30.0
"""Ten of VQF's accelerometer time constants (3 s); on shorter clips the smoother has the smaller error."""
DELAY_PERIODS = 0.5
"""A sample shows what happened before its stamp: it is the mean of the period that ends there (half a period,
which VQF's integration allows for) behind a low-pass filter (about half a period more: measured against
optical references on two makes of sensors, 0.35 and 0.65). The orientation is carried on by this much."""
GAP_SHARE = 0.3
"""By how much of the turn made inside it a bridged gap may be off, one standard deviation."""
CLIPPED_SHARE = 1.0
"""Of the turn seen at full scale: by as much again a stretch may be off, one standard deviation."""
BASE_SIGMA = np.radians(0.25)
"""Inclination of VQF in slow movement against optical truth: 0.25 degrees."""
DYNAMIC_SIGMA = np.radians(0.06)
"""More for each rad/s of the angular rate's root mean square over ten seconds (sensor scale, alignment)."""
DEFAULT_BIAS_SIGMA = np.radians(1.0)
"""Gyroscope bias of a worn sensor that was never calibrated, one standard deviation, per second."""

POSE_BIAS_SIGMA = np.radians(0.2)
"""The same, per second, where a pose has shown it: sway, and warming up since."""


@dataclass(frozen=True, slots=True)
class Orientation:
    """Orientation over time, on the sensor's grid.

    t: (n,) s; quat: (n, 4) w x y z, global from sensor, global z up; gyr: (n, 3) rad/s, free of bias;
    acc: (n, 3) m/s2; bias: (n, 3) rad/s, what was taken off; rest: (n,) bool; gap, saturated: (n,) bool as on
    the grid; sigma: (n,) rad, standard uncertainty of the inclination; heading_known: global x is magnetic
    north throughout (9D), else the heading is arbitrary and may drift.
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
        return quaternion.third_column(self.quat)

    def until(self, at_s: float) -> Orientation:
        """What lies before a moment, s; at least one sample."""
        n = max(1, int(np.searchsorted(self.t, at_s)))
        columns = ("t", "quat", "gyr", "acc", "bias", "rest", "gap", "saturated", "sigma")
        return replace(self, **{name: getattr(self, name)[:n] for name in columns})


def orient(
    sensor: GriddedSensor, *, bias: FloatArray | None = None, use_magnetometer: bool = True
) -> Orientation:
    """Orientation of a gridded sensor, offline.

    bias: (3,) rad/s, the gyroscope's, known from a pose recording.
    Raises `RecordingError` without a gyroscope.
    """
    if sensor.gyr is None:
        raise RecordingError("Without a gyroscope there is no orientation in movement.")
    gyr, acc = np.ascontiguousarray(sensor.gyr), np.ascontiguousarray(sensor.acc)
    if bias is not None:
        gyr = gyr - bias
    mag = np.ascontiguousarray(sensor.mag) if use_magnetometer and sensor.mag is not None else None
    result = vqf.offlineVQF(gyr, acc, mag, 1.0 / sensor.rate_hz)
    undisturbed = mag is not None and not result["magDistDetected"].any()
    quat, drift = result["quat9D"] if undisturbed else result["quat6D"], result["bias"]
    rest = result["restDetected"].astype(bool)
    known = bias is not None or rest.any()
    sigma = None
    if sensor.gap.any() or sensor.saturated.any() or sensor.t.size < SHORT_S * sensor.rate_hz:
        left = float(result["biasSigma"].mean()) if known else DEFAULT_BIAS_SIGMA
        left = left if bias is None else min(left, POSE_BIAS_SIGMA)
        drift = drift if rest.any() else np.zeros_like(drift)
        quat, sigma, drift = _smoothed(sensor, gyr - drift, acc, drift, left)
        undisturbed = False
    free = gyr - drift
    return Orientation(
        t=sensor.t,
        rate_hz=sensor.rate_hz,
        quat=_carry_on(quat, free, sensor.rate_hz),
        gyr=free,
        acc=acc,
        bias=drift if bias is None else drift + bias,
        rest=rest,
        gap=sensor.gap,
        saturated=sensor.saturated,
        sigma=_sigma(free, sensor.rate_hz, sigma),
        heading_known=undisturbed,
    )


def _smoothed(
    sensor: GriddedSensor, gyr: FloatArray, acc: FloatArray, drift: FloatArray, bias_sigma: float
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Quaternions, sigma and bias by the smoother: strapdown, gravity in it, then the frame set upright."""
    dt = 1.0 / sensor.rate_hz
    carry = quaternion.accumulate(quaternion.from_rotation_vector(gyr * dt))
    columns = [quaternion.rotate(carry, axis) for axis in np.eye(3)]
    gap_sigma = _gap_sigma(sensor.gap, gyr, sensor.rate_hz)
    gravity = smooth_gravity(
        quaternion.rotate(carry, acc),
        np.stack(columns, axis=-1),
        sensor.rate_hz,
        gap=sensor.gap | sensor.saturated,
        gap_sigma=np.maximum(gap_sigma, _clipped_sigma(sensor.saturated, gyr, sensor.rate_hz)),
        bias_sigma=max(bias_sigma, 1e-4),
    )
    up = quaternion.rotate(quaternion.conjugate(carry), gravity.up)
    carry = quaternion.accumulate(quaternion.from_rotation_vector((gyr - gravity.bias) * dt))
    upright = quaternion.aligning(quaternion.rotate(carry, up), np.array([0.0, 0.0, 1.0]))
    return quaternion.multiply(upright, carry), gravity.sigma, drift + gravity.bias


def _gap_sigma(gap: BoolArray, gyr: FloatArray, rate_hz: float) -> FloatArray:
    """(n,) rad: each gap's uncertainty, `GAP_SHARE` of the turn made in it, spread over its samples."""
    names, count = label(gap)
    if not count:
        return np.zeros(gap.size)
    window = max(3, int(rate_hz))
    intact = uniform_filter1d(np.where(gap, 0.0, 1.0), window, mode="nearest")
    power = uniform_filter1d(np.where(gap, 0.0, np.einsum("ni,ni->n", gyr, gyr)), window, mode="nearest")
    speed = np.sqrt(np.maximum(power, 0.0) / np.maximum(intact, 1e-3))  # a running sum may end below zero
    lengths = np.bincount(names.ravel())
    per_sample = GAP_SHARE * speed / rate_hz * np.sqrt(lengths[names])
    return np.asarray(np.where(gap, np.minimum(per_sample, np.pi), 0.0))


def _clipped_sigma(saturated: BoolArray, gyr: FloatArray, rate_hz: float) -> FloatArray:
    """(n,) rad: it turned at least as fast as full scale shows, the same way for as long as a stretch lasts: each
    stretch's uncertainty, `CLIPPED_SHARE` of the turn seen in it, spread over its samples."""
    names, count = label(saturated)
    if not count:
        return np.zeros(saturated.size)
    per_sample = CLIPPED_SHARE * np.sqrt(np.einsum("ni,ni->n", gyr, gyr)) / rate_hz
    return np.asarray(np.where(saturated, per_sample * np.sqrt(np.bincount(names.ravel())[names]), 0.0))


def _carry_on(quat: FloatArray, gyr: FloatArray, rate_hz: float) -> FloatArray:
    """The orientation at the stamps, not `DELAY_PERIODS` before them."""
    following = np.concatenate([gyr[1:], gyr[-1:]])
    step = quaternion.from_rotation_vector(following * (DELAY_PERIODS / rate_hz))
    return quaternion.multiply(quat, step)


def _sigma(gyr: FloatArray, rate_hz: float, smoother: FloatArray | None) -> FloatArray:
    window = min(gyr.shape[0], max(3, int(10 * rate_hz)))
    power = uniform_filter1d(np.einsum("ni,ni->n", gyr, gyr), window, mode="nearest")
    variance = BASE_SIGMA**2 + DYNAMIC_SIGMA**2 * np.maximum(power, 0.0)
    return np.asarray(np.sqrt(variance if smoother is None else variance + smoother**2))


class StreamingOrientation:
    """The streaming twin: VQF block by block, as samples come; gaps are to be bridged by the caller.

    rate_hz: of the samples; blocks of any length; the state carries over.
    """

    def __init__(self, rate_hz: float, *, bias: FloatArray | None = None) -> None:
        self._rate_hz = rate_hz
        self._known_bias = np.zeros(3) if bias is None else np.asarray(bias, dtype=np.float64)
        self._filter = vqf.VQF(1.0 / rate_hz)

    def update(self, gyr: FloatArray, acc: FloatArray) -> FloatArray:
        """(m, 4) quaternions w x y z, global from sensor, of a block gyr (m, 3) rad/s, acc (m, 3) m/s2."""
        if gyr.shape[0] == 0:
            return np.empty((0, 4))
        free = np.ascontiguousarray(gyr - self._known_bias)
        result = self._filter.updateBatch(free, np.ascontiguousarray(acc))
        return _carry_on(result["quat6D"], free - self.bias, self._rate_hz)

    @property
    def bias(self) -> FloatArray:
        """(3,) rad/s, the gyroscope bias found so far, on top of the known one."""
        bias, _sigma_of_bias = self._filter.getBiasEstimate()
        return np.asarray(bias, dtype=np.float64)

    @property
    def resting(self) -> bool:
        """Whether the sensor lies still now."""
        return bool(self._filter.getRestDetected())
