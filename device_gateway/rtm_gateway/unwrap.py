"""Counters that wrap, and the set of indices that have been seen."""

from __future__ import annotations

from bisect import bisect_right


def nearest(raw: int, bits: int, expected: int) -> int:
    """The non-negative integer nearest to `expected` whose low `bits` bits are `raw`.

    Right while the truth lies within half a wrap of what is expected.
    """
    span = 1 << bits
    value = expected + ((raw - expected + (span >> 1)) & (span - 1)) - (span >> 1)
    return value if value >= 0 else value + span


class Coverage:
    """A set of indices kept as disjoint half-open spans in ascending order."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, spans: list[tuple[int, int]] | None = None) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for first, end in spans or []:
            self.add(first, end)

    @property
    def spans(self) -> list[tuple[int, int]]:
        """The spans, first and end (exclusive)."""
        return list(zip(self._starts, self._ends, strict=True))

    @property
    def end(self) -> int:
        """One past the highest index, 0 when empty."""
        return self._ends[-1] if self._ends else 0

    def add(self, first: int, end: int) -> list[tuple[int, int]]:
        """Add first..end-1; returns the parts that were new."""
        starts, ends = self._starts, self._ends
        if end <= first:
            return []
        if not ends or first > ends[-1]:
            starts.append(first)
            ends.append(end)
            return [(first, end)]
        if first == ends[-1]:  # the usual case: the next samples
            ends[-1] = end
            return [(first, end)]
        new = self.missing(first, end)
        low = bisect_right(ends, first - 1)
        high = bisect_right(starts, end)
        if low < high:
            first, end = min(first, starts[low]), max(end, ends[high - 1])
        starts[low:high] = [first]
        ends[low:high] = [end]
        return new

    def missing(self, first: int, end: int) -> list[tuple[int, int]]:
        """The parts of first..end-1 that are not in the set."""
        holes: list[tuple[int, int]] = []
        at = first
        for place in range(bisect_right(self._ends, first), len(self._starts)):
            start, stop = self._starts[place], self._ends[place]
            if start >= end:
                break
            if start > at:
                holes.append((at, start))
            at = max(at, stop)
        if at < end:
            holes.append((at, end))
        return holes

    def forget_below(self, index: int) -> None:
        """Fill everything below `index`, so that old holes take no memory."""
        if index > 0:
            self.add(0, index)

    def __len__(self) -> int:
        """Number of spans."""
        return len(self._starts)
