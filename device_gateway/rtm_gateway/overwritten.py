"""What a sensor's memory no longer has: the holes in what came that no run of the memory covers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from rtm_gateway.drivers.driver import StoredRun
from rtm_gateway.link_event import Span
from rtm_gateway.unwrap import Coverage

StreamBoot = tuple[str, int]


def overwritten(
    have: Mapping[StreamBoot, Coverage], ends: Mapping[StreamBoot, int], runs: Iterable[StoredRun]
) -> list[Span]:
    """Spans that are neither here nor in a run, from a boot's index 0 on.

    have: what came, after the runs were fetched. ends: one past the highest index that had come of each
    boot when the memory was listed; what lies beyond it and beyond the runs may still be under way. A boot
    that was overwritten as a whole is listed by its end alone, if the memory tells it; else it ends, as far as
    anybody can know, with its last sample that came.
    """
    listed: dict[StreamBoot, Coverage] = {}
    reach = dict(ends)
    for run in runs:
        key = run.stream, run.boot
        listed.setdefault(key, Coverage()).add(run.first, run.next)
        reach[key] = max(reach.get(key, 0), run.next)
    gone: list[Span] = []
    for key, seen in have.items():
        memory = listed.get(key, Coverage())
        for first, stop in seen.missing(0, reach.get(key, 0)):
            gone += [Span(*key, low, high - 1) for low, high in memory.missing(first, stop)]
    return gone
