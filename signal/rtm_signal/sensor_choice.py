"""Which sensors of a recording measure an exercise: the joint's pair, one segment, or whatever moves most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import permutations

import numpy as np

from rtm_signal.catalogue import GENERIC, Exercise
from rtm_signal.time_grid import GriddedSensor

_CHAIN = (
    ("head", "trunk"),
    ("trunk", "pelvis"),
    ("trunk", "upper_arm"),
    ("upper_arm", "forearm"),
    ("upper_arm", "wrist"),
    ("forearm", "wrist"),
    ("forearm", "hand"),
    ("wrist", "hand"),
    ("pelvis", "thigh"),
    ("trunk", "thigh"),
    ("thigh", "shank"),
    ("shank", "foot"),
)
"""Adjacent segments, proximal first."""
_SIDES = ("left_", "right_")


@dataclass(frozen=True, slots=True)
class Choice:
    """of: one sensor, or the two of a joint, proximal first. unfit: why range of motion is withheld, or
    None."""

    of: tuple[str, ...]
    unfit: str | None = None


def segment(name: str) -> tuple[str, str]:
    """(side, segment) of a sensor's name: `left_thigh` is ("left_", "thigh"), `thigh` is ("", "thigh")."""
    for side in _SIDES:
        if name.startswith(side):
            return side, name.removeprefix(side)
    return "", name


def choose(sensors: Mapping[str, GriddedSensor], entry: Exercise) -> Choice:
    """The sensors that measure `entry`; for `generic` any one, any two, or the adjacent pair that moves
    most."""
    names = list(sensors)
    if len(names) == 1:
        return Choice((names[0],), _misfit(names, entry))
    if entry.id == GENERIC.id and len(names) == 2:
        return Choice(_proximal_first(names[0], names[1]))
    wanted = set(_CHAIN) if entry.id == GENERIC.id else {entry.joint_placements}
    pairs = [(a, b) for a, b in permutations(names, 2) if _same_side(a, b) and _segments(a, b) in wanted]
    if pairs:
        return Choice(max(pairs, key=lambda pair: _turning(sensors[pair[0]], sensors[pair[1]])))
    fitting = [n for n in names if not _misfit([n], entry)]
    if fitting:
        return Choice((max(fitting, key=lambda n: _turning(sensors[n], None)),))
    if len(names) == 2:
        return Choice(_proximal_first(names[0], names[1]), _misfit(names, entry))
    return Choice((max(names, key=lambda n: _turning(sensors[n], None)),), _misfit(names, entry))


def _misfit(names: list[str], entry: Exercise) -> str | None:
    if entry.id == GENERIC.id or all(segment(n)[1] in entry.placements for n in names):
        return None
    worn, asked = " and ".join(names), ", ".join(entry.placements)
    return f"{entry.id} is measured on {asked}; the recording is of {worn}."


def _segments(a: str, b: str) -> tuple[str, str]:
    return segment(a)[1], segment(b)[1]


def _same_side(a: str, b: str) -> bool:
    sides = {segment(a)[0], segment(b)[0]} - {""}
    return len(sides) < 2


def _proximal_first(a: str, b: str) -> tuple[str, str]:
    return (b, a) if _segments(b, a) in _CHAIN else (a, b)


def _turning(one: GriddedSensor, other: GriddedSensor | None) -> float:
    """Root mean square of the difference of turning speeds, rad/s: heading and mounting do not matter.

    Falls back to the accelerometer's variation where there is no gyroscope.
    """

    def rate(sensor: GriddedSensor) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        if sensor.gyr is None:
            return np.asarray(np.linalg.norm(sensor.acc - sensor.acc.mean(axis=0), axis=1), dtype=np.float64)
        return np.asarray(np.linalg.norm(sensor.gyr, axis=1), dtype=np.float64)

    difference = rate(one) if other is None else rate(one) - rate(other)
    return float(np.sqrt(np.mean(difference**2)))
