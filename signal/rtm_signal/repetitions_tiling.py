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
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from rtm_signal.cheapest_path import cheapest
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
_STRETCH = np.ascontiguousarray(_STENCIL.transpose(2, 1, 0))
"""(_WINDOW, PHASES, lengths): brings a template to every length."""
_MEAN = np.ascontiguousarray(_STENCIL.mean(axis=1))
_OWN = np.ascontiguousarray(np.einsum("lpw,lpw->wl", _STENCIL, _STENCIL))
_NEXT_TO = np.ascontiguousarray(2 * np.einsum("lpw,lpw->wl", _STENCIL[..., :-1], _STENCIL[..., 1:]))
_TEMPO = _TEMPO_COST * np.log(_LENGTHS / PHASES) ** 2


@dataclass(frozen=True, slots=True)
class Bank:
    """Every stretch of a signal that could be a repetition: its start along the first axis, its length along
    the second; once for all templates.

    Bringing a stretch to PHASES steps is linear, so that a template, brought to the length instead, is
    compared with all starts by one matrix product and no stretch is ever written out.

    size: samples of the signal; moving: (size,) bool; windows: (m, _WINDOW F) from each start on; per_energy:
    (m, lengths) one over that of the stretch less its mean; unmatched: (m, lengths) cost of a stretch that
    nothing explains less that of idling meanwhile; least: (m, lengths) match from which it may be a repetition,
    infinite where it does not lie mostly on real samples; tiled: what was found, by template.
    """

    size: int
    moving: NDArray[np.bool_]
    windows: NDArray[np.float32]
    per_energy: NDArray[np.float32]
    unmatched: FloatArray
    least: NDArray[np.float32]
    tiled: dict[bytes, NDArray[np.int64]]


def bank(signal: FloatArray, moving: NDArray[np.bool_], pad: int = 0) -> Bank:
    """The stretches of `signal` (n, F), sampled PHASES times a usual repetition.

    moving: (n,) bool. pad: so many samples at either end are made up; a repetition lies mostly on real ones.
    """
    n, features = signal.shape
    starts = max(0, n - int(_LENGTHS[0]))
    narrow = np.empty((n + _WINDOW + 1, features), dtype=np.float32)
    narrow[:n] = signal
    narrow[n:] = narrow[n - 1]
    start = np.arange(starts)[:, None]
    end = start + _LENGTHS
    real = np.minimum(end, n - 1 - pad) - np.maximum(start, pad)
    fits = (end <= n - 1) & (real > 0.55 * _LENGTHS)
    idle = np.concatenate([[0.0], np.cumsum(_idle_cost(moving, pad))])
    unmatched = 1 + 1e-6 + _TEMPO - (idle[np.minimum(end, n - 1)] - idle[start])
    least = np.where(fits, _TEMPO, np.inf).astype(np.float32)
    windows = _from_each(narrow, starts, _WINDOW)
    per_energy = 1 / np.maximum(_energy(narrow, starts), 1e-12)
    return Bank(n, moving, windows, np.asarray(per_energy), unmatched, least, {})


def _from_each(values: NDArray[np.float32], starts: int, window: int) -> NDArray[np.float32]:
    """(starts, window F) the values (n, F) from each start on, in one row of memory."""
    values = np.ascontiguousarray(values)
    row, step = values.itemsize * values[0].size, values.itemsize
    return np.array(as_strided(values, (starts, window * values[0].size), (row, step)), order="C")


def _energy(signal: NDArray[np.float32], starts: int) -> NDArray[np.float32]:
    """(m, lengths) sum of squares of each stretch brought to PHASES steps, less its mean."""
    square = np.einsum("nf,nf->n", signal, signal)
    beside = np.einsum("nf,nf->n", signal[:-1], signal[1:])
    total = _from_each(square, starts, _WINDOW) @ _OWN
    total += _from_each(beside, starts, _WINDOW - 1) @ _NEXT_TO
    features = signal.shape[1]
    row, step = signal.strides
    later = np.array(as_strided(signal, (_WINDOW, starts * features), (row, step)), order="C")
    mean = (_MEAN @ later).reshape(len(_LENGTHS), starts, features)
    return np.asarray(total - PHASES * np.einsum("lmf,lmf->ml", mean, mean))


def tile(stretches: Bank, template: FloatArray) -> NDArray[np.int64]:
    """Edges (k, 2) of the repetitions of `template` (PHASES, F), mean-free, in the signal of `stretches`."""
    return tile_each(stretches, [template])[0]


def tile_each(stretches: Bank, templates: Sequence[FloatArray]) -> list[NDArray[np.int64]]:
    """`tile` of several templates, which costs little more than one."""
    keys = [template.tobytes() for template in templates]
    new = {k: t for k, t in zip(keys, templates, strict=True) if k not in stretches.tiled}
    if new:
        found = _tiled(stretches, np.stack(list(new.values())))
        stretches.tiled.update(zip(new, found, strict=True))
    return [stretches.tiled[k] for k in keys]


def _tiled(stretches: Bank, templates: FloatArray) -> list[NDArray[np.int64]]:
    """templates: (b, PHASES, F), each against every stretch at once."""
    starts, many = len(stretches.windows), len(templates)
    if starts == 0:
        return [np.zeros((0, 2), np.int64)] * many
    own = np.sqrt(np.maximum(np.einsum("bpf,bpf->b", templates, templates), 1e-12))
    unit = (templates / own[:, None, None]).astype(np.float32).transpose(2, 0, 1)
    # (_WINDOW, F, b, lengths): each template at each length.
    stretched = np.matmul(unit.reshape(-1, PHASES), _STRETCH)
    along = stretches.windows @ stretched.reshape(-1, many * len(_LENGTHS))
    along = along.reshape(starts, many, -1).transpose(1, 0, 2)
    match = along * along * stretches.per_energy
    worth = (match > stretches.least) & (along > _LEAST_SIZE * own[:, None, None].astype(np.float32))
    saved = stretches.unmatched - np.minimum(match, (1 + _TEMPO).astype(np.float32))
    return cheapest(np.where(worth, saved, 0.0), int(_LENGTHS[0]))


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
    found = tile_each(stretches, templates)
    firsts = [_learned(signal, stretches, *one) for one in zip(found, templates, strict=True)]
    best = max(firsts, key=lambda tiling: tiling.fit)
    for _ in range(rounds):
        edges = tile(stretches, best.template)
        if len(best.edges) == 0 or np.array_equal(edges, best.edges):
            break
        best = _learned(signal, stretches, edges, best.template)
    return best


def _learned(signal: FloatArray, stretches: Bank, edges: NDArray[np.int64], template: FloatArray) -> Tiling:
    """The tiling of these edges: its mean repetition, and how well the mean of the others tells each one,
    times the share of movement inside repetitions."""
    if len(edges) == 0:
        return Tiling(edges, 0.0, template)
    shapes = cycles(signal, edges[:, 0], edges[:, 1] - edges[:, 0])
    own = shapes.mean(axis=0)
    if len(edges) < 2:
        return Tiling(edges, 0.0, own)
    others = (shapes.sum(axis=0) - shapes) / (len(shapes) - 1)
    along = np.einsum("skf,skf->s", shapes, others)
    energy = np.einsum("skf,skf->s", shapes, shapes) * np.einsum("skf,skf->s", others, others)
    explained = np.average(np.clip(along, 0, None) ** 2 / np.maximum(energy, 1e-12))
    return Tiling(edges, float(explained * coverage(stretches.moving, edges)), own)


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
