"""What goes wrong, when, and for whom: drawn from one seed."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

SENSOR_KINDS: Final[Mapping[str, float]] = {
    "link lost": 0.44,
    "out of range": 0.14,
    "sensor reboot": 0.14,
    "MTU changed": 0.14,
    "bond lost by sensor": 0.06,
    "half-open link": 0.04,
    "memory overflows": 0.04,
}
"""Faults of one sensor's link, with their share."""
HOME_KINDS: Final[Mapping[str, float]] = {
    "gateway kill -9": 0.34,
    "broker restart": 0.24,
    "server dies before commit": 0.12,
    "server dies before ack": 0.1,
    "adapter gone and back": 0.08,
    "bond lost by gateway": 0.06,
    "poison messages": 0.06,
}
"""Faults of what all sensors share, with their share."""
LINK_EVERY_S: Final = (20.0, 120.0)
"""Issue 4: link loss every 20 to 120 s of the recording's time."""
HOME_EVERY_S: Final = (40.0, 240.0)
EARLY: Final = ("memory overflows", "sensor reboot")
"""In a short campaign these come in its first half, so that what follows from them is seen."""


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """at_s: wall seconds after the campaign's beginning; sensor: its number, None for the home's; size: in 0..1."""

    at_s: float
    kind: str
    sensor: int | None
    size: float


def hour(seed: int, *, wall_s: float, speed: float, sensors: int) -> list[Fault]:
    """Faults as they come to a home, at their distances in the recording's time."""
    rng = random.Random(seed)  # noqa: S311 - a campaign, not a secret
    faults: list[Fault] = []
    lines = [(SENSOR_KINDS, LINK_EVERY_S, number) for number in range(sensors)]
    for kinds, every_s, sensor in [*lines, (HOME_KINDS, HOME_EVERY_S, None)]:
        at = rng.uniform(*every_s) / speed
        while at < wall_s:
            kind = rng.choices(list(kinds), list(kinds.values()))[0]
            faults.append(Fault(at, kind, sensor, rng.random()))
            at += rng.uniform(*every_s) / speed
    return sorted(faults)


def one_of_each(seed: int, *, wall_s: float, sensors: int, kinds: list[str]) -> list[Fault]:
    """The kinds in random order, spread over the time: a short campaign."""
    rng = random.Random(seed)  # noqa: S311 - a campaign, not a secret
    late = [kind for kind in kinds if kind not in EARLY]
    deck = rng.sample(late, len(late))
    for kind in (kind for kind in kinds if kind in EARLY):
        deck.insert(rng.randrange(1 + len(deck) // 2), kind)
    step = wall_s / max(len(deck), 1)
    return [
        Fault(
            (place + rng.random()) * step,
            kind,
            rng.randrange(sensors) if kind in SENSOR_KINDS else None,
            rng.random(),
        )
        for place, kind in enumerate(deck)
    ]
