"""Repetitions that do not repeat: a clip of one, or a lone one that a calibration recognises."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from rtm_signal.features import Motion
from rtm_signal.recording import FloatArray
from rtm_signal.repetitions_tiling import PHASES, at_steps, bank, cycles, tile

_LEAST_EXCURSION = np.radians(4.0)
"""Less is sway, breathing or a shift of weight."""
_RETURNS = 0.6
"""A repetition ends this near to where it began, as a share of its excursion."""
_LEAST_SHARE = 0.5
"""Of the recording: a lone movement in a long recording is no exercise unless a calibration says so."""
_LONGEST_S = 20.0
_ALL = 0.8
"""Share of a recording in movement from which it is one movement throughout."""
_AS_LONG = 2.5
"""Factor either way within which such a recording lasts as long as a calibrated repetition. Quick hops of one person
differ by 2.4; twice a repetition is already told by its repeating."""
_SCALES = (0.5, 0.63, 0.8, 1.0, 1.26, 1.6, 2.0)
"""Durations at which a calibrated repetition is looked for, relative to its own."""


def lone(
    motion: Motion, moving: NDArray[np.bool_], *, trimmed: bool, lasting_s: Sequence[float] = ()
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """Start and end (1,), s, where all the movement of a short recording is one repetition.

    It is where it goes out and back, or where it fills a recording as long as a calibrated repetition, whose durations
    are lasting_s: a clip of a hop is cut in mid-movement and ends elsewhere.
    """
    at = np.flatnonzero(moving)
    if len(at) < 3:
        return None
    first, last = int(at[0]), int(at[-1])
    path = motion.posture[first : last + 1]
    _, _, axes = np.linalg.svd(path - path.mean(axis=0), full_matrices=False)
    along = path @ axes[0]
    excursion = float(np.ptp(along))
    share = (last - first) / len(motion.t)
    seconds = (last - first) / motion.rate_hz
    back = abs(float(along[-1] - along[0])) < _RETURNS * excursion
    if excursion < _LEAST_EXCURSION or seconds > _LONGEST_S:
        return None
    as_calibrated = share > _ALL and any(1 / _AS_LONG < seconds / s < _AS_LONG for s in lasting_s)
    if not trimmed and not as_calibrated and (share < _LEAST_SHARE or not back):
        return None
    return motion.t[[first]], motion.t[[last]]


def recognised(
    motion: Motion,
    signal: FloatArray,
    moving: NDArray[np.bool_],
    templates: Sequence[tuple[FloatArray, float]],
) -> tuple[FloatArray, FloatArray, FloatArray] | None:
    """Start and end (k,), s, and mean cycle of the repetitions alike to a template; None if none are.

    signal: (n, F) on the grid of `motion`; templates: (template, duration_s) of each calibrated kind.
    """
    best: tuple[float, FloatArray, FloatArray] | None = None
    for template, duration in templates:
        for scale in _SCALES:
            step = scale * duration / PHASES * motion.rate_hz
            grid, whole = at_steps(signal, step)
            if len(grid) < PHASES // 2 + 2:
                continue
            pad = PHASES // 4
            padded = np.pad(grid, ((pad, pad), (0, 0)), mode="edge")
            edges = tile(bank(padded, np.pad(moving[whole], pad), pad), template)
            if len(edges) == 0:
                continue
            shape = cycles(padded, edges[:, 0], edges[:, 1] - edges[:, 0]).mean(axis=0)
            size = float(np.sqrt((shape**2).sum() * (template**2).sum()))
            alike = float((shape * template).sum()) / max(size, 1e-12)
            if best is None or alike > best[0]:
                seconds = motion.t[0] + (edges - pad) * step / motion.rate_hz
                best = (alike, np.clip(seconds, motion.t[0], motion.t[-1]), shape)
    return None if best is None else (best[1][:, 0], best[1][:, 1], best[2])
