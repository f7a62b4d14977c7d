"""The counting sets of the shared data, each as it is judged: `generic`, with its calibration recording."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from validation.shared_data import load

from rtm_signal.recording import Recording, SensorRecording

CALIBRATION_SHARE = 3 / 20
"""Of a shoulder set: nominally three of its twenty repetitions."""


@dataclass(frozen=True, slots=True)
class CountingSet:
    """One set with truth. boundaries: (k, 2) s of each repetition, where labelled."""

    key: str
    group: str
    subject: int
    recording: Recording
    calibration: Recording
    repetitions: int
    trimmed: bool
    rate_hz: float
    boundaries: NDArray[np.float64] | None = None


def shoulder_sets(folder: Path) -> list[CountingSet]:
    """Trimmed; the calibration is the first 3/20 of the same set by time."""
    listed, arrays = load(folder, "repetitions_shoulder")
    out = []
    for entry in listed:
        acc, gyr = (arrays[f"{entry['key']}_{n}"].astype(np.float64) for n in ("acc", "gyr"))
        rate, first = float(entry["rate_hz"]), int(len(acc) * CALIBRATION_SHARE)
        recording, calibration = _wrist(acc, gyr, rate), _wrist(acc[:first], gyr[:first], rate)
        out.append(
            CountingSet(
                f"{entry['key']} {entry['exercise']}",
                "shoulder",
                entry["subject"],
                recording,
                calibration,
                entry["repetitions"],
                True,
                rate,
            )
        )
    return out


def therapy_sessions(folder: Path) -> list[CountingSet]:
    """Whole sessions; the unit with most rotation; the calibration is the template of three kinds."""
    listed, arrays = load(folder, "repetitions_physical_therapy")
    out = []
    for entry in listed:
        rate = float(entry["rate_hz"])
        unit = max(entry["units"], key=lambda u: float(np.mean(_part(arrays, entry, u, "test_gyr") ** 2)))
        test, template = (
            _wrist(_part(arrays, entry, unit, f"{part}_acc"), _part(arrays, entry, unit, f"{part}_gyr"), rate)
            for part in ("test", "template")
        )
        labels = entry.get("boundaries")
        out.append(
            CountingSet(
                entry["key"],
                "physical therapy",
                entry["subject"],
                test,
                template,
                entry["repetitions"],
                False,
                rate,
                None if not labels else np.array([[b[2] / rate, b[3] / rate] for b in labels]),
            )
        )
    return out


def _part(
    arrays: dict[str, NDArray[Any]], entry: dict[str, Any], unit: int, name: str
) -> NDArray[np.float64]:
    return np.asarray(arrays[f"{entry['key']}u{unit}_{name}"], dtype=np.float64)


def _wrist(acc: NDArray[np.float64], gyr: NDArray[np.float64], rate: float) -> Recording:
    return Recording({"wrist": SensorRecording(np.arange(len(acc)) / rate, acc, gyr)})
