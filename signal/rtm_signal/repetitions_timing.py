"""Inside a repetition: start, turning point, end, how long it went out, was held and came back.

Measured on one course, the movement projected onto the main direction of its set, so that it does not depend
on which angle could be measured. A phase begins and ends where the speed passes 3 % of its peak, a low
usual threshold of movement onset (a minimum-jerk movement has then covered 0.1 % of its way).
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from rtm_signal.features import Motion
from rtm_signal.recording import FloatArray

_ONSET = 0.03
"""Share of the phase's peak speed."""
_BASE = 0.1
"""Share of the excursion below which the course is at its base."""
_HALF_WAY, _RESTS = 0.2, 0.2
"""A swing rests this near to the middle of its range, at this share of its greatest speed or less."""
_REACH = 0.5
"""How far outside the tiling's edges, in repetitions, a start or an end is looked for."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One repetition; s. hold_s: between going out and coming back. size: excursion of the course, rad."""

    start_s: float
    peak_s: float
    end_s: float
    concentric_s: float
    eccentric_s: float
    hold_s: float
    size: float


def course(motion: Motion, start_s: FloatArray, end_s: FloatArray) -> FloatArray:
    """(n,) the movement along the main direction of the given repetitions, rad; high at their turning
    points."""
    posture = motion.posture - motion.posture.mean(axis=0)
    first, last = np.searchsorted(motion.t, [start_s[0], end_s[-1]])
    inside = posture[first : max(last, first + 2)]
    _, _, axes = np.linalg.svd(inside - inside.mean(axis=0), full_matrices=False)
    along = posture @ axes[0]
    edges = np.interp(np.concatenate([start_s, end_s]), motion.t, along)
    middles = np.interp((start_s + end_s) / 2, motion.t, along)
    return np.asarray(along if np.median(middles) >= np.median(edges) else -along)


def timings(motion: Motion, start_s: FloatArray, end_s: FloatArray) -> list[Timing]:
    """The phases of each repetition of one set; start_s, end_s: (k,) s, from the tiling."""
    along = course(motion, start_s, end_s)
    speed = np.gradient(along) * motion.rate_hz
    lo = np.searchsorted(motion.t, start_s)
    hi = np.maximum(np.searchsorted(motion.t, end_s), lo + 2)
    hi = np.minimum(hi, len(along) - 1)
    lo = np.minimum(lo, hi - 1)
    tops = np.array([a + int(np.argmax(along[a : b + 1])) for a, b in zip(lo, hi, strict=True)])
    valleys = [a + int(np.argmin(along[a : b + 1])) for a, b in pairwise(tops)]
    usual = float(np.median(hi - lo))
    if _swings(along, speed, lo, hi):
        return [_swing(motion, along, speed, a, b) for a, b in zip(lo, hi, strict=True)]
    before = [max(0, round(lo[0] - _REACH * usual)), *valleys]
    after = [*valleys, min(len(along) - 1, round(hi[-1] + _REACH * usual))]
    return [_one(motion, along, speed, a, int(top), b) for a, top, b in zip(before, tops, after, strict=True)]


def _swings(along: FloatArray, speed: FloatArray, lo: NDArray[np.int64], hi: NDArray[np.int64]) -> bool:
    """Whether the movement goes to both sides of where it rests: it begins and ends still, half-way."""
    levels, rests = [], []
    for a, b in zip(lo, hi, strict=True):
        part = along[a : b + 1]
        levels.append((np.mean(along[[a, b]]) - part.min()) / max(float(np.ptp(part)), 1e-9))
        rests.append(np.mean(np.abs(speed[[a, b]])) / max(float(np.abs(speed[a : b + 1]).max()), 1e-9))
    half_way = abs(float(np.median(levels)) - 0.5) < _HALF_WAY
    return half_way and float(np.median(rests)) < _RESTS


def _swing(motion: Motion, along: FloatArray, speed: FloatArray, first: int, last: int) -> Timing:
    """From leaving the middle until resting there again; out to the first side, back over the other one."""
    quick = np.flatnonzero(np.abs(speed[first : last + 1]) > _ONSET * np.abs(speed[first : last + 1]).max())
    start, end = first + int(quick[0]), first + int(quick[-1])
    part = along[start : end + 1]
    middle = float(np.mean(along[[start, end]]))
    far = np.abs(part - middle) > 0.8 * float(np.abs(part - middle).max())
    side = float(np.sign(part[int(np.argmax(far))] - middle))
    reach = max(2, len(part) * 2 // 3)
    peak = start + int(np.argmax(side * part[:reach]))
    t = motion.t
    return Timing(
        start_s=float(t[start]),
        peak_s=float(t[peak]),
        end_s=float(t[end]),
        concentric_s=float(t[peak] - t[start]),
        eccentric_s=float(t[end] - t[peak]),
        hold_s=0.0,
        size=float(np.ptp(part)),
    )


def _one(motion: Motion, along: FloatArray, speed: FloatArray, first: int, top: int, last: int) -> Timing:
    start, reached = _way(along[first : top + 1], speed[first : top + 1])
    start, reached = first + start, first + reached
    # The way back, read backwards, is a way out.
    end, left = _way(along[top : last + 1][::-1], -speed[top : last + 1][::-1])
    end, left = last - end, last - left
    t = motion.t
    peak = t[top] if left <= reached else (t[reached] + t[left]) / 2
    rest = min(along[start], along[end])
    return Timing(
        start_s=float(t[start]),
        peak_s=float(peak),
        end_s=float(t[end]),
        concentric_s=float(t[reached] - t[start]),
        eccentric_s=float(t[end] - t[left]),
        hold_s=float(max(0.0, t[left] - t[reached])),
        size=float(along[top] - rest),
    )


def _way(along: FloatArray, speed: FloatArray) -> tuple[int, int]:
    """Where the way to the turning point (the last sample) begins, and where it is reached.

    It begins on leaving the base for good, however many humps it has, and is reached at the end of the last
    quick movement upwards.
    """
    peak = float(speed.max())
    if peak <= 0 or len(along) < 3:
        return 0, len(along) - 1
    base, size = float(along.min()), float(np.ptp(along))
    near = np.flatnonzero(along < base + _BASE * size)
    start = int(near[-1])
    slow = speed < _ONSET * peak
    before = np.flatnonzero(slow[: start + 1])
    start = int(before[-1]) if len(before) else 0
    quick = np.flatnonzero(speed > 0.5 * peak)
    after = np.flatnonzero(slow[quick[-1] :])
    reached = int(quick[-1] + after[0]) if len(after) else len(along) - 1
    return start, max(start, reached)
