"""The channels of the chosen sensors brought onto one clock, where the movement shows that they are not.

Stamps are believed until the movement speaks clearly against them: first of accelerometer and gyroscope of one sensor
(`rtm_signal.sensor_clock`), then of the two sensors of a joint (`rtm_signal.clock_lag`). What is put right is said;
where something is wrong and the movement does not tell by how much, the angle is withheld.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import map_coordinates

from rtm_signal.clock_lag import Lag, clock_lag
from rtm_signal.lag_profile import Verdict
from rtm_signal.orientation import Orientation, orient
from rtm_signal.recording import FloatArray
from rtm_signal.sensor_clock import gyroscope_lag
from rtm_signal.time_grid import GriddedRecording, GriddedSensor

BoolArray = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Synchrony:
    """grid: as it should be; remarks: what was put right; doubts: why an angle cannot be told, one sentence each."""

    grid: GriddedRecording
    remarks: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()


def with_one_clock_each(grid: GriddedRecording, names: Sequence[str]) -> Synchrony:
    """Accelerometer and gyroscope of each sensor brought together."""
    sensors, remarks, doubts = dict(grid.sensors), [], []
    for name in names:
        verdict, late_s = gyroscope_lag(sensors[name])
        if verdict is Verdict.KNOWN:
            sensors[name] = _gyroscope_earlier(sensors[name], late_s)
            remarks.append(
                f"{name}: the gyroscope was stamped {abs(late_s):.2f} s too {'late' if late_s > 0 else 'early'} "
                "against the accelerometer; aligned."
            )
        elif verdict is Verdict.UNCLEAR:
            doubts.append(
                f"{name}: accelerometer and gyroscope do not show the same movement at the same time."
            )
    return Synchrony(replace(grid, sensors=sensors), tuple(remarks), tuple(doubts))


def on_one_clock(
    grid: GriddedRecording, names: Sequence[str], biases: Mapping[str, FloatArray]
) -> tuple[Synchrony, dict[str, Orientation]]:
    """Two sensors brought onto the clock of the first, and the orientation of each that has a gyroscope.

    biases: (3,) rad/s of the gyroscopes, where known.
    """
    oriented = _orientations(grid, names, biases)
    found = _with_one_clock(grid, names, oriented)
    return found, oriented if found.grid is grid else _orientations(found.grid, names, biases)


def _with_one_clock(
    grid: GriddedRecording, names: Sequence[str], oriented: Mapping[str, Orientation]
) -> Synchrony:
    if len(names) != 2 or not all(name in oriented for name in names):
        return Synchrony(grid)
    first, second = names
    verdict, lag = clock_lag(oriented[first], oriented[second])
    if verdict is Verdict.AGREE:
        return Synchrony(grid)
    if verdict is Verdict.UNCLEAR:
        why = f"the clocks of {first} and {second} disagree, and the movement does not tell by how much"
        return Synchrony(grid, doubts=(why,))
    way = "behind" if lag.lag_s > 0 else "ahead of"
    drift = ""
    if lag.drift:
        drift = f", drifting by {abs(lag.drift) * 1e6:.0f} parts in a million"
    remark = f"the clock of {second} was {abs(lag.lag_s):.2f} s {way} that of {first}{drift}; aligned."
    return Synchrony(
        replace(grid, sensors={**grid.sensors, second: _later(grid.sensors[second], lag)}), (remark,)
    )


def _orientations(
    grid: GriddedRecording, names: Sequence[str], biases: Mapping[str, FloatArray]
) -> dict[str, Orientation]:
    return {n: orient(grid.sensors[n], bias=biases.get(n)) for n in names if grid.sensors[n].gyr is not None}


def _later(sensor: GriddedSensor, lag: Lag) -> GriddedSensor:
    """All that a sensor shows, so much later."""
    where = _rows(sensor, -lag.of(sensor.t))
    return replace(
        sensor,
        acc=_read(sensor.acc, where),
        gyr=None if sensor.gyr is None else _read(sensor.gyr, where),
        mag=None if sensor.mag is None else _read(sensor.mag, where),
        gap=_touched(sensor.gap, where) | _outside(where),
        saturated=_touched(sensor.saturated, where),
    )


def _gyroscope_earlier(sensor: GriddedSensor, late_s: float) -> GriddedSensor:
    if sensor.gyr is None:
        return sensor
    where = _rows(sensor, np.full(sensor.t.size, late_s))
    return replace(
        sensor,
        gyr=_read(sensor.gyr, where),
        gap=sensor.gap | _touched(sensor.gap, where) | _outside(where),
        saturated=sensor.saturated | _touched(sensor.saturated, where),
    )


def _rows(sensor: GriddedSensor, by_s: FloatArray) -> FloatArray:
    """(n,) rows, with fractions, that lie so much later than each sample."""
    return np.asarray(np.arange(sensor.t.size) + by_s * sensor.rate_hz)


def _read(values: FloatArray, where: FloatArray) -> FloatArray:
    """values (n, 3) at rows with fractions, by cubic splines; the ends are held."""
    return np.stack(
        [map_coordinates(column, where[None], order=3, mode="nearest") for column in values.T], axis=1
    )


def _touched(flag: BoolArray, where: FloatArray) -> BoolArray:
    """(n,) where either row beside a place is flagged."""
    last = len(flag) - 1
    below = np.clip(np.floor(where).astype(np.intp), 0, last)
    return np.asarray(flag[below] | flag[np.minimum(below + 1, last)])


def _outside(where: FloatArray) -> BoolArray:
    return np.asarray((where < 0) | (where > len(where) - 1))
