"""The sets of a prescribed exercise: what the catalogue expects says which of a recording's movements it is.

Without trimming a recording holds walking, handling and changes of posture beside the exercise. The tempo that
the catalogue expects bounds the search; where the movement resembles itself one period later, a repetition is
taken for a first template, the whole recording is tiled with it, and of the movements found the one that is
repeated longest, most alike and nearest to the expected size is the exercise. Every repetition of it counts,
wherever in the recording it is, also two after a rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from rtm_signal.catalogue import GENERIC, Exercise
from rtm_signal.features import Motion
from rtm_signal.movement import FoundSet, Movement, likeness, same_axes, scale_of, weigh
from rtm_signal.recording import FloatArray
from rtm_signal.repetitions_tiling import PHASES, Bank, agreement, at_steps, bank, cycles, tile
from rtm_signal.segmentation import is_moving

_LAG_RATIO = 1.12
"""From one period that is tried to the next: a repetition that much longer still resembles itself."""
_PERIODS, _SEEDS = 5, 3
"""Periods that are followed up, and places of each."""
_LEAST_LIKE = 0.6
"""Correlation with the movement one period later from which a place is worth a look."""
_ROUNDS = 3
_LEAST_AGREEMENT = 0.7
"""Correlation with the median repetition below which one is other movement."""
_SAME_POSTURE = np.cos(np.radians(40.0))
"""Between the mean vertical of one repetition and the usual one: a partial one differs by half its excursion,
another posture by 90 degrees."""
_SIZE_SPREAD = 0.8
"""Of the logarithm of the excursion of one segment about that of the joint: two segments may share it."""
_LEAST_SIZE_WEIGHT = 0.3
_STRIDE_S = (0.9, 1.35)
"""Walking, from brisk to slow; a movement of such a tempo is the exercise only where nothing else is."""
_STRIDE_WEIGHT = 0.7
_LENGTH_POWER = 0.5
"""How much the time for which a movement is repeated counts beside how alike its repetitions are."""
_TEMPO_SPREAD = 0.35
"""Of the logarithm of the durations: walking and turning tiled as if they were one movement differ more."""
_NEARLY, _CLEARLY = 0.88, 1.5
"""A movement of a clearly shorter period in the same place is preferred where its score is nearly as good."""
_PARTED_S, _PARTED = 8.0, 2.5
"""A rest longer than this, and than so many repetitions, parts two sets."""
_TRANSIT_S = 6.0
"""Going into a hold and out of it."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What the catalogue expects. shortest_s, longest_s: from one repetition to the next; excursion: rad;
    gait: it is walking; held: a repetition is a hold."""

    shortest_s: float
    longest_s: float
    excursion: float
    gait: bool
    held: bool


def prior_of(entry: Exercise) -> Prior | None:
    """Of an entry of the catalogue; None of `generic`."""
    if entry.id == GENERIC.id:
        return None
    shortest, longest = entry.tempo_s
    held = entry.counted == "holds" or entry.type == "isometric"
    more = _TRANSIT_S if held else 0.3 * longest
    return Prior(shortest, longest + more, float(np.radians(entry.amplitude_deg)), entry.gait, held)


@dataclass(frozen=True, slots=True)
class _Run:
    """The repetitions of one movement in all of the recording. start, end: (k,) s; score: how much it looks
    like the exercise."""

    start: FloatArray
    end: FloatArray
    movement: Movement
    fit: float
    score: float


def find_prescribed(
    motion: Motion, prior: Prior, known: Sequence[Movement] = (), nominal: int | None = None
) -> list[FoundSet]:
    """The sets of the exercise in `motion`, in time order.

    known: what a calibration shows of it; nominal: how many repetitions there are said to be, a hint.
    """
    scale = known[0].scale if known else scale_of(motion)
    signal = weigh(motion, scale)
    moving = is_moving(motion)
    runs = []
    for period in _periods(signal, moving, motion.rate_hz, prior):
        runs += _followed(motion, signal, moving, float(period), scale, prior, known)
    for kind in known:
        grid = _Grid.of(motion, signal, moving, kind.duration_s)
        runs.append(_run(grid, kind.template, scale, prior, known))
    best = _chosen([r for r in runs if r is not None], nominal)
    return [] if best is None else _sets(best)


@dataclass(frozen=True, slots=True)
class _Grid:
    """The signal at PHASES steps a period, and its stretches. step, period: s."""

    motion: Motion
    signal: FloatArray
    stretches: Bank
    step: float
    period: float

    @classmethod
    def of(cls, motion: Motion, signal: FloatArray, moving: NDArray[np.bool_], period: float) -> _Grid:
        step = period / PHASES
        grid, whole = at_steps(signal, step * motion.rate_hz)
        return cls(motion, grid, bank(grid, moving[whole]), step, period)


def _resembles(grid: FloatArray, active: NDArray[np.bool_]) -> FloatArray:
    """(m,) correlation of each period-long stretch of `grid`, PHASES steps a period, with the next one."""
    m = len(grid) - 2 * PHASES
    if m < 1:
        return np.zeros(0)

    def total(values: FloatArray) -> FloatArray:
        sums = np.cumsum(np.concatenate([np.zeros((1, values.shape[1])), values]), axis=0)
        return np.asarray(sums[PHASES:] - sums[:-PHASES])

    sums = total(grid)
    energy = total((grid**2).sum(axis=1)[:, None])[:, 0] - (sums**2).sum(axis=1) / PHASES
    both = total((grid[:-PHASES] * grid[PHASES:]).sum(axis=1)[:, None])[:, 0]
    both = both[:m] - np.einsum("nf,nf->n", sums[:m], sums[PHASES : PHASES + m]) / PHASES
    one, other = energy[:m], energy[PHASES : PHASES + m]
    # Of unlike sizes two stretches are not twice the same movement.
    alike = both / np.maximum((one + other) / 2, 1e-9)
    share = total(active[:, None].astype(float))[:m, 0] / PHASES
    return np.asarray(np.where(share > 0.05, np.clip(alike, 0.0, 1.0), 0.0))


def _periods(signal: FloatArray, moving: NDArray[np.bool_], rate_hz: float, prior: Prior) -> FloatArray:
    """The periods, s, of the prior's range at which most of the movement resembles itself."""
    longest = min(prior.longest_s, len(signal) / rate_hz / 2.1)
    count = int(np.log(max(longest / prior.shortest_s, 1.0)) / np.log(_LAG_RATIO)) + 1
    lags = prior.shortest_s * _LAG_RATIO ** np.arange(count)
    power = np.zeros(count)
    for i, lag in enumerate(lags):
        grid, whole = at_steps(signal, lag / PHASES * rate_hz)
        alike = _resembles(grid, moving[whole])
        power[i] = float((alike**2).sum()) * lag
    around = np.pad(power, 1, constant_values=-1.0)
    peaks = np.flatnonzero((power >= around[:-2]) & (power >= around[2:]) & (power > 0))
    return np.asarray(lags[peaks[np.argsort(-power[peaks])][:_PERIODS]])


def _followed(
    motion: Motion,
    signal: FloatArray,
    moving: NDArray[np.bool_],
    period: float,
    scale: tuple[float, float],
    prior: Prior,
    known: Sequence[Movement],
) -> list[_Run | None]:
    """What comes of a period, from each of the places that resemble the next most."""
    grid = _Grid.of(motion, signal, moving, period)
    alike = _resembles(grid.signal, grid.stretches.moving)
    slow = np.asarray(sliding_window_view(np.pad(_speed(grid), (2, 2), mode="edge"), 5).mean(axis=1))
    out: list[_Run | None] = []
    for _ in range(_SEEDS):
        if not len(alike) or alike.max() < _LEAST_LIKE:
            break
        place = int(np.argmax(alike))
        # A repetition begins where it is slowest.
        first = place + int(np.argmin(slow[place : place + PHASES]))
        at = np.clip(np.array([first, place]), 0, len(grid.signal) - PHASES - 1)
        template = cycles(grid.signal, at[:1], np.array([PHASES]))[0]
        run = _run(grid, template, scale, prior, known)
        turned = _run(grid, np.roll(template, PHASES // 2, axis=0), scale, prior, known)
        out += [run, turned]
        taken = np.zeros(len(alike), dtype=bool)
        taken[max(0, place - 2 * PHASES) : place + 2 * PHASES] = True
        if run is not None:
            steps = (np.stack([run.start, run.end], axis=1) - motion.t[0]) / grid.step
            for a, b in np.round(steps).astype(int):
                taken[max(0, a - PHASES) : b] = True
        alike = np.where(taken, 0.0, alike)
    return out


def _speed(grid: _Grid) -> FloatArray:
    return np.asarray(np.linalg.norm(np.gradient(grid.signal, axis=0), axis=1))


def _run(
    grid: _Grid,
    template: FloatArray,
    scale: tuple[float, float],
    prior: Prior,
    known: Sequence[Movement],
) -> _Run | None:
    """All repetitions of the movement that a first template leads to."""
    edges = np.zeros((0, 2), np.int64)
    for _ in range(_ROUNDS):
        edges = tile(grid.stretches, template)
        edges = edges[_alike(grid, edges)] if len(edges) > 1 else edges
        if len(edges) < 2:
            return None
        template = cycles(grid.signal, edges[:, 0], edges[:, 1] - edges[:, 0]).mean(axis=0)
    seconds = grid.motion.t[0] + edges * grid.step
    lasting = seconds[:, 1] - seconds[:, 0]
    usual = float(np.median(lasting))
    movement = Movement(template, scale, usual, len(edges))
    fit = float(np.mean(agreement(grid.signal, edges) ** 2))
    even = 1 / (1 + (float(np.std(np.log(lasting))) / _TEMPO_SPREAD) ** 2)
    score = fit**2 * even * float(lasting.sum()) ** _LENGTH_POWER
    score *= _size_weight(movement, grid.motion, prior)
    if not prior.gait and _STRIDE_S[0] < usual < _STRIDE_S[1]:
        score *= _STRIDE_WEIGHT
    if known:
        axes = max(same_axes(movement, kind) for kind in known)
        score *= axes + max(likeness(movement, kind) for kind in known)
    return _Run(seconds[:, 0], np.minimum(seconds[:, 1], grid.motion.t[-1]), movement, fit, score)


def _alike(grid: _Grid, edges: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(k,) whether each repetition is like the usual one in its course and in its posture."""
    alike = agreement(grid.signal, edges) > _LEAST_AGREEMENT
    posture = grid.motion.posture
    at = np.round(edges * grid.step * grid.motion.rate_hz).astype(np.int64)
    sums = np.cumsum(np.concatenate([np.zeros((1, posture.shape[1])), posture]), axis=0)
    at = np.clip(at, 0, len(posture))
    mean = (sums[at[:, 1]] - sums[at[:, 0]]) / np.maximum(at[:, 1] - at[:, 0], 1)[:, None]
    for first in range(0, posture.shape[1], 4):
        up = mean[:, first : first + 3]
        usual = np.median(up[alike] if alike.any() else up, axis=0)
        size = np.linalg.norm(up, axis=1) * np.linalg.norm(usual)
        alike &= up @ usual > _SAME_POSTURE * size
    return np.asarray(alike)


def _size_weight(movement: Movement, motion: Motion, prior: Prior) -> float:
    """How near the excursion of the segment that moves most is to the expected one."""
    posture = movement.template[:, : motion.posture.shape[1]] * movement.scale[0]
    sizes = [
        float(np.linalg.norm(np.ptp(posture[:, first : first + 4], axis=0)))
        for first in range(0, posture.shape[1], 4)
    ]
    off = np.log(max(*sizes, 1e-3) / prior.excursion)
    return float(max(_LEAST_SIZE_WEIGHT, np.exp(-0.5 * (off / _SIZE_SPREAD) ** 2)))


def _chosen(runs: Sequence[_Run], nominal: int | None) -> _Run | None:
    """The best movement; one of a clearly shorter period that does nearly as well in the same place."""
    if not runs:
        return None

    def score(run: _Run) -> float:
        off = 0.0 if nominal is None else abs(float(np.log(len(run.start) / nominal)))
        return run.score * float(np.exp(-0.5 * off))

    best = max(runs, key=score)
    for run in sorted(runs, key=score, reverse=True):
        shorter = best.movement.duration_s / run.movement.duration_s
        more = len(run.start) / len(best.start)
        same = run.start[0] < best.end[-1] and best.start[0] < run.end[-1]
        if score(run) > _NEARLY * score(best) and same and shorter > _CLEARLY and more > _CLEARLY:
            best = run
    return best


def _sets(run: _Run) -> list[FoundSet]:
    """A run parted at its long rests."""
    rest = run.start[1:] - run.end[:-1]
    parted = np.flatnonzero(rest > max(_PARTED_S, _PARTED * run.movement.duration_s)) + 1
    return [
        FoundSet(run.start[part], run.end[part], run.movement, run.fit, run.fit, float(len(part)))
        for part in np.split(np.arange(len(run.start)), parted)
    ]
