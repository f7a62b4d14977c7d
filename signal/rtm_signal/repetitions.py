"""Repetitions: which bouts are sets of one movement, and where each repetition begins and ends.

Each bout is tiled at every period at which it resembles itself; the shortest period whose mean repetition
tells
the others nearly as well as the best one is the period (a half period does not: lowering is not
raising; a double one does no better). A calibration recording names the movement, which also settles what no
self-similarity can: what a repetition is where the movement repeats within it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtm_signal.features import Motion
from rtm_signal.gait import walks
from rtm_signal.movement import FoundSet, Movement, likeness, same_axes, scale_of, weigh
from rtm_signal.recording import FloatArray
from rtm_signal.repetitions_anywhere import found_anywhere
from rtm_signal.repetitions_candidates import EDGE_PAD, periods_of, tiled
from rtm_signal.repetitions_period import SHORTEST_S
from rtm_signal.repetitions_prescribed import Prior, find_prescribed
from rtm_signal.repetitions_single import lone, recognised
from rtm_signal.repetitions_tiling import PHASES, at_steps, bank, cycles, tile
from rtm_signal.segmentation import bouts, is_moving, moving_s
from rtm_signal.self_similarity import walking

_NEARLY = 0.12
"""A shorter period is preferred while its fit is this near to the best."""
_CLEARLY = 1.5
"""Ratio of periods, and of counts, above which one is a multiple of the other rather than the same."""
_LEAST_FIT = 0.4
"""A set whose mean repetition tells less than this is no set: handling, walking about, fidgeting."""
LEAST_SAME_AXES = 0.5
"""Agreement with the calibrated movement's axes below which a bout is another movement.

Of the same exercise at another tempo or size it is above 0.7, of another exercise of the same arm mostly
below 0.3."""
_LEAST_LIKE = 0.7
"""Correlation with a known movement below which a stretch that it tells best is still another one."""
_LONGEST_STRIDE_S = 1.35
"""A stride of slow walking (0.74 Hz); beside an exercise _SLOWER_THAN_GAIT times as slow such a set is
walking."""
_SLOWER_THAN_GAIT = 1.3
_REACH_POWER = 0.3
"""How much the share of a bout's movement that a set explains counts beside how well it explains it."""
_LEAST_REST_S = 4.0
"""What is left of a bout is looked at for another set where it is longer than this."""
_LEAST_PARTED = 3
"""A bout is parted at a long rest only where each part is a set in itself."""
_NOMINAL_WEIGHT = 0.25
"""What a nominal count off by a factor e costs, where the calibration holds nothing but repetitions."""
_MOSTLY = 0.5
_MOST = 0.7
"""Share of a recording's movement that sets explain, from which nothing else is looked for."""
_BETTER = 1.25
"""What was found anywhere replaces what was found in whole bouts where it weighs so many times as much."""
_MARGIN_S = 1.0
"""Rest kept on either side of a bout, so that its first and last repetition have room."""


class Found(NamedTuple):
    """The sets of a recording, in time order. walking: something repeats, and all of it is walking."""

    sets: list[FoundSet]
    walking: bool = False


def find_sets(
    motion: Motion,
    *,
    trimmed: bool = False,
    known: Sequence[Movement] = (),
    prior: Prior | None = None,
) -> Found:
    """The sets of repetitions in `motion`.

    trimmed: all of it is one set, cut at its edges. known: the kinds of the movement that were calibrated.
    prior: what the catalogue expects of a prescribed exercise.
    """
    if len(motion.t) < 8:
        return Found([])
    moving = is_moving(motion)
    if not moving.any():
        return Found([])
    if trimmed:
        one = _best(motion, moving, trimmed=True, known=known)
        found = [] if one is None else [one]
    elif prior is not None:
        found = find_prescribed(motion, prior, known)
    elif known:
        found = _of_the_known(motion, moving, known)
    else:
        anything = _in_bouts(motion, moving)
        found = _of_one_movement(_without_walking(anything, motion))
        found = _or_anywhere(found, motion, moving)
        if anything and not found:
            return Found([], walking=True)
    if found:
        return Found(found)
    edges = lone(motion, moving, trimmed=trimmed, lasting_s=[kind.duration_s for kind in known])
    return Found([] if edges is None else [_lone_set(motion, *edges)])


def _in_bouts(motion: Motion, moving: NDArray[np.bool_]) -> list[FoundSet]:
    """The sets of all bouts, whatever they are."""
    spans = _with_margin(bouts(motion), motion)
    return [one for a, b in spans for one in _in_bout(motion.part(a, b), moving[a:b], ())]


def _without_walking(found: Sequence[FoundSet], motion: Motion) -> list[FoundSet]:
    """The sets that are not walking, nor a shorter piece about the same axes, which may be steps of another pace."""
    steps = [one for one in found if walks(one, motion)]
    return [
        one
        for one in found
        if not any(
            one is s or (_lasts(one) < _lasts(s) and same_axes(one.movement, s.movement) > LEAST_SAME_AXES)
            for s in steps
        )
    ]


def _or_anywhere(found: list[FoundSet], motion: Motion, moving: NDArray[np.bool_]) -> list[FoundSet]:
    """The sets found in whole bouts, or, where they leave much unexplained, better ones found anywhere.

    Those found about the same axes at another tempo stay beside them.
    """
    if _told(found, motion, moving) > _MOST:
        return found
    other = found_anywhere(motion)
    if not other or _weight(other) < _BETTER * _weight(found):
        return found
    apart = [
        one
        for one in found
        if len(one.start_s) >= _LEAST_PARTED
        and same_axes(one.movement, other[0].movement) > LEAST_SAME_AXES
        and not any(one.start_s[0] < o.end_s[-1] and o.start_s[0] < one.end_s[-1] for o in other)
    ]
    return sorted([*other, *apart], key=lambda one: float(one.start_s[0]))


def _told(found: Sequence[FoundSet], motion: Motion, moving: NDArray[np.bool_]) -> float:
    """Share of the movement that lies inside sets."""
    inside = np.zeros(len(moving), dtype=bool)
    for one in found:
        inside |= (motion.t >= one.start_s[0]) & (motion.t <= one.end_s[-1])
    return float((inside & moving).sum()) / max(float(moving.sum()), 1.0)


def _weight(found: Sequence[FoundSet]) -> float:
    """How well and for how long a movement is repeated, s."""
    return sum(one.fit * float((one.end_s - one.start_s).sum()) for one in found)


def _lasts(one: FoundSet) -> float:
    return float(one.end_s[-1] - one.start_s[0])


def _of_the_known(motion: Motion, moving: NDArray[np.bool_], known: Sequence[Movement]) -> list[FoundSet]:
    """The sets of the calibrated movement."""
    found: list[FoundSet] = []
    others: list[FoundSet] = []
    for a, b in _with_margin(bouts(motion), motion):
        part = motion.part(a, b)
        sets = _in_bout(part, moving[a:b], known)
        mine = _of_movement(sets, known)
        found += mine or _recognised(part, moving[a:b], known)
        others += [one for one in sets if not any(one is m for m in mine)]
    # Small or quick repetitions may resemble those found more than those calibrated.
    found += _of_movement(others, [one.movement for one in found])
    return sorted(found, key=lambda one: float(one.start_s[0]))


def _of_movement(found: Sequence[FoundSet], known: Sequence[Movement]) -> list[FoundSet]:
    """The sets that share the axes of a known movement."""
    return [f for f in found if any(same_axes(f.movement, k) > LEAST_SAME_AXES for k in known)]


def _of_one_movement(found: list[FoundSet]) -> list[FoundSet]:
    """The sets of the movement that is repeated best and longest; others are walking, handling, fidgeting."""
    if len(found) < 2:
        return found
    main = max(found, key=lambda f: f.fit**2 * float((f.end_s - f.start_s).sum()))
    slow = main.movement.duration_s > _SLOWER_THAN_GAIT * _LONGEST_STRIDE_S
    return [
        f
        for f in found
        if same_axes(f.movement, main.movement) > LEAST_SAME_AXES
        and not (slow and f.movement.duration_s < _LONGEST_STRIDE_S)
    ]


def _lone_set(motion: Motion, start: FloatArray, end: FloatArray) -> FoundSet:
    movement = _single(motion, is_moving(motion))
    return FoundSet(start, end, movement, fit=_LEAST_FIT, likeness=0.0, cycles=1.0)


def _in_bout(part: Motion, moving: NDArray[np.bool_], known: Sequence[Movement]) -> list[FoundSet]:
    """The sets of one bout: two where a rest longer than a repetition parts them."""
    one = _best(part, moving, trimmed=False, known=known)
    if one is None:
        return []
    spans = _with_margin(bouts(part, max_hold_s=one.movement.duration_s), part)
    spans = spans if len(spans) > 1 else []  # one span is no parting: the same search again
    parts = [_best(part.part(a, b), moving[a:b], trimmed=False, known=known) for a, b in spans]
    sets = [p for p in parts if p is not None and len(p.start_s) >= _LEAST_PARTED]
    if len(sets) > 1 and np.average([p.fit for p in sets], weights=[len(p.start_s) for p in sets]) > one.fit:
        return sets
    before = int(np.searchsorted(part.t, one.start_s[0]))
    after = int(np.searchsorted(part.t, one.end_s[-1]))
    out = [one]
    for a, b in ((0, before), (after, len(part.t))):
        if (b - a) / part.rate_hz > _LEAST_REST_S:
            out += _in_bout(part.part(a, b), moving[a:b], known)
    return sorted(out, key=lambda found: float(found.start_s[0]))


def _recognised(part: Motion, moving: NDArray[np.bool_], known: Sequence[Movement]) -> list[FoundSet]:
    """Repetitions too few to resemble each other, found by the calibrated movement alone."""
    if not known or not moving.any():
        return []
    scale = known[0].scale
    found = recognised(part, weigh(part, scale), moving, [(k.template, k.duration_s) for k in known])
    if found is None:
        return []
    start, end, template = found
    own = Movement(template, scale, float(np.median(end - start)), len(start))
    if max(same_axes(own, kind) for kind in known) < LEAST_SAME_AXES:
        return []
    alike = max(likeness(own, kind) for kind in known)
    return [FoundSet(start, end, own, fit=alike, likeness=alike, cycles=float(len(start)))]


def tiled_with(part: Motion, moving: NDArray[np.bool_], movement: Movement) -> tuple[FloatArray, FloatArray]:
    """Start and end (k,), s, of the repetitions of a known movement, as it is: nothing is learned.

    A repetition cut at either end by less than half counts; one hardly like the movement does not.
    """
    step, pad = movement.duration_s / PHASES, int(EDGE_PAD * PHASES)
    grid, whole = at_steps(weigh(part, movement.scale), step * part.rate_hz)
    if len(grid) < PHASES // 2 + 2:
        return np.zeros(0), np.zeros(0)
    padded = np.pad(grid, ((pad, pad), (0, 0)), mode="edge")
    stretches = bank(padded, np.pad(moving[whole], pad), pad)
    found = tile(stretches, movement.template)
    shapes = cycles(padded, found[:, 0], found[:, 1] - found[:, 0])
    along = np.einsum("skf,kf->s", shapes, movement.template)
    size = np.sqrt(np.einsum("skf,skf->s", shapes, shapes) * float((movement.template**2).sum()))
    edges = part.t[0] + (found[along > _LEAST_LIKE * size] - pad) * step
    return edges[:, 0], edges[:, 1]


def learn(
    calibration: Motion, nominal: int | None = None, prior: Prior | None = None
) -> tuple[Movement, ...]:
    """The movement of a calibration recording, one of each kind it shows (slow, fast, small); () if none.

    nominal: how many repetitions it is said to hold. It is a hint between periods, not a truth. prior: what
    the catalogue expects.
    """
    moving = is_moving(calibration)
    if len(calibration.t) < 8 or not moving.any():
        return ()
    if prior is not None and nominal != 1:
        # Of walking nobody counts the strides that are shown.
        sets = find_prescribed(calibration, prior, nominal=None if prior.gait else nominal)
        if sets:
            return () if not prior.gait and _walked(calibration, sets) else (sets[0].movement,)
    spans = _with_margin(bouts(calibration), calibration)
    whole = len(spans) == 1 and moving.mean() > 0.8
    hint = _NOMINAL_WEIGHT if nominal and whole else 0.0
    pace = moving_s(calibration) / nominal if nominal and whole else None
    scale = scale_of(calibration)
    kinds: list[Movement] = []
    for a, b in [] if nominal == 1 else spans:
        part = calibration.part(a, b)
        signal = weigh(part, scale)
        found = [
            tiled(part, signal, moving[a:b], period, trimmed=whole, scale=scale)
            for period in periods_of(part, signal)
        ]
        judged = [
            _Judged(f.fit - hint * abs(np.log(len(f.start_s) / (nominal or 1))), f)
            for f in found
            if f is not None and f.fit > _LEAST_FIT
        ]
        if judged:
            kinds.append(replace(_shortest(judged).found.movement, pace_s=pace))
    if prior is not None and not kinds and nominal is not None and nominal > 1:
        return ()  # Several are said to be there and none is like another: it shows something else.
    return tuple(kinds) or (_single(calibration, moving),)


def _walked(calibration: Motion, sets: Sequence[FoundSet]) -> bool:
    """Whether what was found in a calibration is rather the walking around it."""
    gait = walking(weigh(calibration, sets[0].movement.scale), calibration.rate_hz)
    spans = [
        np.searchsorted(calibration.t, span) for s in sets for span in zip(s.start_s, s.end_s, strict=True)
    ]
    return float(np.mean([gait[a : b + 1].mean() for a, b in spans])) > _MOSTLY


def _with_margin(spans: list[tuple[int, int]], motion: Motion) -> list[tuple[int, int]]:
    """Spans widened into the rest around them, at most half-way to the next."""
    margin = round(_MARGIN_S * motion.rate_hz)
    out = []
    for i, (a, b) in enumerate(spans):
        before = spans[i - 1][1] if i else 0
        after = spans[i + 1][0] if i + 1 < len(spans) else len(motion.t)
        out.append((max(a - margin, (before + a) // 2 if i else 0), min(b + margin, after)))
    return out


def _single(motion: Motion, moving: NDArray[np.bool_]) -> Movement:
    """The whole of the movement as one repetition."""
    at = np.flatnonzero(moving)
    part = motion.part(int(at[0]), int(at[-1]) + 1)
    scale = scale_of(part)
    signal = weigh(part, scale)
    template = cycles(signal, np.array([0]), np.array([len(signal) - 1]))[0]
    return Movement(template, scale, len(signal) / motion.rate_hz, 1)


class _Judged(NamedTuple):
    """A tiling of a bout and how good it is beside others of it."""

    score: float
    found: FoundSet


def _best(
    part: Motion, moving: NDArray[np.bool_], *, trimmed: bool, known: Sequence[Movement]
) -> FoundSet | None:
    """Of the tilings of one bout the one of the shortest period that is nearly the best."""
    scale = known[0].scale if known else scale_of(part)
    signal = weigh(part, scale)
    # What scores more is preferred to whatever is clearly longer: no score exceeds that of a perfect fit.
    enough = (2.0 if known else 1.0) - _NEARLY
    judged: list[_Judged] = []
    for period in periods_of(part, signal):
        if any(j.score > enough and period > _CLEARLY * j.found.movement.duration_s for j in judged):
            break
        one = tiled(part, signal, moving, period, trimmed=trimmed, scale=scale)
        judged += [] if one is None else [_judged(one, part, moving, known)]
    best = _chosen(judged, trimmed=trimmed)
    if best is None:
        return None
    if trimmed or best.score > enough:
        return best.found
    # Beside quicker movement the true period may not be among the candidates, but its double is.
    for share in (2, 3):
        period = best.found.movement.duration_s / share
        one = tiled(part, signal, moving, period, trimmed=False, scale=scale) if period > SHORTEST_S else None
        if one is not None and len(one.start_s) > _CLEARLY * len(best.found.start_s):
            judged.append(_judged(one, part, moving, known))
    best = _chosen(judged, trimmed=trimmed)
    return None if best is None else best.found


def _judged(found: FoundSet, part: Motion, moving: NDArray[np.bool_], known: Sequence[Movement]) -> _Judged:
    """By how well it explains how much of the bout, and by its likeness with what was calibrated."""
    alike = max((likeness(found.movement, kind) for kind in known), default=0.0)
    return _Judged(found.fit * _reach(found, part, moving) + alike, replace(found, likeness=alike))


def _chosen(judged: Sequence[_Judged], *, trimmed: bool) -> _Judged | None:
    """The shortest that is nearly the best, of those that are sets at all; a trimmed recording is one."""
    good = [j for j in judged if j.found.fit > _LEAST_FIT and len(j.found.start_s) >= 2]
    among = good or (judged if trimmed else [])
    return _shortest(among) if among else None


def _reach(found: FoundSet, part: Motion, moving: NDArray[np.bool_]) -> float:
    inside = (part.t >= found.start_s[0]) & (part.t <= found.end_s[-1])
    share = float((inside & moving).sum()) / max(float(moving.sum()), 1.0)
    return float(share**_REACH_POWER)


def _shortest(judged: Sequence[_Judged]) -> _Judged:
    """The best set, or one of a clearly shorter period that holds as many more and scores nearly as well."""
    top = best = max(judged, key=lambda one: one.score)
    for one in sorted(judged, key=lambda one: -one.score):
        shorter = best.found.movement.duration_s / one.found.movement.duration_s
        more = len(one.found.start_s) / len(best.found.start_s)
        if one.score > top.score - _NEARLY and shorter > _CLEARLY and more > _CLEARLY:
            best = one
    return best
