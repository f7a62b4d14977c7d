"""What the sensors really sampled, and what their memories had to overwrite: the truth a campaign is judged by."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtm_firmware_sim.flash import CHANNELS, FlashRing

Mask = NDArray[np.bool_]


class TapedFlash(FlashRing):
    """A flash ring with a tape beside it: every sample of every boot, and those overwritten before they were freed."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._taped: dict[int, list[NDArray[np.int16]]] = {}
        self._length: dict[int, int] = {}
        self._lost_indices: dict[int, list[NDArray[np.int64]]] = {}

    def write(self, index: NDArray[np.int64], samples: NDArray[np.int16], ticks: NDArray[np.uint64]) -> None:
        """Tape, note what the ring is about to overwrite, then write. Raises ValueError for indices with holes."""
        boot = self.runs[-1].boot
        length = self._length.get(boot, 0)
        if not np.array_equal(index, np.arange(length, length + index.size)):
            raise ValueError("the sensor skipped indices; the tape expects every one")
        self._taped.setdefault(boot, []).append(samples.astype(np.int16))
        self._length[boot] = length + index.size
        oldest = self._next + index.size - self.capacity
        for run in self.runs:
            gone = np.arange(run.begin, min(max(run.begin, oldest), run.end)) % self.capacity
            if gone.size:
                self._lost_indices.setdefault(run.boot, []).append(self._index[gone].copy())
        if index.size > self.capacity:
            self._lost_indices.setdefault(boot, []).append(index[: index.size - self.capacity])
        super().write(index, samples, ticks)

    @property
    def boots(self) -> list[int]:
        """Every boot that sampled."""
        return list(self._length)

    def samples(self, boot: int) -> NDArray[np.int16]:
        """(n, 6): sample i of the boot in row i."""
        return np.concatenate(self._taped[boot]) if boot in self._taped else np.zeros((0, CHANNELS), np.int16)

    def unfreed_overwritten(self, boot: int) -> Mask:
        """(n,): samples the ring overwrote before they were freed."""
        mask = np.zeros(self._length.get(boot, 0), dtype=np.bool_)
        for index in self._lost_indices.get(boot, []):
            mask[index] = True
        return mask
