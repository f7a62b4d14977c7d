"""One sensor on the simulated body with walking and handling around: the live count, and what nobody named.

Run: `python validation/around.py [--seeds N] [--exercise ID]`; `score()` gives the rows of docs/validation.md.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from validation.rows import Row, line, share
from validation.synthetic import RATE_HZ, main_placement, session

from rtm_signal.analysis import analyze
from rtm_signal.catalogue import EXERCISES, GENERIC, Exercise
from rtm_signal.recording import Recording
from rtm_signal.streaming import LiveCounter

BLOCK = 25


@dataclass(frozen=True, slots=True)
class Counts:
    """Of one session. true: repetitions done; offline, live: with the prescription; unnamed: as `generic`."""

    entry: Exercise
    seed: int
    true: int
    offline: int
    live: int
    unnamed: int


def counts(seeds: Iterable[int], entries: Iterable[Exercise] | None = None) -> list[Counts]:
    """Every entry that is counted in repetitions or holds."""
    chosen = [e for e in (entries or EXERCISES.values()) if e.counted != "time"]
    return [_counted(entry, seed) for entry in chosen for seed in seeds]


def _counted(entry: Exercise, seed: int) -> Counts:
    motion = session(entry, seed, context=True)
    worn = main_placement(entry, motion)
    sensor = motion.recording.sensors[worn]
    assert sensor.gyr is not None
    recording = Recording({worn: sensor})
    counter = LiveCounter(entry.id, RATE_HZ)
    for first in range(0, len(sensor.t), BLOCK):
        counter.push(sensor.acc[first : first + BLOCK], sensor.gyr[first : first + BLOCK])
    return Counts(
        entry,
        seed,
        len(motion.repetitions),
        analyze(recording, entry.id).repetitions,
        counter.state.count,
        analyze(recording, GENERIC.id).repetitions,
    )


def rows_of(counted: Iterable[Counts]) -> list[Row]:
    """Rows for the goal table."""
    every = list(counted)
    where = "simulated body, one sensor, walking and handling around"
    live = [abs(c.live - c.offline) <= 1 for c in every]
    return [
        share(f"{where}: live count within one of the offline count", live, 95),
        share(f"{where}, generic: counted exactly", [c.unnamed == c.true for c in every], 80),
        share(f"{where}, generic: counted within one", [abs(c.unnamed - c.true) <= 1 for c in every], 95),
    ]


def score(seeds: Iterable[int]) -> list[Row]:
    """All rows."""
    return rows_of(counts(seeds))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=1, help="performances of each exercise")
    parser.add_argument("--exercise", action="append", choices=list(EXERCISES), help="only this; repeatable")
    asked = parser.parse_args()
    entries = [EXERCISES[name] for name in asked.exercise] if asked.exercise else None
    every = counts(range(asked.seeds), entries)
    for row in rows_of(every):
        sys.stdout.write(line(row) + "\n")
    for c in every:
        if c.live != c.offline or c.unnamed != c.true:
            sys.stdout.write(
                f"{c.entry.id} (seed {c.seed}): {c.true} done, {c.offline} offline, {c.live} live, "
                f"{c.unnamed} unnamed\n"
            )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
