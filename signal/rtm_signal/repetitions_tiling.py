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


@dataclass(frozen=True, slots=True)
class Bank:
    """Every stretch of a signal that could be a repetition, brought to PHASES steps, once for all templates.

    size: samples of the signal; moving: (size,) bool; first, span: (s,) start and length of each stretch;
    shapes: (s, PHASES F) mean-free; energy: (s,); tempo: (s,) cost of its length; idle: (size - 1,) of a
    step.
    """

    size: int
    moving: NDArray[np.bool_]
    first: NDArray[np.int64]
    span: NDArray[np.int64]
    shapes: NDArray[np.float32]
    energy: NDArray[np.float32]
    tempo: FloatArray
    idle: FloatArray


def bank(signal: FloatArray, moving: NDArray[np.bool_], pad: int = 0) -> Bank:
    """The stretches of `signal` (n, F), sampled PHASES times a usual repetition.

    moving: (n,) bool. pad: so many samples at either end are made up; a repetition lies mostly on real ones.
    """
    n = len(signal)
    length = np.arange(round(_SHORTEST * PHASES), round(_LONGEST * PHASES) + 1)
    start = np.arange(max(0, n - length[0]))
    first, span = (a.ravel() for a in np.meshgrid(start, length, indexing="ij"))
    real = np.minimum(first + span, n - 1 - pad) - np.maximum(first, pad)
    inside = (first + span <= n - 1) & (real > 0.55 * span)
    first, span = first[inside], span[inside]
    narrow = np.asarray(signal, dtype=np.float32)
    shapes = np.asarray(cycles(narrow, first, span).reshape(len(first), -1), dtype=np.float32)
    energy = np.einsum("sk,sk->s", shapes, shapes)
    tempo = _TEMPO_COST * np.log(span / PHASES) ** 2
    return Bank(n, moving, first, span, shapes, energy, tempo, _idle_cost(moving, pad))


def tile(stretches: Bank, template: FloatArray) -> NDArray[np.int64]:
    """Edges (k, 2) of the repetitions of `template` (PHASES, F) in the signal of `stretches`."""
    n = stretches.size
    if len(stretches.first) == 0:
        return np.zeros((0, 2), np.int64)
    along = stretches.shapes @ template.ravel().astype(np.float32)
    own = float((template**2).sum())
    match = np.clip(along, 0, None) ** 2 / np.maximum(stretches.energy * own, 1e-12)
    cost = 1 - match + stretches.tempo
    good = (cost < 1.0) & (along > _LEAST_SIZE * own)
    first, span = stretches.first[good], stretches.span[good]
    step = np.arange(n - 1)
    graph = csr_matrix(
        (
            np.concatenate([cost[good] + 1e-6, stretches.idle]),
            (np.concatenate([first, step]), np.concatenate([first + span, step + 1])),
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
