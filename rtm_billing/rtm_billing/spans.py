"""Half-open spans of integers, united and subtracted: minutes are counted once, whoever was there.

A span is `(start, end)` with `start <= end`; the unit is the caller's (microseconds, or ordinals of dates).
Every function is O(n log n) and does not depend on the order of its input.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

Span = tuple[int, int]


def unite(spans: Iterable[Span]) -> list[Span]:
    """Sorted, disjoint, non-empty spans that cover the same points."""
    united: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


def length(united: Iterable[Span]) -> int:
    """Sum of the lengths; of disjoint spans, the measure of what they cover."""
    return sum(end - start for start, end in united)


def clip(span: Span, allowed: Sequence[Span]) -> list[Span]:
    """The parts of `span` inside `allowed` (sorted and disjoint, as `unite` gives them)."""
    start, end = span
    parts = []
    i = max(bisect_right(allowed, (start, start)) - 1, 0)
    while i < len(allowed) and allowed[i][0] < end:
        low, high = max(start, allowed[i][0]), min(end, allowed[i][1])
        if low < high:
            parts.append((low, high))
        i += 1
    return parts


def subtract(united: Sequence[Span], removed: Sequence[Span]) -> list[Span]:
    """What `united` covers and `removed` does not; both sorted and disjoint."""
    rest: list[Span] = []
    j = 0
    for start, end in united:
        at = start
        while j < len(removed) and removed[j][1] <= at:
            j += 1
        k = j
        while k < len(removed) and removed[k][0] < end:
            if removed[k][0] > at:
                rest.append((at, removed[k][0]))
            at = max(at, removed[k][1])
            k += 1
        if at < end:
            rest.append((at, end))
    return rest


def covers(united: Sequence[Span], span: Span) -> bool:
    """Whether one of the disjoint `united` spans holds the whole of `span`."""
    i = bisect_right(united, (span[0], 1 << 62)) - 1
    return i >= 0 and united[i][0] <= span[0] and span[1] <= united[i][1]
