"""The live count: what the page shows while somebody exercises. Its own topic, QoS 0: lost without harm.

The same code counts on the server (`rtm_signal`); the server's result corrects this one. A sensor without a
gyroscope is not counted live; one that sends it as a stream of its own is, a frame later.

The angle is that of the joint where a sensor is worn on either side of it (`live_joint`), else the tilt of the one
that counts. It takes a tenth of a millisecond and is published at once. Counting learns the movement anew now and then,
which takes a sixth of a second of a core: it is done elsewhere (`background`), so that neither the angle nor the
radio waits for it, and a new count is a message of its own.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

import numpy as np

from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec
from rtm_gateway.live_joint import AXES, ClockOf, LiveJoint, no_clock
from rtm_gateway.motion_join import MotionJoin
from rtm_signal.catalogue import UnknownExercise
from rtm_signal.chunk import UNITS
from rtm_signal.orientation import StreamingOrientation
from rtm_signal.recording import FloatArray, RecordingError
from rtm_signal.streaming import LiveCounter

_log = logging.getLogger(__name__)

BLOCK_S: Final = 0.1
"""Samples are counted a tenth of a second at a time: what a page can show, and cheaper than one by one."""
_FILL_S: Final = 2.0
"""Lost samples are bridged with the last one for so long; a longer hole begins the count's clock anew."""
TILT: Final = "inclination"
"""The name of one sensor's angle, as in a result."""


Background = Callable[[Callable[[], None]], object]
"""Runs work in order, one after the other: a thread pool of one, or the caller itself."""


def at_once(work: Callable[[], None]) -> None:
    """The background of those who can wait."""
    work()


class Live:
    """Counts the open recording, one counter a sensor, and publishes the one that counts most.

    publish is called from the caller's thread and from the background's.
    """

    def __init__(
        self,
        publish: Callable[[Mapping[str, Any]], None],
        *,
        background: Background = at_once,
        clock_of: ClockOf = no_clock,
    ) -> None:
        self._publish = publish
        self._background = background
        self._clock_of = clock_of
        self._failure: Exception | None = None
        self._recording: UUID | None = None
        self._counters: _Counters = {}
        self._joins: dict[UUID, MotionJoin] = {}
        self._joint = LiveJoint(None, clock_of=clock_of, background=background)

    def on_block(
        self,
        recording: UUID | None,
        exercise: str | None,
        sensor: UUID,
        spec: StreamSpec,
        block: SampleBlock,
        *,
        placement: str | None = None,
    ) -> None:
        """Samples that just arrived; those from a sensor's memory are history and not counted.

        placement: where the sensor is worn; without it no joint is looked for. Raises what the counting raised in
        the background.
        """
        if self._failure is not None:
            raise self._failure
        if recording is None or block.flags & Flag.FLASH:
            return
        if recording != self._recording:
            self._recording = recording
            self._counters = {}
            self._joint = LiveJoint(exercise, clock_of=self._clock_of, background=self._background)
        joined = self._joins.setdefault(sensor, MotionJoin()).feed(spec, block)
        if joined is None:
            return
        spec, block = joined
        if sensor not in self._counters:
            self._counters[sensor] = _SensorCounter.make(exercise, spec)
        counter = self._counters[sensor]
        if counter is not None and placement is not None:
            self._joint.push(sensor, placement, spec, block)
        together = None if counter is None else counter.gather(block)
        if counter is None or together is None:
            return
        counter.turn(together)
        every = self._counters
        self._tell(every, self._joint, recording, exercise)
        joint = self._joint
        self._background(lambda: self._count(every, joint, counter, together, recording, exercise))

    def _count(
        self,
        every: _Counters,
        joint: LiveJoint,
        counter: _SensorCounter,
        samples: FloatArray,
        recording: UUID,
        exercise: str | None,
    ) -> None:
        """In the background; `every` is of the recording that these samples belong to."""
        try:
            before = _most(every).count
            counter.push(samples)
            if recording == self._recording and _most(every).count != before:
                self._tell(every, joint, recording, exercise)
        except Exception as error:  # told where the samples come from, so that one place decides what to do
            self._failure = error

    def _tell(self, every: _Counters, joint: LiveJoint, recording: UUID, exercise: str | None) -> None:
        most = _most(every)
        angle_deg = joint.angle_deg if joint.worn else most.angle_deg
        self._publish(
            {
                "recording": str(recording),
                "exercise": exercise,
                "count": most.count,
                "angle_deg": None if angle_deg is None else round(angle_deg, 1),
                "angle": joint.name if joint.worn else TILT,
                "t": time.time(),
            }
        )


class _SensorCounter:
    """One sensor's counter with what it asks of its caller: blocks, SI, no holes."""

    def __init__(self, counter: LiveCounter, spec: StreamSpec) -> None:
        names = [channel.name for channel in spec.channels]
        self._columns = [names.index(axis) for axis in AXES]
        channels = [spec.channels[column] for column in self._columns]
        self._scales = np.array([each.scale * UNITS[each.unit] for each in channels])
        self.count = 0
        self.angle_deg = 0.0
        self._counter = counter
        self._orientation = StreamingOrientation(spec.rate_hz)
        self._first_up: FloatArray | None = None
        self._rate_hz = spec.rate_hz
        self._need = max(round(spec.rate_hz * BLOCK_S), 1)
        self._pieces: list[FloatArray] = []
        self._held = 0
        self._next: tuple[int, int] | None = None  # boot, index
        self._last: FloatArray | None = None

    @staticmethod
    def make(exercise: str | None, spec: StreamSpec) -> _SensorCounter | None:
        """None where this stream cannot be counted live."""
        if not {channel.name for channel in spec.channels}.issuperset(AXES):
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

    def gather(self, block: SampleBlock) -> FloatArray | None:
        """Add a block; a tenth of a second of samples (n, 6) SI when there is one."""
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
            return None
        together = np.concatenate(self._pieces)
        self._pieces, self._held = [], 0
        return together

    def turn(self, samples: FloatArray) -> None:
        """The angle after these samples: tilt from the first."""
        w, x, y, z = self._orientation.update(samples[:, 3:], samples[:, :3])[-1]
        up = np.array([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)])
        if self._first_up is None:
            self._first_up = up
        self.angle_deg = float(np.degrees(np.arccos(np.clip(up @ self._first_up, -1.0, 1.0))))

    def push(self, samples: FloatArray) -> None:
        """Count these samples."""
        self.count = self._counter.push(samples[:, :3], samples[:, 3:]).count


_Counters = dict[UUID, _SensorCounter | None]


def _most(every: _Counters) -> _SensorCounter:
    """Whoever counts most; there is one, or nobody would ask."""
    counters = (each for each in tuple(every.values()) if each is not None)
    return max(counters, key=lambda counter: counter.count)
