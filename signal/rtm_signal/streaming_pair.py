"""Two sensors' blocks as they come, brought onto one regular grid: the live twin of `rtm_signal.time_grid`.

Each sensor sends blocks of its own, late and irregular, with times on one common clock. The grid goes on as far
as both have arrived; a grid point between samples too far apart is flagged as a gap.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtm_signal.recording import FloatArray, RecordingError

_GAP_PERIODS = 1.5
"""Samples further apart than so many periods have lost one between them, as in `time_grid`."""
_WAIT_S = 10.0
"""What one sensor sends while the other is silent is kept for so long."""


@dataclass(frozen=True, slots=True)
class PairBlock:
    """Samples of both sensors on the grid: t (m,) s; acc and gyr (m, 3) m/s2 and rad/s, of the first and of the
    second sensor; gap (m,) bool, where either was bridged."""

    t: FloatArray
    acc: tuple[FloatArray, FloatArray]
    gyr: tuple[FloatArray, FloatArray]
    gap: NDArray[np.bool_]

    def after(self, first: int) -> PairBlock:
        """The grid points from `first` on."""
        acc, gyr = ((a[first:], b[first:]) for a, b in (self.acc, self.gyr))
        return PairBlock(self.t[first:], acc, gyr, self.gap[first:])


class PairGrid:
    """Joins the blocks of two sensors.

    rate_hz: of the grid; blocks of either sensor in any order and of any size, times non-decreasing a sensor.
    """

    def __init__(self, rate_hz: float) -> None:
        self._step = 1.0 / rate_hz
        self._pending: list[FloatArray] = [np.zeros((0, 7)), np.zeros((0, 7))]
        self._next_t: float | None = None

    def push(self, side: int, t: FloatArray, acc: FloatArray, gyr: FloatArray) -> PairBlock:
        """Take a block of sensor 0 or 1: t (k,) s, acc (k, 3), gyr (k, 3); what both have reached, maybe nothing.

        Samples that are no numbers or run back in time are dropped. Raises `RecordingError` for shapes that do not
        belong together.
        """
        self._keep(side, t, acc, gyr)
        first, second = self._pending
        if not len(first) or not len(second):
            return self._block(np.zeros(0))
        if self._next_t is None:
            self._next_t = float(max(first[0, 0], second[0, 0]))
        end = min(first[-1, 0], second[-1, 0])
        behind = float(np.ceil((max(first[0, 0], second[0, 0]) - self._next_t) / self._step - 1e-6))
        start = self._next_t + self._step * max(0.0, behind)  # the grid does not jump
        count = int(np.floor((end - start) / self._step + 1e-6)) + 1
        grid = np.asarray(start + self._step * np.arange(max(0, count)), dtype=np.float64)
        block = self._block(grid)
        if len(grid):
            self._next_t = float(grid[-1]) + self._step
            for i, rows in enumerate(self._pending):
                done = int(np.searchsorted(rows[:, 0], grid[-1] + 1e-9, side="right")) - 1
                self._pending[i] = rows[max(0, done) :]
        return block

    def _keep(self, side: int, t: FloatArray, acc: FloatArray, gyr: FloatArray) -> None:
        t = np.atleast_1d(np.asarray(t, dtype=np.float64))
        if np.shape(acc) != (t.size, 3) or np.shape(gyr) != (t.size, 3):
            raise RecordingError(
                "A block holds a time and three axes of accelerometer and gyroscope per sample."
            )
        rows = np.column_stack([t, acc, gyr])
        rows = rows[np.isfinite(rows).all(axis=1)]
        before = self._pending[side]
        known = before[-1, 0] if len(before) else -np.inf
        latest = np.maximum.accumulate(np.r_[known, rows[:, 0]])
        rows = np.concatenate([before, rows[rows[:, 0] > latest[:-1]]])
        if len(rows):
            rows = rows[rows[:, 0] >= rows[-1, 0] - _WAIT_S]
        self._pending[side] = rows

    def _block(self, grid: FloatArray) -> PairBlock:
        gap = np.zeros(len(grid), dtype=bool)
        channels = []
        for rows in self._pending:
            if not len(grid):
                channels.append(np.zeros((0, 6)))
                continue
            known = rows[:, 0]
            channels.append(np.stack([np.interp(grid, known, column) for column in rows[:, 1:].T], axis=1))
            right = np.clip(np.searchsorted(known, grid - 0.05 * self._step), 0, len(known) - 1)
            left = np.clip(np.searchsorted(known, grid + 0.05 * self._step) - 1, 0, len(known) - 1)
            gap |= known[right] - known[left] > _GAP_PERIODS * self._step
        first, second = channels
        return PairBlock(grid, (first[:, :3], second[:, :3]), (first[:, 3:], second[:, 3:]), gap)
