"""One bout cut into repetitions at each period at which it resembles itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from rtm_signal.features import Motion
from rtm_signal.movement import FoundSet, Movement
from rtm_signal.recording import FloatArray
from rtm_signal.repetitions_period import candidate_periods, merged
from rtm_signal.repetitions_tiling import PHASES, Tiling, agreement, at_steps, bank, cycles, refine

_LEAST_AGREEMENT = 0.7
"""Correlation with the median repetition below which one at the edge of a set is other movement."""
_LEAST_CORE = 3
EDGE_PAD = 0.45
"""Share of a period made up at the edges of a trimmed set: a repetition cut by less than that is still
one."""


def periods_of(part: Motion, signal: FloatArray) -> list[float]:
    """Candidate periods, s, of one bout, ascending; signal: (n, F), as `weigh` gives it."""
    posture = signal[:, : part.posture.shape[1]]
    every = merged(candidate_periods(signal, part.rate_hz), candidate_periods(posture, part.rate_hz))
    return [float(period) for period in every]


def tiled(
    part: Motion,
    signal: FloatArray,
    moving: NDArray[np.bool_],
    period: float,
    *,
    trimmed: bool,
    scale: tuple[float, float],
) -> FoundSet | None:
    """The tiling of one bout at a period, s; None where nothing of it repeats."""
    step = period / PHASES
    grid, whole = at_steps(signal, step * part.rate_hz)
    active = moving[whole]
    pad = int(EDGE_PAD * PHASES) if trimmed else 0
    padded = np.pad(grid, ((pad, pad), (0, 0)), mode="edge")
    active = np.pad(active, pad)
    # The first guess at the repetitions: as many as fit between the first and the last movement.
    at_work = np.flatnonzero(active)
    if len(at_work) == 0:
        return None
    first, last = int(at_work[0]), int(at_work[-1])
    edges = np.round(np.linspace(first, last, max(1, round((last - first) / PHASES)) + 1)).astype(np.int64)
    even = np.round(np.linspace(pad, pad + len(grid) - 1, max(1, round(len(grid) / PHASES)) + 1))
    guesses = [edges, even.astype(np.int64)] if not trimmed else [edges]
    starts = [cycles(padded, g[:-1], np.diff(g)).mean(axis=0) for g in guesses]
    if last - first >= PHASES:
        starts.append(cycles(padded, np.array([first]), np.array([PHASES]))[0])
    stretches = bank(padded, active, pad)
    best = refine(padded, stretches, starts)
    # A hold at the top looks like a rest at the base: the other reading has its edges half a cycle away.
    turned = refine(padded, stretches, [np.roll(best.template, PHASES // 2, axis=0)], rounds=1)
    best = max(best, turned, key=lambda tiling: tiling.fit)
    if not trimmed:
        best = _core(padded, active, best)
    if len(best.edges) == 0:
        return None
    return _as_set(part, moving, best, step, pad, scale)


def _core(grid: FloatArray, active: NDArray[np.bool_], whole: Tiling) -> Tiling:
    """The run of repetitions that are alike, tiled again on its own: what surrounds it has no say in it."""
    if len(whole.edges) < _LEAST_CORE:
        return whole
    alike = agreement(grid, whole.edges) > _LEAST_AGREEMENT
    if alike.all():
        return whole
    run = _longest_run(alike)
    if len(run) < _LEAST_CORE:
        return whole
    core = whole.edges[run]
    first = max(0, int(core[0, 0]) - PHASES // 2)
    last = min(len(grid), int(core[-1, 1]) + PHASES // 2 + 1)
    template = cycles(grid, core[:, 0], core[:, 1] - core[:, 0]).mean(axis=0)
    part = refine(grid[first:last], bank(grid[first:last], active[first:last]), [template])
    return replace(part, edges=part.edges + first)


def _longest_run(alike: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Indices from the first to the last of the longest stretch in which no two in a row are false."""
    good = np.flatnonzero(alike)
    if len(good) == 0:
        return np.zeros(0, np.int64)
    parts = np.split(good, np.flatnonzero(np.diff(good) > 2) + 1)
    longest = max(parts, key=len)
    return np.arange(longest[0], longest[-1] + 1)


def _as_set(
    part: Motion,
    moving: NDArray[np.bool_],
    tiling: Tiling,
    step: float,
    pad: int,
    scale: tuple[float, float],
) -> FoundSet:
    first, last = float(part.t[0]), float(part.t[-1])
    edges = first + (tiling.edges - pad) * step
    usual = float(np.median(edges[:, 1] - edges[:, 0]))
    at_edges = (part.t < edges[0, 0]) | (part.t > edges[-1, 1])
    outside = float((at_edges & moving).sum()) / part.rate_hz
    own = Movement(tiling.template, scale, usual, len(edges))
    return FoundSet(
        start_s=np.clip(edges[:, 0], first, last),
        end_s=np.clip(edges[:, 1], first, last),
        movement=own,
        fit=tiling.fit,
        likeness=0.0,
        cycles=len(edges) + outside / usual,
    )
