"""Half a repetition left over beside a row: the sign that the row is read half a cycle late.

From base to base and from turning point to turning point a row of repetitions repeats equally well. Only what lies
beside it tells: read from its turning points, the first way out stands before it and the last way back after it.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rtm_signal.recording import FloatArray
from rtm_signal.repetitions_tiling import PHASES, cycles

_CHANCE = 0.3
"""Likeness of any movement with half a repetition."""


def late(signal: FloatArray, rows: Sequence[NDArray[np.int64]], *, bent: bool, parted: int) -> float:
    """0..1, how much rows of repetitions look as if read half a cycle late.

    Half a repetition beside a row is left over, unless the exercise begins bent: going there and coming back then
    stand before and after the true ones, with a rest between, though not beside a pause among them.

    signal: (n, F), PHASES steps a repetition; rows: (k, 2) edges, steps, of each; bent: the exercise begins bent;
    parted: a rest of so many steps between two rows parts two sets, a shorter one is a pause.
    """
    edges = np.concatenate(list(rows))
    template = cycles(signal, edges[:, 0], edges[:, 1] - edges[:, 0]).mean(axis=0)
    out, back = template[: PHASES // 2], template[PHASES // 2 :]
    rest = PHASES // 2 if bent else 0
    first, last = np.array([row[0, 0] for row in rows]), np.array([row[-1, 1] for row in rows])
    beside = [_half_like(signal, first, -1, back[::-1], rest), _half_like(signal, last, 1, out, rest)]
    pause = [later[0, 0] - row[-1, 1] <= parted for row, later in pairwise(rows)]
    inner = np.array([False, *pause, *pause, False])
    halves = np.clip((np.concatenate(beside) - _CHANCE) / (1 - _CHANCE), None, 1.0)
    left_over = np.where(inner, halves, 1 - halves) if bent else halves
    return float(np.clip(np.mean(left_over), 0.0, 1.0))


def _half_like(
    signal: FloatArray, places: NDArray[np.int64], way: int, half: FloatArray, rest: int
) -> FloatArray:
    """(k,) the greatest likeness, sizes included, of `half` (m, F) with a stretch that begins within `rest` steps of
    each of k places in `signal` (n, F), going one way (1) or back (-1), whatever its tempo."""
    first, length = (x.ravel() for x in np.mgrid[: rest + 1, PHASES // 4 : PHASES + 1])
    steps = np.round(first[:, None] + length[:, None] * (np.arange(len(half)) + 0.5) / len(half))
    room = len(signal) - places if way > 0 else places + 1
    inside = first + length < room[:, None]
    at = places[:, None, None] + way * steps.astype(np.intp)
    there = signal[np.clip(at, 0, len(signal) - 1)]
    there = there - there.mean(axis=2, keepdims=True)
    own = half - half.mean(axis=0)
    size = np.einsum("kspf,kspf->ks", there, there) + float((own**2).sum())
    alike = 2 * np.einsum("kspf,pf->ks", there, own) / np.maximum(size, 1e-9)
    return np.asarray(np.clip(np.where(inside, alike, 0.0).max(axis=1), 0.0, 1.0))
