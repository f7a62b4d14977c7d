"""Walking told by the body's bounce: it rises and falls twice in a stride, whatever the sensor's limb does.

A limb swings once in a stride, and an exercise lifts its segment once in a repetition. The harmonic ratio of gait
analysis compares the two in the vertical acceleration: even harmonics of the stride over all others (Gage 1964; Menz,
Lord and Fitzpatrick 2003). It needs no placement. Below the knee the leg's own rise, once a stride, hides half of the
bounce; there the swing tells as well: the leg is brought forward in two fifths of a stride and carried back in the
rest (Winter 2009), so that its turning rate is skewed, which that of an exercise at the pace of strides is not.
"""

from __future__ import annotations

import numpy as np

from rtm_signal.features import Motion
from rtm_signal.movement import FoundSet
from rtm_signal.recording import FloatArray

_STRIDE_S = (0.8, 1.8)
"""From brisk walking to that of a patient (Bohannon 1997: 0.9 to 1.2 s for adults)."""
_RATIO = 6.0
"""Above it is walking. Of 33 sets of arm exercises at the pace of strides none exceeds 4.9; the simulated body's
walking has 8 to 40 at wrist, arm and thigh."""
_LEG_RATIO, _LEG_SKEW, _LEG_BOUNCE_M_S2 = 1.8, 0.6, 1.5
"""The same below the knee, all three at once: the simulated body has at least 1.9, 0.7 and 1.8 at shank and foot, at
strides of 0.9 to 1.7 s. Of the real sets of exercises at that pace the nearest has 1.5, 1.9 and 0.7."""
_BOUNCE_M_S2 = 0.5
"""Least vertical acceleration, root mean square: a slow walker's trunk has more, a still trunk less."""
_HARMONICS = 6
_WIDTH = 0.25
"""Of a harmonic, either side, as a share of the set's own frequency: the pace varies."""


def walks(found: FoundSet, motion: Motion) -> bool:
    """Whether a set is walking: one repetition is a stride or two of them. False where `lift` is not known.

    A step is not asked for: a quick exercise rises and falls once a repetition as a walker does once a step.
    """
    if motion.lift is None:
        return False
    first, last = np.searchsorted(motion.t, [found.start_s[0], found.end_s[-1]])
    lift = motion.lift[first:last]
    period = found.movement.duration_s
    strides = [n for n in (1, 2) if _STRIDE_S[0] <= period / n <= _STRIDE_S[1]]
    if not strides or len(lift) < 2 * period * motion.rate_hz:
        return False
    power = _power(lift - lift.mean(axis=0), motion.rate_hz)
    ratio = np.max([_harmonic_ratio(power, period, n) for n in strides], axis=0)
    bounce = lift.std(axis=0)
    body = (bounce > _BOUNCE_M_S2) & (ratio > _RATIO)
    leg = (bounce > _LEG_BOUNCE_M_S2) & (ratio > _LEG_RATIO)
    if leg.any() and motion.rate.shape[1] == 3 * len(
        leg
    ):  # beside a sensor without a gyroscope nobody knows whose
        leg &= _skew(motion.rate[first:last]) > _LEG_SKEW
        body |= leg
    return bool(body.any())


def _skew(rate: FloatArray) -> FloatArray:
    """(m,) skewness of the turning rate (n, 3 m) about the main axis of each sensor, whichever its sign."""
    out = []
    for one in np.split(rate, rate.shape[1] // 3, axis=1):
        about = one - one.mean(axis=0)
        _, axes = np.linalg.eigh(about.T @ about)
        along = about @ axes[:, -1]
        out.append(abs(float((along**3).mean())) / max(float((along**2).mean()) ** 1.5, 1e-12))
    return np.array(out)


def _power(lift: FloatArray, rate_hz: float) -> tuple[FloatArray, FloatArray]:
    """Frequencies (k,) Hz and power (k, m), finely sampled."""
    size = 8 * len(lift)
    spectrum = np.fft.rfft(lift * np.hanning(len(lift))[:, None], size, axis=0)
    hz = np.fft.rfftfreq(size, 1 / rate_hz)
    return np.asarray(hz, dtype=np.float64), np.asarray(np.abs(spectrum) ** 2, dtype=np.float64)


def _harmonic_ratio(power: tuple[FloatArray, FloatArray], period_s: float, strides: int) -> FloatArray:
    """(m,) even harmonics of the stride, of which a period holds so many, over all else that the set repeats."""
    hz, density = power
    order = np.arange(1, _HARMONICS * strides + 1)
    total = np.array([density[np.abs(hz * period_s - k) < _WIDTH].sum(axis=0) for k in order])
    even = order % (2 * strides) == 0
    return np.asarray(total[even].sum(axis=0) / np.maximum(total[~even].sum(axis=0), 1e-12))
