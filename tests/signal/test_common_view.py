"""The rotation between two frames that makes what both sensors see agree."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from rtm_signal.common_view import nearest_rotation
from rtm_signal.recording import FloatArray

sizes = st.just(0.0) | st.floats(1e-100, 1.0)
"""Of moments: below, a number has fewer digits than the comparison asks for, and no sensor tells one."""


def moments(first: float, second: float, third: float, seed: int) -> FloatArray:
    """(3, 3) with these singular values, the least of them signed, turned at random either side."""
    left, right = Rotation.random(2, rng=seed).as_matrix()
    least, middle, most = sorted([first, second, abs(third)])
    return np.asarray(left @ np.diag([most, middle, np.copysign(least, third)]) @ right)


@example(first=0.0, second=1e-100, third=1e-100, scale=0.5, seed=0)
@settings(max_examples=200, deadline=None)
@given(sizes, sizes, sizes | sizes.map(lambda size: -size), st.floats(1e-6, 1e9), st.integers(0, 2**31))
def test_it_is_a_rotation_and_none_agrees_more(
    first: float, second: float, third: float, scale: float, seed: int
) -> None:
    seen = scale * moments(first, second, third, seed)
    turn = nearest_rotation(seen)
    assert np.allclose(turn @ turn.T, np.eye(3), atol=1e-6)
    assert np.linalg.det(turn) > 0
    values = np.linalg.svd(seen, compute_uv=False)
    sign = np.linalg.det(seen / max(values[0], 1e-200))
    most = values[0] + values[1] + np.copysign(values[2], sign)
    assert np.trace(turn.T @ seen) == pytest.approx(most, abs=1e-6 * values.sum())


def test_many_at_once_keep_their_places_and_one_direction_alone_gives_a_rotation_too() -> None:
    true = Rotation.random(3, rng=1).as_matrix()
    seen = true.copy()
    seen[1] = np.outer(true[1][:, 0], np.eye(3)[0])  # one pair of vectors: the turn about it is free
    found = nearest_rotation(seen)
    assert np.allclose(found[[0, 2]], true[[0, 2]])
    assert np.allclose(found[1] @ found[1].T, np.eye(3))
    assert np.allclose(found[1][:, 0], true[1][:, 0])
    assert np.allclose(nearest_rotation(np.zeros((2, 3, 3))) @ np.ones(3), np.ones(3))
