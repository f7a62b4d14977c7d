"""Recordings on one regular time grid: gaps bridged and flagged, duplicates and disorder repaired.

Sensors stamp their samples irregularly, lose packets and send some twice. Every estimator behind this module
works on one grid common to all sensors, where each bridged sample is flagged and each gap is known by length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from rtm_signal.full_scale import clipped
from rtm_signal.recording import FloatArray, Recording, RecordingError, SensorRecording

BoolArray = NDArray[np.bool_]

MAX_RATE_HZ = 400.0
"""Faster ones are averaged down: human movement ends below 20 Hz, impacts below 100 Hz (Winter 2009)."""
MIN_RATE_HZ = 8.0
"""Below it a one-second repetition has fewer than eight samples, and an angle cannot be integrated."""
MAX_BACK_JUMP_S = 5.0
"""Packets are reordered by less; a larger step back is a clock that started again."""
MAX_GRID_SAMPLES = 40_000_000
"""A day at the highest rate; more is a time stamp gone astray, which would fill the memory."""
MOST_ACC, MOST_GYR, MOST_MAG = 4000.0, 100.0, 1e5
"""m/s2, rad/s, uT that no worn sensor shows: 400 g, 5700 degrees a second, a strong magnet."""
STRAY_SHARE = 0.01
"""Of all samples: as few beyond that are errors of transmission, more are another unit."""
NO_READING = 1e9
"""In any unit: raw counts of 24 bits end at 8 million."""
_REGULAR = 0.25
"""Share of a period by which stamps may be off and still belong to a sensor that samples regularly."""


@dataclass(frozen=True, slots=True)
class Gap:
    """A stretch without samples of one sensor; s, values of `t`: last sample before and first after it."""

    sensor: str
    from_s: float
    to_s: float


@dataclass(frozen=True, slots=True)
class GriddedSensor:
    """One sensor on the common grid.

    t: (n,) s; rate_hz: of the grid; acc: (n, 3) m/s2; gyr: (n, 3) rad/s or None; mag: (n, 3) uT or None.
    gap: (n,) bool, bridged samples; saturated: (n,) bool, a channel stood at its full scale.
    native_rate_hz: at which the sensor sampled.
    """

    t: FloatArray
    rate_hz: float
    acc: FloatArray
    gyr: FloatArray | None
    mag: FloatArray | None
    gap: BoolArray
    saturated: BoolArray
    native_rate_hz: float


@dataclass(frozen=True, slots=True)
class GriddedRecording:
    """All sensors on one grid t (n,), s; the gaps of each; remarks in plain words (duplicates, disorder)."""

    t: FloatArray
    rate_hz: float
    sensors: Mapping[str, GriddedSensor]
    gaps: tuple[Gap, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Clean:
    """A sensor's samples in order, each time once; period_s and phase_s where it samples regularly."""

    samples: SensorRecording
    rate_hz: float
    index: NDArray[np.int64] | None
    start_s: float
    remarks: tuple[str, ...]


def to_grid(recording: Recording, rate_hz: float | None = None) -> GriddedRecording:
    """Bring every sensor onto one regular grid that spans all of them.

    rate_hz: of the grid; by default that of the fastest sensor, at most `MAX_RATE_HZ`. A sensor that samples
    regularly at the grid's rate keeps its samples untouched; others are interpolated linearly, faster ones
    averaged. Raises `RecordingError` for a recording without two samples, a clock that starts again, or a
    rate too low.
    """
    if not recording.sensors:
        raise RecordingError("The recording holds no sensor.")
    clean = {name: _clean(name, sensor) for name, sensor in recording.sensors.items()}
    lead = max(clean.values(), key=lambda c: (min(c.rate_hz, MAX_RATE_HZ), c.samples.t.size))
    step = float(1.0 / (rate_hz or lead.rate_hz / np.ceil(lead.rate_hz / MAX_RATE_HZ)))
    before = max(int(np.round((lead.start_s - c.start_s) / step)) for c in clean.values())
    start = lead.start_s - before * step
    end = max(float(c.samples.t[-1]) for c in clean.values())
    count = int(np.floor((end - start) / step + 0.5)) + 1
    if count > MAX_GRID_SAMPLES:
        raise RecordingError(f"The times reach from {start:.6g} to {end:.6g} s: too long for one recording.")
    t = np.asarray(start + step * np.arange(count), dtype=np.float64)
    sensors, gaps = {}, []
    for name, one in clean.items():
        sensors[name], found = _place(name, one, t, step)
        gaps += found
    remarks = tuple(remark for one in clean.values() for remark in one.remarks)
    return GriddedRecording(t, 1.0 / step, sensors, tuple(gaps), remarks)


def _clean(name: str, sensor: SensorRecording) -> _Clean:
    t = np.asarray(sensor.t, dtype=np.float64)
    if t.size < 2:
        raise RecordingError(
            f"The sensor {name} has {t.size} sample{'s'[: t.size != 1]}; at least two are needed."
        )
    if not np.isfinite(t).all():
        raise RecordingError(f"The sensor {name} has a time that is not a finite number.")
    if t.max() <= t.min():
        raise RecordingError(f"All samples of the sensor {name} have the same time.")
    back = np.maximum.accumulate(t) - t
    if back.max() > MAX_BACK_JUMP_S:
        at = float(t[int(np.argmax(back > MAX_BACK_JUMP_S))])
        raise RecordingError(
            f"The clock of the sensor {name} starts again at {at:.3f} s; time must not run back."
        )
    samples, remarks = _without_impossible(name, sensor)
    if not np.all(t[1:] > t[:-1]):
        samples, repairs = _repaired(name, samples, back)
        remarks += repairs
        t = samples.t
    rate = _rate(t)
    if rate < MIN_RATE_HZ:
        hint = " Is t in milliseconds?" if 5 < 1000 * rate < 2000 and t.size > 20 else ""
        raise RecordingError(
            f"The sensor {name} sampled at {rate:.3g} Hz; at least {MIN_RATE_HZ:g} Hz are needed.{hint}"
        )
    index, start, rate = _regular(t, rate)
    return _Clean(samples, rate, index, start, tuple(remarks))


def _without_impossible(name: str, sensor: SensorRecording) -> tuple[SensorRecording, list[str]]:
    """Values that no sensor can have read as missing ones, and what was done."""
    channels = {"acc": (sensor.acc, MOST_ACC), "gyr": (sensor.gyr, MOST_GYR), "mag": (sensor.mag, MOST_MAG)}
    found: dict[str, FloatArray] = {}
    left_out = np.zeros(len(sensor.t), dtype=bool)
    for channel, (values, most) in channels.items():
        if values is None or (-most <= values.min() and values.max() <= most):  # false where one is missing
            continue
        size = np.abs(values)
        beyond = np.any(size > most, axis=1)
        if np.mean(beyond) > STRAY_SHARE:  # a wrong unit, which `units_check` names
            beyond = np.any(size > NO_READING, axis=1)
        if beyond.any():
            found[channel] = np.where(beyond[:, None], np.nan, values)
            left_out |= beyond & _all_finite(size)
    count = int(left_out.sum())
    said = "1 sample was" if count == 1 else f"{count} samples were"
    remark = f"{name}: {said} left out, with values that no sensor can show."
    return replace(sensor, **found) if found else sensor, [remark] * bool(count)


def _all_finite(values: FloatArray) -> BoolArray:
    """(n,) rows of values (n, 3) without a missing one."""
    if np.isfinite(values.min()) and np.isfinite(values.max()):
        return np.ones(len(values), dtype=bool)
    return np.asarray(np.isfinite(values).all(axis=1))


def _repaired(name: str, sensor: SensorRecording, back: FloatArray) -> tuple[SensorRecording, list[str]]:
    """The samples in order, each time once, and what was done; back: (n,) s by which a time runs back."""
    present = [channel for channel in (sensor.acc, sensor.gyr, sensor.mag) if channel is not None]
    t, values = sensor.t, np.concatenate(present, axis=1)
    remarks = []
    if back.max() > 0:
        order = np.argsort(t, kind="stable")
        t, values = t[order], values[order]
        remarks.append(f"{name}: {int((back > 0).sum())} samples came out of order and were sorted.")
    t, values, remark = _each_time_once(name, t, values)
    channels = iter(np.split(values, len(present), axis=1))
    acc = next(channels)
    gyr = next(channels) if sensor.gyr is not None else None
    mag = next(channels) if sensor.mag is not None else None
    return SensorRecording(t, acc, gyr, mag), remarks + [remark] * bool(remark)


def _each_time_once(name: str, t: FloatArray, values: FloatArray) -> tuple[FloatArray, FloatArray, str]:
    """Drop repeated samples; where a whole packet carries one time, spread it up to the next packet's."""
    same = np.diff(t) <= 0
    if not same.any():
        return t, values, ""
    repeated = same & ((values[1:] == values[:-1]) | np.isnan(values[1:])).all(axis=1)
    new_time = np.r_[True, ~same]
    if (same & ~repeated).mean() < 0.2:
        return t[new_time], values[new_time], f"{name}: {int(same.sum())} repeated samples were dropped."
    keep = np.r_[True, ~repeated]
    t, values = t[keep], values[keep]
    starts = np.flatnonzero(np.r_[True, np.diff(t) > 0])
    sizes = np.diff(np.r_[starts, t.size])
    spacing = np.median(np.diff(t[starts]) / sizes[:-1]) if starts.size > 1 else 0.0
    room = np.r_[np.diff(t[starts]) / sizes[:-1], np.inf]
    offset = np.arange(t.size) - np.repeat(starts, sizes)
    spread = t + offset * np.repeat(np.minimum(room, spacing), sizes)
    return spread, values, f"{name}: packets carry one time each; their samples were spread evenly."


def _rate(t: FloatArray) -> float:
    """Sampling rate, Hz: the mean of the periods that are no gap (stamps rounded to 1 ms have no median)."""
    periods = np.diff(t)
    usual = float(np.median(periods))
    near = periods[(periods < 1.5 * usual) & (periods > 0.5 * usual)]
    if not near.size:  # as many gaps as periods
        near = periods[periods < 1.5 * periods.min()]
    return float(1.0 / near.mean())


def _regular(t: FloatArray, rate: float) -> tuple[NDArray[np.int64] | None, float, float]:
    """Index of each sample, start and rate of the line through the stamps; no index where none fits."""
    index = np.r_[0, np.cumsum(np.round(np.diff(t) * rate))].astype(np.int64)
    if np.any(np.diff(index) < 1):
        return None, float(t[0]), rate
    centre, middle = index.mean(), t.mean()
    period = float(((index - centre) * (t - middle)).sum() / ((index - centre) ** 2).sum())
    start = float(middle - period * centre)
    if np.abs(t - (start + period * index)).max() > _REGULAR * period:
        return None, float(t[0]), rate
    return index, start, 1.0 / period


def _place(name: str, one: _Clean, t: FloatArray, step: float) -> tuple[GriddedSensor, list[Gap]]:
    samples = one.samples
    source = samples.t if one.index is None else one.start_s + one.index / one.rate_hz
    channels: list[FloatArray | None] = []
    gap = np.zeros(t.size, dtype=bool)
    saturated = np.zeros(t.size, dtype=bool)
    for channel, least, flat in (
        (samples.acc, 14.0, 14.0),
        (samples.gyr, 2.0, 0.3),
        (samples.mag, np.inf, np.inf),
    ):
        if channel is None:
            channels.append(None)
            continue
        there = _all_finite(channel)
        if there.sum() < 2:
            raise RecordingError(
                f"The sensor {name} has fewer than two samples without a missing value or an impossible one."
            )
        known, measured = (source, channel) if there.all() else (source[there], channel[there])
        channels.append(_resample(known, measured, t, step))
        if least == np.inf:  # a magnetometer may be slower, and its gaps cost nothing
            continue
        if not (known.size == t.size and np.abs(known - t).max() < 0.05 * step):
            gap |= _far_from(known, t, step, 1.0 / one.rate_hz)
        at = clipped(measured, least, flat)
        if at.any():
            saturated |= _far_from_not(known[at], t, step)
    acc, gyr, mag = channels
    if acc is None:  # cannot be: a recording's accelerometer is never None
        raise RecordingError(f"The sensor {name} has no accelerometer.")
    placed = GriddedSensor(t, 1.0 / step, acc, gyr, mag, gap, saturated, one.rate_hz)
    edges = np.flatnonzero(np.diff(np.r_[False, gap, False].astype(np.int8)))
    found = [
        Gap(name, float(t[max(a - 1, 0)]), float(t[min(b, t.size - 1)]))
        for a, b in zip(edges[::2], edges[1::2], strict=True)
    ]
    return placed, found


def _resample(source: FloatArray, values: FloatArray, t: FloatArray, step: float) -> FloatArray:
    """(n, 3) on the grid: linear between samples, held at the ends; a faster sensor averaged over a step."""
    if source.size == t.size and np.abs(source - t).max() < 0.05 * step:
        return values.copy()
    if (source[-1] - source[0]) / (source.size - 1) < step / 1.5:
        area = np.zeros((source.size, values.shape[1]))
        np.cumsum(0.5 * np.diff(source)[:, None] * (values[1:] + values[:-1]), axis=0, out=area[1:])
        left, right = np.clip(t - step / 2, *source[[0, -1]]), np.clip(t + step / 2, *source[[0, -1]])
        width = np.maximum(right - left, 1e-12)
        columns = [(np.interp(right, source, a) - np.interp(left, source, a)) / width for a in area.T]
    else:
        nearest = np.abs(source - np.round((source - t[0]) / step) * step - t[0]).max() < 0.05 * step
        source = t[0] + np.round((source - t[0]) / step) * step if nearest else source
        columns = [np.interp(t, source, column) for column in values.T]
    return np.stack(columns, axis=1)


def _far_from(known: FloatArray, t: FloatArray, step: float, period: float) -> BoolArray:
    """(n,) where the samples on both sides of a grid point lie further apart than one and a half periods."""
    right = np.searchsorted(known, t - 0.05 * step)
    left = np.clip(np.searchsorted(known, t + 0.05 * step) - 1, 0, known.size - 1)
    apart = known[np.clip(right, 0, known.size - 1)] - known[left]
    outside = (t < known[0] - step) | (t > known[-1] + step)
    return np.asarray((apart > 1.5 * max(period, step)) | outside)


def _far_from_not(moments: FloatArray, t: FloatArray, step: float) -> BoolArray:
    """(n,) grid points within a step of one of the moments."""
    marked = np.zeros(t.size, dtype=bool)
    at = np.round((moments - t[0]) / step).astype(np.int64)
    marked[np.clip(at, 0, t.size - 1)] = True
    return marked
