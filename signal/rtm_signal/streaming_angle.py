"""The live joint angle: the twin of `rtm_signal.joint_angle` for blocks of samples as they arrive.

Now and then (a *look*) the offline estimators run over the last half minute: orientation, lever arms, axis, the
rotation between the sensors' frames. In between VQF carries each orientation on sample by sample, and the rotation
between the frames stays, since they turn against each other by less than a degree in that time. So a block costs
microseconds, and at each look the live angle is the offline one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rtm_signal import quaternion
from rtm_signal.alignment import Alignment, Neutral, align, neutral, neutral_rotation
from rtm_signal.angle import excursion_sign
from rtm_signal.joint_angle import FROM_EXTENSION, about_vertical, two_readings
from rtm_signal.lever_arm import Pair
from rtm_signal.orientation import StreamingOrientation, orient
from rtm_signal.recording import FloatArray, Recording, RecordingError
from rtm_signal.streaming_pair import PairBlock, PairGrid
from rtm_signal.time_grid import GriddedSensor, to_grid
from rtm_signal.uncertainty import joint_sigma

MEMORY_S = 30.0
"""What a look sees: several repetitions, and six of the windows in which the frames are compared."""
FIRST_LOOK_S = 3.0
"""Of samples, before the first look; each later one comes after 1.4 times as much, at most `LAST_LOOK_S`."""
CALIBRATED_LOOK_S = 1.0
"""The same, where a calibration has shown the axis: verticals and axis then tell how the frames stand."""
_NEXT_LOOK = 1.4
LAST_LOOK_S = 5.0
"""Between two looks in the long run: one window of the offline path."""
LEAST_TURN = np.radians(40.0)
"""Turning of the livelier sensor, summed over the time seen, below which its axis is not asked for."""
LOST_S = 0.5
"""A gap beyond it leaves the orientations unknown: they begin anew, and the angle waits for the next look."""
OVERLAP_S = 2.0
"""Two looks that share less cannot be compared."""
SAME_TURN = np.radians(3.0)
"""Two looks whose relative orientations differ by more, in shape, over what both saw have read the sensors in two ways:
nothing is shown until one confirms the last that was shown (0.2 degrees where they agree, 9 where not)."""
LOST_ZERO = "the angle cannot be followed from before: the movement shows too little how the sensors stand"
NOT_YET = "the joint's axis is not known yet: a few seconds of movement are needed"


@dataclass(frozen=True, slots=True)
class LiveAngle:
    """What a block brought.

    t: (m,) s, on the callers' clock, of the grid points that both sensors have reached; angle: (m,) rad, NaN where
    it cannot be said; sigma: rad, standard uncertainty; why: one sentence while there is no angle, else None.
    """

    t: FloatArray
    angle: FloatArray
    sigma: float
    why: str | None

    @property
    def latest_deg(self) -> float | None:
        """The newest angle, degrees; None while there is none."""
        known = self.angle[np.isfinite(self.angle)]
        return float(np.degrees(known[-1])) if len(known) else None


@dataclass(frozen=True, slots=True)
class _Known:
    """What the last look found.

    axis: (3,) in the proximal sensor's frame; turn: (4,) frame of the distal orientation to that of the proximal;
    start: (4,) proximal from distal where the angle is zero; sigma: rad.
    """

    axis: FloatArray
    turn: FloatArray
    start: FloatArray
    sigma: float


class LiveJointAngle:
    """The angle of one joint, live.

    of: the two placements, proximal first; rate_hz: of the grid, that of the sensors; joint: its name as in the
    catalogue (`knee_flexion`); pose: still in the neutral pose, where one was recorded; calibration: supervised
    repetitions, sensors worn alike: with it the angle is there from the first second. looks: whether `push` looks by
    itself; else the caller calls `look()` when `due` (from another thread if it likes, one at a time).
    Raises `RecordingError` for a rate outside 8 to 2000 Hz, or a pose or calibration without the two sensors.
    """

    def __init__(
        self,
        of: Sequence[str],
        rate_hz: float,
        *,
        joint: str = "joint",
        pose: Recording | None = None,
        calibration: Recording | None = None,
        looks: bool = True,
    ) -> None:
        if len(of) != 2 or of[0] == of[1]:
            raise RecordingError("A joint lies between two different sensors.")
        if not np.isfinite(rate_hz) or not 8.0 <= rate_hz <= 2000.0:
            raise RecordingError(f"A sampling rate of {rate_hz:g} Hz cannot be followed live (8 to 2000).")
        self.of = (of[0], of[1])
        self._rate_hz = rate_hz
        self._joint = joint
        self._looks = looks
        self._pose = _pose(pose, self.of)
        self._calibration = _calibration(calibration, self.of, self._pose)
        self._grid = PairGrid(rate_hz)
        self._known: _Known | None = None
        self._start: FloatArray | None = None
        self._axis: FloatArray | None = None
        self._seen: tuple[FloatArray, FloatArray] | None = None  # t (n,) and relative (n, 4) of the last look
        self._last = 0.0
        self._begin()

    def _begin(self) -> None:
        """Orientations and memory anew; axis, zero and sign stay."""
        biases = (None, None) if self._pose is None else (self._pose[0].bias, self._pose[1].bias)
        self._filters = [StreamingOrientation(self._rate_hz, bias=bias) for bias in biases]
        self._memory = np.zeros((0, 14))  # t, acc, gyr of the first, acc, gyr of the second, gap
        self._quat = (np.zeros((0, 4)), np.zeros((0, 4)))
        self._dropped = 0
        self._arrived = 0
        self._turned = 0.0
        self._doubt = NOT_YET
        first = FIRST_LOOK_S if self._calibration is None else CALIBRATED_LOOK_S
        self._next_look = round(first * self._rate_hz)
        self._known = None

    @property
    def due(self) -> bool:
        """Whether enough has arrived since the last look for another."""
        shown = self._calibration is not None or self._turned > LEAST_TURN
        return shown and self._arrived >= self._next_look

    def push(self, placement: str, t: FloatArray, acc: FloatArray, gyr: FloatArray) -> LiveAngle:
        """Take a block of one sensor: t (k,) s on a clock common to both, acc (k, 3) m/s2, gyr (k, 3) rad/s.

        Raises `RecordingError` for a placement that is none of the two, or for shapes that do not belong together.
        """
        if placement not in self.of:
            raise RecordingError(f"The sensor {placement} is none of {self.of[0]} and {self.of[1]}.")
        block = self._grid.push(self.of.index(placement), t, acc, gyr)
        if not len(block.t):
            return LiveAngle(block.t, block.t, 0.0, self._why)
        if self._lost(block):
            self._begin()
            sound = np.flatnonzero(block.gap)[-1:] + 1  # nothing of the gap is remembered
            block = block.after(int(sound[0]) if len(sound) else 0)
        quat = self._turn(block)
        if self._looks and self.due:
            self.look()
        angle = np.where(block.gap, np.nan, self._angle(quat))
        return LiveAngle(block.t, angle, 0.0 if self._known is None else self._known.sigma, self._why)

    def _lost(self, block: PairBlock) -> bool:
        """Whether more is missing than the orientations can be carried across."""
        jumped = len(self._memory) > 0 and float(block.t[0] - self._memory[-1, 0]) > LOST_S
        return jumped or int(block.gap.sum()) > LOST_S * self._rate_hz

    @property
    def _why(self) -> str | None:
        return self._doubt if self._known is None else None

    def _turn(self, block: PairBlock) -> tuple[FloatArray, FloatArray]:
        """Both orientations (m, 4) of a block, which the memory keeps."""
        both = zip(self._filters, block.gyr, block.acc, strict=True)
        first, second = (f.update(gyr, acc) for f, gyr, acc in both)
        rows = np.column_stack([block.t, block.acc[0], block.gyr[0], block.acc[1], block.gyr[1], block.gap])
        self._memory = np.concatenate([self._memory, rows])
        self._quat = (np.concatenate([self._quat[0], first]), np.concatenate([self._quat[1], second]))
        over = max(0, len(self._memory) - round(MEMORY_S * self._rate_hz))
        if over:
            self._memory, self._quat = self._memory[over:], (self._quat[0][over:], self._quat[1][over:])
            self._dropped += over
        self._arrived += len(rows)
        free = (np.sum((gyr - f.bias) ** 2, axis=1) for gyr, f in zip(block.gyr, self._filters, strict=True))
        self._turned += float(np.sqrt(np.maximum(*free)).sum()) / self._rate_hz
        return first, second

    def look(self) -> None:
        """Run the offline estimators over what is remembered, and take over what they find."""
        memory, quat, dropped = self._memory, self._quat, self._dropped
        rows = min(len(memory), len(quat[0]), len(quat[1]))
        memory, quat = memory[:rows], (quat[0][:rows], quat[1][:rows])
        arrived = self._arrived
        pair = self._oriented(memory)
        pairs = [pair] if self._calibration is None else [pair, self._calibration]
        alignments = align(pairs, self._pose)
        found = alignments[0]
        # The frames of VQF live are not those of the look: what must agree is how the sensors stand now.
        turns = quaternion.multiply(
            quaternion.multiply(quat[0], found.relative), quaternion.conjugate(quat[1])
        )[-max(1, round(0.5 * self._rate_hz)) :]
        turn = np.linalg.eigh(turns.T @ turns)[1][:, 3]
        carried = self._carried(memory[:, 0], found.relative) if dropped else None
        zero_lost = dropped > 0 and carried is None and self._pose is None and self._start is not None
        self._next_look = round(
            arrived + min(LAST_LOOK_S, (_NEXT_LOOK - 1.0) * arrived / self._rate_hz) * self._rate_hz
        )
        if zero_lost or (carried is not None and carried[1] > SAME_TURN):
            self._known, self._doubt = None, LOST_ZERO
            return
        self._seen = (memory[:, 0], found.relative)
        if self._pose is not None:
            self._start = neutral_rotation(found, self._pose)
        elif carried is None or self._start is None:
            self._start = found.relative[0]
        else:
            self._start = quaternion.multiply(carried[0], self._start)
        if carried is not None and self._axis is not None:
            self._axis = quaternion.rotate(carried[0], self._axis)
        axis = self._directed(alignments, from_start=dropped == 0)
        course = _about(axis, found.relative, self._start)
        if self._known is None or self._axis is None or axis @ self._axis < 0:
            self._last = float(course[-1] - 2 * np.pi * np.round(np.median(course) / (2 * np.pi)))
        self._axis = axis
        sigma, rom_sigma = joint_sigma(pair[0], pair[1], found)
        doubt = about_vertical(found, pair[0]) or two_readings(
            found, self._pose, float(np.ptp(course)), memory[:, 13] == 0, rom_sigma
        )
        self._doubt = NOT_YET if doubt is None else doubt
        self._known = None if doubt else _Known(axis, turn, self._start, float(np.median(sigma)))

    def _carried(self, t: FloatArray, relative: FloatArray) -> tuple[FloatArray, float] | None:
        """(4,) the turn from the last look's proximal frame to this one's, and how unlike it was, rad, median.

        Where the proximal segment stands still, no look can tell how the joint's axis lies about its vertical: each
        chooses, and the zero must be carried from one choice to the next by what both looks saw.
        """
        if self._seen is None:
            return None
        _, old, new = np.intersect1d(self._seen[0], t, assume_unique=True, return_indices=True)
        if len(new) < OVERLAP_S * self._rate_hz:
            return None
        turns = quaternion.multiply(relative[new], quaternion.conjugate(self._seen[1][old]))
        turn = np.linalg.eigh(turns.T @ turns)[1][:, 3]
        unlike = 2 * np.arccos(np.clip(np.abs(turns @ turn), 0.0, 1.0))
        return turn, float(np.median(unlike))

    def _directed(self, alignments: Sequence[Alignment], from_start: bool) -> FloatArray:
        """(3,) the proximal axis, so directed that the angle has its sign.

        from_start: the memory reaches back to the first sample, so that the sign is the offline path's; later it
        is kept.
        """
        axis = alignments[0].axis_proximal
        if self._axis is not None and not from_start:
            return axis * (1.0 if axis @ self._axis > 0 else -1.0)
        shown = alignments[-1]  # of the calibration, where there is one
        start = shown.relative[0] if self._pose is None else neutral_rotation(shown, self._pose)
        course = _about(axis, shown.relative, start)
        course -= 2 * np.pi * np.round(np.median(course) / (2 * np.pi))
        return axis * excursion_sign(course, largest=self._joint in FROM_EXTENSION)

    def _oriented(self, memory: FloatArray) -> Pair:
        t, gap = memory[:, 0], memory[:, 13] > 0
        unsaturated = np.zeros(len(t), dtype=bool)
        found = []
        for side in (0, 1):
            acc, gyr = memory[:, 1 + 6 * side : 4 + 6 * side], memory[:, 4 + 6 * side : 7 + 6 * side]
            bias = None if self._pose is None else self._pose[side].bias
            sensor = GriddedSensor(t, self._rate_hz, acc, gyr, None, gap, unsaturated, self._rate_hz)
            found.append(orient(sensor, bias=bias))
        return found[0], found[1]

    def _angle(self, quat: tuple[FloatArray, FloatArray]) -> FloatArray:
        known = self._known
        if known is None:
            return np.full(len(quat[0]), np.nan)
        relative = quaternion.multiply(
            quaternion.conjugate(quat[0]), quaternion.multiply(known.turn, quat[1])
        )
        angle = _about(known.axis, relative, known.start)
        angle += 2 * np.pi * np.round((self._last - angle[0]) / (2 * np.pi))
        self._last = float(angle[-1])
        return np.asarray(angle)


def _about(axis: FloatArray, relative: FloatArray, start: FloatArray) -> FloatArray:
    return quaternion.twist_angle(quaternion.multiply(relative, quaternion.conjugate(start)), axis)


def _gridded(recording: Recording, of: tuple[str, str], what: str) -> list[GriddedSensor]:
    if missing := [name for name in of if name not in recording.sensors]:
        raise RecordingError(f"The {what} holds no sensor {missing[0]}.")
    grid = to_grid(Recording({name: recording.sensors[name] for name in of}))
    return [grid.sensors[name] for name in of]


def _pose(pose: Recording | None, of: tuple[str, str]) -> tuple[Neutral, Neutral] | None:
    if pose is None:
        return None
    first, second = _gridded(pose, of, "pose")
    return neutral(first), neutral(second)


def _calibration(
    calibration: Recording | None, of: tuple[str, str], pose: tuple[Neutral, Neutral] | None
) -> Pair | None:
    if calibration is None:
        return None
    biases = (None, None) if pose is None else (pose[0].bias, pose[1].bias)
    first, second = (
        orient(sensor, bias=bias)
        for sensor, bias in zip(_gridded(calibration, of, "calibration"), biases, strict=True)
    )
    return first, second
