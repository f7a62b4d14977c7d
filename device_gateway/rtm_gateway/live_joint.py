"""The live angle of a joint on whose two sides sensors are worn: the twin of what the server computes later.

Samples come sensor by sensor on clocks of their own. Each is laid onto the gateway's clock by the sensor's fit,
slewed by at most half a sample a block, so that time neither jumps nor runs back when the fit learns.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from itertools import permutations
from typing import Final
from uuid import UUID

import numpy as np

from rtm_gateway.clock import ClockFit
from rtm_gateway.drivers.driver import SampleBlock, StreamSpec
from rtm_signal.catalogue import EXERCISES
from rtm_signal.chunk import UNITS
from rtm_signal.recording import FloatArray, RecordingError
from rtm_signal.sensor_choice import segment
from rtm_signal.streaming_angle import LiveJointAngle

_log = logging.getLogger(__name__)

AXES: Final = ("ax", "ay", "az", "gx", "gy", "gz")
_STEP_S: Final = 0.25
"""Further off than this the time of a block is taken as it is: a sensor was away, or its clock began anew."""
_LOOK_LOST_S: Final = 15.0
"""The background may drop work; a look that has not ended by then is asked for again."""

ClockOf = Callable[[UUID, int], ClockFit | None]
Background = Callable[[Callable[[], None]], object]


def no_clock(sensor: UUID, boot: int) -> ClockFit | None:
    """Where no fit is known: samples are dated by their arrival."""
    del sensor, boot
    return None


def joint_of(placements: Iterable[str], exercise: str | None) -> tuple[tuple[str, str], str] | None:
    """(the two placements, proximal first; the angle's name) of a joint among these, None where there is none.

    Of an exercise only its own joint; without one, or for one nobody knows, any joint of the catalogue, as `joint`.
    """
    entry = None if exercise is None else EXERCISES.get(exercise)
    wanted = (
        {each.joint_placements for each in EXERCISES.values()} if entry is None else {entry.joint_placements}
    )
    for a, b in permutations(sorted(placements), 2):
        (side_a, segment_a), (side_b, segment_b) = segment(a), segment(b)
        if (segment_a, segment_b) in wanted and len({side_a, side_b} - {""}) < 2:
            return (a, b), "joint" if entry is None else entry.angle
    return None


class Dated:
    """One sensor's samples on the gateway's clock."""

    def __init__(self, sensor: UUID, clock_of: ClockOf) -> None:
        self._sensor = sensor
        self._clock_of = clock_of
        self._boot = -1
        self._next_index = 0
        self._next_t = 0.0

    def times(self, spec: StreamSpec, block: SampleBlock) -> FloatArray:
        """(k,) s on the gateway's monotonic clock."""
        count = len(block.values)
        said = self._said(spec, block, count)
        expected = self._next_t + (block.first - self._next_index) / spec.rate_hz
        off = said - expected
        if block.boot == self._boot and abs(off) < _STEP_S:
            half = 0.5 / spec.rate_hz
            said = expected + min(max(off, -half), half)
        t = said + np.arange(count) / spec.rate_hz
        self._boot, self._next_index = block.boot, block.first + count
        self._next_t = float(t[-1]) + 1.0 / spec.rate_hz
        return np.asarray(t)

    def _said(self, spec: StreamSpec, block: SampleBlock, count: int) -> float:
        fit = self._clock_of(self._sensor, block.boot)
        if fit is None:
            return block.arrival_ns / 1e9 - count / spec.rate_hz
        return fit.mono_ns(block.first if block.tick is None else block.tick)[0] / 1e9


class LiveJoint:
    """The joint's angle of one open recording. `push` in the loop's thread; estimators look in the background."""

    def __init__(self, exercise: str | None, *, clock_of: ClockOf = no_clock, background: Background) -> None:
        self._exercise = exercise
        self._clock_of = clock_of
        self._background = background
        self._dated: dict[str, Dated] = {}
        self._rates: dict[str, float] = {}
        self._joint: LiveJointAngle | None = None
        self._given_up = False
        self._looking_since: float | None = None
        self.name: str | None = None
        self.angle_deg: float | None = None

    @property
    def worn(self) -> bool:
        """Whether two sensors of a joint send: then the page shows its angle, or that it is not known yet."""
        return self._joint is not None

    def push(self, sensor: UUID, placement: str, spec: StreamSpec, block: SampleBlock) -> None:
        """Samples that just arrived, with all six axes."""
        if self._given_up:
            return
        try:
            self._push(sensor, placement, spec, block)
        except RecordingError as error:
            _log.info("no live joint angle: %s", error)
            self._given_up, self._joint, self.angle_deg = True, None, None

    def _push(self, sensor: UUID, placement: str, spec: StreamSpec, block: SampleBlock) -> None:
        if placement not in self._dated:
            self._dated[placement] = Dated(sensor, self._clock_of)
            self._rates[placement] = spec.rate_hz
            self._pair()
        t = self._dated[placement].times(spec, block)
        joint = self._joint
        if joint is None or placement not in joint.of:
            return
        names = [channel.name for channel in spec.channels]
        columns = [names.index(axis) for axis in AXES]
        scales = [spec.channels[column].scale * UNITS[spec.channels[column].unit] for column in columns]
        si = block.values[:, columns] * np.array(scales)
        now = joint.push(placement, t, si[:, :3], si[:, 3:])
        if now.latest_deg is not None:
            self.angle_deg = now.latest_deg
        elif now.why is not None or len(now.angle):
            self.angle_deg = None
        self._look(joint)

    def _pair(self) -> None:
        """Two sensors of a joint are worn: follow it from now on."""
        if self._joint is not None or (found := joint_of(self._dated, self._exercise)) is None:
            return
        of, self.name = found
        rate = min(self._rates[each] for each in of)
        self._joint = LiveJointAngle(of, rate, joint=self.name, looks=False)

    def _look(self, joint: LiveJointAngle) -> None:
        now = time.monotonic()
        if self._looking_since is not None and now - self._looking_since < _LOOK_LOST_S:
            return
        if not joint.due:
            return
        self._looking_since = now

        def look() -> None:
            try:
                if joint.due:
                    joint.look()
            except (RecordingError, np.linalg.LinAlgError) as error:
                _log.info("the joint's axis cannot be told from the last half minute: %s", error)
            finally:
                self._looking_since = None

        self._background(look)
