"""Accuracy of the counts on real recordings: sets, repetitions found in place, live against offline.

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

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from validation.counting_sets import CountingSet, shoulder_sets, therapy_sessions
from validation.rows import Row, line, share
from validation.shared_data import NOT_SET, data_dir

from rtm_signal.analysis import analyze
from rtm_signal.result import Analysis
from rtm_signal.streaming import LiveCounter

CALIBRATION_REPETITIONS = 3
BLOCK = 25


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
        rows.append(share(f"sets counted exactly, {name}", off == 0, exact))
        rows.append(share(f"sets counted within one, {name}", off <= 1, near))
        found = np.array([c.found for c in mine if c.found is not None])
        rows.append(share(f"true repetitions found in place (overlap above one half), {name}", found, 95))
        ranges = [c.result.repetitions_range for c in mine]
        held = np.array([r[0] <= c.one.repetitions <= r[1] for r, c in zip(ranges, mine, strict=True)])
        rows.append(share(f"count ranges that hold the truth (90-99 %), {name}", held, 90))
    agree = np.array([abs(c.live - c.result.repetitions) <= 1 for c in counted])
    rows.append(share("live count within one of the offline count", agree, 95))
    return rows


def by_subject(counted: Sequence[Counted]) -> list[tuple[str, int, bool, int, float, float]]:
    """(group, subject, calibrated, sets, % exact, % within one)."""
    out = []
    for key in sorted({(c.one.group, c.one.subject, c.calibrated) for c in counted}):
        off = np.abs([c.off for c in counted if (c.one.group, c.one.subject, c.calibrated) == key])
        out.append((*key, len(off), float(100 * np.mean(off == 0)), float(100 * np.mean(off <= 1))))
    return out


def score(folder: Path) -> list[Row]:
    """All rows."""
    return rows_of(count_all(folder))


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


def main() -> int:
    folder = data_dir()
    if folder is None:
        sys.stderr.write(NOT_SET + "\n")
        return 1
    counted = count_all(folder)
    for row in rows_of(counted):
        sys.stdout.write(line(row) + "\n")
    for group, subject, calibrated, n, exact, near in by_subject(counted):
        sys.stdout.write(
            f"{group} {subject} {'calibrated' if calibrated else 'generic':10} n={n:<3} "
            f"exact {exact:5.1f} % within one {near:5.1f} %\n"
        )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
