"""Accuracy of the counts: sets counted, repetitions found in place, timing on the synthetic body, live against
offline.

Run: `RTM_SHARED_DATA=... python validation/repetitions.py`. `score(folder)` gives the rows of
docs/validation.md.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from validation.counting_sets import CountingSet, shoulder_sets, therapy_sessions
from validation.shared_data import NOT_SET, data_dir

from rtm_firmware_sim.body import exercise
from rtm_signal.analysis import analyze
from rtm_signal.result import Analysis
from rtm_signal.streaming import LiveCounter

Row = dict[str, Any]
CALIBRATION_REPETITIONS = 3
BLOCK = 25
SYNTHETIC = ("biceps_curl", "squat", "shoulder_abduction", "heel_slide", "knee_extension_seated", "bridge")
SEEDS = (0, 1)


@dataclass(frozen=True, slots=True)
class Counted:
    """One set as counted; live: the live counter's last word; found: share of the labelled repetitions in
    place."""

    one: CountingSet
    calibrated: bool
    result: Analysis
    live: int
    found: float | None

    @property
    def off(self) -> int:
        return self.result.repetitions - self.one.repetitions


def count_all(folder: Path) -> list[Counted]:
    """Every set, with its calibration and without."""
    sets = [*shoulder_sets(folder), *therapy_sessions(folder)]
    return [_count(one, calibrated) for calibrated in (True, False) for one in sets]


def rows_of(counted: Sequence[Counted]) -> list[Row]:
    """The goal table's rows on counts."""
    rows = []
    for calibrated, name, exact, near in (
        (True, "with a calibration recording", 95, 100),
        (False, "generic, nothing known", 80, 95),
    ):
        mine = [c for c in counted if c.calibrated == calibrated]
        off = np.abs([c.off for c in mine])
        rows.append(_share(f"sets counted exactly, {name}", off == 0, exact))
        rows.append(_share(f"sets counted within one, {name}", off <= 1, near))
        found = np.array([c.found for c in mine if c.found is not None])
        rows.append(_share(f"true repetitions found in place (overlap above one half), {name}", found, 95))
        ranges = [c.result.repetitions_range for c in mine]
        held = np.array([r[0] <= c.one.repetitions <= r[1] for r, c in zip(ranges, mine, strict=True)])
        rows.append(_share(f"count ranges that hold the truth (90-99 %), {name}", held, 90))
    agree = np.array([abs(c.live - c.result.repetitions) <= 1 for c in counted])
    rows.append(_share("live count within one of the offline count", agree, 95))
    return rows


def by_subject(counted: Sequence[Counted]) -> list[tuple[str, int, bool, int, float, float]]:
    """(group, subject, calibrated, sets, % exact, % within one)."""
    out = []
    for key in sorted({(c.one.group, c.one.subject, c.calibrated) for c in counted}):
        off = np.abs([c.off for c in counted if (c.one.group, c.one.subject, c.calibrated) == key])
        out.append((*key, len(off), float(100 * np.mean(off == 0)), float(100 * np.mean(off <= 1))))
    return out


def timing_rows() -> list[Row]:
    """Start, turning point, end and hold against the synthetic body's truth, for recordings counted right."""
    errors, right = [], []
    for name in SYNTHETIC:
        for seed in SEEDS:
            motion = exercise(name, repetitions=10, rate_hz=50.0, seed=seed)
            result = analyze(motion.recording, name)
            mine = [r for s in result.sets for r in s.repetitions]
            right.append(len(mine) == len(motion.repetitions))
            if right[-1]:
                a, b = (
                    np.array([[r.start_s, r.peak_s, r.end_s, r.hold_s] for r in reps])
                    for reps in (mine, motion.repetitions)
                )
                errors.append(np.abs(a - b))
    error = np.concatenate(errors)
    rows = [_share("synthetic body with walking and handling around the set: counted exactly", right, 95)]
    for column, (what, goal) in enumerate(
        (("start", 0.15), ("turning point", 0.15), ("end", 0.15), ("hold time", 0.2))
    ):
        rows.append(_median(f"{what}, synthetic truth, median error", error[:, column], goal))
    return rows


def score(folder: Path) -> list[Row]:
    """All rows."""
    return rows_of(count_all(folder)) + timing_rows()


def _count(one: CountingSet, calibrated: bool) -> Counted:
    known: dict[str, Any] = {}
    if calibrated:
        known = {"calibration": one.calibration, "calibration_repetitions": CALIBRATION_REPETITIONS}
    result = analyze(one.recording, "generic", trimmed=one.trimmed, **known)
    counter = LiveCounter("generic", one.rate_hz, **known)
    sensor = next(iter(one.recording.sensors.values()))
    assert sensor.gyr is not None
    for first in range(0, len(sensor.t), BLOCK):
        counter.push(sensor.acc[first : first + BLOCK], sensor.gyr[first : first + BLOCK])
    return Counted(one, calibrated, result, counter.state.count, _found(one, result))


def _found(one: CountingSet, result: Analysis) -> float | None:
    """Share of the labelled repetitions that some counted one overlaps by more than one half."""
    if one.boundaries is None:
        return None
    mine = np.array([[r.start_s, r.end_s] for s in result.sets for r in s.repetitions]).reshape(-1, 2)
    low = np.maximum(one.boundaries[:, None, 0], mine[None, :, 0])
    high = np.minimum(one.boundaries[:, None, 1], mine[None, :, 1])
    outer = np.maximum(one.boundaries[:, None, 1], mine[None, :, 1]) - np.minimum(
        one.boundaries[:, None, 0], mine[None, :, 0]
    )
    return float(np.mean(((high - low) / outer > 0.5).any(axis=1)))


def _share(what: str, values: NDArray[Any] | list[Any], goal: float) -> Row:
    return _row(what, 100 * np.asarray(values, dtype=float), goal, "%", more=True, statistic="mean")


def _median(what: str, values: NDArray[np.float64], goal: float) -> Row:
    return _row(what, values, goal, "s", more=False, statistic="median")


def _row(
    what: str, values: NDArray[np.float64], goal: float, unit: str, *, more: bool, statistic: str
) -> Row:
    """With the standard error of the figure by the bootstrap (Efron 1979), always of the same draws."""
    take = np.mean if statistic == "mean" else np.median
    draws = np.random.default_rng(1).integers(0, len(values), (500, len(values)))
    return {
        "what": what,
        "figure": float(take(values)),
        "goal": goal,
        "n": len(values),
        "unit": unit,
        "more_is_better": more,
        "noise": float(np.std(take(values[draws], axis=1))),
    }


def main() -> int:
    folder = data_dir()
    if folder is None:
        sys.stderr.write(NOT_SET + "\n")
        return 1
    counted = count_all(folder)
    for row in rows_of(counted) + timing_rows():
        met = row["figure"] >= row["goal"] if row["more_is_better"] else row["figure"] <= row["goal"]
        sys.stdout.write(
            f"{'ok' if met else 'SHORT':6}{row['figure']:8.2f} {row['unit']:2} goal {row['goal']:<5g} "
            f"n={row['n']:<4} {row['what']}\n"
        )
    for group, subject, calibrated, n, exact, near in by_subject(counted):
        sys.stdout.write(
            f"{group} {subject} {'calibrated' if calibrated else 'generic':10} n={n:<3} "
            f"exact {exact:5.1f} % within one {near:5.1f} %\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
