"""A row of repetitions read half a cycle late has half a repetition on either side."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from rtm_signal.repetitions_halves import halves_beside
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


def test_read_from_base_to_base_nothing_is_left_over() -> None:
    assert halves_beside(raises(), [row(REST, COUNT)], rest=0) < 0.1


def test_read_from_turning_point_to_turning_point_halves_are_left_over() -> None:
    late = halves_beside(raises(), [row(REST + PHASES // 2, COUNT - 1)], rest=0)
    assert late > 0.8


def test_a_row_at_the_very_edges_of_the_recording_has_nothing_beside_it() -> None:
    signal = raises()[REST : REST + PHASES * COUNT + 1]
    assert halves_beside(signal, [row(0, COUNT)], rest=0) == 0.0


def test_another_movement_beside_the_row_is_no_half_of_it() -> None:
    signal = np.column_stack([raises(), np.zeros(2 * REST + PHASES * COUNT)])
    signal[REST - 20 : REST, 2] = np.sin(np.linspace(0, 2 * np.pi, 20))
    assert halves_beside(signal, [row(REST, COUNT)], rest=0) < 0.1


@pytest.mark.parametrize("rest", [0, PHASES // 2])
def test_a_half_after_a_rest_is_found_as_far_as_asked(rest: int) -> None:
    signal = raises()
    apart = PHASES // 4
    late = REST + PHASES // 2
    still = np.repeat(signal[late : late + 1], apart, axis=0)
    end = late + PHASES * (COUNT - 1)
    parted = np.concatenate(
        [signal[:late], still, signal[late:end], np.repeat(signal[end : end + 1], apart, 0), signal[end:]]
    )
    near = halves_beside(parted, [row(late + apart, COUNT - 1)], rest=0)
    found = halves_beside(parted, [row(late + apart, COUNT - 1)], rest=rest)
    assert found >= near
    if rest:
        assert found > 0.8
