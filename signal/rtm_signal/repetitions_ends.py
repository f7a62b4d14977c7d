"""How much of a repetition stands at either end of a trimmed set, by how far the movement had gone.

Whoever trimmed the set cut through movement. Time alone says how much of a cycle is left over, yet a slow rest at the
base lasts as long as a quick way up. So the way is looked at too: between a base and the edge, how near to the usual
turning point the movement came. A way past the middle is more a repetition than not.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from scipy.signal import find_peaks

from rtm_signal.features import Motion
from rtm_signal.movement import FoundSet
from rtm_signal.recording import FloatArray
from rtm_signal.repetitions_timing import course

_LEAST_TILES = 5
"""Fewer repetitions have no usual base and turning point."""
_NEAR = 3
"""So many bases and turning points near an end say what is usual there: posture drifts over a set."""
_TURNS = 0.25
"""Share of the usual way that the movement goes back before a turning point is one."""
_NONE, _WHOLE = 0.2, 0.8
"""Shares of the way: less is no repetition (a sway at the base), more is one; between them in proportion."""


def cycles_by_way(found: FoundSet, motion: Motion) -> float | None:
    """How many repetitions a trimmed set holds, with fractions at its ends; None where too few tell."""
    tiles = len(found.start_s)
    if tiles < _LEAST_TILES:
        return None
    along = course(motion, found.start_s, found.end_s)
    first = np.searchsorted(motion.t, found.start_s)
    last = np.minimum(np.searchsorted(motion.t, found.end_s), len(along) - 1)
    tops = [int(a + np.argmax(along[a : b + 1])) for a, b in zip(first[1:-1], last[1:-1], strict=True)]
    bases = [float(along[a : b + 1].min()) for a, b in pairwise(tops)]
    heights = along[tops]
    head = along[: tops[0] + 1][::-1]
    tail = along[tops[-1] :]
    return (
        tiles
        - 2
        + _beyond(head, float(np.median(bases[:_NEAR])), float(np.median(heights[:_NEAR])))
        + _beyond(tail, float(np.median(bases[-_NEAR:])), float(np.median(heights[-_NEAR:])))
    )


def _beyond(along: FloatArray, base: float, top: float) -> float:
    """Repetitions on the way from a turning point (the first of `along`) to the edge, which need not be whole."""
    if top - base <= 0:
        return 0.0
    level = (along - base) / (top - base)
    # Below the last sample, so that the edge itself may be the farthest point of a way.
    farthest, _ = find_peaks(np.append(level, level.min() - 1.0), prominence=_TURNS)
    return float(_share(level[farthest]).sum())


def _share(level: FloatArray) -> FloatArray:
    return np.clip((level - _NONE) / (_WHOLE - _NONE), 0.0, 1.0)
