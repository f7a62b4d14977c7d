"""The angle of an analysis: of the joint between two sensors, or the inclination of one."""

from __future__ import annotations

from rtm_signal.catalogue import GENERIC, Exercise
from rtm_signal.inclination import Angle, inclination
from rtm_signal.orientation import Orientation, orient
from rtm_signal.result import Withheld
from rtm_signal.sensor_choice import Choice, segment
from rtm_signal.time_grid import GriddedRecording

NO_HEADING = (
    "the movement turns about the vertical, which cannot be measured without an undisturbed magnetometer"
)


def measure(
    choice: Choice,
    entry: Exercise,
    orientations: dict[str, Orientation],
    calibration: GriddedRecording | None,
    pose: GriddedRecording | None,
) -> tuple[Angle, list[Withheld]]:
    """The angle of the chosen sensors and what has to be withheld of it."""
    reasons = []
    if choice.unfit:
        reasons.append(Withheld("rom_deg", choice.unfit))
    known_heading = all(orientations[n].heading_known for n in choice.of)
    if entry.about_vertical and not known_heading:
        reasons.append(Withheld("rom_deg", f"{entry.name}: {NO_HEADING}."))
    name = choice.of[0]
    neutral = None
    if pose is not None and name in pose.sensors:
        neutral = orient(pose.sensors[name]).up.mean(axis=0)
    return inclination(orientations[name], neutral_up=neutral), reasons


def angle_name(choice: Choice, entry: Exercise) -> str:
    """`inclination` of one sensor; of two the entry's ISB name, or `joint` where no joint is asked for."""
    if len(choice.of) == 1:
        return "inclination"
    asked = tuple(segment(n)[1] for n in choice.of) == entry.joint_placements
    return entry.angle if asked and entry.id != GENERIC.id else "joint"
