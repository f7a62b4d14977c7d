"""Accuracy on the simulated body: every exercise of the catalogue, with a prescription, untrimmed.

Each entry is performed as a patient does at home: sensors are put on and taken off, the patient walks and
idles before and after, sets are short or long, quick or slow. The truth (every repetition's start, turning
point, end, hold and excursion) is the simulator's. Run: `python validation/synthetic.py [--seeds N]
[--exercise ID]`; `score()` gives the rows of docs/validation.md.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from validation.rows import Row, line, median, share

from rtm_firmware_sim.body import Motion, exercise
from rtm_firmware_sim.performance import Effort
from rtm_signal.analysis import analyze
from rtm_signal.catalogue import EXERCISES, Exercise
from rtm_signal.recording import Recording, SensorRecording
from rtm_signal.result import Analysis
from rtm_signal.result import Repetition as Counted

FloatArray = NDArray[np.float64]
RATE_HZ = 50.0
SEEDS = (0, 1, 2)
CALIBRATION_REPETITIONS = 3
CALIBRATION_SEED = 1000
"""The calibration is another performance: its seed is this plus the session's."""
SHORT_CYCLE_S = 3.0
"""Entries counted in time whose cycle may be shorter are cyclic (pedalling, walking), others are held."""
TIME_FACTOR = 4
"""A session of those holds so many times the repetitions of others."""


@dataclass(frozen=True, slots=True)
class Case:
    """One analysis: what was done, how it was recorded, what came out. of: `one` or `pair` of sensors."""

    entry: Exercise
    seed: int
    context: bool
    of: str
    calibrated: bool
    motion: Motion
    result: Analysis

    @property
    def mine(self) -> list[Counted]:
        return [r for s in self.result.sets for r in s.repetitions]

    @property
    def off(self) -> int:
        return self.result.repetitions - len(self.motion.repetitions)


def session(entry: Exercise, seed: int, *, context: bool) -> Motion:
    """A session of one exercise; the seed chooses its dose: ten usual, five quick or two slow sets of six."""
    shortest, longest = entry.tempo_s
    count, effort = (
        (10, Effort()),
        (5, Effort(tempo_s=1.25 * shortest)),
        (12, Effort(tempo_s=min(5.0, 0.6 * longest), sets=2, hold_s=1.0)),
    )[seed % 3]
    if entry.counted == "holds":
        effort = Effort(sets=effort.sets)
    if entry.counted == "time":
        effort, count = Effort(), count * (TIME_FACTOR if shortest < SHORT_CYCLE_S else 1)
    return _performed(entry, count, seed, effort, context=context)


def calibration(entry: Exercise, seed: int, worn_as: Motion, *, context: bool) -> Recording:
    """Three supervised repetitions on another occasion, sensors worn as in `worn_as`."""
    other = _performed(entry, CALIBRATION_REPETITIONS, seed + CALIBRATION_SEED, Effort(), context=context)
    sensors = {}
    for name, sensor in other.recording.sensors.items():
        turn = other.mounting[name].T @ worn_as.mounting[name]
        assert sensor.gyr is not None
        sensors[name] = SensorRecording(sensor.t, sensor.acc @ turn, sensor.gyr @ turn)
    return Recording(sensors)


def _performed(entry: Exercise, count: int, seed: int, effort: Effort, *, context: bool) -> Motion:
    return exercise(entry.id, repetitions=count, rate_hz=RATE_HZ, seed=seed, effort=effort, context=context)


def main_placement(entry: Exercise, motion: Motion) -> str:
    """Where one sensor is worn: on the segment of the joint that turns most."""
    inside = _within(motion)
    turning = {name: float(np.mean(motion.felt[name].gyr[inside] ** 2)) for name in entry.joint_placements}
    return max(turning, key=lambda name: turning[name])


def _within(motion: Motion) -> NDArray[np.bool_]:
    first, last = motion.repetitions[0].start_s, motion.repetitions[-1].end_s
    return np.asarray((motion.t >= first) & (motion.t <= last))


def cases(
    seeds: Iterable[int] = SEEDS,
    entries: Iterable[Exercise] | None = None,
    said: Callable[[Case], None] = lambda _: None,
) -> list[Case]:
    """Every entry and seed, with context and without, one sensor and the pair, each also with a calibration
    (of the pair and of the one sensor in turn, by seed)."""
    out = []
    for entry in EXERCISES.values() if entries is None else entries:
        for seed in seeds:
            for context in (True, False):
                motion = session(entry, seed, context=context)
                one = main_placement(entry, motion)
                worn = {"pair": entry.joint_placements, "one": (one,)}
                for of, names in worn.items():
                    for calibrated in (False, True):
                        if calibrated and (seed % 2 == 0) == (of == "pair"):
                            continue
                        case = _analysed(entry, seed, motion, names, of, context, calibrated)
                        said(case)
                        out.append(case)
    return out


def _analysed(
    entry: Exercise,
    seed: int,
    motion: Motion,
    names: Sequence[str],
    of: str,
    context: bool,
    calibrated: bool,
) -> Case:
    known: dict[str, Any] = {}
    if calibrated:
        shown = calibration(entry, seed, motion, context=context)
        known = {
            "calibration": Recording({n: shown.sensors[n] for n in names}),
            "calibration_repetitions": CALIBRATION_REPETITIONS,
        }
    recording = Recording({n: motion.recording.sensors[n] for n in names})
    return Case(entry, seed, context, of, calibrated, motion, analyze(recording, entry.id, **known))


def rows_of(all_cases: Sequence[Case]) -> list[Row]:
    """The goal table's rows on the simulated body."""
    rows = []
    counted = [c for c in all_cases if c.entry.counted != "time"]
    for calibrated, way in ((False, "prescription"), (True, "prescription and calibration")):
        for context, where in ((True, "untrimmed, walking and handling around"), (False, "nothing around")):
            mine = [c for c in counted if c.calibrated == calibrated and c.context == context]
            if not mine:
                continue
            name = f"simulated body, {way}, {where}"
            off = np.abs([c.off for c in mine])
            rows.append(share(f"{name}: counted exactly", off == 0, 95))
            rows.append(share(f"{name}: counted within one", off <= 1, 100 if calibrated else 98))
            rows.append(share(f"{name}: F1 of repetitions in place", [f1(c) for c in mine], 95))
            held = [_range_holds(c) for c in mine]
            rows.append(share(f"{name}: count ranges that hold the truth", held, 90))
    timed = [c for c in all_cases if c.entry.counted == "time"]
    if timed:
        rows.append(
            share("simulated body, counted in time: time within 10 %", [time_off(c) < 0.1 for c in timed], 95)
        )
    for of, what in (("one", "inclination of one sensor"), ("pair", "joint of two sensors")):
        said = [c.result.rom_deg.median is not None for c in counted if c.of == of]
        if said:
            rows.append(share(f"simulated body, range of motion of the {what}: said, not withheld", said, 90))
        errors = [e for c in counted if c.of == of and (e := rom_error_deg(c)) is not None]
        if errors:
            rows.append(
                median(f"simulated body, range of motion of the {what}: median error", errors, 5, "deg")
            )
    error = np.concatenate([timing_errors(case) for case in counted] or [np.zeros((0, 4))])
    for column, (what, goal) in enumerate(
        (("start", 0.15), ("turning point", 0.15), ("end", 0.15), ("hold time", 0.2))
    ):
        if len(error):
            rows.append(median(f"simulated body, {what}: median error", error[:, column], goal))
    return rows


def score(seeds: Iterable[int] = SEEDS) -> list[Row]:
    """All rows."""
    return rows_of(cases(seeds))


def f1(case: Case) -> float:
    """Of repetitions that overlap a true one by more than half of their union (Jaccard 1912)."""
    true = np.array([[r.start_s, r.end_s] for r in case.motion.repetitions]).reshape(-1, 2)
    mine = np.array([[r.start_s, r.end_s] for r in case.mine]).reshape(-1, 2)
    if not len(mine):
        return 0.0
    hit = _overlap(true, mine) > 0.5
    return float((hit.any(axis=1).sum() + hit.any(axis=0).sum()) / (len(true) + len(mine)))


def time_off(case: Case) -> float:
    """Relative error of the time spent in sets."""
    true = sum(
        max(r.end_s for r in case.motion.repetitions if r.set == number)
        - min(r.start_s for r in case.motion.repetitions if r.set == number)
        for number in {r.set for r in case.motion.repetitions}
    )
    mine = sum(s.end_s - s.start_s for s in case.result.sets)
    return abs(mine - true) / true


def rom_error_deg(case: Case) -> float | None:
    """Of the session's median, where a range of motion was said: of the joint the exercise's, of one sensor
    that of its true inclination."""
    said = case.result.rom_deg.median
    if said is None:
        return None
    if case.of == "pair":
        return abs(said - float(np.median([r.rom_deg for r in case.motion.repetitions])))
    assert case.result.angle is not None
    return abs(said - true_tilt_deg(case.motion, case.result.angle.of[0]))


def true_tilt_deg(motion: Motion, name: str) -> float:
    """Median over the repetitions of the largest angle between two directions of a segment, degrees."""
    w, x, y, z = motion.felt[name].orientation.T
    up = np.column_stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)])
    tilts = []
    for r in motion.repetitions:
        first, last = np.searchsorted(motion.t, [r.start_s, r.end_s])
        part = up[first : last + 1]
        tilts.append(_widest(part))
    return float(np.degrees(np.median(tilts)))


def _widest(up: FloatArray) -> float:
    """Largest angle between two directions of a course, rad."""
    few = up[:: max(1, len(up) // 60)]
    return float(np.arccos(np.clip(few @ few.T, -1, 1)).max())


def timing_errors(case: Case) -> FloatArray:
    """(k, 4) s: start, turning point, end, hold of the true repetitions that were found in place."""
    out = []
    for r in case.motion.repetitions:
        near = [m for m in case.mine if _overlap(_span(r), _span(m))[0, 0] > 0.5]
        for m in near[:1]:
            hold = 0.0 if m.hold_s is None else m.hold_s
            out.append([m.start_s - r.start_s, m.peak_s - r.peak_s, m.end_s - r.end_s, hold - r.hold_s])
    offsets: FloatArray = np.array(out, dtype=np.float64).reshape(-1, 4)
    return np.abs(offsets)


def _span(repetition: Any) -> FloatArray:
    return np.array([[repetition.start_s, repetition.end_s]])


def _overlap(some: FloatArray, others: FloatArray) -> FloatArray:
    """(k, m) intersection over union of spans (k, 2) and (m, 2)."""
    low = np.maximum(some[:, None, 0], others[None, :, 0])
    high = np.minimum(some[:, None, 1], others[None, :, 1])
    outer = np.maximum(some[:, None, 1], others[None, :, 1]) - np.minimum(
        some[:, None, 0], others[None, :, 0]
    )
    return np.asarray(np.clip(high - low, 0, None) / np.maximum(outer, 1e-9))


def _range_holds(case: Case) -> bool:
    low, high = case.result.repetitions_range
    return low <= len(case.motion.repetitions) <= high


def by_entry(all_cases: Sequence[Case]) -> list[str]:
    """One line an entry that was not always counted exactly: by how much each case is off."""
    off: dict[str, list[str]] = defaultdict(list)
    for c in all_cases:
        if c.off:
            way = f"{c.of}{'+calibration' if c.calibrated else ''}{'' if c.context else ' trimmed'}"
            off[c.entry.id].append(f"{c.off:+d} (seed {c.seed}, {way})")
    return [f"{name}: {', '.join(cases)}" for name, cases in off.items()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=len(SEEDS), help="performances of each exercise")
    parser.add_argument("--exercise", action="append", choices=list(EXERCISES), help="only this; repeatable")
    asked = parser.parse_args()
    entries = [EXERCISES[name] for name in asked.exercise] if asked.exercise else None
    all_cases = cases(range(asked.seeds), entries)
    for row in rows_of(all_cases):
        sys.stdout.write(line(row) + "\n")
    for text in by_entry(all_cases):
        sys.stdout.write(text + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
