"""One performance of an exercise: when each repetition happens, how large, and what goes on around it."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtm_firmware_sim.curve import Curve, Waver
from rtm_firmware_sim.motions import GAIT_BOB_M, GAIT_DEG, POSTURES, Key, Movement
from rtm_signal.catalogue import Exercise

FloatArray = NDArray[np.float64]

STRIDE_HZ = 0.9
SWAY_DEG, TREMOR_DEG, HANDLING_DEG = 0.6, 0.15, 35.0


@dataclass(frozen=True, slots=True)
class Effort:
    """How it is done; None: from the catalogue and the seed.

    tempo_s: one repetition without its hold and rest. amplitude_deg, hold_s, rest_s (after each repetition).
    variation: sd of tempo and amplitude from one repetition to the next, share. fatigue: share by which the
    last repetition is smaller and slower than the first. pauses: chance of a pause of 2 to 6 s after a
    repetition. partial: chance that a repetition stops at a third to two thirds. sets: the repetitions are
    spread over so many, with `set_rest_s` between them. sit_downs: those rests are spent sitting.
    """

    tempo_s: float | None = None
    amplitude_deg: float | None = None
    hold_s: float | None = None
    rest_s: float | None = None
    variation: float = 0.08
    fatigue: float = 0.1
    pauses: float = 0.05
    partial: float = 0.0
    sets: int = 1
    set_rest_s: float = 20.0
    sit_downs: bool = False


@dataclass(frozen=True, slots=True)
class Repetition:
    """The truth of one repetition; times in s of the recording, rom_deg its excursion. full: False for a
    partial one."""

    set: int
    start_s: float
    peak_s: float
    end_s: float
    hold_s: float
    rom_deg: float
    full: bool


class Performance:
    """Draws the course of events once; afterwards a pure function of time."""

    def __init__(
        self,
        entry: Exercise,
        how: Movement,
        repetitions: int,
        effort: Effort,
        rng: np.random.Generator,
        *,
        context: bool,
    ) -> None:
        self._how, self._effort, self._rng = how, effort, rng
        self._entry = entry
        self._main = Curve()
        self._posture, self._sitting = Curve(), Curve()
        self._gait = Curve()
        self._handling = {axis: Curve() for axis in "xyz"}
        self._stride_hz = STRIDE_HZ
        self._now = 0.0
        self._repetitions: list[Repetition] = []
        self._sway = {axis: Waver(rng, 0.1, 0.7) for axis in "xyz"}
        self._tremor = {
            segment: Waver(rng, 2.0, 5.0) for segment in ("upper_arm", "forearm", "thigh", "shank")
        }
        if context:
            self._arrive()
        self._take_posture()
        self._perform(repetitions)
        self._rest(1.5)
        if context:
            self._depart()
        self.duration_s = self._now
        self.repetitions = tuple(self._repetitions)

    # The course of events

    def _ramp(self, curve: Curve, value: float, seconds: float) -> None:
        curve.hold(self._now)
        self._now += seconds
        curve.to(self._now, value)

    def _rest(self, seconds: float) -> None:
        self._now += seconds

    def _arrive(self) -> None:
        """Put the sensors on, stand, walk to the mat, stand."""
        self._handle(self._rng.uniform(4.0, 7.0))
        self._rest(self._rng.uniform(1.5, 3.0))
        self._walk(self._rng.uniform(4.0, 7.0))
        self._rest(self._rng.uniform(1.5, 3.0))

    def _depart(self) -> None:
        """Stand up, walk away, take the sensors off."""
        if self._posture.value:
            self._ramp(self._posture, 0.0, 2.0)
        self._rest(1.0)
        self._walk(self._rng.uniform(3.0, 5.0))
        self._rest(1.0)
        self._handle(self._rng.uniform(3.0, 4.0))

    def _handle(self, seconds: float) -> None:
        """Fumble with the straps: each axis turns somewhere, stays a while, turns elsewhere, never twice alike."""
        end = self._now + seconds
        for curve in self._handling.values():
            at = self._now
            curve.hold(at)
            while (there := at + self._rng.uniform(0.4, 1.4)) < end:
                curve.to(there, HANDLING_DEG * float(np.clip(self._rng.normal(), -2.0, 2.0)))
                at = min(there + self._rng.exponential(0.4), end)
                curve.hold(at)
            curve.hold(end)
            curve.to(end + 0.8, 0.0)
        self._now = end + 0.8

    def _walk(self, seconds: float) -> None:
        self._ramp(self._gait, 1.0, 0.8)
        self._rest(seconds)
        self._ramp(self._gait, 0.0, 0.8)

    def _take_posture(self) -> None:
        self._rest(0.5)
        if POSTURES[self._how.posture]:
            self._ramp(self._posture, 1.0, 2.2)
        self._rest(1.5)

    def _perform(self, repetitions: int) -> None:
        sets = max(1, min(self._effort.sets, repetitions))
        for number in range(sets):
            share = repetitions // sets + (number < repetitions % sets)
            if number:
                self._between_sets()
            if self._how.gait:
                self._stride(number, share)
            else:
                self._one_set(number, share)

    def _between_sets(self) -> None:
        seconds = self._effort.set_rest_s
        if not self._effort.sit_downs:
            self._rest(seconds)
            return
        if self._posture.value:
            self._ramp(self._posture, 0.0, 1.8)
        self._ramp(self._sitting, 1.0, 1.6)
        self._rest(seconds)
        self._ramp(self._sitting, 0.0, 1.6)
        if POSTURES[self._how.posture]:
            self._ramp(self._posture, 1.0, 1.8)
        self._rest(1.0)

    def _stride(self, number: int, strides: int) -> None:
        """Walking as the exercise: whole strides at one pace."""
        if not strides:
            return
        self._stride_hz = 1.0 / self._tempo()
        start = np.ceil((self._now + 1.0) * self._stride_hz) / self._stride_hz
        self._gait.hold(self._now)
        self._gait.to(start, 1.0)
        for k in range(strides):
            begin = start + k / self._stride_hz
            end = begin + 1.0 / self._stride_hz
            inside = np.linspace(begin, end, 200)
            knee = self._walking(("shank", "y"), inside)
            self._repetitions.append(
                Repetition(
                    number,
                    float(begin),
                    float(inside[np.argmax(knee)]),
                    float(end),
                    0.0,
                    float(np.ptp(knee)),
                    True,
                )
            )
        self._now = float(start + strides / self._stride_hz)
        self._gait.hold(self._now)
        self._now += 1.0
        self._gait.to(self._now, 0.0)

    def _tempo(self) -> float:
        shortest, longest = self._entry.tempo_s
        if self._effort.tempo_s is not None:
            return self._effort.tempo_s
        if self._entry.counted == "holds":  # the catalogue's tempo then means the hold
            return 3.0
        return float(np.clip(np.sqrt(shortest * longest), shortest, 4.0))

    def _one_set(self, number: int, repetitions: int) -> None:
        effort, rng = self._effort, self._rng
        tempo = self._tempo()
        amplitude = self._entry.amplitude_deg if effort.amplitude_deg is None else effort.amplitude_deg
        hold, rest = self._hold(), self._between()
        down = 0.0
        if self._how.from_bent:
            self._ramp(self._main, amplitude, 2.0)
            self._rest(1.0)
            down = amplitude
        for k in range(repetitions):
            tired = effort.fatigue * k / max(1, repetitions - 1)
            vary = 1.0 + effort.variation * np.clip(rng.normal(size=2), -2.5, 2.5)
            full = rng.random() >= effort.partial
            share = 1.0 if full else rng.uniform(0.33, 0.66)
            size = amplitude * (1.0 - tired) * vary[0] * share
            seconds = max(0.3, tempo * (1.0 + tired) * vary[1])
            held = hold * max(0.2, 1.0 + 0.1 * rng.normal())
            self._one(number, down, -size if self._how.from_bent else size, seconds, held, full)
            pause = rng.uniform(2.0, 6.0) if rng.random() < effort.pauses else 0.0
            self._rest(rest + pause)
        if self._how.from_bent:
            self._ramp(self._main, 0.0, 2.0)

    def _hold(self) -> float:
        if self._effort.hold_s is not None:
            return self._effort.hold_s
        return self._entry.tempo_s[0] if self._entry.counted == "holds" else 0.2

    def _between(self) -> float:
        if self._effort.rest_s is not None:
            return self._effort.rest_s
        return 0.0 if self._entry.counted == "time" else 0.5

    def _one(self, number: int, base: float, size: float, seconds: float, held: float, full: bool) -> None:
        self._main.hold(self._now)
        start = self._now
        if self._how.swings:
            top, bottom = base + size / 2.0, base - size / 2.0
            self._ramp(self._main, top, 0.25 * seconds)
            peak = self._now
            self._ramp(self._main, bottom, 0.5 * seconds)
            self._ramp(self._main, base, 0.25 * seconds)
            held = 0.0
        else:
            self._ramp(self._main, base + size, 0.45 * seconds)
            self._rest(held)
            peak = self._now - held / 2.0
            self._ramp(self._main, base, 0.55 * seconds)
        self._repetitions.append(Repetition(number, start, peak, self._now, held, abs(size), full))

    # A function of time

    def _walking(self, key: Key, t: FloatArray) -> FloatArray:
        mean, first, phase, second = GAIT_DEG[key]
        angle = 2.0 * np.pi * (self._stride_hz * t - phase)
        return np.asarray(mean + first * np.sin(angle) - second * np.cos(2.0 * angle))

    def angle_deg(self, t: FloatArray) -> FloatArray:
        """The exercise's angle, degrees; of gait the knee's."""
        if self._how.gait:
            return self._walking(("shank", "y"), t) * self._gait(t)
        return self._main(t) * self._how.sign

    def angles(self, t: FloatArray, segments: Container[str]) -> Mapping[Key, FloatArray]:
        """What `skeleton.pose` needs: rad by (segment, axis), and ("root", "z") in m.

        segments: those whose angles are wanted; others may be left out.
        """
        total: dict[Key, FloatArray] = {}

        def add(key: Key, degrees: FloatArray) -> None:
            total[key] = total[key] + degrees if key in total else degrees

        main, posture, gait = self._main(t), self._posture(t), self._gait(t)
        for segment, axis, gain in self._how.drives:
            add((segment, axis), gain * main)
        for weight, name in ((posture, self._how.posture), (self._sitting(t), "sitting")):
            if np.any(weight):
                for key, degrees in POSTURES[name].items():
                    add(key, degrees * weight)
        if np.any(gait):
            for key in GAIT_DEG:
                add(key, self._walking(key, t) * gait)
            total["root", "z"] = GAIT_BOB_M * gait * np.sin(4.0 * np.pi * self._stride_hz * t)
        for axis, waver in self._sway.items():
            add(("pelvis", axis), SWAY_DEG * waver(t))
        for axis, curve in self._handling.items():
            add(("pelvis", axis), curve(t))
        for segment, waver in self._tremor.items():
            if segment in segments:
                add((segment, "x"), TREMOR_DEG * waver(t))
        return {key: value if key[0] == "root" else np.radians(value) for key, value in total.items()}
