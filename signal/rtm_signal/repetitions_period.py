"""Candidate periods of a movement: the peaks of its autocorrelation, all channels together."""

from __future__ import annotations

import numpy as np
from scipy.signal import find_peaks

from rtm_signal.recording import FloatArray

SHORTEST_S, LONGEST_S = 0.5, 16.0
"""Quick ankle pumps, and a slow raise with a long hold."""
_CANDIDATES = 6
_SAME = 0.06
"""Two periods this near, as a log ratio, lead to the same tiling."""
_EXCERPT_S = 240.0
"""Of a longer bout its middle is looked at: two dozen slow repetitions are enough to tell the period."""


def candidate_periods(signal: FloatArray, rate_hz: float) -> FloatArray:
    """Periods, s, ascending, at which `signal` (n, F) resembles itself; none where it does not.

    The autocorrelation at each lag is normalised by the energy of the overlapping parts, so that a long lag
    in a short bout counts as much as a short one.
    """
    keep = int(_EXCERPT_S * rate_hz)
    spare = max(0, len(signal) - keep) // 2
    part = signal[spare : spare + keep]
    x = part - part.mean(axis=0)
    n = len(x)
    if n < 4:
        return np.zeros(0)
    size = 1 << (2 * n - 1).bit_length()
    correlation = np.fft.irfft((np.abs(np.fft.rfft(x, size, axis=0)) ** 2).sum(axis=1), size)[:n]
    energy = np.concatenate([[0.0], np.cumsum((x**2).sum(axis=1))])
    lag = np.arange(n)
    likeness = correlation / np.sqrt(np.maximum(energy[n - lag] * (energy[n] - energy[lag]), 1e-12))
    last = min(int(0.7 * n), int(LONGEST_S * rate_hz))
    peaks = find_peaks(likeness[: last + 1], height=0.05)[0]
    peaks = peaks[peaks >= SHORTEST_S * rate_hz]
    best = peaks[np.argsort(-likeness[peaks])][:_CANDIDATES]
    return np.asarray(np.sort(best) / rate_hz)


def merged(some: FloatArray, more: FloatArray) -> FloatArray:
    """Both lists of periods, ascending, those of `more` that are within 6 % of one of `some` left out.

    The turning rate is blind to a slow exercise beside quick walking, posture to quick small movements.
    """
    new = [p for p in more if not len(some) or float(np.abs(np.log(some / p)).min()) > _SAME]
    return np.sort(np.concatenate([some, np.array(new)]))
