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
    m = len(grid) - 2 * PHASES
    if m < 1:
        return np.zeros(0)
    sums = _over_a_period(grid)
    energy = _energy(grid, sums)
    both = _over_a_period((grid[:-PHASES] * grid[PHASES:]).sum(axis=1)[:, None])[:m, 0]
    both = both - np.einsum("nf,nf->n", sums[:m], sums[PHASES : PHASES + m]) / PHASES
    alike = both / np.maximum((energy[:m] + energy[PHASES : PHASES + m]) / 2, 1e-9)
    share = _over_a_period(active[:, None].astype(np.float64))[:m, 0] / PHASES
    return np.asarray(np.where(share > _LEAST_MOVING, np.clip(alike, 0.0, 1.0), 0.0))


def walking(signal: FloatArray, rate_hz: float) -> NDArray[np.bool_]:
    """(n,) bool, where `signal` (n, F) repeats at the pace of strides, three of them or more in a row."""
    out = np.zeros(len(signal), dtype=bool)
    for stride in _STRIDES_S:
        step = stride / PHASES * rate_hz
        grid, whole = at_steps(signal, step)
        m = len(grid) - 2 * PHASES
        if m < 1:
            continue
        alike = resembles(grid, np.ones(len(grid), dtype=bool))
        left = ((grid[PHASES : PHASES + m] - grid[:m]) ** 2).sum(axis=1)
        within = _energy(grid, _over_a_period(grid))[:m] / PHASES
        size = float(np.sqrt((grid**2).sum(axis=1).mean()))
        good = (alike > _LIKE_A_STRIDE) & (left < _RETURNS * within) & (within > (0.1 * size) ** 2)
        for first in np.flatnonzero(binary_opening(good, np.ones(PHASES, dtype=bool))):
            out[whole[first] : whole[first + 2 * PHASES - 1] + 1] = True
    return out


def _over_a_period(values: FloatArray) -> FloatArray:
    """(n - PHASES + 1, F) sums over PHASES steps from each on."""
    sums = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), values]), axis=0)
    return np.asarray(sums[PHASES:] - sums[:-PHASES])


def _energy(grid: FloatArray, sums: FloatArray) -> FloatArray:
    """Sum of squares over each period, less its mean."""
    squares = _over_a_period((grid**2).sum(axis=1)[:, None])[:, 0]
    return np.asarray(squares - (sums**2).sum(axis=1) / PHASES)
