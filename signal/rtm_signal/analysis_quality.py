"""Quality of each repetition: regularity, smoothness, size, and words for what falls short."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rtm_signal.features import Motion
from rtm_signal.movement import Movement, weigh
from rtm_signal.recording import FloatArray
from rtm_signal.repetitions_count import CountedSet
from rtm_signal.repetitions_tiling import cycles
from rtm_signal.repetitions_timing import Timing
from rtm_signal.result import Quality
from rtm_signal.smoothness import sparc

_SMALL, _LARGE = 0.7, 1.4
"""Sizes relative to the reference; a third less is what therapists call incomplete in the physical-therapy
set."""
_FAST, _SLOW = 0.6, 1.7
"""Durations relative to the reference."""
_IRREGULAR = 0.6
"""Correlation with the set's mean repetition."""
_MARGIN_S = 1.0
"""On either side of a set: more than a sample, so that the edges may be rounded."""


def qualities(
    one: CountedSet,
    timings: Sequence[Timing],
    motion: Motion,
    known: Sequence[Movement],
    reference_size: float | None,
    usual_tempo_s: tuple[float, float] | None,
) -> list[Quality]:
    """One `Quality` a repetition; the reference is the calibration, or without one the set's median."""
    regularity = _regularity(one, motion)
    size = np.array([timing.size for timing in timings])
    duration = np.array([timing.end_s - timing.start_s for timing in timings])
    usual_size = reference_size or float(np.median(size))
    usual = float(np.median([kind.duration_s for kind in known])) if known else float(np.median(duration))
    ratio = size / max(usual_size, 1e-6)
    pace = duration / max(usual, 1e-6)
    out = []
    for i, timing in enumerate(timings):
        flags = [
            word
            for word, holds in (
                ("small", ratio[i] < _SMALL),
                ("large", ratio[i] > _LARGE),
                ("fast", pace[i] < _FAST or (usual_tempo_s is not None and duration[i] < usual_tempo_s[0])),
                ("slow", pace[i] > _SLOW or (usual_tempo_s is not None and duration[i] > usual_tempo_s[1])),
                ("irregular", regularity[i] < _IRREGULAR),
            )
            if holds
        ]
        first, last = np.searchsorted(motion.t, [timing.start_s, timing.end_s])
        smoothness = sparc(motion.speed[first : last + 1], motion.rate_hz)
        out.append(Quality(float(regularity[i]), smoothness, float(ratio[i]), tuple(flags)))
    return out


def _regularity(one: CountedSet, motion: Motion) -> FloatArray:
    """Correlation of each repetition with the mean of the set's others (itself alone: 1)."""
    inside = np.searchsorted(motion.t, [one.start_s[0] - _MARGIN_S, one.end_s[-1] + _MARGIN_S])
    motion = motion.part(int(inside[0]), int(inside[1]))
    signal = weigh(motion, one.found.movement.scale)
    at = (np.stack([one.start_s, one.end_s], axis=1) - motion.t[0]) * motion.rate_hz
    first = np.clip(np.round(at[:, 0]).astype(np.int64), 0, len(signal) - 2)
    length = np.maximum(np.round(at[:, 1]).astype(np.int64) - first, 1)
    shapes = cycles(signal, first, np.minimum(length, len(signal) - 1 - first))
    if len(shapes) < 2:
        return np.ones(len(shapes))
    others = shapes.sum(axis=0) - shapes
    along = np.einsum("skf,skf->s", shapes, others)
    size = np.sqrt(np.einsum("skf,skf->s", shapes, shapes) * np.einsum("skf,skf->s", others, others))
    return np.asarray(np.clip(along / np.maximum(size, 1e-12), 0.0, 1.0))
