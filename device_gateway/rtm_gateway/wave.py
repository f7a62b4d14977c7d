"""Wave to identify: which of several sensors is being moved, judged from what they send. Never guesses.

Only the accelerometer is looked at, since every wearable has one: like is compared with like. A second of samples
gives one figure, the standard deviation of the specific force. A single knock is one second; a wave is several.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable
from dataclasses import dataclass
from enum import Enum
from typing import Final, Generic, TypeVar

import numpy as np

from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec, Values
from rtm_signal.chunk import UNITS

WAVE_S: Final = 3
"""Seconds in a row that must agree: longer than a knock or the lifting of a sensor."""
MOVED: Final = 1.5
"""m/s2, standard deviation within a second: a waved sensor has 3 to 20, a worn one at rest below 0.2."""
APART: Final = 3.0
"""The winner moves so many times as much as any other, in each of the seconds."""
SILENT_NS: Final = 2_500_000_000
"""A sensor of which nothing came for so long may have moved unseen."""

Key = TypeVar("Key", bound=Hashable)


class Verdict(Enum):
    """What can be said of the last seconds."""

    ONE = "one"
    """Exactly one sensor moved."""
    NONE = "none"
    SEVERAL = "several"
    SILENT = "silent"
    """One moved, but another sent nothing: it may have moved as well."""
    EARLY = "early"
    """Too little has come from any sensor."""


@dataclass(frozen=True, slots=True)
class Judgement(Generic[Key]):
    """The verdict; `sensors` are those it is about: the one that moved, the several, or the silent."""

    verdict: Verdict
    sensors: tuple[Key, ...] = ()


class _Seconds:
    """One sensor's last seconds."""

    def __init__(self) -> None:
        self.moved: deque[float] = deque(maxlen=WAVE_S)
        self.heard_ns: int | None = None
        self._pieces: list[Values] = []
        self._count = 0

    def feed(self, spec: StreamSpec, block: SampleBlock) -> None:
        axes = [
            (i, c.scale * UNITS[c.unit]) for i, c in enumerate(spec.channels) if c.name in ("ax", "ay", "az")
        ]
        if not axes:
            return
        self.heard_ns = block.arrival_ns
        self._pieces.append(block.values)
        self._count += len(block.values)
        if self._count < max(round(spec.rate_hz), 2):
            return
        second = np.concatenate(self._pieces).astype(np.float64)
        self._pieces.clear()
        self._count = 0
        self.moved.append(float(np.sqrt(sum(np.var(second[:, i] * scale) for i, scale in axes))))


class WaveWatch(Generic[Key]):
    """Watches several sensors from now on; `judge` as often as you like."""

    def __init__(self, sensors: tuple[Key, ...]) -> None:
        self._seconds = {sensor: _Seconds() for sensor in sensors}

    def feed(self, sensor: Key, spec: StreamSpec, block: SampleBlock) -> None:
        """Samples that just arrived; history from a sensor's memory says nothing about now."""
        if not block.flags & Flag.FLASH and sensor in self._seconds:
            self._seconds[sensor].feed(spec, block)

    def judge(self, now_ns: int) -> Judgement[Key]:
        """What the last seconds say. now_ns: the monotonic clock of the blocks' arrivals."""
        whole = {key: list(each.moved) for key, each in self._seconds.items() if len(each.moved) == WAVE_S}
        if not whole:
            return Judgement(Verdict.EARLY)
        moving = tuple(key for key, moved in whole.items() if min(moved) > MOVED)
        if not moving:
            return Judgement(Verdict.NONE)
        first = max(moving, key=lambda key: min(whole[key]))
        rivals = tuple(
            key
            for key, each in self._seconds.items()
            if key != first and any(other * APART > mine for other, mine in _beside(each.moved, whole[first]))
        )
        if rivals:
            return Judgement(Verdict.SEVERAL, (first, *rivals))
        silent = tuple(
            key
            for key, each in self._seconds.items()
            if each.heard_ns is None or now_ns - each.heard_ns > SILENT_NS or not each.moved
        )
        if silent:
            return Judgement(Verdict.SILENT, silent)
        return Judgement(Verdict.ONE, (first,))


def _beside(other: deque[float], mine: list[float]) -> list[tuple[float, float]]:
    """Every second of the one against the other's weakest: they do not begin at the same instant."""
    return [(each, min(mine)) for each in other]
