"""How far the accelerometer and the gyroscope of one sensor stand apart in time, from gravity itself.

In a frame that the gyroscope carries along, gravity stands still. Where the gyroscope's stamps are late or early, it
wobbles there at the pace of the movement, which a worn sensor's own acceleration hardly does: slow accelerations would
carry it away. So the lag is the one at which the specific force, in the carried frame, has least power below the pace
of steps. (The cross-correlation of the turning that either channel sees was tried and mistakes walking and quick
movement for lags of 0.3 s.)
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from rtm_signal import quaternion
from rtm_signal.filters import band_pass
from rtm_signal.lag_profile import Verdict, read
from rtm_signal.orientation import DELAY_PERIODS
from rtm_signal.recording import FloatArray
from rtm_signal.time_grid import GriddedSensor

MOST_S = 0.6
"""Lags that are looked for, either way (logs of real sensors: 40 to 400 ms)."""
LEAST_S = 0.06
"""Smaller ones are not put right: 5 of 508 sound recordings show 0.03 to 0.055 s that is none."""
SURE = 14.0
"""Logarithm of the likelihood ratio: of 508 sound recordings and as many with a lag of 0.2 and 0.4 s in them no short,
quick one is then mistaken."""
VISIBLE = 2 * SURE
"""The same, from which the two do not belong together though no one lag can be told (sound recordings: up to 20)."""
MOST_SIGMA_S = 0.075
SHORTEST_S = 10.0
_BAND_HZ = (0.15, 0.7)
_RATE_HZ = 25.0
_LONGEST_S = 120.0
"""Of a recording: its liveliest stretch is looked at."""
_NOISE = 0.05
"""m/s2 in the band that say nothing."""
_TOLD_HZ = 1.0
"""Independent samples a second in the band."""
_WINDOW_S = 8.0
_LIVELY = 0.05
"""(m/s2)2 of wobble, with one scale or the other, from which a window says something of the scale."""
_STANDS, _BETTER = 0.08, 1.6
"""(m/s2)2 up to which gravity stands still, in the median window, and the mean logarithm of how much less it wobbles,
from which another scale is believed: no sound recording of 508 is accused (one in quick movement is near)."""
_FIRST_LOOK_S = 0.12
"""Where gravity wobbles more with the gyroscope so much later, and so much earlier, nothing else is tried."""


def gyroscope_lag(sensor: GriddedSensor) -> tuple[Verdict, float]:
    """The verdict, and by how much the gyroscope's stamps are late against the accelerometer's, s."""
    if sensor.gyr is None or not _looked_at(sensor):
        return Verdict.AGREE, 0.0
    part = _liveliest(sensor.gyr, round(_LONGEST_S * sensor.rate_hz))
    acc, frames, rate = _carried(sensor, sensor.gyr, part)
    most = round(MOST_S * rate)
    near = max(1, round(_FIRST_LOOK_S * rate))
    look = _likelihood(acc, frames, np.array([-near, 0, near]), most, rate)
    bend = 2 * look[1] - look[0] - look[2]
    if look[1] >= look.max() and 0.5 * abs(look[2] - look[0]) < bend * LEAST_S * rate / near:
        return Verdict.AGREE, 0.0  # the parabola through the three has its top near no lag
    lags = np.arange(-most, most + 1)
    peak = read(lags / rate, _likelihood(acc, frames, lags, most, rate))
    return peak.verdict(sure=SURE, visible=VISIBLE, least_s=LEAST_S, most_sigma_s=MOST_SIGMA_S), peak.lag_s


def gyroscope_scale(sensor: GriddedSensor) -> float:
    """By how much the gyroscope's rates must be multiplied for gravity to stand still in the frame they carry: 1, or
    0.5 or 2 where it does then and plainly does not as they are: a wrong unit, or a wrong sampling rate."""
    if sensor.gyr is None or not _looked_at(sensor):
        return 1.0
    part = _liveliest(sensor.gyr, round(_LONGEST_S * sensor.rate_hz))
    power = _wobble(sensor, sensor.gyr, part)
    if not (power > _LIVELY).any():
        return 1.0  # in whatever window another scale says something, it says something against itself
    for scale in (0.5, 2.0):
        other = _wobble(sensor, scale * sensor.gyr, part)
        lively = np.maximum(power, other) > _LIVELY
        better = np.log(power[lively] / other[lively])
        sure = 0.5 * _TOLD_HZ * _WINDOW_S * float(better.sum()) > SURE
        if sure and better.mean() > _BETTER and np.median(other[lively]) < _STANDS:
            return scale
    return 1.0


def _wobble(sensor: GriddedSensor, rates: FloatArray, part: slice) -> FloatArray:
    """(w,) (m/s2)2 of gravity in the frame that the rates carry, window by window."""
    acc, frames, rate = _carried(sensor, rates, part)
    wobble = _in_band(quaternion.rotate(frames, acc), rate)
    width = min(len(wobble), round(_WINDOW_S * rate))
    count = len(wobble) // width
    power = np.einsum("ni,ni->n", wobble, wobble)[: count * width].reshape(count, width)
    return np.asarray(power.mean(axis=1) + _NOISE**2)


def _looked_at(sensor: GriddedSensor) -> bool:
    return bool(sensor.t[-1] - sensor.t[0] >= SHORTEST_S and sensor.gap.mean() <= 0.5)


def _carried(sensor: GriddedSensor, rates: FloatArray, part: slice) -> tuple[FloatArray, FloatArray, float]:
    """acc (m, 3) and frames (m, 4), carried from sensor by its rates (n, 3), of a part, thinned to a rate, Hz."""
    step = max(1, int(sensor.rate_hz // _RATE_HZ))
    gyr, acc = rates[part], uniform_filter1d(sensor.acc[part], step, axis=0)[step // 2 :: step]
    carry = quaternion.accumulate(quaternion.from_rotation_vector(gyr / sensor.rate_hz))[step // 2 :: step]
    delay = (0.5 + DELAY_PERIODS) / sensor.rate_hz
    back = quaternion.from_rotation_vector(gyr[step // 2 :: step] * -delay)
    return acc, quaternion.multiply(carry, back), sensor.rate_hz / step


def _likelihood(
    acc: FloatArray, frames: FloatArray, lags: NDArray[np.int_], most: int, rate: float
) -> FloatArray:
    """(l,) logarithm, up to a constant; acc: (m, 3), frames: (m, 4) carried from sensor; lags: (l,) samples."""
    m = len(acc)
    core = acc[most : m - most]
    seen = np.concatenate([quaternion.rotate(frames[most + i : m - most + i], core) for i in lags], axis=1)
    power = np.mean(_in_band(seen, rate) ** 2, axis=0).reshape(-1, 3).sum(axis=1)
    return np.asarray(-0.5 * _TOLD_HZ * len(core) / rate * np.log(power + _NOISE**2))


def _in_band(seen: FloatArray, rate: float) -> FloatArray:
    return band_pass(seen - seen.mean(axis=0), _BAND_HZ, rate, padding_s=10.0)


def _liveliest(gyr: FloatArray, count: int) -> slice:
    """The stretch of so many samples in which the sensor turns most."""
    if len(gyr) <= count:
        return slice(None)
    power = np.concatenate([[0.0], np.cumsum(np.einsum("ni,ni->n", gyr, gyr))])
    first = int(np.argmax(power[count:] - power[:-count]))
    return slice(first, first + count)
