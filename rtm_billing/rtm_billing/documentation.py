"""What an in-clinic timed service must say, what is missing, and the code its exercises suggest."""

from collections.abc import Sequence
from typing import Literal

import msgspec

Parameter = Literal["strength", "endurance", "range_of_motion", "flexibility"]


class ExerciseNote(msgspec.Struct, frozen=True, kw_only=True):
    """One exercise as done; sets, repetitions and hold can be pre-filled from what the sensors recorded.

    `resistance_from`: how the resistance was determined (%1RM or %MVIC). `hold_s` in seconds.
    """

    exercise: str = ""
    parameters: tuple[Parameter, ...] = ()
    sets: int | None = None
    repetitions: int | None = None
    resistance: str = ""
    resistance_from: str = ""
    hold_s: float | None = None
    type: str = ""


class TimedNote(msgspec.Struct, frozen=True, kw_only=True):
    """The note of one timed service."""

    body_part: str = ""
    muscles_or_joints: str = ""
    exercises: tuple[ExerciseNote, ...] = ()
    functional_goal: str = ""
    response: str = ""


def missing(note: TimedNote) -> list[str]:
    """What reviewers ask for and the note does not say, in words."""
    found = []
    if not note.body_part and not note.muscles_or_joints:
        found.append("the body part, muscles or joints")
    if not note.exercises:
        found.append("the exercises")
    for number, exercise in enumerate(note.exercises, start=1):
        name = exercise.exercise or f"exercise {number}"
        wanted: tuple[tuple[bool, str], ...] = (
            (bool(exercise.exercise), "its name"),
            (
                bool(exercise.parameters),
                "what it trains (strength, endurance, range of motion or flexibility)",
            ),
            (exercise.sets is not None, "sets"),
            (exercise.repetitions is not None, "repetitions"),
            (bool(exercise.resistance), "resistance (or none)"),
            (bool(exercise.resistance_from) or exercise.resistance in ("", "none"), "how it was determined"),
            (exercise.hold_s is not None, "hold time"),
            (bool(exercise.type), "type (isometric, isotonic, isokinetic; stretch: active, ballistic)"),
        )
        found += [f"{name}: {words}" for given, words in wanted if not given]
    if not note.functional_goal:
        found.append("the functional goal")
    if not note.response:
        found.append("how the patient felt after it")
    return found


def prefilled(note: ExerciseNote, *, sets: Sequence[int], hold_s: float | None) -> ExerciseNote:
    """The note with what the sensors counted: repetitions a set, median hold; what a person wrote stays."""
    return msgspec.structs.replace(
        note,
        sets=note.sets if note.sets is not None else len(sets),
        repetitions=note.repetitions if note.repetitions is not None else sum(sets),
        hold_s=note.hold_s if note.hold_s is not None else hold_s,
    )


def suggested_code(note: TimedNote) -> str:
    """97110 when each exercise serves one parameter, 97530 when one serves several; a suggestion only."""
    return "97530" if any(len(set(exercise.parameters)) > 1 for exercise in note.exercises) else "97110"
