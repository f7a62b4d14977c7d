"""Where a sensor stood at its full scale: a channel stays exactly at its extreme though the movement went on.

Whatever the range that was set, a clipped channel shows one and the same number, its extreme, for several samples, and
reaches and leaves it at speed. A movement that turns round slows down first, a resting sensor's extremes are single
samples or a few steps of its quantiser above the others, and in a steady rotation that is free of noise (a simulated
one) no other channel moves either.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtm_signal.recording import FloatArray

BoolArray = NDArray[np.bool_]

_EXACTLY = 1e-6
"""Relative: two numbers that are one, after a change of unit and back."""
_PLATEAU = 3
"""Samples in a row on the extreme."""
_STEEP = 4.0
"""Steps of the quantiser between a plateau and the sample beside it. A parabola that stays within one step for three
samples is 2.8 steps further one sample later, and longer stays end more gently."""
_FLAT_SHARE = 0.01
"""Of all samples on an extreme, in runs: no movement stays there, where it is far from rest."""
_ONE_SIDED = 0.2
"""Of the other extreme: a smaller one is the end of a rest, not of a range."""


def clipped(values: FloatArray, least: float, flat: float) -> BoolArray:
    """(m,) samples of values (m, 3) at full scale.

    least: extreme above which two samples on it, three in all, are enough; flat: above which it takes a hundredth of
    all samples. Whatever the extreme, plateaus that are reached or left at speed while another channel moves count.
    """
    m = len(values)
    out = np.zeros(m, dtype=bool)
    for axis, column in enumerate(np.ascontiguousarray(values.T)):
        low, high = float(column.min()), float(column.max())
        extreme = max(-low, high)
        for side, bound in ((1.0, high), (-1.0, -low)):
            if low == high or bound < _ONE_SIDED * extreme:
                continue
            at = side * column >= bound * (1 - _EXACTLY)
            if np.count_nonzero(at) < _PLATEAU:
                continue
            pairs = _runs(at, 2)
            count = sum(b - a for a, b in pairs)
            large = bound > least and count >= _PLATEAU
            flat_enough = bound > flat and max(10.0, _FLAT_SHARE * m) <= count < m / 2
            told = pairs if large or flat_enough else _plateaus(values, axis, at)
            for a, b in told:
                out[a:b] = True
    return out


def _plateaus(values: FloatArray, axis: int, at: BoolArray) -> list[tuple[int, int]]:
    """The runs of one channel on its extreme, where they are plateaus of a clipped signal; else none."""
    runs = _runs(at, _PLATEAU)
    if sum(b - a for a, b in runs) < 2 * _PLATEAU:
        return []
    column = values[:, axis]
    levels = np.unique(column)
    apart = np.diff(levels)
    step = float(apart[apart > _EXACTLY * np.abs(levels).max()].min(initial=np.inf))
    others = np.delete(values, axis, axis=1)
    steep = [
        max(_beside(column, a, b)) > _STEEP * step and bool(np.ptp(others[a:b], axis=0).any())
        for a, b in runs
    ]
    return runs if np.mean(steep) > 0.5 else []


def _beside(column: FloatArray, a: int, b: int) -> tuple[float, float]:
    """How far the samples before and after the run a to b lie from it."""
    before = abs(column[a - 1] - column[a]) if a > 0 else 0.0
    after = abs(column[b] - column[b - 1]) if b < len(column) else 0.0
    return float(before), float(after)


def _runs(at: BoolArray, least: int) -> list[tuple[int, int]]:
    """From and to of each stretch of at least so many samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], at, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True) if b - a >= least]
