"""Bouts: the spans of a recording in which the sensors move, with the short rests inside a movement kept."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter1d

from rtm_signal.features import Motion

STILL_RAD_S = 0.06
"""Turning slower than this is no movement: sway and breathing stay below 3 deg/s."""
_SHARE = 0.06
"""A bout moves faster than this share of the recording's fastest usual movement."""
MAX_HOLD_S = 7.0
"""A rest this long may be a hold or a breath within a set; a longer one ends the bout."""


def bouts(motion: Motion, max_hold_s: float = MAX_HOLD_S) -> list[tuple[int, int]]:
    """Spans (first, last + 1) of `motion` with movement, joined over rests of up to max_hold_s."""
    moving = is_moving(motion)
    reach = max(1, round(max_hold_s * motion.rate_hz))
    joined = _close(moving, reach)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], joined, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def is_moving(motion: Motion, share: float = _SHARE) -> NDArray[np.bool_]:
    """(n,) whether a sensor turns faster than rest, smoothed over a third of a second.

    share: of the recording's fastest usual movement, below which it is rest too.
    """
    smooth = uniform_filter1d(motion.speed, max(1, round(0.3 * motion.rate_hz)), mode="nearest")
    usual = float(np.percentile(smooth, 90))
    return np.asarray(smooth > max(STILL_RAD_S, share * usual))


def moving_s(motion: Motion) -> float:
    """From the first to the last movement, s; rest at either end is no part of it."""
    at = np.flatnonzero(is_moving(motion))
    return 0.0 if len(at) == 0 else float(motion.t[at[-1]] - motion.t[at[0]]) + 1 / motion.rate_hz


def _close(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Fill the holes shorter than `reach` between two true samples."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8))).reshape(-1, 2)
    out = mask.copy()
    for (_, end), (start, _) in pairwise(edges):
        if start - end <= reach:
            out[end:start] = True
    return out
