"""Zero-phase Butterworth filters along the first axis."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from scipy.signal import butter, sosfiltfilt

from rtm_signal.recording import FloatArray

_ORDER = 2
_HIGHEST = 0.45
"""Of the sampling rate: an edge above is brought down to it."""


def low_pass(values: FloatArray, cutoff_hz: float, rate_hz: float) -> FloatArray:
    """(n, ...) below the cutoff; unchanged where too short to filter."""
    if len(values) < 4:
        return np.asarray(values, dtype=np.float64)
    return _there_and_back(values, sections((cutoff_hz,), rate_hz), int(3 * rate_hz / cutoff_hz))


def band_pass(
    values: FloatArray, band_hz: tuple[float, float], rate_hz: float, padding_s: float
) -> FloatArray:
    """(n, ...) between two edges; padding_s: how long the ends are reflected, s."""
    return _there_and_back(values, sections(band_hz, rate_hz), int(padding_s * rate_hz))


@lru_cache(maxsize=256)
def sections(edges_hz: tuple[float, ...], rate_hz: float) -> FloatArray:
    """(k, 6) second-order sections of a low pass (one edge) or a band pass (two); kept, for a design takes longer
    than filtering a set of repetitions."""
    edges = [*edges_hz[:-1], min(edges_hz[-1], _HIGHEST * rate_hz)]
    if len(edges) == 1:
        designed = butter(_ORDER, edges[0], fs=rate_hz, output="sos")
    else:
        designed = butter(_ORDER, edges, "band", fs=rate_hz, output="sos")
    return np.asarray(designed)


def _there_and_back(values: FloatArray, sos: FloatArray, padding: int) -> FloatArray:
    return np.asarray(sosfiltfilt(sos, values, axis=0, padlen=min(len(values) - 1, padding)))
