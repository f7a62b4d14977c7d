"""Tiling: cutting a bout into repetitions of one movement, whatever the tempo and size of each.

A template is the movement over one cycle, in `PHASES` steps. A stretch of signal of any length, brought to
as many
steps, is a repetition as far as it correlates with the template. The cheapest way from the first sample to
the last, over repetitions and idle steps, is the tiling: a shortest path, so the boundaries of all
repetitions are found together (in the manner of level building, Myers and Rabiner 1981).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from rtm_signal.recording import FloatArray

PHASES = 16
"""Steps of a cycle: 8 harmonics, more than voluntary movement has."""
_SHORTEST, _LONGEST = 0.5, 1.9
"""A repetition's duration relative to the usual one: a factor of two either way, below the half period."""
_TEMPO_COST = 1.5
"""Cost of log(duration / usual)^2: a repetition 1.5 times as long costs as much as a correlation of 0.87."""
_MISS_COST = 0.6
"""Cost of leaving one repetition's worth of movement unexplained; a match worse than this is no
repetition."""
_STILL_COST = 0.03
"""The same for one repetition's worth of rest: small, so that rest between repetitions stays outside them."""
_LEAST_SIZE = 0.25
"""A repetition reaches at least this share of the template's size."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Repetitions of one bout.

    edges: (k, 2) start and end, steps of the grid given. fit: 0..1, how well each repetition is told by the
    mean of the others, times the share of the movement that repetitions explain. template: (PHASES, F),
    mean-free.
    """

    edges: NDArray[np.int64]
    fit: float
    template: FloatArray


def cycles(
    signal: NDArray[np.floating[Any]], start: NDArray[np.int64], length: NDArray[np.int64]
) -> FloatArray:
    """Stretches of `signal` (n, F) brought to PHASES steps, mean-free: shape of start, + (PHASES, F)."""
    phase = (np.arange(PHASES, dtype=signal.dtype) + 0.5) / PHASES
    at = start[..., None] + length[..., None] * phase
    whole = np.clip(at.astype(np.intp), 0, len(signal) - 2)
    part = (at - whole)[..., None].astype(signal.dtype)
    out = signal[whole] * (1 - part) + signal[whole + 1] * part
    return np.asarray(out - out.mean(axis=-2, keepdims=True))


def at_steps(signal: FloatArray, step: float) -> tuple[FloatArray, NDArray[np.intp]]:
    """`signal` (n, F) interpolated at every `step` samples, and the sample before each: (m, F), (m,)."""
    at = np.arange(int((len(signal) - 1) / step) + 1) * step
    whole = np.minimum(at.astype(np.intp), len(signal) - 2)
    share = (at - whole)[:, None]
    return np.asarray(signal[whole] * (1 - share) + signal[whole + 1] * share), whole


_LENGTHS = np.arange(round(_SHORTEST * PHASES), round(_LONGEST * PHASES) + 1)
"""Lengths, steps, of the stretches that could be a repetition."""
_WINDOW = int(_LENGTHS[-1]) + 1


def _stencils() -> NDArray[np.float32]:
    """(lengths, PHASES, _WINDOW): S[l] @ window brings its first l steps to PHASES, as `cycles` does."""
    at = _LENGTHS[:, None] * (np.arange(PHASES) + 0.5) / PHASES
    return np.asarray(np.clip(1 - np.abs(at[..., None] - np.arange(_WINDOW)), 0, None), dtype=np.float32)


_STENCIL = _stencils()
_TEMPO = _TEMPO_COST * np.log(_LENGTHS / PHASES) ** 2


@dataclass(frozen=True, slots=True)
class Bank:
    """Every stretch of a signal that could be a repetition: its start along the first axis, its length along
    the second; once for all templates.

    Bringing a stretch to PHASES steps is linear, so that a template, brought to the length instead, is
    compared with all starts by one matrix product and no stretch is ever written out.

    size: samples of the signal; moving: (size,) bool; windows: (m, _WINDOW F) from each start on; energy:
    (m, lengths) of the stretch less its mean; fits: (m, lengths) bool, mostly on real samples; idle:
    (size - 1,) cost of a step.
    """

    size: int
    moving: NDArray[np.bool_]
    windows: NDArray[np.float32]
    energy: NDArray[np.float32]
    fits: NDArray[np.bool_]
    idle: FloatArray


def bank(signal: FloatArray, moving: NDArray[np.bool_], pad: int = 0) -> Bank:
    """The stretches of `signal` (n, F), sampled PHASES times a usual repetition.

    moving: (n,) bool. pad: so many samples at either end are made up; a repetition lies mostly on real ones.
    """
    n, features = signal.shape
    starts = max(0, n - int(_LENGTHS[0]))
    narrow = np.pad(np.asarray(signal, dtype=np.float32), ((0, _WINDOW + 1), (0, 0)), mode="edge")
    seen = sliding_window_view(narrow[: n + _WINDOW], _WINDOW, axis=0)[:starts]  # (m, F, _WINDOW)
    start = np.arange(starts)[:, None]
    real = np.minimum(start + _LENGTHS, n - 1 - pad) - np.maximum(start, pad)
    fits = (start + _LENGTHS <= n - 1) & (real > 0.55 * _LENGTHS)
    windows = np.ascontiguousarray(seen.transpose(0, 2, 1)).reshape(starts, _WINDOW * features)
    return Bank(n, moving, windows, _energy(narrow, seen), fits, _idle_cost(moving, pad))


def _energy(signal: NDArray[np.float32], seen: NDArray[np.float32]) -> NDArray[np.float32]:
    """(m, lengths) sum of squares of each stretch brought to PHASES steps, less its mean."""
    m = len(seen)
    square = np.einsum("nf,nf->n", signal, signal)
    beside = np.einsum("nf,nf->n", signal[:-1], signal[1:])
    own = np.einsum("lpw,lpw->lw", _STENCIL, _STENCIL)
    next_to = 2 * np.einsum("lpw,lpw->lw", _STENCIL[..., :-1], _STENCIL[..., 1:])
    total = sliding_window_view(square, _WINDOW)[:m] @ own.T
    total += sliding_window_view(beside, _WINDOW - 1)[:m] @ next_to.T
    mean = np.tensordot(seen, _STENCIL.mean(axis=1), axes=(2, 1))  # (m, F, lengths)
    return np.asarray(total - PHASES * np.einsum("mfl,mfl->ml", mean, mean))


def tile(stretches: Bank, template: FloatArray) -> NDArray[np.int64]:
    """Edges (k, 2) of the repetitions of `template` (PHASES, F), mean-free, in the signal of `stretches`."""
    n = stretches.size
    if len(stretches.windows) == 0:
        return np.zeros((0, 2), np.int64)
    stretched = np.einsum("lpw,pf->wfl", _STENCIL, template.astype(np.float32))
    along = stretches.windows @ stretched.reshape(-1, len(_LENGTHS))
    own = float((template**2).sum())
    match = np.clip(along, 0, None) ** 2 / np.maximum(stretches.energy * own, 1e-12)
    cost = 1 - match + _TEMPO
    first, which = np.nonzero((cost < 1.0) & (along > _LEAST_SIZE * own) & stretches.fits)
    step = np.arange(n - 1)
    graph = csr_matrix(
        (
            np.concatenate([np.maximum(cost[first, which], 0.0) + 1e-6, stretches.idle]),
            (np.concatenate([first, step]), np.concatenate([first + _LENGTHS[which], step + 1])),
        ),
        shape=(n, n),
    )
    _, before = dijkstra(graph, indices=[0], return_predecessors=True)
    path = [n - 1]
    while path[-1] > 0:
        path.append(int(before[0, path[-1]]))
    nodes = np.array(path[::-1])
    edges = np.column_stack([nodes[:-1], nodes[1:]])
    return np.asarray(edges[np.diff(edges, axis=1)[:, 0] > 1], dtype=np.int64)


def _idle_cost(moving: NDArray[np.bool_], pad: int) -> FloatArray:
    """Cost of each idle step; together the moving ones of a usual repetition cost _MISS_COST."""
    share = max(float(moving.mean()), 0.1)
    cost = np.where(moving[:-1] | moving[1:], _MISS_COST / share, _STILL_COST) / PHASES
    if pad:
        cost[:pad] = cost[-pad:] = 1e-9
    return np.asarray(cost)


def refine(signal: FloatArray, stretches: Bank, templates: Sequence[FloatArray], rounds: int = 2) -> Tiling:
    """Tile, take the mean repetition as the template, and again: the template that the signal itself has.

    templates: first guesses, of which the one that fits best after one round is followed.
    """
    best = max((_round(signal, stretches, t) for t in templates), key=lambda tiling: tiling.fit)
    for _ in range(rounds):
        if len(best.edges) == 0:
            break
        best = _round(signal, stretches, best.template)
    return best


def _round(signal: FloatArray, stretches: Bank, template: FloatArray) -> Tiling:
    edges = tile(stretches, template)
    if len(edges) == 0:
        return Tiling(edges, 0.0, template)
    own = cycles(signal, edges[:, 0], edges[:, 1] - edges[:, 0]).mean(axis=0)
    return Tiling(edges, _fit(signal, stretches.moving, edges), own)


def _fit(signal: FloatArray, moving: NDArray[np.bool_], edges: NDArray[np.int64]) -> float:
    """How well the mean of the others tells each repetition, times the share of movement inside
    repetitions."""
    if len(edges) < 2:
        return 0.0
    shapes = cycles(signal, edges[:, 0], edges[:, 1] - edges[:, 0])
    others = (shapes.sum(axis=0) - shapes) / (len(shapes) - 1)
    along = np.einsum("skf,skf->s", shapes, others)
    energy = np.einsum("skf,skf->s", shapes, shapes) * np.einsum("skf,skf->s", others, others)
    explained = np.average(np.clip(along, 0, None) ** 2 / np.maximum(energy, 1e-12))
    return float(explained * coverage(moving, edges))


def agreement(signal: FloatArray, edges: NDArray[np.int64]) -> FloatArray:
    """(k,) correlation of each repetition with the median one, which a few odd ones do not move."""
    shapes = cycles(signal, edges[:, 0], edges[:, 1] - edges[:, 0])
    usual = np.median(shapes, axis=0)
    along = np.einsum("skf,kf->s", shapes, usual)
    size = np.sqrt(np.einsum("skf,skf->s", shapes, shapes) * float((usual**2).sum()))
    return np.asarray(along / np.maximum(size, 1e-12))


def coverage(moving: NDArray[np.bool_], edges: NDArray[np.int64]) -> float:
    """Share of the moving samples that lie inside a repetition."""
    total = np.concatenate([[0], np.cumsum(moving)])
    inside = float((total[edges[:, 1]] - total[edges[:, 0]]).sum())
    return inside / max(float(total[-1]), 1.0)
