"""Smoothness of one repetition: the spectral arc length (SPARC) of its speed.

Balasubramanian, Melendez-Calderon and Burdet, IEEE Trans Biomed Eng 2012 59:2126; parameters as in
Balasubramanian et al., J NeuroEng Rehabil 2015 12:112. Zero would be perfectly smooth; a single minimum-jerk
movement has about -1.4, and tremor or stops make it more negative. It does not depend on size or duration.
"""

from __future__ import annotations

import numpy as np

from rtm_signal.recording import FloatArray

_CUTOFF_HZ = 10.0
"""Above the band of voluntary movement; the 20 Hz of the paper is beyond what a 25 Hz sensor shows."""
_THRESHOLD = 0.05
_PADDING = 4


def sparc(speed: FloatArray, rate_hz: float) -> float | None:
    """SPARC of a speed profile (n,), any unit; None where it is too short or does not move."""
    if len(speed) < 8 or not np.isfinite(speed).all() or float(np.max(np.abs(speed))) <= 0:
        return None
    size = 1 << (int(np.ceil(np.log2(len(speed)))) + _PADDING)
    magnitude = np.abs(np.fft.rfft(speed, size))
    if magnitude[0] <= 0:
        return None
    frequency = np.fft.rfftfreq(size, 1 / rate_hz)
    cutoff = min(_CUTOFF_HZ, rate_hz / 2)
    kept = frequency <= cutoff
    frequency, magnitude = frequency[kept], magnitude[kept] / magnitude[0]
    above = np.flatnonzero(magnitude >= _THRESHOLD)
    last = int(above[-1]) + 1
    if last < 2:
        return None
    frequency, magnitude = frequency[:last], magnitude[:last]
    span = float(frequency[-1] - frequency[0])
    return float(-np.sum(np.hypot(np.diff(frequency) / span, np.diff(magnitude))))
