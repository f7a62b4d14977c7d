"""The cheapest way through a signal over stretches and idle steps: dynamic programming, a block at a time.

What the idle way would have cost is taken off every stretch, so that idling is free and only a stretch that
saves something matters. No stretch is shorter than `shortest` steps; so many nodes at once depend on nothing
among themselves but idling, and are settled by three array operations, for several templates together.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from rtm_signal.recording import FloatArray


def cheapest(cost: FloatArray, shortest: int) -> list[NDArray[np.int64]]:
    """Edges (k, 2) of the stretches on the cheapest way from node 0 to the last, for each template.

    cost: (b, m, lengths) of the stretch from each start, of `shortest` steps and more, less the idle cost of
    its span; only a negative one is worth taking. There are m + shortest nodes; a stretch that would pass
    the last must not be negative.
    """
    many, starts, lengths = cost.shape
    longest, size = shortest + lengths - 1, starts + shortest
    # Rows before the first start, so that every node looks back equally far: by end, stretches lie on a slant.
    padded = np.zeros((many, longest + size, lengths))
    padded[:, longest : longest + starts] = cost
    _, row, step = padded.strides
    ending = as_strided(
        padded[:, longest - shortest :], (many, size, lengths), (padded.strides[0], row, step - row)
    )
    so_far = np.zeros((many, longest + size))
    least = so_far[:, longest:]
    before = as_strided(
        so_far[:, longest - shortest :],
        (many, size, lengths),
        (so_far.strides[0], so_far.strides[1], -so_far.strides[1]),
    )
    ways = np.empty((many, shortest, lengths))
    for first in range(shortest, size, shortest):
        last = min(first + shortest, size)
        now = ways[:, : last - first]
        np.add(ending[:, first:last], before[:, first:last], out=now)
        np.minimum.reduce(now, axis=2, out=least[:, first:last])
        reached = least[:, first - 1 : last]
        np.minimum.accumulate(reached, axis=1, out=reached)
    return [_back(least[i], ending[i], before[i], shortest) for i in range(many)]


def _back(least: FloatArray, ending: FloatArray, before: FloatArray, shortest: int) -> NDArray[np.int64]:
    """The stretches taken, from the last node back: one ends wherever the least cost falls."""
    falls = np.flatnonzero(least[1:] < least[:-1]) + 1
    last = falls.tolist()
    edges = []
    node = len(least) - 1
    at = len(last)
    while True:
        at = int(np.searchsorted(falls[:at], node, side="right"))
        if not at:
            break
        end = last[at - 1]
        node = end - shortest - int((ending[end] + before[end]).argmin())
        edges.append((node, end))
    return np.array(edges[::-1], dtype=np.int64).reshape(-1, 2)
