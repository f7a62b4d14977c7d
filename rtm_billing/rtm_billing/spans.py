"""Half-open spans of integers, united and subtracted: minutes are counted once, whoever was there.

A span is `(start, end)` with `start <= end`; the unit is the caller's (microseconds, or ordinals of dates).
Every function is O(n log n) and does not depend on the order of its input.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from operator import itemgetter

Span = tuple[int, int]
_start, _end = itemgetter(0), itemgetter(1)


def unite(spans: Iterable[Span]) -> list[Span]:
    """Sorted, disjoint, non-empty spans that cover the same points."""
    united: list[Span] = []
    for start, end in sorted(_not_empty(spans)):
        if united and start <= united[-1][1]:
            united[-1] = (united[-1][0], max(end, united[-1][1]))
        else:
            united.append((start, end))
    return united


def _not_empty(spans: Iterable[Span]) -> list[Span]:
    return [span for span in spans if span[0] < span[1]]


def length(united: Iterable[Span]) -> int:
    """Sum of the lengths; of disjoint spans, the measure of what they cover."""
    return sum(end - start for start, end in united)


def clip(span: Span, allowed: Sequence[Span]) -> list[Span]:
    """The parts of `span` inside `allowed` (sorted and disjoint, as `unite` gives them)."""
    start, end = span
    near = allowed[bisect_right(allowed, start, key=_end) : bisect_left(allowed, end, key=_start)]
    return _not_empty((max(start, low), min(end, high)) for low, high in near)


def subtract(united: Sequence[Span], removed: Sequence[Span]) -> list[Span]:
    """What `united` covers and `removed` does not; both sorted and disjoint."""
    rest: list[Span] = []
    for start, end in united:
        at = start
        for low, high in clip((start, end), removed):
            rest.append((at, low))
            at = high
        rest.append((at, end))
    return _not_empty(rest)


def covers(united: Sequence[Span], span: Span) -> bool:
    """Whether one of the disjoint `united` spans holds the whole of `span`."""
    return clip(span, united) == [span]
