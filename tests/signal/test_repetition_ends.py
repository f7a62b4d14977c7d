"""What is left of a repetition at the ends of a trimmed set, by the way the movement went."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_signal.features import Motion
from rtm_signal.movement import FoundSet, Movement
from rtm_signal.repetitions_ends import cycles_by_way
from rtm_signal.repetitions_tiling import PHASES

RATE_HZ, PERIOD_S = 25.0, 2.0


def swing(first: float, last: float) -> Motion:
    """A segment that tilts by a radian and back in every period, from phase `first` to `last`, in periods."""
    phase = np.arange(first, last, 1 / (RATE_HZ * PERIOD_S))
    tilt = (1 - np.cos(2 * np.pi * phase)) / 2
    up = np.column_stack([np.sin(tilt), np.zeros_like(tilt), np.cos(tilt), np.zeros_like(tilt)])
    rate = np.column_stack([np.zeros_like(tilt), np.gradient(tilt) * RATE_HZ, np.zeros_like(tilt)])
    return Motion(np.arange(len(tilt)) / RATE_HZ, RATE_HZ, up, rate, np.abs(rate[:, 1]))


def tiled(first: float, whole: int) -> FoundSet:
    """`whole` repetitions, each from base to base, of a swing that begins at phase `first`."""
    start = (np.arange(whole) + np.ceil(first) - first) * PERIOD_S
    movement = Movement(np.zeros((PHASES, 7)), (1.0, 1.0), PERIOD_S, whole)
    return FoundSet(start, start + PERIOD_S, movement, fit=1.0, likeness=0.0, cycles=float(whole))


def reversed_in_time(motion: Motion) -> Motion:
    return Motion(motion.t, RATE_HZ, motion.posture[::-1], -motion.rate[::-1], motion.speed[::-1])


def backwards(found: FoundSet, motion: Motion) -> FoundSet:
    """The same repetitions as `reversed_in_time` has them."""
    last = float(motion.t[-1])
    return replace(found, start_s=last - found.end_s[::-1], end_s=last - found.start_s[::-1])


def test_whole_repetitions_are_whole() -> None:
    assert cycles_by_way(tiled(0.0, 8), swing(0.0, 8.0)) == pytest.approx(8.0)


def test_too_few_repetitions_do_not_tell_what_is_usual() -> None:
    assert cycles_by_way(tiled(0.0, 3), swing(0.0, 3.0)) is None


@pytest.mark.parametrize(("more", "counts"), [(0.1, 0.0), (0.25, 0.5), (0.4, 1.0), (0.5, 1.0)])
def test_a_way_cut_short_counts_by_how_far_it_went(more: float, counts: float) -> None:
    at_the_end = cycles_by_way(tiled(0.0, 8), swing(0.0, 8.0 + more))
    at_the_beginning = cycles_by_way(tiled(-more, 8), swing(-more, 8.0))
    assert at_the_end == pytest.approx(8.0 + counts, abs=0.06)
    assert at_the_beginning == pytest.approx(8.0 + counts, abs=0.06)


def test_a_rest_at_the_base_is_no_repetition_however_long() -> None:
    motion = swing(0.0, 8.0)
    still = 40
    longer = Motion(
        np.arange(len(motion.t) + still) / RATE_HZ,
        RATE_HZ,
        np.concatenate([motion.posture, np.repeat(motion.posture[-1:], still, axis=0)]),
        np.concatenate([motion.rate, np.zeros((still, 3))]),
        np.concatenate([motion.speed, np.zeros(still)]),
    )
    assert cycles_by_way(tiled(0.0, 8), longer) == pytest.approx(8.0, abs=0.05)


@given(first=st.floats(-0.45, 0.0), more=st.floats(0.0, 0.45))
@settings(max_examples=30, deadline=None)
def test_the_count_does_not_depend_on_the_direction_of_time(first: float, more: float) -> None:
    motion, found = swing(first, 8.0 + more), tiled(first, 8)
    there = cycles_by_way(found, motion)
    back = cycles_by_way(backwards(found, motion), reversed_in_time(motion))
    assert there is not None
    assert there == pytest.approx(back, abs=0.02)
    assert 7.9 <= there <= 10.01
