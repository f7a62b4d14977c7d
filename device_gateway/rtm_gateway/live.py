"""The live count: what the page shows while somebody exercises. Its own topic, QoS 0: lost without harm."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol
from uuid import UUID

import numpy as np

from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec
from rtm_signal.chunk import UNITS

EVERY_S: Final = 0.1
"""At most ten messages a second; a page draws no more."""


class Counter(Protocol):
    """`rtm_signal.streaming.LiveCounter`, as this module needs it."""

    def push(
        self, placement: str, t: np.ndarray, acc: np.ndarray, gyr: np.ndarray | None
    ) -> tuple[int, float | None]:
        """Samples of one sensor (s; m/s2; rad/s); returns (count, angle in degrees or None)."""
        ...


def load_counter() -> Callable[[str | None], Counter] | None:
    """Makes counters for an exercise; None where this installation has no live counter."""
    try:
        module = importlib.import_module("rtm_signal.streaming")
    except ImportError:
        return None
    made: Callable[[str | None], Counter] | None = getattr(module, "LiveCounter", None)
    return made


class Live:
    """Counts the open recording and publishes; silent where no counter is installed."""

    def __init__(
        self,
        publish: Callable[[Mapping[str, Any]], None],
        make_counter: Callable[[str | None], Counter] | None,
    ) -> None:
        self._publish = publish
        self._make_counter = make_counter
        self._recording: UUID | None = None
        self._counter: Counter | None = None
        self._said: tuple[int, float] = (-1, 0.0)

    def on_block(
        self,
        recording: UUID | None,
        exercise: str | None,
        placement: str,
        spec: StreamSpec,
        block: SampleBlock,
    ) -> None:
        """Samples that just arrived; those from a sensor's memory are history and not counted."""
        if self._make_counter is None or recording is None or block.flags & Flag.FLASH:
            return
        if recording != self._recording:
            self._recording, self._counter = recording, self._make_counter(exercise)
            self._said = (-1, 0.0)
        if self._counter is None:
            return
        names = [channel.name for channel in spec.channels]
        si = block.values * np.array([c.scale * UNITS[c.unit] for c in spec.channels])
        if not {"ax", "ay", "az"} <= set(names):
            return
        acc = si[:, [names.index(name) for name in ("ax", "ay", "az")]]
        has_gyr = {"gx", "gy", "gz"} <= set(names)
        gyr = si[:, [names.index(name) for name in ("gx", "gy", "gz")]] if has_gyr else None
        t = (block.first + np.arange(len(si))) / spec.rate_hz
        count, angle_deg = self._counter.push(placement, t, acc, gyr)
        self._say(recording, exercise, count, angle_deg)

    def _say(self, recording: UUID, exercise: str | None, count: int, angle_deg: float | None) -> None:
        now = time.monotonic()
        if count == self._said[0] and now - self._said[1] < EVERY_S:
            return
        self._said = (count, now)
        self._publish(
            {
                "recording": str(recording),
                "exercise": exercise,
                "count": count,
                "angle_deg": angle_deg,
                "t": time.time(),
            }
        )
