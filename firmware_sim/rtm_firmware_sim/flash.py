"""The sensor's flash: a ring of samples, read by boot and index, freed only when told."""

from __future__ import annotations

import bisect
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHANNELS = 6
EMPTIED_KEPT = 16
"""Boots of which nothing is stored any more whose ends are remembered."""


@dataclass(slots=True)
class Run:
    """Records `begin .. end - 1` of the ring are one uninterrupted run of a boot."""

    boot: int
    begin: int
    end: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A stretch with consecutive indices: first index, samples (n, 6) int16, ticks (n,) u64."""

    boot: int
    first: int
    samples: NDArray[np.int16]
    ticks: NDArray[np.uint64]


class FlashRing:
    """capacity: samples. Full, the oldest are overwritten and `overwritten` is set until the next `free`."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.overwritten = False
        self.runs: list[Run] = []
        self.emptied: dict[int, int] = {}
        """Boot -> index after its last sample, of boots of which all was overwritten before it was freed."""
        self._next = 0
        self._samples = np.zeros((capacity, CHANNELS), dtype=np.int16)
        self._ticks = np.zeros(capacity, dtype=np.uint64)
        self._index = np.zeros(capacity, dtype=np.int64)

    def open_run(self, boot: int) -> None:
        """The samples written from now on are a run of their own."""
        self._forget_empty()
        self.runs.append(Run(boot, self._next, self._next))

    def write(self, index: NDArray[np.int64], samples: NDArray[np.int16], ticks: NDArray[np.uint64]) -> None:
        """Append to the open run; index ascending."""
        self._note_emptied(self._next + index.size - self.capacity)
        if index.size > self.capacity:  # more than the ring holds: only the end of it survives anyway
            self.overwritten = True
            skipped = index.size - self.capacity
            self._next += skipped
            index, samples, ticks = index[skipped:], samples[skipped:], ticks[skipped:]
        at = np.arange(self._next, self._next + index.size) % self.capacity
        self._samples[at], self._ticks[at], self._index[at] = samples, ticks, index
        self._next += index.size
        self.runs[-1].end = self._next
        oldest = self._next - self.capacity
        for run in self.runs:
            if run.begin < oldest:
                self.overwritten |= run.end > run.begin
                run.begin = min(oldest, run.end)
        self._forget_empty()

    def used(self) -> float:
        """Share of the ring that holds samples not freed."""
        return sum(run.end - run.begin for run in self.runs) / self.capacity

    def oldest(self, boot: int) -> int | None:
        """Lowest index of a boot, None where nothing is stored."""
        held = [run.begin for run in self.runs if run.boot == boot and run.end > run.begin]
        return int(self._index[held[0] % self.capacity]) if held else None

    def span(self, run: Run) -> tuple[int, int, int]:
        """(first index, index after the last, tick of the first) of a run with samples."""
        first, last = run.begin % self.capacity, (run.end - 1) % self.capacity
        return int(self._index[first]), int(self._index[last]) + 1, int(self._ticks[first])

    def read(self, boot: int, first: int, count: int) -> Stored | None:
        """The first stored stretch within `first .. first + count - 1`; None where nothing of it is stored."""
        for run in self.runs:
            if run.boot != boot:
                continue
            low, high = self._record(run, first), self._record(run, first + count)
            if low == high:
                continue
            at = np.arange(low, high) % self.capacity
            jumps = np.flatnonzero(np.diff(self._index[at]) != 1)
            at = at[: int(jumps[0]) + 1] if jumps.size else at
            return Stored(boot, int(self._index[at[0]]), self._samples[at], self._ticks[at])
        return None

    def free(self, boot: int, up_to: int) -> None:
        """Forget everything of a boot below index `up_to`."""
        for run in self.runs:
            if run.boot == boot:
                run.begin = self._record(run, up_to)
        if self.emptied.get(boot, up_to + 1) <= up_to:
            del self.emptied[boot]
        self.overwritten = False
        self._forget_empty()

    def listed(self) -> list[tuple[int, int, int, int]]:
        """(boot, first index, index after the last, tick of the first) of what was not freed, oldest first.

        What is left of a boot that was overwritten as a whole is its end: first and after are equal, the tick 0.
        """
        held = [(run.boot, *self.span(run)) for run in self.runs if run.end > run.begin]
        boots = {boot for boot, *_ in held}
        return [(boot, end, end, 0) for boot, end in self.emptied.items() if boot not in boots] + held

    def _note_emptied(self, oldest: int) -> None:
        """Remember the end of each run that records below `oldest` take away."""
        for run in self.runs:
            if run.begin < run.end <= oldest:
                end = int(self._index[(run.end - 1) % self.capacity]) + 1
                self.emptied[run.boot] = max(end, self.emptied.pop(run.boot, 0))
        while len(self.emptied) > EMPTIED_KEPT:
            del self.emptied[next(iter(self.emptied))]

    def _record(self, run: Run, index: int) -> int:
        """The first record of a run whose index is not below `index`."""
        return run.begin + bisect.bisect_left(
            range(run.begin, run.end), index, key=lambda record: int(self._index[record % self.capacity])
        )

    def _forget_empty(self) -> None:
        self.runs = [run for run in self.runs[:-1] if run.end > run.begin] + self.runs[-1:]
