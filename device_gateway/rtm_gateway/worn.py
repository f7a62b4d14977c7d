"""Are the sensors worn as they were? Compared with the first recording of the same exercise since the set-up.

The comparison is `rtm_signal.placement`'s, the one that also guards the server's range of motion: a sensor worn
alike turns about the same axis and holds the same mean inclination. Only clear contradictions count (60 degrees),
and only when two looks in a row agree: somebody who sits down between two repetitions wears nothing wrongly.
"""

from __future__ import annotations

import base64
import json
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

import numpy as np

from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec, Values
from rtm_gateway.motion import MotionWatch
from rtm_signal.chunk import UNITS
from rtm_signal.orientation import Orientation, orient
from rtm_signal.placement import misplaced
from rtm_signal.recording import FloatArray, RecordingError
from rtm_signal.time_grid import GriddedSensor

WINDOW_S: Final = 20.0
"""Looked at: three or more repetitions of most exercises."""
LOOKS: Final = 2
"""In a row that must agree."""
_MOVING: Final = 0.6
"""Share of the window's seconds in which each sensor moves: else it is not exercise that is compared."""
_DOMINANT: Final = 0.8
_TURNING: Final = 0.3
"""rad/s, root mean square: a sensor that turns less rests, one that turns more must do so about one axis. Walking
about, lying down and handling have no such axis; they are neither reference nor evidence."""
_RATE_HZ: Final = 25.0
_AXES: Final = ("ax", "ay", "az", "gx", "gy", "gz")


class Window:
    """One sensor's last seconds, with how much of them it moved."""

    def __init__(self, spec: StreamSpec) -> None:
        names = [channel.name for channel in spec.channels]
        self._columns = [names.index(axis) for axis in _AXES]
        self._scales = np.array(
            [spec.channels[i].scale * UNITS[spec.channels[i].unit] for i in self._columns]
        )
        self._rate_hz = spec.rate_hz
        self._motion = MotionWatch(spec)
        self._seconds: deque[bool] = deque(maxlen=round(WINDOW_S))
        self._blocks: deque[Values] = deque()
        self._held = 0
        self._second = 0

    @staticmethod
    def fits(spec: StreamSpec) -> bool:
        """Whether this stream can be judged: both sensors in it."""
        return {channel.name for channel in spec.channels}.issuperset(_AXES) and spec.rate_hz >= 8.0

    def feed(self, block: SampleBlock) -> None:
        """Add samples; those from a memory are history."""
        if block.flags & Flag.FLASH:
            return
        self._blocks.append(block.values)
        self._held += len(block.values)
        while self._held - len(self._blocks[0]) >= WINDOW_S * self._rate_hz:
            self._held -= len(self._blocks.popleft())
        self._second += len(block.values)
        moved = self._motion.feed(block)
        if self._second >= self._rate_hz:
            self._second = 0
            self._seconds.append(moved)

    @property
    def exercising(self) -> bool:
        """A whole window, most of it in movement."""
        whole = self._held >= WINDOW_S * self._rate_hz and len(self._seconds) == self._seconds.maxlen
        return whole and sum(self._seconds) >= _MOVING * len(self._seconds)

    def samples(self) -> FloatArray:
        """(n, 6) SI at 25 Hz or the sensor's own rate if lower: mean over as many samples."""
        values = np.concatenate(list(self._blocks))[:, self._columns] * self._scales
        every = max(1, int(self._rate_hz // _RATE_HZ))
        whole = len(values) // every * every
        return np.asarray(values[:whole].reshape(-1, every, 6).mean(axis=1), dtype=np.float64)

    @property
    def sample_rate_hz(self) -> float:
        """Of `samples`."""
        return self._rate_hz / max(1, int(self._rate_hz // _RATE_HZ))


class WornWatch:
    """The sensors of a gateway, each with its place.

    known: what `state` gave earlier. A reference is taken of each exercise when it is first seen with this set of
    sensors, two looks in a row agreeing; it holds until the next set-up.
    """

    def __init__(self, places: Mapping[UUID, str], known: bytes | None = None) -> None:
        self._places = dict(places)
        self._windows: dict[UUID, Window | None] = {}
        self._recording: UUID | None = None
        self._exercise: str | None = None
        self._said: deque[str | None] = deque(maxlen=LOOKS)
        self._before: dict[str, dict[str, Any]] | None = None
        self._references: dict[str, dict[str, Any]] = json.loads(known) if known else {}
        self.problem: str | None = None
        """What is wrong, one sentence; None where nothing is known to be."""

    def on_block(
        self,
        recording: UUID | None,
        exercise: str | None,
        sensor: UUID,
        spec: StreamSpec,
        block: SampleBlock,
    ) -> None:
        """Samples of a sensor. Without a named exercise there is nothing to compare with."""
        if recording != self._recording:
            self._recording, self._exercise = recording, exercise
            self._windows = {}
            self._said.clear()
            self._before = None
        if recording is None or exercise is None or sensor not in self._places:
            return
        if sensor not in self._windows:
            self._windows[sensor] = Window(spec) if Window.fits(spec) else None
        window = self._windows[sensor]
        if window is not None:
            window.feed(block)

    def look(self) -> bool:
        """Compare now; True when a new reference was taken, so that `state` should be kept.

        One sensor moves while another may rest (a shank in a thigh's exercise), so one that exercises is enough.
        """
        windows = {key: each for key, each in self._windows.items() if each is not None}
        exercise = self._exercise
        if exercise is None or not windows or len(windows) < len(self._places):
            return False
        if not any(window.exercising for window in windows.values()):
            return False
        samples = {key: window.samples() for key, window in windows.items()}
        if not _is_exercise(list(samples.values())):
            return False
        packed = {str(key): _packed(samples[key], windows[key].sample_rate_hz) for key in windows}
        reference = self._references.get(exercise)
        if reference is not None and set(reference) == set(packed):
            self._said.append(self._compare(packed, reference))
            if len(self._said) == LOOKS and len(set(self._said)) == 1:
                self.problem = self._said[-1]
            return False
        before, self._before = self._before, packed
        if before is None or self._compare(packed, before) is not None:
            return False
        self._references[exercise] = packed
        return True

    def _compare(self, now: Mapping[str, Any], then: Mapping[str, Any]) -> str | None:
        """What is different, in words; None where nothing clearly is."""
        names = [self._places[UUID(key)].replace("_", " ") for key in now]
        try:
            worn, reference = (
                [_unpacked(each) for each in now.values()],
                [_unpacked(then[key]) for key in now],
            )
        except RecordingError:
            return None
        return _in_words(misplaced(worn, reference, names), names)

    def state(self) -> bytes:
        """The references, to be kept over restarts."""
        return json.dumps(self._references).encode()


def _is_exercise(samples: Sequence[FloatArray]) -> bool:
    """Somebody turns about one axis, and nobody about several."""
    axes = 0
    for each in samples:
        gyr = each[:, 3:]
        powers = np.linalg.eigvalsh(gyr.T @ gyr / len(gyr))
        if powers.sum() < _TURNING**2:
            continue
        if powers[-1] < _DOMINANT * powers.sum():
            return False
        axes += 1
    return axes > 0


def _in_words(reason: str | None, names: list[str]) -> str | None:
    """The reason as the person at home should read it: without degrees, without a calibration."""
    if reason is None:
        return None
    if "swapped" in reason:
        return f"The sensors on your {' and your '.join(names)} seem to be swapped."
    wrong = [name for name in names if name in reason.partition(":")[0].split(" and ")]
    worn = " and your ".join(wrong or names)
    return f"The sensor on your {worn} sits differently from the first time: it may have slipped or turned."


def _orientation(samples: FloatArray, rate_hz: float) -> Orientation:
    n = len(samples)
    no = np.zeros(n, dtype=bool)
    return orient(
        GriddedSensor(np.arange(n) / rate_hz, rate_hz, samples[:, :3], samples[:, 3:], None, no, no, rate_hz)
    )


def _packed(samples: FloatArray, rate_hz: float) -> dict[str, Any]:
    return {"rate_hz": rate_hz, "samples": base64.b64encode(samples.astype("<f4").tobytes()).decode()}


def _unpacked(packed: Mapping[str, Any]) -> Orientation:
    samples = np.frombuffer(base64.b64decode(packed["samples"]), dtype="<f4").astype(np.float64)
    return _orientation(samples.reshape(-1, 6), float(packed["rate_hz"]))
