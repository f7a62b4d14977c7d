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
    before = [_half_like(signal[: row[0, 0] + 1][::-1], back[::-1], rest) for row in rows]
    after = [_half_like(signal[row[-1, 1] :], out, rest) for row in rows]
    pause = [later[0, 0] - row[-1, 1] <= parted for row, later in pairwise(rows)]
    inner = np.array([False, *pause, *pause, False])
    halves = np.clip((np.array(before + after) - _CHANCE) / (1 - _CHANCE), None, 1.0)
    left_over = np.where(inner, halves, 1 - halves) if bent else halves
    return float(np.clip(np.mean(left_over), 0.0, 1.0))


def _half_like(beside: FloatArray, half: FloatArray, rest: int) -> float:
    """The greatest likeness, sizes included, of `half` (k, F) with a stretch that begins within `rest` steps of the
    beginning of `beside` (n, F), whatever its tempo."""
    first, length = np.meshgrid(np.arange(rest + 1), np.arange(PHASES // 4, PHASES + 1), indexing="ij")
    inside = first + length < len(beside)
    if not inside.any():
        return 0.0
    at = first[inside, None] + length[inside, None] * (np.arange(len(half)) + 0.5) / len(half)
    there = beside[np.round(at).astype(np.intp)]
    there = there - there.mean(axis=1, keepdims=True)
    own = half - half.mean(axis=0)
    size = np.einsum("skf,skf->s", there, there) + float((own**2).sum())
    alike = 2 * np.einsum("skf,kf->s", there, own) / np.maximum(size, 1e-9)
    return float(np.clip(alike.max(), 0.0, 1.0))
