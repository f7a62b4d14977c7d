"""Whether a recording's numbers can be in the units they claim: m/s2, rad/s; and whether a sensor is stuck.

Wrong units are told by magnitude: at rest an accelerometer shows one gravity, and nobody turns faster than
45 rad/s (a fast gyroscope ends at 2000 deg/s, 35 rad/s). Where the movement allows, they are told by
consistency too: gravity must wander through the accelerometer's axes as fast as the gyroscope says, which also
tells a wrong sampling rate. Where quick movement hides that, gravity may still stand still in the frame carried by
half or twice the rates, and not in that of the rates themselves (`rtm_signal.sensor_clock`).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from scipy.ndimage import uniform_filter1d

from rtm_signal.recording import FloatArray
from rtm_signal.sensor_clock import gyroscope_scale
from rtm_signal.time_grid import GriddedRecording, GriddedSensor

_FASTEST = 45.0
_WINDOWS = ((0.15, 0.3, 0.6, 0.4, 2.5), (0.5, 0.15, 0.8, 0.6, 1.8))
"""How gravity is followed through the axes: over so long, s (below about 3 and 1 Hz); from so fast a turn across it on,
rad/s root mean square (else it is noise); where so much agrees, correlation; and from which to which factor the
gyroscope may then be off. Good recordings of five makes lie at 0.8 to 1.35 in slow and at 0.75 to 1.95 in quick
movement, which accelerates itself."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """What is wrong with a sensor's numbers: sensor, channel `acc` or `gyr`, and one plain sentence."""

    sensor: str
    channel: str
    why: str


def check_units(recording: GriddedRecording) -> tuple[Doubt, ...]:
    """The doubts about each sensor's units, and about channels that never change."""
    found = []
    for name, sensor in recording.sensors.items():
        found += [Doubt(name, "acc", why) for why in _doubt_acc(name, sensor)]
        found += [Doubt(name, "gyr", why) for why in _doubt_gyr(name, sensor)]
    for (one, first), (other, second) in combinations(recording.sensors.items(), 2):
        if np.ptp(first.acc, axis=0).any() and np.array_equal(first.acc, second.acc):
            found.append(Doubt(other, "acc", f"The sensors {one} and {other} show the very same samples."))
    return tuple(found)


def _doubt_acc(name: str, sensor: GriddedSensor) -> list[str]:
    acc = _measured(sensor.acc, sensor)
    if acc.shape[0] > 2 and _stuck(acc):
        return [f"The accelerometer of {name} never changes: it is stuck or was never started."]
    usual = float(np.median(_length(acc)))
    looks_like = (
        ("g", 0.7, 5.0),
        ("thousandths of g", 300.0, 1500.0),
        ("raw counts", 1500.0, np.inf),
    )
    for unit, low, high in looks_like:
        if low <= usual < high:
            return [f"The accelerometer of {name} seems to be in {unit}, not m/s2 (median {usual:.3g})."]
    if usual < 0.7:
        return [f"The accelerometer of {name} shows no gravity (median {usual:.2g} m/s2)."]
    if usual > 80.0:
        return [f"The accelerometer of {name} shows {usual:.3g} m/s2 at the median: its unit is unknown."]
    return []


def _doubt_gyr(name: str, sensor: GriddedSensor) -> list[str]:
    if sensor.gyr is None:
        return []
    gyr = _measured(sensor.gyr, sensor)
    if gyr.shape[0] > 2 and _stuck(gyr):
        return [f"The gyroscope of {name} never changes: it is stuck or was never started."]
    fastest = float(np.percentile(_length(gyr), 99))
    if fastest > _FASTEST:
        return [f"The gyroscope of {name} seems to be in deg/s, not rad/s (up to {fastest:.3g})."]
    scale = _wrong_scale(sensor)
    if scale == 1.0:
        return []
    if scale < 0:
        return [f"The gyroscope of {name} turns against gravity: an axis has the wrong sign."]
    where = "in deg/s, not rad/s" if 0.008 < scale < 0.04 else "in a wrong unit, or the rate is wrong"
    return [
        f"The gyroscope of {name} seems to be {where}: gravity turns {scale:.2g} times as fast as it says."
    ]


def _wrong_scale(sensor: GriddedSensor) -> float:
    """How fast gravity turns over how fast the gyroscope says, where that cannot be right; else 1."""
    for window_s, least, agreeing, low, high in _WINDOWS:
        scale = _scale(sensor, window_s, least, agreeing)
        if scale is not None and not low < scale < high and (scale > 0 or _reversed(sensor)):
            return scale
    return gyroscope_scale(sensor)


def _reversed(sensor: GriddedSensor) -> bool:
    """Whether gravity turns just against the gyroscope where the movement is slow: quick ones accelerate themselves,
    and a hand that turns in and out may so imitate it."""
    scale = _scale(sensor, 1.0, 0.15, 0.9)
    return scale is not None and -1.4 < scale < -0.7


def _scale(sensor: GriddedSensor, window_s: float, least: float, agreeing: float) -> float | None:
    """How fast gravity turns through the axes over how fast the gyroscope says; None where nothing turns, or where
    the two have nothing to do with each other."""
    gyr, rate = sensor.gyr, sensor.rate_hz
    window = max(3, int(window_s * rate))
    if gyr is None or sensor.t.size < 4 * window or sensor.gap.mean() > 0.5:
        return None
    acc = uniform_filter1d(sensor.acc, window, axis=0)
    turn = uniform_filter1d(gyr, window, axis=0)
    # In the sensor's frame a fixed vector a changes by -omega x a.
    expected: FloatArray = -np.cross(turn, acc)
    seen: FloatArray = np.gradient(acc, 1 / rate, axis=0)
    power = _product(expected, expected)
    if power < (least * 9.81) ** 2:
        return None
    scale = _product(expected, seen) / power
    agreement = scale * np.sqrt(power / max(_product(seen, seen), 1e-12))
    return scale if abs(agreement) > agreeing else None


def _product(some: FloatArray, other: FloatArray) -> float:
    """Mean over the samples of the scalar product of two (n, 3)."""
    return float(np.vdot(some, other)) / len(some)


def _length(values: FloatArray) -> FloatArray:
    return np.asarray(np.sqrt(np.einsum("ni,ni->n", values, values)))


def _stuck(values: FloatArray) -> bool:
    return all(bool((column == column[0]).all()) for column in values.T)


def _measured(values: FloatArray, sensor: GriddedSensor) -> FloatArray:
    """The samples that were not bridged; all where none was measured."""
    return values if sensor.gap.all() or not sensor.gap.any() else values[~sensor.gap]
