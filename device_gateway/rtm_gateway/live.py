"""The live count: what the page shows while somebody exercises. Its own topic, QoS 0: lost without harm.

The same code counts on the server (`rtm_signal`); the server's result corrects this one. A sensor without a
gyroscope, or one that sends it as a stream of its own, is not counted live.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

import numpy as np

from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec
from rtm_signal.catalogue import UnknownExercise
from rtm_signal.chunk import UNITS
from rtm_signal.recording import FloatArray, RecordingError
from rtm_signal.streaming import LiveCounter, LiveState

_log = logging.getLogger(__name__)

BLOCK_S: Final = 0.1
"""Samples are counted a tenth of a second at a time: what a page can show, and cheaper than one by one."""
_FILL_S: Final = 2.0
"""Lost samples are bridged with the last one for so long; a longer hole begins the count's clock anew."""
_AXES: Final = ("ax", "ay", "az", "gx", "gy", "gz")


class Live:
    """Counts the open recording, one counter a sensor, and publishes the one that counts most."""

    def __init__(self, publish: Callable[[Mapping[str, Any]], None]) -> None:
        self._publish = publish
        self._recording: UUID | None = None
        self._counters: dict[UUID, _SensorCounter | None] = {}

    def on_block(
        self,
        recording: UUID | None,
        exercise: str | None,
        sensor: UUID,
        spec: StreamSpec,
        block: SampleBlock,
    ) -> None:
        """Samples that just arrived; those from a sensor's memory are history and not counted."""
        if recording is None or block.flags & Flag.FLASH:
            return
        if recording != self._recording:
            self._recording = recording
            self._counters = {}
        if sensor not in self._counters:
            self._counters[sensor] = _SensorCounter.make(exercise, spec)
        counter = self._counters[sensor]
        if counter is None or not counter.feed(block):
            return
        most = max((each.state for each in self._counters.values() if each is not None), key=_count)
        self._publish(
            {
                "recording": str(recording),
                "exercise": exercise,
                "count": most.count,
                "angle_deg": round(most.angle_deg, 1),
                "t": time.time(),
            }
        )


class _SensorCounter:
    """One sensor's counter with what it asks of its caller: blocks, SI, no holes."""

    def __init__(self, counter: LiveCounter, spec: StreamSpec) -> None:
        names = [channel.name for channel in spec.channels]
        self._columns = [names.index(axis) for axis in _AXES]
        channels = [spec.channels[column] for column in self._columns]
        self._scales = np.array([each.scale * UNITS[each.unit] for each in channels])
        self._counter = counter
        self._rate_hz = spec.rate_hz
        self._need = max(round(spec.rate_hz * BLOCK_S), 1)
        self._pieces: list[FloatArray] = []
        self._held = 0
        self._next: tuple[int, int] | None = None  # boot, index
        self._last: FloatArray | None = None

    @staticmethod
    def make(exercise: str | None, spec: StreamSpec) -> _SensorCounter | None:
        """None where this stream cannot be counted live."""
        if not {channel.name for channel in spec.channels}.issuperset(_AXES):
            return None
        try:
            try:
                counter = LiveCounter(exercise or "generic", spec.rate_hz)
            except UnknownExercise:
                counter = LiveCounter("generic", spec.rate_hz)
        except RecordingError as error:
            _log.info("no live count: %s", error)
            return None
        return _SensorCounter(counter, spec)

    @property
    def state(self) -> LiveState:
        """The count and the angle so far."""
        return self._counter.state

    def feed(self, block: SampleBlock) -> bool:
        """Add a block; True when the counter has taken a tenth of a second."""
        si = block.values[:, self._columns] * self._scales
        if self._last is not None and self._next is not None:
            missing = block.first - self._next[1] if block.boot == self._next[0] else 0
            if 0 < missing <= _FILL_S * self._rate_hz:
                self._pieces.append(np.repeat(self._last, missing, axis=0))
                self._held += missing
        self._pieces.append(si)
        self._held += len(si)
        self._last, self._next = si[-1:], (block.boot, block.first + len(si))
        if self._held < self._need:
            return False
        together = np.concatenate(self._pieces)
        self._pieces, self._held = [], 0
        self._counter.push(together[:, :3], together[:, 3:])
        return True


def _count(state: LiveState) -> int:
    return state.count
