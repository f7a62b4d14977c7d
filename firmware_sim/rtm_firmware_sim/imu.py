"""From what an ideal sensor would feel to what a real one reports.

The figures of the default are those of a mid-range consumer IMU (Bosch BMI270 and ST LSM6DSO data sheets:
noise density 160 ug/rtHz and 0.007 dps/rtHz, zero-rate offset 0.5 to 1 dps, sensitivity error 1 to 2 %).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
G = 9.80665


@dataclass(frozen=True, slots=True)
class Channel:
    """Errors of one triad, in its own unit (m/s2 or rad/s).

    bias: sd of the constant offset. instability: sd of the random walk after 100 s. density: noise per root
    hertz. scale, misalignment: sd of the relative gain error of an axis and of the tilt between axes, rad.
    per_kelvin: bias drift. full_scale: saturation. bits: of the quantiser.
    """

    bias: float
    instability: float
    density: float
    scale: float
    misalignment: float
    per_kelvin: float
    full_scale: float
    bits: int = 16


@dataclass(frozen=True, slots=True)
class Imu:
    """Both triads; wobble: soft-tissue movement of the sensor as a share of the angular rate (a lag on the
    skin), at `wobble_hz`; warming_k: how far body heat warms it, with time constant `warming_s`; tilt_deg:
    sd of how it is put on.
    """

    acc: Channel = Channel(0.03 * G, 0.0005 * G, 160e-6 * G, 0.01, 0.005, 0.0002 * G, 16.0 * G)
    gyr: Channel = Channel(
        np.radians(0.5),
        np.radians(0.02),
        np.radians(0.007),
        0.01,
        0.005,
        np.radians(0.02),
        np.radians(2000.0),
    )
    wobble: float = 0.03
    wobble_hz: float = 6.0
    warming_k: float = 6.0
    warming_s: float = 300.0
    tilt_deg: float = 8.0


IDEAL = Imu(
    acc=Channel(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, np.inf, 0),
    gyr=Channel(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, np.inf, 0),
    wobble=0.0,
    warming_k=0.0,
    tilt_deg=0.0,
)
"""No error at all, aligned with its segment."""


def random_tilt(sd_deg: float, rng: np.random.Generator) -> FloatArray:
    """Rotation matrix (3, 3) of a random small turn, sensor to segment."""
    x, y, z = rng.normal(scale=np.radians(sd_deg), size=3)
    angle = float(np.sqrt(x * x + y * y + z * z))
    if angle == 0.0:
        return np.eye(3)
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]]) / angle
    return np.asarray(np.eye(3) + np.sin(angle) * k + (1.0 - np.cos(angle)) * (k @ k))


def corrupt(
    values: FloatArray, channel: Channel, rate_hz: float, warmth: FloatArray, rng: np.random.Generator
) -> FloatArray:
    """One triad's readings (n, 3) from true values (n, 3); warmth (n,) K above the temperature of
    calibration."""
    n = len(values)
    gain = np.eye(3) + np.diag(rng.normal(scale=channel.scale, size=3))
    skew = rng.normal(scale=channel.misalignment, size=(3, 3))
    gain += skew - np.diag(np.diag(skew))
    walk = rng.normal(size=(n, 3)).cumsum(axis=0) * channel.instability / np.sqrt(100.0 * rate_hz)
    bias = rng.normal(scale=channel.bias, size=3) + walk
    bias += warmth[:, None] * rng.normal(scale=channel.per_kelvin, size=3)
    # White noise over the band up to half the sampling rate.
    noise = rng.normal(size=(n, 3)) * channel.density * np.sqrt(rate_hz / 2.0)
    read = np.clip(values @ gain.T + bias + noise, -channel.full_scale, channel.full_scale)
    if channel.bits:
        lsb = channel.full_scale / 2 ** (channel.bits - 1)
        read = np.clip(np.rint(read / lsb), -(2 ** (channel.bits - 1)), 2 ** (channel.bits - 1) - 1) * lsb
    return np.asarray(read)


def measure(
    acc: FloatArray, gyr: FloatArray, mag: FloatArray, rate_hz: float, imu: Imu, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """(acc, gyr, mag, mounting): readings (n, 3) in the sensor's frame, and the rotation (3, 3) sensor to
    segment."""
    mounting = random_tilt(imu.tilt_deg, rng)
    t = np.arange(len(acc)) / rate_hz
    if imu.wobble:
        # The sensor lags on the skin and swings back: a resonance fed by the angular acceleration.
        swing = _resonate(np.gradient(gyr, 1.0 / rate_hz, axis=0), imu.wobble_hz, rate_hz)
        gyr = gyr - imu.wobble * swing
        acc = acc - imu.wobble * 0.1 * np.gradient(swing, 1.0 / rate_hz, axis=0)
    warmth = imu.warming_k * (1.0 - np.exp(-t / imu.warming_s))
    return (
        corrupt(acc @ mounting, imu.acc, rate_hz, warmth, rng),
        corrupt(gyr @ mounting, imu.gyr, rate_hz, warmth, rng),
        mag @ mounting,
        mounting,
    )


def _resonate(forcing: FloatArray, hz: float, rate_hz: float) -> FloatArray:
    """A damped swing (damping ratio 0.3) answering a forcing (n, 3), by its impulse response."""
    w = 2.0 * np.pi * hz
    t = np.arange(int(rate_hz / hz * 3.0) + 2) / rate_hz
    response = np.exp(-0.3 * w * t) * np.cos(w * t) / rate_hz
    return np.stack([np.convolve(forcing[:, i], response)[: len(forcing)] for i in range(3)], axis=1)
