"""The count of a set and its range: what stands at the edges of a trimmed set, and what the calibration's
pace says.

Inside a set the tiling is clear; its doubt lies in the movement left over at either edge, cut by whoever
trimmed the recording. The count is the most likely whole number given how many cycles fit (with fractions)
and,
where a calibration holds nothing but its N repetitions, how many of its pace fit. The pace counts only as far
as the tempo is the same: a mixture with an even chance that it is not keeps a different tempo from mattering.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtm_signal.features import Motion
from rtm_signal.movement import FoundSet, Movement
from rtm_signal.recording import FloatArray
from rtm_signal.repetitions_ends import cycles_by_way
from rtm_signal.segmentation import is_moving, moving_s

_CUT_SIGMA = 0.6
"""Standard error of the cycles in a set that is cut in movement: half a cycle at either edge."""
_REST_SIGMA = 0.25
"""The same where the set begins and ends at rest."""
_DOUBT = 1.6
"""What a set whose repetitions differ adds to it, for each unit of fit that is missing."""
_PACE_SIGMA = 0.025
"""Relative error of the pace, if the tempo is that of the calibration."""
_SAME_TEMPO = 0.5
"""Chance of that before looking."""
_TEMPO_SPREAD = 0.3
"""Relative spread of the tempo otherwise."""
_COVER = 0.95


@dataclass(frozen=True, slots=True)
class CountedSet:
    """A set with its count settled. start_s, end_s: (k,) s; low, high: 95 % of the belief lies between
    them."""

    start_s: FloatArray
    end_s: FloatArray
    low: int
    high: int
    found: FoundSet


def settle(found: FoundSet, motion: Motion, *, trimmed: bool, known: Sequence[Movement] = ()) -> CountedSet:
    """Decide the count of one set; in a trimmed one, whether the movement left at its edges is a
    repetition."""
    tiles = len(found.start_s)
    if not trimmed:
        counts = np.arange(max(1, tiles - 2), tiles + 3)
        sigma = _REST_SIGMA + _DOUBT * (1 - found.fit)
        belief = np.exp(-0.5 * ((counts - tiles) / sigma) ** 2)
        low, high = _range(counts, belief)
        return CountedSet(found.start_s, found.end_s, low, high, found)
    counts = np.arange(max(1, tiles - 3), tiles + 4)
    belief = _belief(counts, found, motion, known)
    reachable = (counts >= tiles - 2) & (counts <= tiles + _room(found, motion))
    best = int(counts[np.argmax(np.where(reachable, belief, -1.0))])
    start, end = _with_edges(found, motion, best)
    low, high = _range(counts, belief)
    return CountedSet(start, end, min(low, best), max(high, best), found)


def total_range(sets: Sequence[CountedSet]) -> tuple[int, int]:
    """The range of the sum of the counts: the sets err independently, so their half-widths add in squares."""
    count = sum(len(one.start_s) for one in sets)
    below = sum((len(one.start_s) - one.low) ** 2 for one in sets)
    above = sum((one.high - len(one.start_s)) ** 2 for one in sets)
    return max(0, count - round(below**0.5)), count + round(above**0.5)


def _belief(
    counts: NDArray[np.int64], found: FoundSet, motion: Motion, known: Sequence[Movement]
) -> FloatArray:
    moving = is_moving(motion)
    sigma = _CUT_SIGMA if moving[[0, -1]].any() else _REST_SIGMA
    by_way = cycles_by_way(found, motion)
    cycles = found.cycles if by_way is None else (found.cycles + by_way) / 2
    belief = np.exp(-0.5 * ((counts - cycles) / sigma) ** 2)
    pace = next((kind.pace_s for kind in known if kind.pace_s), None)
    if pace:
        off = np.log(counts * pace / moving_s(motion))
        same, other = (np.exp(-0.5 * (off / s) ** 2) / s for s in (_PACE_SIGMA, _TEMPO_SPREAD))
        belief = belief * (_SAME_TEMPO * same + (1 - _SAME_TEMPO) * other)
    return np.asarray(belief / max(float(belief.sum()), 1e-300))


def _range(counts: NDArray[np.int64], belief: FloatArray) -> tuple[int, int]:
    """The shortest run of counts around the most likely one that holds _COVER of the belief."""
    share = belief / belief.sum()
    low = high = int(np.argmax(share))
    while share[low : high + 1].sum() < _COVER:
        left = share[low - 1] if low > 0 else -1.0
        right = share[high + 1] if high + 1 < len(share) else -1.0
        low, high = (low - 1, high) if left >= right else (low, high + 1)
    return int(counts[low]), int(counts[high])


_LEAST_EDGE = 0.12
"""Share of a usual repetition below which what is left at an edge is nothing."""


def _left_over(found: FoundSet, motion: Motion) -> tuple[float, float]:
    """Movement before the first and after the last repetition, in usual repetitions."""
    usual = found.movement.duration_s * motion.rate_hz
    moving = is_moving(motion)
    before = moving & (motion.t < found.start_s[0])
    after = moving & (motion.t > found.end_s[-1])
    return float(before.sum()) / usual, float(after.sum()) / usual


def _room(found: FoundSet, motion: Motion) -> int:
    return sum(share > _LEAST_EDGE for share in _left_over(found, motion))


def _with_edges(found: FoundSet, motion: Motion, count: int) -> tuple[FloatArray, FloatArray]:
    """Add what is left at the edges, or drop the shorter of the outer repetitions, until there are
    `count`."""
    start, end = list(found.start_s), list(found.end_s)
    before, after = _left_over(found, motion)
    for share, front in sorted([(before, True), (after, False)], reverse=True):
        if len(start) >= count or share <= _LEAST_EDGE:
            continue
        if front:
            start, end = [float(motion.t[0]), *start], [start[0], *end]
        else:
            start, end = [*start, end[-1]], [*end, float(motion.t[-1])]
    while len(start) > count:
        drop = 0 if end[0] - start[0] < end[-1] - start[-1] else len(start) - 1
        del start[drop], end[drop]
    return np.array(start), np.array(end)
