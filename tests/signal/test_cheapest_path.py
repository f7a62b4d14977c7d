"""The cheapest way over stretches and idle steps is the one that a search over all ways finds."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtm_signal.cheapest_path import cheapest


def _by_search(cost: NDArray[np.float64], shortest: int) -> float:
    """Least cost of any way, node by node."""
    starts, lengths = cost.shape
    least = np.zeros(starts + shortest)
    for node in range(1, len(least)):
        ways = [
            least[node - shortest - i] + cost[node - shortest - i, i]
            for i in range(lengths)
            if 0 <= node - shortest - i < starts
        ]
        least[node] = min([least[node - 1], *ways])
    return float(least[-1])


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    starts=st.integers(1, 60),
    lengths=st.integers(1, 9),
    shortest=st.integers(1, 8),
    many=st.integers(1, 3),
)
def test_the_way_found_costs_no_more_than_any_other(
    seed: int, starts: int, lengths: int, shortest: int, many: int
) -> None:
    cost = np.random.default_rng(seed).normal(0.3, 1.0, (many, starts, lengths))
    ends = np.arange(starts)[:, None] + shortest + np.arange(lengths)
    cost = np.where((cost < 0) & (ends <= starts + shortest - 1), cost, 0.0)
    for one, edges in zip(cost, cheapest(cost, shortest), strict=True):
        assert (edges[1:, 0] >= edges[:-1, 1]).all()
        paid = sum(one[a, b - a - shortest] for a, b in edges)
        np.testing.assert_allclose(paid, _by_search(one, shortest), atol=1e-9)
        assert all(one[a, b - a - shortest] < 0 for a, b in edges)


def test_where_nothing_is_worth_taking_nothing_is_taken() -> None:
    (edges,) = cheapest(np.zeros((1, 12, 3)), 4)
    assert edges.shape == (0, 2)
