"""A row of repetitions read half a cycle late has half a repetition on either side."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rtm_signal.repetitions_halves import late
from rtm_signal.repetitions_tiling import PHASES

COUNT, REST = 6, 40


def raises(seed: int = 0) -> NDArray[np.float64]:
    """COUNT raises of PHASES steps each, at rest before and after."""
    one = (1 - np.cos(2 * np.pi * np.arange(PHASES) / PHASES)) / 2
    course = np.concatenate([np.zeros(REST), np.tile(one, COUNT), np.zeros(REST)])
    noise = np.random.default_rng(seed).normal(scale=0.01, size=(len(course), 2))
    return np.column_stack([course, np.gradient(course)]) + noise


def row(first: int, count: int) -> NDArray[np.int64]:
    start = first + PHASES * np.arange(count)
    return np.column_stack([start, start + PHASES])


def turning(bent: bool = False) -> float:
    """How late the reading from turning point to turning point looks."""
    return late(raises(), [row(REST + PHASES // 2, COUNT - 1)], bent=bent, parted=REST)


def test_read_from_base_to_base_nothing_is_left_over() -> None:
    assert late(raises(), [row(REST, COUNT)], bent=False, parted=REST) < 0.1


def test_read_from_turning_point_to_turning_point_halves_are_left_over() -> None:
    assert turning() > 0.8


def test_where_the_exercise_begins_bent_its_halves_are_the_way_there_and_back() -> None:
    assert turning(bent=True) < 0.2
    assert late(raises(), [row(REST, COUNT)], bent=True, parted=REST) > 0.9


def test_a_row_at_the_very_edges_of_the_recording_has_nothing_beside_it() -> None:
    signal = raises()[REST : REST + PHASES * COUNT + 1]
    assert late(signal, [row(0, COUNT)], bent=False, parted=REST) == 0.0


def test_another_movement_beside_the_row_is_no_half_of_it() -> None:
    signal = np.column_stack([raises(), np.zeros(2 * REST + PHASES * COUNT)])
    signal[REST - 20 : REST, 2] = np.sin(np.linspace(0, 2 * np.pi, 20))
    assert late(signal, [row(REST, COUNT)], bent=False, parted=REST) < 0.1


def held_apart(signal: NDArray[np.float64], at: list[int], steps: int) -> NDArray[np.float64]:
    """`signal` with a rest of so many steps at each of the places."""
    return np.repeat(signal, [1 + steps * (i in at) for i in range(len(signal))], axis=0)


@pytest.mark.parametrize("bent", [False, True])
def test_a_half_after_a_rest_counts_only_where_the_exercise_begins_bent(bent: bool) -> None:
    apart, first = PHASES // 4, REST + PHASES // 2
    end = first + PHASES * (COUNT - 1)
    signal = held_apart(raises(), [first, end], apart)
    found = late(signal, [row(first + apart, COUNT - 1)], bent=bent, parted=REST)
    assert found < (0.2 if bent else turning())


def test_beside_a_pause_no_way_there_and_back_is_expected() -> None:
    """An exercise that begins bent, with a rest while bent, is read right although no half stands beside the rest."""
    first, many = REST + PHASES // 2, COUNT // 2
    middle, pause = first + PHASES * many, 2 * PHASES
    signal = held_apart(raises(), [middle], pause)
    right = [row(first, many), row(middle + pause, COUNT - 1 - many)]
    wrong = [row(REST, many), row(middle + pause + PHASES // 2, COUNT - 1 - many)]
    assert late(signal, right, bent=True, parted=3 * PHASES) < 0.2
    assert late(signal, right, bent=True, parted=PHASES) > 0.4
    assert late(signal, wrong, bent=True, parted=3 * PHASES) > 0.5
