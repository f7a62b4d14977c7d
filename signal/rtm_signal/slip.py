"""Whether a sensor slipped on its limb in the middle of a recording.

A sensor that slips sees the same movement from another side. A counted repetition is laid over every moment of the
recording and turned so that its angular rate and its vertical fit best (Wahba 1965; Kabsch 1976). Where it fits, there
is another repetition, and the turn says how the sensor is worn there. No turn up to one moment and the same turn in
every repetition after it is a slip; other movement does not fit, however it is turned.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.fft import irfft, next_fast_len, rfft
from scipy.ndimage import maximum_filter1d

from rtm_signal.common_view import nearest_rotation
from rtm_signal.features import Motion
from rtm_signal.recording import FloatArray

BY = np.radians(25.0)
"""Least slip that is told: repetitions of one exercise differ by 12 degrees at the 95th percentile."""
MOST = np.radians(120.0)
"""Beyond it a movement out and back is taken for itself backwards; turned over is for `placement` to say."""
STEADY = np.radians(18.0)
"""Turn up to which a sensor is still worn as before, and by which the turns after a slip may differ."""
FITS = 0.85
"""Correlation of the angular rates, turned, from which it is the same movement."""
UPRIGHT = np.cos(np.radians(15.0))
"""Mean agreement of the verticals, turned."""
LEAST = 2
"""Repetitions on either side."""
LONGEST_S = 3600.0
"""Beyond it nothing is looked for: no exercise lasts so long, and every moment costs."""
_RATE_HZ = 10.0
_NEAR = 1.4
"""Repetitions: the width in which there is one match. Half a repetition away, out and back again look like back and
out, turned by half a turn."""
_MOVING = 0.2
"""rad/s, root mean square of a repetition: below it there is no direction to compare."""


@dataclass(frozen=True, slots=True)
class Slip:
    """sensor: its place in the sequence; at_s: no later than when, s; by: rad, about."""

    sensor: int
    at_s: float
    by: float


@dataclass(frozen=True, slots=True)
class _Matches:
    """Where a repetition fits: at (k,) s, its start; turn: (k, 3, 3) of the sensor there against the repetition's."""

    at: FloatArray
    turn: FloatArray

    @property
    def angle(self) -> FloatArray:
        """(k,) rad."""
        return _angle(self.turn)


def slipped(motion: Motion, repetitions: Sequence[tuple[float, float]], *, one_exercise: bool) -> Slip | None:
    """The first slip of one of the sensors, all with a gyroscope; None where there is none.

    repetitions: start and end of those counted, s. one_exercise: the recording is known to hold a single exercise;
    without that a slip is told only where a second sensor shows that the movement stayed the same.
    """
    t = motion.t
    if len(repetitions) < LEAST or t[-1] - t[0] > LONGEST_S:
        return None
    start, end = repetitions[len(repetitions) // 4]
    for template in ((start, end), (start, (start + end) / 2)):
        matches = [_matches(motion, sensor, template) for sensor in range(motion.rate.shape[1] // 3)]
        slip = _clearest(matches, template, one_exercise=one_exercise)
        most = max((len(m.at) for m in matches if m is not None), default=0)
        if slip is not None or most >= 2 * LEAST:
            return slip
        # Two repetitions counted as one come too seldom to tell: then half of it is laid over the recording.
    return None


def _clearest(
    matches: Sequence[_Matches | None], template: tuple[float, float], *, one_exercise: bool
) -> Slip | None:
    """The first slip that the matches of a stretch of movement show; template: from and to, s."""
    found = []
    for i, mine in enumerate(matches):
        others = [m for j, m in enumerate(matches) if j != i and m is not None]
        slip = None if mine is None else _slip(i, mine, template)
        if slip is None or not (one_exercise or others):
            continue
        if all(_steady(other, slip.at_s) for other in others):
            found.append(slip)
    return min(found, key=lambda one: one.at_s, default=None)


def _matches(motion: Motion, sensor: int, span: tuple[float, float]) -> _Matches | None:
    """Every moment at which the movement of a span fits, turned; None where the sensor hardly moves."""
    step = max(1, int(motion.rate_hz // _RATE_HZ))
    t = motion.t[::step]
    rate = motion.rate[::step, 3 * sensor : 3 * sensor + 3]
    up = motion.posture[::step, 4 * sensor : 4 * sensor + 3]
    first, last = (int(np.searchsorted(t, edge)) for edge in span)
    long = last - first
    if long < 8 or len(t) <= long:
        return None
    mine, own_up = rate[first:last], up[first:last]
    power = float(np.mean(np.sum(mine**2, axis=1)))
    if power < _MOVING**2:
        return None
    by_rate, by_up = _moments(rate, mine), _moments(up, own_up)
    so_far = np.cumsum(np.append(0.0, np.einsum("ni,ni->n", rate, rate)))
    energy = np.maximum((so_far[long:] - so_far[:-long]) / long, 1e-9)
    scale = np.sqrt(power * energy)
    # Turned as well as can be, two courses correlate by at most root three times the norm of their moments.
    possible = np.linalg.norm(by_rate, axis=(1, 2)) * np.sqrt(3.0) > FITS * scale
    possible &= (energy < 4 * power) & (energy > power / 4)
    rows = np.flatnonzero(possible)
    if not len(rows):
        return _Matches(np.zeros(0), np.zeros((0, 3, 3)))
    by_rate, by_up = by_rate[rows] / scale[rows, None, None], by_up[rows]
    turn = nearest_rotation(by_rate + by_up)
    fit = np.einsum("kij,kij->k", turn, by_rate)
    fits = (fit > FITS) & (np.einsum("kij,kij->k", turn, by_up) > UPRIGHT)
    # Of the moments near each other the one that needs least turning, where both fit.
    worth = np.zeros(len(energy))
    worth[rows] = np.where(fits, 1.0 + np.cos(_angle(turn)) + 0.1 * fit, 0.0)
    best = (worth > 0) & (worth >= maximum_filter1d(worth, max(3, round(_NEAR * long))))
    return _Matches(np.asarray(t[: len(best)][best]), np.asarray(turn[best[rows]]))


def _moments(course: FloatArray, own: FloatArray) -> FloatArray:
    """(n - m + 1, 3, 3) mean outer product of a course (n, 3) from each moment on with another (m, 3)."""
    size = next_fast_len(len(course), real=True)
    spectrum = rfft(course, size, axis=0)[:, :, None] * rfft(own, size, axis=0).conj()[:, None, :]
    return np.asarray(irfft(spectrum, size, axis=0)[: len(course) - len(own) + 1] / len(own))


def _slip(sensor: int, matches: _Matches, template: tuple[float, float]) -> Slip | None:
    """The moment from which, or up to which, every match is turned alike; else None."""
    steady = matches.angle < STEADY
    turned = (matches.angle > BY) & (matches.angle < MOST)
    if np.any(matches.angle >= MOST):
        return None
    if steady.sum() < LEAST or turned.sum() < LEAST:
        return None
    for before, after in ((steady, turned), (turned, steady)):
        last, first = np.flatnonzero(before)[-1], np.flatnonzero(after)[0]
        if last > first or first - last > LEAST:
            continue
        turns = matches.turn[turned]
        middle = turns[len(turns) // 2]
        apart = _angle(np.einsum("kij,lj->kil", turns, middle))
        if np.median(apart) < STEADY and np.mean(apart < 2 * STEADY) > 0.8:
            end = float(matches.at[last] + template[1] - template[0])
            at = min(end, float(matches.at[first]))
            return Slip(sensor, at, float(np.median(matches.angle[turned])))
    return None


def _steady(other: _Matches, at_s: float) -> bool:
    """Whether another sensor goes on seeing the movement as before, on both sides of a moment."""
    steady = other.at[other.angle < STEADY]
    return bool(np.sum(steady < at_s) >= LEAST and np.sum(steady > at_s) >= LEAST)


def _angle(turn: FloatArray) -> FloatArray:
    """(...,) rad of rotation matrices (..., 3, 3)."""
    trace = np.trace(turn, axis1=-2, axis2=-1)
    return np.asarray(np.arccos(np.clip((trace - 1.0) / 2.0, -1.0, 1.0)))
