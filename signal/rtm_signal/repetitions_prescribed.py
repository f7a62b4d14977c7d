"""The sets of a prescribed exercise: what the catalogue expects says which of a recording's movements it is.

Without trimming a recording holds walking, handling and changes of posture beside the exercise. The tempo that
the catalogue expects bounds the search; where the movement resembles itself one period later, a repetition is
taken for a first template, the whole recording is tiled with it, and of the movements found the one that is
repeated longest, most alike and nearest to the expected size is the exercise. Every repetition of it counts,
wherever in the recording it is, also two after a rest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from rtm_signal.catalogue import GENERIC, Exercise
from rtm_signal.features import Motion
from rtm_signal.filters import low_pass
from rtm_signal.movement import FoundSet, Movement, likeness, same_axes, scale_of, weigh
from rtm_signal.recording import FloatArray
from rtm_signal.repetitions_halves import late
from rtm_signal.repetitions_tiling import PHASES, Bank, agreement, at_steps, bank, cycles, tile, tile_each
from rtm_signal.segmentation import is_moving
from rtm_signal.self_similarity import resembles, walking

_LAG_RATIO = 1.12
"""From one period that is tried to the next: a repetition that much longer still resembles itself."""
_PERIODS, _SEEDS = 5, 3
"""Periods that are followed up, and places of each."""
_LEAST_LIKE = 0.6
"""Correlation with the movement one period later from which a place is worth a look."""
_ROUNDS = 3
_LEAST_AGREEMENT = 0.7
"""Correlation with the median repetition below which one is other movement."""
_SURE = 0.85
"""Correlation with the template from which one is surely of it."""
_DOUBTS = 6.0
"""Where repetitions agree well, one that falls short by so many times as much as the usual one is not of them."""
_SAME_POSTURE = np.cos(np.radians(40.0))
"""Between the mean vertical of one repetition and the usual one: a partial one differs by half its excursion,
another posture by 90 degrees."""
_SIZE_SPREAD = 0.8
"""Of the logarithm of the excursion of one segment about that of the joint: two segments may share it."""
_LEAST_SIZE_WEIGHT = 0.3
_GAIT_COST = 0.8
"""What a movement loses that lies where the recording looks like walking: it is then the exercise only where
nothing else is."""
_GAIT_DOUBT = 0.3
"""Places in walking are followed up after all others."""
_LENGTH_POWER = 0.5
"""How much the time for which a movement is repeated counts beside how alike its repetitions are."""
_TEMPO_SPREAD = 0.35
"""Of the logarithm of the durations: walking and turning tiled as if they were one movement differ more."""
_USUAL_REST = 0.5
"""Rest between two repetitions, as a share of one, up to which they follow each other."""
_NEARLY, _CLEARLY = 0.88, 1.5
"""A movement of a clearly shorter period in the same place is preferred where its score is nearly as good."""
_HALVES = 0.6
"""What half a repetition left over at both ends of a set costs."""
_LATE = 0.5
"""From here on the reading half a cycle earlier is tried too."""
_ROW_S, _ROW = 2.0, 1.0
"""A rest longer than this, and than so many repetitions, begins another row of repetitions."""
_UNLIKE = 0.55
"""Ratio of excursions below which two rows are not the same movement."""
_FEW, _MANY = 2, 3
"""A lone likeness far from a set is chance."""
_PARTED_S, _PARTED = 8.0, 2.5
"""A rest longer than this, and than so many repetitions, parts two sets."""
_ON_THE_WAY = 0.4
"""Of the longest walk: where walking is the exercise, a shorter one is the way to it or back."""
_SLIGHT = np.radians(12.0)
"""Expected excursion below which the sway of the body, a degree or two, matters."""
_DIRECTIONS = 2
"""Of a slight movement: one of posture, one of its turning rate."""
_HARMONICS = 4
"""Of the shortest period, that are left of a slight movement's signal: what is quicker is tremor."""
_AROUND = 4
"""Steps beside some repetitions that the speed within them depends on."""
_TRANSIT_S = 6.0
"""Going into a hold and out of it."""


@dataclass(frozen=True, slots=True)
class Prior:
    """What the catalogue expects. shortest_s, longest_s: from one repetition to the next; excursion: rad;
    gait: it is walking; held: a repetition is a hold; begins_bent: it straightens first."""

    shortest_s: float
    longest_s: float
    excursion: float
    gait: bool
    held: bool
    begins_bent: bool

    @property
    def slight(self) -> bool:
        """Whether so little is expected that sway matters."""
        return bool(self.excursion < _SLIGHT)


def prior_of(entry: Exercise) -> Prior | None:
    """Of an entry of the catalogue; None of `generic`."""
    if entry.id == GENERIC.id:
        return None
    shortest, longest = entry.tempo_s
    held = entry.counted == "holds" or entry.type == "isometric"
    more = _TRANSIT_S if held else 0.3 * longest
    excursion = float(np.radians(entry.amplitude_deg))
    return Prior(shortest, longest + more, excursion, entry.gait, held, entry.begins_bent)


@dataclass(frozen=True, slots=True)
class _Run:
    """The repetitions of one movement in all of the recording. start, end: (k,) s; score: how much it looks
    like the exercise; reading: the part of it that says where a repetition begins; late: 0..1, how much as if read
    half a cycle late."""

    start: FloatArray
    end: FloatArray
    movement: Movement
    fit: float
    score: float
    reading: float
    late: float


def find_prescribed(
    motion: Motion, prior: Prior, known: Sequence[Movement] = (), nominal: int | None = None
) -> list[FoundSet]:
    """The sets of the exercise in `motion`, in time order.

    known: what a calibration shows of it; nominal: how many repetitions there are said to be, a hint.
    """
    scale = known[0].scale if known else scale_of(motion, prior.longest_s)
    signal = weigh(motion, scale)
    gait = np.zeros(len(signal), dtype=bool) if prior.gait else walking(signal, motion.rate_hz)
    moving = is_moving(motion, share=0.0) if prior.slight else is_moving(motion)
    if prior.slight:
        signal = low_pass(signal, _HARMONICS / prior.shortest_s, motion.rate_hz)
    runs: list[_Run | None] = []
    follow = partial(_followed, motion, signal, moving, gait, scale, prior, known)
    for period in _periods(signal, moving, gait, motion.rate_hz, prior):
        runs += follow(float(period))
    # Of a repetition that was taken for two or three the own period may not be among the candidates.
    best = _chosen([r for r in runs if r is not None], nominal)
    for share in (2, 3):
        if best is not None and best.movement.duration_s / share > 0.8 * prior.shortest_s:
            runs += follow(best.movement.duration_s / share)
    for kind in known:
        grid = _Grid.of(motion, signal, moving, gait, kind.duration_s, scale[0])
        runs.append(_run(_of_interest(grid, kind.template, prior), kind.template, scale, prior, known))
    best = _chosen([r for r in runs if r is not None], nominal)
    return [] if best is None else _sets(best, prior)


@dataclass(frozen=True, slots=True)
class _Grid:
    """The signal at PHASES steps a period, and its stretches. step: s; posture_scale: rad of one unit;
    gait: (n,) walking."""

    motion: Motion
    signal: FloatArray
    stretches: Bank
    step: float
    posture_scale: float
    gait: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        motion: Motion,
        signal: FloatArray,
        moving: NDArray[np.bool_],
        gait: NDArray[np.bool_],
        period: float,
        posture_scale: float,
    ) -> _Grid:
        step = period / PHASES
        grid, whole = at_steps(signal, step * motion.rate_hz)
        return cls(motion, grid, bank(grid, moving[whole]), step, posture_scale, gait[whole])


def _periods(
    signal: FloatArray, moving: NDArray[np.bool_], gait: NDArray[np.bool_], rate_hz: float, prior: Prior
) -> FloatArray:
    """The periods, s, of the prior's range at which most of the movement resembles itself."""
    longest = min(prior.longest_s, len(signal) / rate_hz / 2.1)
    count = int(np.log(max(longest / prior.shortest_s, 1.0)) / np.log(_LAG_RATIO)) + 1
    lags = prior.shortest_s * _LAG_RATIO ** np.arange(count)
    power = np.zeros(count)
    for i, lag in enumerate(lags):
        grid, whole = at_steps(signal, lag / PHASES * rate_hz)
        alike = resembles(grid, moving[whole])
        alike = alike * (1 - _GAIT_DOUBT * gait[whole][: len(alike)])
        power[i] = float((alike**2).sum()) * lag
    around = np.pad(power, 1, constant_values=-1.0)
    peaks = np.flatnonzero((power >= around[:-2]) & (power >= around[2:]) & (power > 0))
    return np.asarray(lags[peaks[np.argsort(-power[peaks])][:_PERIODS]])


def _followed(
    motion: Motion,
    signal: FloatArray,
    moving: NDArray[np.bool_],
    gait: NDArray[np.bool_],
    scale: tuple[float, float],
    prior: Prior,
    known: Sequence[Movement],
    period: float,
) -> list[_Run]:
    """What comes of a period, from each of the places that resemble the next most."""
    stepped, whole = at_steps(signal, period / PHASES * motion.rate_hz)
    alike = resembles(stepped, moving[whole])
    alike = alike * (1 - _GAIT_DOUBT * gait[whole][: len(alike)])
    if not len(alike) or alike.max() < _LEAST_LIKE:
        return []
    grid = _Grid.of(motion, signal, moving, gait, period, scale[0])
    slow = np.asarray(sliding_window_view(np.pad(_speed(grid.signal), (2, 2), mode="edge"), 5).mean(axis=1))
    out: list[_Run] = []
    for _ in range(_SEEDS):
        if alike.max() < _LEAST_LIKE:
            break
        place = int(np.argmax(alike))
        # A repetition begins where it is slowest.
        first = place + int(np.argmin(slow[place : place + PHASES]))
        at = np.clip(np.array([first, place]), 0, len(grid.signal) - PHASES - 1)
        template = cycles(grid.signal, at[:1], np.array([PHASES]))[0]
        runs = _readings(_of_interest(grid, template, prior), template, scale, prior, known)
        if prior.slight and runs:
            # The mean of what was found shows its directions better than one repetition did.
            best = max(runs, key=lambda run: run.score)
            edges = np.clip(_steps(best, grid), 0, len(grid.signal) - 1)
            template = cycles(grid.signal, edges[:, 0], edges[:, 1] - edges[:, 0]).mean(axis=0)
            runs += _readings(_of_interest(grid, template, prior), template, scale, prior, known)
        out += runs
        taken = np.zeros(len(alike), dtype=bool)
        taken[max(0, place - 2 * PHASES) : place + 2 * PHASES] = True
        for run in runs:
            for a, b in _steps(run, grid):
                taken[max(0, a - PHASES) : b] = True
        alike = np.where(taken, 0.0, alike)
    return out


def _steps(run: _Run, grid: _Grid) -> NDArray[np.int64]:
    """(k, 2) edges of its repetitions, steps of the grid."""
    seconds = np.stack([run.start, run.end], axis=1) - grid.motion.t[0]
    return np.asarray(np.round(seconds / grid.step), dtype=np.int64)


def _readings(
    grid: _Grid, template: FloatArray, scale: tuple[float, float], prior: Prior, known: Sequence[Movement]
) -> list[_Run]:
    """The movements that a first template leads to, whatever part of a cycle it begins with."""
    turns = [np.roll(template, k, axis=0) for k in range(0, PHASES, PHASES // (4 if prior.held else 2))]
    tile_each(grid.stretches, turns)  # at once: it costs little more than one
    runs = [run for one in turns if (run := _run(grid, one, scale, prior, known)) is not None]
    # What was taken for a base may be a turning point.
    other = [np.roll(run.movement.template, PHASES // 2, axis=0) for run in runs if run.late > _LATE]
    return runs + [run for one in other if (run := _run(grid, one, scale, prior, known)) is not None]


def _of_interest(grid: _Grid, template: FloatArray, prior: Prior) -> _Grid:
    """The grid, of a slight movement only along its own main directions: elsewhere there is sway."""
    if not prior.slight:
        return grid
    _, _, axes = np.linalg.svd(template, full_matrices=False)
    main = axes[:_DIRECTIONS]
    signal = grid.signal @ main.T @ main
    return replace(grid, signal=signal, stretches=bank(signal, grid.stretches.moving))


def _speed(signal: FloatArray) -> FloatArray:
    return np.asarray(np.linalg.norm(np.gradient(signal, axis=0), axis=1))


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
        edges = edges[_alike(grid, edges, template)] if len(edges) > 1 else edges
        if len(edges) < 2:
            return None
        template = cycles(grid.signal, edges[:, 0], edges[:, 1] - edges[:, 0]).mean(axis=0)
    edges = _of_one_place(grid, edges, prior)
    template = cycles(grid.signal, edges[:, 0], edges[:, 1] - edges[:, 0]).mean(axis=0)
    seconds = grid.motion.t[0] + edges * grid.step
    usual = float(np.median(seconds[:, 1] - seconds[:, 0]))
    movement = Movement(template, scale, usual, len(edges))
    fit = float(np.mean(agreement(grid.signal, edges) ** 2))
    reading = _begins_at_base(grid, edges, prior)
    score = fit**2 * _evidence(grid, edges, prior)
    if known:
        axes = max(same_axes(movement, kind) for kind in known)
        score *= axes + max(likeness(movement, kind) for kind in known)
    end = np.minimum(seconds[:, 1], grid.motion.t[-1])
    return _Run(seconds[:, 0], end, movement, fit, score, reading, _late(grid, edges, prior))


def _evidence(grid: _Grid, edges: NDArray[np.int64], prior: Prior) -> float:
    """How much a row of repetitions looks like a set of the exercise, whatever their likeness."""
    lasting = (edges[:, 1] - edges[:, 0]) * grid.step
    usual = float(np.median(lasting))
    gap = float(np.median((edges[1:, 0] - edges[:-1, 1]) * grid.step)) if len(edges) > 1 else usual
    even = 1 / (1 + (float(np.std(np.log(lasting))) / _TEMPO_SPREAD) ** 2)
    dense = 1 / (1 + max(0.0, gap / usual - _USUAL_REST))
    weight: float = float(lasting.sum()) ** _LENGTH_POWER * even * dense * _size_weight(grid, edges, prior)
    weight *= (1 - _GAIT_COST * _walked(grid, edges)) * (1 - 1 / max(len(edges), 2))
    return weight * _begins_at_base(grid, edges, prior)


def _walked(grid: _Grid, edges: NDArray[np.int64]) -> float:
    """Share of some repetitions that lies where the recording looks like walking."""
    so_far = np.concatenate([[0], np.cumsum(grid.gait)])
    return float(np.mean((so_far[edges[:, 1]] - so_far[edges[:, 0]]) / (edges[:, 1] - edges[:, 0])))


def _begins_at_base(grid: _Grid, edges: NDArray[np.int64], prior: Prior) -> float:
    """Whether the repetitions begin and end at their base rather than at their turning point.

    Where the exercise begins bent the patient also rests longer between two than at the turning point.
    """
    weight = 1 - _HALVES * _late(grid, edges, prior)
    if not prior.begins_bent:
        return weight
    from_step = max(0, int(edges[0, 0]) - _AROUND)
    speed = np.convolve(_speed(grid.signal[from_step : edges[-1, 1] + _AROUND]), np.ones(5) / 5, mode="same")
    edges = edges - from_step
    ends = float(np.mean(speed[np.clip(edges, 0, len(speed) - 1)]))
    middles = float(np.mean([speed[a + (b - a) // 4 : b - (b - a) // 4 + 1].min() for a, b in edges]))
    return weight * float(np.sqrt(0.5 + middles / max(ends + middles, 1e-9)))


def _late(grid: _Grid, edges: NDArray[np.int64], prior: Prior) -> float:
    """0..1, how much some repetitions look as if read half a cycle late: half of one is left over on either side.

    Where the exercise begins bent, going there and coming back are left over beside the true ones.
    """
    parted = max(_PARTED_S / grid.step, _PARTED * float(np.median(edges[:, 1] - edges[:, 0])))
    return late(grid.signal, _rows(grid, edges), bent=prior.begins_bent, parted=round(parted))


def _rows(grid: _Grid, edges: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """The repetitions of each row, those that follow each other."""
    gap = (edges[1:, 0] - edges[:-1, 1]) * grid.step
    usual = float(np.median(edges[:, 1] - edges[:, 0])) * grid.step
    return np.split(edges, np.flatnonzero(gap > max(_ROW_S, _ROW * usual)) + 1)


def _of_one_place(grid: _Grid, edges: NDArray[np.int64], prior: Prior) -> NDArray[np.int64]:
    """Without the rows of repetitions that are alike in course but of another size: walking beside a march."""
    rows = _rows(grid, edges)
    if len(rows) == 1:
        return edges
    weight = [_evidence(grid, row, prior) for row in rows]
    main = int(np.argmax(weight))
    sizes = [_excursion(grid, row) for row in rows]
    walked = [_walked(grid, row) > 0.5 for row in rows]
    many = [row for row in rows if len(row) >= _MANY]
    kept = []
    for i, row in enumerate(rows):
        ratio = sizes[i] / max(sizes[main], 1e-9)
        few = len(row) < _FEW and len(rows[main]) >= _MANY
        lost = few and min(_apart(row, other) for other in many) * grid.step > _PARTED_S
        if _UNLIKE < ratio < 1 / _UNLIKE and not lost and not (walked[i] and not walked[main]):
            kept.append(row)
    return np.concatenate(kept)


def _apart(row: NDArray[np.int64], other: NDArray[np.int64]) -> int:
    """Steps between two rows."""
    return int(max(row[0, 0] - other[-1, 1], other[0, 0] - row[-1, 1]))


def _alike(grid: _Grid, edges: NDArray[np.int64], template: FloatArray) -> NDArray[np.bool_]:
    """(k,) whether each repetition is like the usual one in its course and in its posture.

    What is usual is said by those most like the template: walking may outnumber the exercise.
    """
    shapes = cycles(grid.signal, edges[:, 0], edges[:, 1] - edges[:, 0])
    like = _correlation(shapes, template)
    sure = like > min(_SURE, float(np.sort(like)[-2]))
    agree = _correlation(shapes, np.median(shapes[sure], axis=0))
    # Two or three agree with their own median whatever they are.
    doubt = 1 - float(np.median(agree[sure])) if sure.sum() > _MANY else 1.0
    alike = agree > np.clip(1 - _DOUBTS * doubt, _LEAST_AGREEMENT, _SURE)
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


def _correlation(shapes: FloatArray, usual: FloatArray) -> FloatArray:
    """(k,) of each of `shapes` (k, PHASES, F) with `usual` (PHASES, F)."""
    along = np.einsum("skf,kf->s", shapes, usual)
    size = np.sqrt(np.einsum("skf,skf->s", shapes, shapes) * float((usual**2).sum()))
    return np.asarray(along / np.maximum(size, 1e-12))


def _excursion(grid: _Grid, edges: NDArray[np.int64]) -> float:
    """Of the segment that moves most, in the usual one of some repetitions, rad."""
    shapes = cycles(grid.signal, edges[:, 0], edges[:, 1] - edges[:, 0])
    sizes = np.ptp(shapes[..., : grid.motion.posture.shape[1]], axis=1) * grid.posture_scale
    parts = np.linalg.norm(sizes.reshape(len(edges), -1, 4), axis=2)
    return float(np.median(parts.max(axis=1)))


def _size_weight(grid: _Grid, edges: NDArray[np.int64], prior: Prior) -> float:
    """How near the excursion is to the expected one."""
    off = np.log(max(_excursion(grid, edges), 1e-3) / prior.excursion)
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
        # Where a repetition begins says nothing about how long it is.
        nearly = score(run) / run.reading > _NEARLY * score(best) / best.reading
        if nearly and same and shorter > _CLEARLY and more > _CLEARLY:
            best = run
    return best


def _sets(run: _Run, prior: Prior) -> list[FoundSet]:
    """A run parted at its long rests; where walking is the exercise, without the few steps on the way to it."""
    rest, usual = run.start[1:] - run.end[:-1], run.movement.duration_s
    least = max(_ROW_S, _ROW * usual) if prior.gait else max(_PARTED_S, _PARTED * usual)
    parts = np.split(np.arange(len(run.start)), np.flatnonzero(rest > least) + 1)
    lasting = [float(run.end[part[-1]] - run.start[part[0]]) for part in parts]
    shortest = _ON_THE_WAY * max(lasting) if prior.gait else 0.0
    return [
        FoundSet(run.start[part], run.end[part], run.movement, run.fit, run.fit, float(len(part)))
        for part, seconds in zip(parts, lasting, strict=True)
        if seconds >= shortest
    ]
