"""What the check sends: a recording of the body model, and a real one where it is at hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rtm_firmware_sim import body
from rtm_signal.recording import Recording, SensorRecording

REPETITIONS = 20
RATE_HZ = 50.0
REAL_FILE = "repetitions_shoulder"
REAL_EXERCISE = ("ABD", "shoulder_abduction")  # what the file's list calls it, and the catalogue


@dataclass(frozen=True, slots=True)
class Source:
    """A recording to send and what is known of it: how many repetitions, and how far a count may be off."""

    title: str
    recording: Recording
    placement: str
    exercise: str
    repetitions: int
    tolerance: int


def sources(seed: int) -> Iterator[Source]:
    """The body model's recording, then a real one if RTM_SHARED_DATA names a folder that has it."""
    exercise, placement = "shoulder_abduction", "upper_arm"
    motion = body.exercise(
        exercise, repetitions=REPETITIONS, rate_hz=RATE_HZ, seed=seed, placements=(placement,)
    )
    yield Source(f"body model, seed {seed}", motion.recording, placement, exercise, REPETITIONS, tolerance=0)
    folder = os.environ.get("RTM_SHARED_DATA")
    if folder is not None and (Path(folder) / f"{REAL_FILE}.npz").exists():
        yield _real(Path(folder))


def _real(folder: Path) -> Source:
    """The first set of its exercise in the list; no choice of ours beyond that."""
    listed = json.loads((folder / f"{REAL_FILE}.json").read_text(encoding="utf-8"))
    called, exercise = REAL_EXERCISE
    entry = next(entry for entry in listed if entry["exercise"] == called)
    key = entry["key"]
    with np.load(folder / f"{REAL_FILE}.npz") as arrays:
        acc = arrays[f"{key}_acc"].astype(np.float64)
        gyr = arrays[f"{key}_gyr"].astype(np.float64)
    t = np.arange(len(acc)) / float(entry["rate_hz"])
    return Source(
        f"real shoulder set {key}, subject {entry['subject']}",
        Recording({entry["placement"]: SensorRecording(t, acc, gyr)}),
        entry["placement"],
        exercise,
        int(entry["repetitions"]),
        tolerance=1,
    )
