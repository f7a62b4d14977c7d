"""An exercise that nobody named, among other movement: found where the recording resembles itself.

Cutting whole bouts into repetitions fails where most of a bout is walking, handling and lying down. The search of
the prescribed exercise finds a row wherever it is; here it is made with a tempo and an excursion that fit any
exercise, and what it finds has to be beyond doubt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rtm_signal.features import Motion
from rtm_signal.gait import walks
from rtm_signal.movement import FoundSet, weigh
from rtm_signal.repetitions_prescribed import Prior, find_prescribed
from rtm_signal.self_similarity import walking

_ANY = Prior(
    shortest_s=0.7,
    longest_s=14.0,
    excursion=float(np.radians(45.0)),
    gait=False,
    held=False,
    begins_bent=False,
)
"""From quick ankle pumps to a stretch of ten seconds; half of the usual range of a joint, of which a third or three
times as much is as good."""
_LEAST_FIT = 0.85
_LEAST_COUNT = 3
_MOSTLY = 0.5
_LONGEST_S = 3600.0
"""A longer recording is not searched in this way: every tempo is tried on all of it, which takes memory."""


def found_anywhere(motion: Motion) -> list[FoundSet]:
    """The sets of the movement that looks most like an exercise, in time order; none that may be walking."""
    if motion.t[-1] - motion.t[0] > _LONGEST_S:
        return []
    found = find_prescribed(motion, _ANY)
    count = sum(len(one.start_s) for one in found)
    if count < _LEAST_COUNT or found[0].fit < _LEAST_FIT or any(walks(one, motion) for one in found):
        return []
    return [] if _walked(found, motion) > _MOSTLY else found


def _walked(found: Sequence[FoundSet], motion: Motion) -> float:
    """Share of the repetitions that lies where the recording repeats at the pace of strides."""
    gait = walking(weigh(motion, found[0].movement.scale), motion.rate_hz)
    spans = [
        np.searchsorted(motion.t, span) for one in found for span in zip(one.start_s, one.end_s, strict=True)
    ]
    return float(np.mean([gait[a : b + 1].mean() for a, b in spans]))
