"""The live counter: the repetition counter's twin for blocks of samples as they arrive.

Orientation, features, learning and tiling are those of the offline path, run on what has arrived so far. Now and
then the offline search looks at the last three quarters of a minute, says what is an exercise there and what is
walking, and counts it anew; in between only the last few repetitions are tiled, so that a block costs a millisecond
or two. Until a movement is known, excursions along its main direction are counted. Earlier sets of another movement
than the one repeated best and longest were handling or walking, and drop out. The offline result corrects the count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.signal import find_peaks, sosfilt, sosfilt_zi
from vqf import VQF

from rtm_signal import catalogue
from rtm_signal.features import Motion
from rtm_signal.features import motion as features_of
from rtm_signal.filters import sections
from rtm_signal.gait import walks
from rtm_signal.gravity import G
from rtm_signal.movement import Movement, same_axes
from rtm_signal.orientation import orient
from rtm_signal.recording import FloatArray, Recording, RecordingError
from rtm_signal.repetitions import LEAST_SAME_AXES, find_sets, learn, tiled_with
from rtm_signal.repetitions_prescribed import Prior, prior_of
from rtm_signal.segmentation import is_moving
from rtm_signal.time_grid import to_grid

Phase = Literal["rest", "out", "back"]

_RATE_HZ = 25.0
_LOW_PASS_HZ = 4.0
_TURN_TAU_S = 3.0
"""Time constant of the high-pass on the turn about the vertical: the causal stand-in for a mean over 8 s."""
_FIRST_LOOK_S = 5.0
"""Movement after which the first repetitions are looked for; each later look comes at 1.5 times as much."""
_NEXT_LOOK = 1.5
_LONG_REST_S = 6.0
"""Rest that ends a set: all of it is settled, and the next set is looked at afresh (it may be faster or
smaller)."""
_STILL_RAD_S = 0.12
"""Live, without the rest of the recording to compare with, slower than this is rest."""
_LEAST_NEWS = 1.05
"""At the end of a set it is looked at once more, where it has moved so much more since the last look."""
_AT_ONCE = 1.5
"""Usual repetitions within which a row begins with its set."""
_LOOK_BACK_S = 45.0
"""How much is learned from: a dozen repetitions; more would cost time and say nothing new."""
_EVERY_S = 0.24
"""Between two updates of the count: a quarter of a quick repetition, and the last half block of a recording."""
_KEEP = 3
"""Repetitions kept open at the end of the tiling; older ones are settled."""
_KEPT_S = 120.0
_MOVEMENTS = 16
"""As many different movements of one session are remembered."""
_MARGIN_S = 2.0
"""Before the first movement of a set, that belongs to it."""


@dataclass(frozen=True, slots=True)
class _Done:
    """The sets of one movement that are over. weight: how well and how long it was repeated."""

    count: int
    movement: Movement
    weight: float


@dataclass(frozen=True, slots=True)
class LiveState:
    """count: repetitions so far; angle_deg: tilt from the first sample; phase: of the movement now."""

    count: int
    angle_deg: float
    phase: Phase


class LiveCounter:
    """Counts one sensor's repetitions while they happen.

    exercise: a catalogue id or `generic`; rate_hz: of the samples; calibration: a recording of the same
    sensor
    worn alike, with `calibration_repetitions` in it, nominally. Samples lost on the way must be filled in by
    the caller (the gateway repeats the last one), since this counter has no clock.

    Raises: UnknownExercise; RecordingError for a rate that is no rate.
    """

    def __init__(
        self,
        exercise: str,
        rate_hz: float,
        *,
        calibration: Recording | None = None,
        calibration_repetitions: int | None = None,
    ) -> None:
        self._prior = prior_of(catalogue.get(exercise))
        if not np.isfinite(rate_hz) or not 8.0 <= rate_hz <= 2000.0:
            raise RecordingError(f"A sampling rate of {rate_hz:g} Hz cannot be counted live (8 to 2000).")
        self._rate_hz = rate_hz
        self._every = max(1, int(rate_hz // _RATE_HZ))
        self._step = self._every / rate_hz
        self._filter = VQF(1.0 / rate_hz)
        self._sos = sections((_LOW_PASS_HZ,), rate_hz)
        self._memory: FloatArray | None = None
        self._turn = 0.0
        self._arrived = 0
        self._rows = np.zeros((0, 8))
        self._dropped = 0
        self._first_up: FloatArray | None = None
        self._known = _learned(calibration, calibration_repetitions, self._prior)
        self._movement: Movement | None = self._known[0] if self._known else None
        self._weight = 0.0
        self._walks = False
        self._done: list[_Done] = []
        self._before = 0
        self._ends: list[int] = []
        self._settled_until, self._set_start = 0, 0
        self._looked_s = 0.0
        self._resting = True
        self._still = 0
        self._open = 0
        self._next_look_s = _FIRST_LOOK_S
        holds = self._prior is not None and self._prior.held
        self._long_rest_s = (
            max(_LONG_REST_S, self._prior.longest_s) if self._prior and holds else _LONG_REST_S
        )
        self._moved_s = 0.0
        self._updated = 0
        self._angle_deg = 0.0
        self._phase: Phase = "rest"

    def push(self, acc: FloatArray, gyr: FloatArray) -> LiveState:
        """Take a block of any size: acc (k, 3) m/s2, gyr (k, 3) rad/s; samples that are no numbers are
        held."""
        acc = np.ascontiguousarray(np.atleast_2d(acc), dtype=np.float64)
        gyr = np.ascontiguousarray(np.atleast_2d(gyr), dtype=np.float64)
        if acc.shape != gyr.shape or acc.ndim != 2 or acc.shape[1] != 3:
            raise RecordingError("A block holds as many accelerometer as gyroscope samples, three axes each.")
        sound = np.isfinite(acc).all(axis=1) & np.isfinite(gyr).all(axis=1)
        if not sound.all():
            if not sound.any():
                return self.state
            last = np.maximum.accumulate(np.where(sound, np.arange(len(acc)), int(np.argmax(sound))))
            acc, gyr = acc[last], gyr[last]
        if len(acc):
            self._take(acc, gyr)
            now = self._dropped + len(self._rows)
            if now - self._updated >= _EVERY_S / self._step:
                self._updated = now
                self._update()
        return self.state

    @property
    def state(self) -> LiveState:
        """What is known now."""
        return LiveState(self._before + len(self._ends) + self._open, self._angle_deg, self._phase)

    def _take(self, acc: FloatArray, gyr: FloatArray) -> None:
        """Orientation and features of a block, causal; every so-manieth row is kept."""
        out = self._filter.updateBatch(gyr, acc)
        w, x, y, z = out["quat6D"].T
        up = np.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], axis=1)
        if self._first_up is None:
            self._first_up = up[0]
        lift = np.einsum("ij,ij->i", acc, up) - G
        raw = np.column_stack([up, gyr - out["bias"], lift])
        if self._memory is None:
            self._memory = np.repeat(sosfilt_zi(self._sos)[:, :, None], raw.shape[1], axis=2) * raw[0]
        smooth, self._memory = sosfilt(self._sos, raw, axis=0, zi=self._memory)
        spin = np.einsum("ij,ij->i", smooth[:, :3], smooth[:, 3:6]) / self._rate_hz
        turn = self._leak(spin)
        rows = np.column_stack([smooth[:, :3], turn, smooth[:, 3:]])
        skip = -self._arrived % self._every
        self._arrived += len(rows)
        kept = rows[skip :: self._every]
        self._rows = np.concatenate([self._rows, kept])
        active = np.flatnonzero(np.linalg.norm(kept[:, 4:7], axis=1) > _STILL_RAD_S)
        self._moved_s += len(active) * self._step
        self._still = len(kept) - 1 - int(active[-1]) if len(active) else self._still + len(kept)
        self._angle_deg = float(np.degrees(np.arccos(np.clip(up[-1] @ self._first_up, -1.0, 1.0))))

    def _leak(self, spin: FloatArray) -> FloatArray:
        """First-order high-pass of the running sum of `spin`."""
        keep = float(np.exp(-1.0 / (_TURN_TAU_S * self._rate_hz)))
        one_pole = np.array([[1.0, 0.0, 0.0, 1.0, -keep, 0.0]])
        turn, _ = sosfilt(one_pole, spin, zi=np.array([[keep * self._turn, 0.0]]))
        self._turn = float(turn[-1])
        return np.asarray(turn)

    def _update(self) -> None:
        if len(self._rows) < 16:
            return
        if self._resting and self._still == 0:
            self._begin_set()
        if not self._resting:
            over = self._still * self._step > self._long_rest_s
            if self._moved_s >= self._next_look_s or (over and self._moved_s > _LEAST_NEWS * self._looked_s):
                self._look()
            elif self._movement is not None:
                self._tile(self._movement)
            if self._movement is None:
                self._open = 0 if self._walks else _excursions(self._motion(self._set_start))
            if over:
                self._end_set()
        self._phase = _phase(self._motion(self._dropped + max(0, len(self._rows) - 50)))
        self._forget()

    def _begin_set(self) -> None:
        """Movement after a long rest."""
        self._resting = False
        self._moved_s, self._next_look_s, self._looked_s = 0.0, _FIRST_LOOK_S, 0.0
        self._weight = 0.0
        now = self._dropped + len(self._rows)
        self._set_start = max(self._settled_until, now - round(_MARGIN_S / self._step), self._dropped)
        self._settled_until = self._set_start

    def _end_set(self) -> None:
        """A long rest: what was counted stands, as far as it is the exercise."""
        count = len(self._ends) + self._open
        if self._movement is not None and count:
            self._done = _joined([*self._done, _Done(count, self._movement, self._weight)])
        self._ends, self._open, self._walks, self._weight = [], 0, False, 0.0
        self._before = self._earlier()
        self._settled_until = self._dropped + len(self._rows)
        self._resting = True

    def _earlier(self) -> int:
        """Repetitions of the earlier sets that are of the movement repeated best and longest."""
        now = [] if self._movement is None else [_Done(0, self._movement, self._weight)]
        main = max([*self._done, *now], key=lambda one: one.weight, default=None)
        return 0 if main is None else sum(one.count for one in self._done if _alike(one, main))

    def _look(self) -> None:
        """Search what has arrived as the offline path does, and count it anew."""
        self._next_look_s, self._looked_s = _NEXT_LOOK * self._moved_s, self._moved_s
        now = self._dropped + len(self._rows)
        old = [end for end in self._ends if end <= now - round(_LOOK_BACK_S / self._step)]
        # One repetition that is settled stands before those that are looked for, so that the first has room.
        first = max([self._set_start, self._dropped, *old[-2:-1]])
        back = self._motion(first)
        found = find_sets(back, known=self._known, prior=self._prior)
        gait = self._prior is not None and self._prior.gait
        walked = [one for one in found.sets if not gait and walks(one, back)]
        sets = [one for one in found.sets if len(one.start_s) >= 2 and not any(one is w for w in walked)]
        if not sets:
            self._walks = found.walking or bool(walked)
            return
        current = sets[-1].movement
        self._movement = current
        weight = sum(one.fit**2 * float((one.end_s - one.start_s).sum()) for one in sets)
        self._weight = max(self._weight, weight)
        self._before = self._earlier()
        begins = round(float(sets[0].start_s[0]) / self._step)
        usual = current.duration_s / self._step
        if len(sets) == 1 and first == self._set_start and begins - first < _AT_ONCE * usual:
            # The set may have been cut in mid-movement: its first repetition is for the tiling to find.
            self._ends, self._settled_until = [], first
            self._tile(current)
            return
        known = old[-1] + usual / 2 if old else 0.0
        ends = [end for one in sets for s in one.end_s if (end := round(float(s) / self._step)) > known]
        self._ends, self._open = old + ends, 0
        # What the search left out stays out, but for a repetition that is not over yet.
        self._settled_until = max([begins, *self._ends[-1:], now - round(_AT_ONCE * usual)])

    def _tile(self, movement: Movement) -> None:
        """Count the repetitions since the last settled one, and settle all but the last few."""
        part = self._motion(self._settled_until)
        if len(part.t) < 8:
            return
        start, end = tiled_with(part, is_moving(part), movement)
        self._open = len(start)
        if len(start) > 2 * _KEEP:
            settled = [round(float(one) / self._step) for one in end[:-_KEEP]]
            self._ends += settled
            self._open -= len(settled)
            self._settled_until = settled[-1]

    def _forget(self) -> None:
        """Drop rows that are settled and old: memory stays bounded however long it runs."""
        if len(self._rows) > 2 * _KEPT_S / self._step:
            drop = len(self._rows) - round(_KEPT_S / self._step)
            self._rows = self._rows[drop:]
            self._dropped += drop

    def _motion(self, first: int) -> Motion:
        """Features from row `first` on, counted from the very first."""
        first = max(first, self._dropped)
        rows = self._rows[first - self._dropped :]
        t = np.asarray((first + np.arange(len(rows))) * self._step, dtype=np.float64)
        rate = rows[:, 4:7]
        speed = np.asarray(np.linalg.norm(rate, axis=1), dtype=np.float64)
        return Motion(t, 1.0 / self._step, rows[:, :4], rate, speed, rows[:, 7:])


def _alike(one: _Done, other: _Done) -> bool:
    return same_axes(one.movement, other.movement) > LEAST_SAME_AXES


def _joined(done: Sequence[_Done]) -> list[_Done]:
    """The last one taken together with those about the same axes; only the weightiest movements are remembered."""
    last = done[-1]
    mine = [one for one in done if _alike(one, last)]
    shown = max(mine, key=lambda one: one.weight).movement
    together = _Done(sum(one.count for one in mine), shown, sum(one.weight for one in mine))
    rest = [one for one in done if not any(one is m for m in mine)]
    return sorted([*rest, together], key=lambda one: -one.weight)[:_MOVEMENTS]


def _learned(calibration: Recording | None, nominal: int | None, prior: Prior | None) -> Sequence[Movement]:
    if calibration is None or not calibration.sensors:
        return ()
    grid = to_grid(calibration)
    sensor = next(iter(grid.sensors.values()))
    return () if sensor.gyr is None else learn(features_of([orient(sensor)]), nominal, prior)


def _excursions(motion: Motion) -> int:
    """Out-and-back movements along the main direction so far: the count before the movement is known."""
    posture = motion.posture - motion.posture.mean(axis=0)
    _, _, axes = np.linalg.svd(posture, full_matrices=False)
    along = posture @ axes[0]
    size = float(np.ptp(along))
    if size < np.radians(10.0):
        return 0
    peaks = [len(find_peaks(side, prominence=0.45 * size)[0]) for side in (along, -along)]
    return min(peaks)


def _phase(motion: Motion) -> Phase:
    if float(motion.speed[-5:].mean()) < 0.15:
        return "rest"
    distance = np.linalg.norm(motion.posture - motion.posture[0], axis=1)
    return "out" if distance[-1] >= distance[-5] else "back"
