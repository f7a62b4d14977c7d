"""The recordings with ground truth that validation scores against, found by `RTM_SHARED_DATA`.

Nothing of them is part of the project. Without the variable validation says so and scores nothing.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rtm_signal.recording import Recording, SensorRecording

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

NOT_SET = "RTM_SHARED_DATA does not name the folder of recordings with ground truth: nothing is scored."


def data_dir() -> Path | None:
    """The folder of the recordings, None where it is not set or not there."""
    name = os.environ.get("RTM_SHARED_DATA")
    return Path(name) if name and Path(name).is_dir() else None


def load(folder: Path, name: str) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """The list of a set and its arrays by name."""
    listed = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
    with np.load(folder / f"{name}.npz") as arrays:
        return listed, {key: arrays[key] for key in arrays.files}


@dataclass(frozen=True, slots=True)
class RigTrial:
    """Two sensors on a mechanical joint; sound: (n,) bool, without optical glitches; quaternions w x y z."""

    key: str
    joint: str
    recording: Recording
    reference: tuple[FloatArray, FloatArray]
    sound: BoolArray


@dataclass(frozen=True, slots=True)
class OrientationTrial:
    """One sensor; optical: (n, 4) w x y z, global from sensor; scored: (n,) bool, in movement and seen."""

    key: str
    name: str
    recording: Recording
    optical: FloatArray
    scored: BoolArray


@dataclass(frozen=True, slots=True)
class KneeClip:
    """Thigh and shank of one leg; flexion_deg: (n,) reference, flexion positive."""

    key: str
    exercise: str
    side: str
    recording: Recording
    flexion_deg: FloatArray


def rig_trials(folder: Path) -> list[RigTrial]:
    listed, arrays = load(folder, "joint_rig")
    trials = []
    for entry in listed:
        key, rate = entry["key"], float(entry["rate_hz"])
        part = {n: arrays[f"{key}_{n}"].astype(np.float64) for n in ("acc1", "gyr1", "acc2", "gyr2")}
        t = np.arange(part["acc1"].shape[0]) / rate
        recording = Recording(
            {
                "thigh": SensorRecording(t, part["acc1"], part["gyr1"]),
                "shank": SensorRecording(t, part["acc2"], part["gyr2"]),
            }
        )
        reference = tuple(arrays[f"{key}_ref{i}"].astype(np.float64) for i in (1, 2))
        sound = ~(_glitches(reference[0], part["gyr1"], rate) | _glitches(reference[1], part["gyr2"], rate))
        trials.append(RigTrial(key, entry["joint"], recording, (reference[0], reference[1]), sound))
    return trials


def orientation_trials(folder: Path) -> list[OrientationTrial]:
    listed, arrays = load(folder, "orientation")
    trials = []
    for entry in listed:
        key = entry["key"]
        acc, gyr, quat = (arrays[f"{key}_{n}"].astype(np.float64) for n in ("imu_acc", "imu_gyr", "opt_quat"))
        t = np.arange(acc.shape[0]) / float(entry["rate_hz"])
        scored = (arrays[f"{key}_movement"] > 0) & np.isfinite(quat).all(axis=1)
        recording = Recording({"wrist": SensorRecording(t, acc, gyr)})
        trials.append(OrientationTrial(key, entry["trial"], recording, quat, scored))
    return trials


def knee_clips(folder: Path) -> list[KneeClip]:
    """All clips of both legs; the pose is the one whose exercise is `Pose`."""
    listed, arrays = load(folder, "knee")
    clips = []
    for entry in listed:
        for side in entry["sides"]:
            part = {
                n: arrays[f"{entry['key']}_{side}{n}"].astype(np.float64)
                for n in ("Thigh_acc", "Thigh_gyr", "Shank_acc", "Shank_gyr")
            }
            t = np.arange(part["Thigh_acc"].shape[0]) / float(entry["rate_hz"])
            recording = Recording(
                {
                    "thigh": SensorRecording(t, part["Thigh_acc"], part["Thigh_gyr"]),
                    "shank": SensorRecording(t, part["Shank_acc"], part["Shank_gyr"]),
                }
            )
            flexion = -arrays[f"{entry['key']}_{side}_knee_deg"].astype(np.float64)
            clips.append(KneeClip(entry["key"], entry["exercise"], side, recording, flexion))
    return clips


def _glitches(reference: FloatArray, gyr: FloatArray, rate_hz: float) -> BoolArray:
    """(n,) where the reference turns faster than twice the gyroscope + 100 deg/s, and 60 ms on both sides."""
    w = np.abs(np.einsum("ni,ni->n", reference[1:], reference[:-1]))
    speed = 2 * np.arccos(np.clip(w, 0.0, 1.0)) * rate_hz
    turning = np.linalg.norm(gyr, axis=1)
    bad = ~(speed <= 2 * np.maximum(turning[1:], turning[:-1]) + np.radians(100.0))
    marked = np.zeros(gyr.shape[0], dtype=bool)
    for index in np.flatnonzero(bad):
        marked[max(0, index - 2) : index + 4] = True
    return marked
