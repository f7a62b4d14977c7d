"""The exercise catalogue: what each exercise is, which sensors measure it, and what to expect.

The entries are data (`catalogue_data/*.toml`, one file a body region); this module reads them once and
checks every field.
`generic` is the exercise of which nothing is known: `get` returns it, the list `EXERCISES` does not hold it.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import resources
from types import MappingProxyType
from typing import Any, Literal, get_args

ExerciseType = Literal["isotonic", "isometric", "isokinetic", "stretch"]
Parameter = Literal["strength", "endurance", "range_of_motion", "flexibility"]
Code = Literal["97110", "97530"]
Counted = Literal["repetitions", "holds", "time"]

PLACEMENTS = ("head", "trunk", "pelvis", "upper_arm", "forearm", "wrist", "hand", "thigh", "shank", "foot")
_REGIONS = ("shoulder", "elbow_wrist", "hip", "knee", "ankle_gait", "trunk")


class UnknownExercise(ValueError):  # noqa: N818 - the public name; it reads as a sentence where it is caught
    """The id is not in the catalogue; the message names the nearest ids."""


@dataclass(frozen=True, slots=True)
class Exercise:
    """One entry.

    id: fixed for ever. name: plain words for the patient. joint: shoulder, knee, ... angle: the ISB name of
    the angle that is measured between the first two `placements`. plane: anatomical plane of the movement.
    placements: segments on which a sensor fits, in order; the first pair spans the joint, the others allow a
    count and an inclination. type: how the muscle works. parameter: the one thing the exercise serves.
    code: the procedure under which it is taught (97110 therapeutic exercise, 97530 therapeutic activities).
    counted: what the dose is counted in. neutral_pose: where the angle is zero.
    normal_rom_deg: (low, high) of healthy adults about the neutral pose, with `normal_rom_source`.
    tempo_s: (shortest, longest) repetition to expect, s. amplitude_deg: excursion to expect.
    about_vertical: the movement turns about the vertical: no angle of it without a magnetometer.
    gait: walking, which is otherwise never a set. begins_bent: a repetition begins at full excursion and
    straightens first: sitting before one stands up.
    """

    id: str
    name: str
    joint: str
    angle: str
    plane: str
    placements: tuple[str, ...]
    type: ExerciseType
    parameter: Parameter
    code: Code
    counted: Counted
    neutral_pose: str
    normal_rom_deg: tuple[float, float]
    normal_rom_source: str
    tempo_s: tuple[float, float]
    amplitude_deg: float
    body_part: str
    muscles: tuple[str, ...]
    cue: str
    sources: tuple[str, ...]
    about_vertical: bool = False
    gait: bool = False
    begins_bent: bool = False

    @property
    def joint_placements(self) -> tuple[str, str]:
        """The two segments between which the angle is measured, proximal first."""
        return self.placements[0], self.placements[1]


GENERIC = Exercise(
    id="generic",
    name="Any exercise",
    joint="any",
    angle="joint",
    plane="any",
    placements=PLACEMENTS,
    type="isotonic",
    parameter="range_of_motion",
    code="97110",
    counted="repetitions",
    neutral_pose="as at the first sample",
    normal_rom_deg=(-180.0, 180.0),
    normal_rom_source="no limit is assumed",
    tempo_s=(0.5, 15.0),
    amplitude_deg=60.0,
    body_part="any",
    muscles=(),
    cue="Repeat the movement you were shown.",
    sources=(),
)
"""Nothing known: no anatomy, no limits; a tempo so wide that it only bounds the search."""


def _table(name: str) -> dict[str, Any]:
    text = (
        resources.files("rtm_signal").joinpath("catalogue_data", f"{name}.toml").read_text(encoding="utf-8")
    )
    return tomllib.loads(text)


def _one_of(value: str, allowed: tuple[str, ...], where: str) -> str:
    if value not in allowed:
        raise ValueError(f"catalogue: {where} is {value!r}, which is none of {', '.join(allowed)}.")
    return value


def _entry(exercise_id: str, row: dict[str, Any], motions: dict[str, Any], works: dict[str, str]) -> Exercise:
    motion = motions[row["angle"]]
    low, high = motion["range_deg"]
    shortest, longest = row["tempo_s"]
    checked = {
        "type": _one_of(row["type"], get_args(ExerciseType), f"{exercise_id}.type"),
        "parameter": _one_of(row["parameter"], get_args(Parameter), f"{exercise_id}.parameter"),
        "code": _one_of(row.get("code", "97110"), get_args(Code), f"{exercise_id}.code"),
        "counted": _one_of(row["counted"], get_args(Counted), f"{exercise_id}.counted"),
        "placements": tuple(_one_of(p, PLACEMENTS, f"{exercise_id}.placements") for p in row["placements"]),
        "sources": tuple(works[key] for key in row["sources"]),
        "muscles": tuple(row["muscles"]),
        "tempo_s": (float(shortest), float(longest)),
        "amplitude_deg": float(row["amplitude_deg"]),
    }
    return Exercise(
        id=exercise_id,
        normal_rom_deg=(float(low), float(high)),
        normal_rom_source=motion["source"],
        **{**row, **checked},
    )


def _read() -> Iterator[Exercise]:
    motions, works = _table("normal_motion"), _table("sources")
    for region in _REGIONS:
        for exercise_id, row in _table(region).items():
            yield _entry(exercise_id, row, motions, works)


EXERCISES: Mapping[str, Exercise] = MappingProxyType({entry.id: entry for entry in _read()})
"""Every entry by id, in the order of the files."""


def get(exercise_id: str) -> Exercise:
    """The entry of an id, `generic` included.

    Raises: UnknownExercise, naming the nearest ids.
    """
    if exercise_id == GENERIC.id:
        return GENERIC
    if exercise_id in EXERCISES:
        return EXERCISES[exercise_id]
    near = difflib.get_close_matches(exercise_id, [*EXERCISES, GENERIC.id], n=3, cutoff=0.4)
    hint = f" Did you mean {', '.join(near)}?" if near else " See `rtm exercises`."
    raise UnknownExercise(f"There is no exercise {exercise_id!r}.{hint}")
