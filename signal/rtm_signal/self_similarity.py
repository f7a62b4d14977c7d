"""Where a movement resembles itself one period later, and where that looks like walking."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_opening

from rtm_signal.recording import FloatArray
from rtm_signal.repetitions_tiling import PHASES, at_steps

_LEAST_MOVING = 0.05
"""Share of a stretch with movement below which it resembles nothing: it is rest."""
_STRIDES_S = 0.9 * 1.06 ** np.arange(8)
"""Walking, from brisk (0.9 s a stride) to slow (1.35 s; Bohannon 1997 has 0.9 to 1.2 s for adults)."""
_LIKE_A_STRIDE = 0.75
_RETURNS = 2.0
"""A stride ends where it began: the square of what is left over, beside the variance within it. Half of a slow
movement has 12."""


def resembles(grid: FloatArray, active: NDArray[np.bool_]) -> FloatArray:
    """(m,) 0..1, likeness of each period-long stretch of `grid` (n, F), PHASES steps a period, with the next.

    1 of twice the same movement, less of unlike sizes. active: (n,) bool, where there is movement at all.
    """
    return _resembles(grid, active)[0]


def _resembles(grid: FloatArray, active: NDArray[np.bool_]) -> tuple[FloatArray, FloatArray]:
    """The likeness, and the sum of squares over each period, less its mean, both (m,)."""
    m = len(grid) - 2 * PHASES
    if m < 1:
        return np.zeros(0), np.zeros(0)
    sums = _over_a_period(grid)
    energy = _over_a_period(np.einsum("nf,nf->n", grid, grid)) - np.einsum("nf,nf->n", sums, sums) / PHASES
    both = _over_a_period(np.einsum("nf,nf->n", grid[:-PHASES], grid[PHASES:]))[:m]
    both = both - np.einsum("nf,nf->n", sums[:m], sums[PHASES : PHASES + m]) / PHASES
    alike = both / np.maximum((energy[:m] + energy[PHASES : PHASES + m]) / 2, 1e-9)
    share = _over_a_period(active.astype(np.float64))[:m] / PHASES
    return np.asarray(np.where(share > _LEAST_MOVING, np.clip(alike, 0.0, 1.0), 0.0)), energy[:m]


def walking(signal: FloatArray, rate_hz: float) -> NDArray[np.bool_]:
    """(n,) bool, where `signal` (n, F) repeats at the pace of strides, three of them or more in a row."""
    out = np.zeros(len(signal), dtype=bool)
    for stride in _STRIDES_S:
        step = stride / PHASES * rate_hz
        grid, whole = at_steps(signal, step)
        m = len(grid) - 2 * PHASES
        if m < 1:
            continue
        alike, energy = _resembles(grid, np.ones(len(grid), dtype=bool))
        change = grid[PHASES : PHASES + m] - grid[:m]
        left, within = np.einsum("nf,nf->n", change, change), energy / PHASES
        size = float(np.sqrt(np.einsum("nf,nf->", grid, grid) / len(grid)))
        good = (alike > _LIKE_A_STRIDE) & (left < _RETURNS * within) & (within > (0.1 * size) ** 2)
        for first in np.flatnonzero(binary_opening(good, np.ones(PHASES, dtype=bool))):
            out[whole[first] : whole[first + 2 * PHASES - 1] + 1] = True
    return out


def _over_a_period(values: FloatArray) -> FloatArray:
    """(n - PHASES + 1, ...) sums over PHASES steps from each on, by doubling: PHASES is a power of two."""
    sums, steps = values, 1
    while steps < PHASES:
        sums = sums[:-steps] + sums[steps:]
        steps *= 2
    return sums
