"""The angle of an analysis: of the joint between two sensors, or the inclination of one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from rtm_signal.alignment import neutral
from rtm_signal.angle import Angle
from rtm_signal.catalogue import GENERIC, Exercise
from rtm_signal.inclination import inclination
from rtm_signal.joint_angle import joint_angle
from rtm_signal.orientation import Orientation
from rtm_signal.result import Withheld
from rtm_signal.sensor_choice import Choice, segment
from rtm_signal.slip import Slip
from rtm_signal.time_grid import GriddedRecording

NO_HEADING = "it turns about the vertical, which cannot be measured without an undisturbed magnetometer"


def measure(
    choice: Choice,
    entry: Exercise,
    oriented: Mapping[str, Orientation],
    calibration: Mapping[str, Orientation],
    pose: GriddedRecording | None,
    inside: NDArray[np.bool_],
    slip: Slip | None = None,
) -> Angle:
    """The angle of the chosen sensors; calibration and pose hold the same sensors or nothing.

    inside: (n,) whether a sample lies within a repetition. slip: of one of them: nothing is said after it.
    """
    if slip is not None:
        before = {name: orientation.until(slip.at_s) for name, orientation in oriented.items()}
        angle = measure(choice, entry, before, calibration, pose, inside[: len(before[choice.of[0]].t)])
        why = (
            f"{choice.of[slip.sensor]}: slipped or turned on the limb, "
            f"by about {round(np.degrees(slip.by))} degrees"
        )
        return angle.extended(oriented[choice.of[0]].t, why)
    name = angle_name(choice, entry)
    still = [neutral(pose.sensors[n]) for n in choice.of] if pose is not None else None
    if len(choice.of) == 1:
        up = None if still is None else still[0].up
        return inclination(oriented[choice.of[0]], of=choice.of, neutral_up=up, inside=inside)
    proximal, distal = choice.of
    both = None
    if proximal in calibration and distal in calibration:
        both = (calibration[proximal], calibration[distal])
    return joint_angle(
        oriented[proximal],
        oriented[distal],
        joint=name,
        of=(proximal, distal),
        pose=None if still is None else (still[0], still[1]),
        calibration=both,
        inside=inside,
    )


def angle_name(choice: Choice, entry: Exercise) -> str:
    """`inclination` of one sensor; of two the entry's ISB name, or `joint` where no joint is asked for."""
    if len(choice.of) == 1:
        return "inclination"
    asked = tuple(segment(n)[1] for n in choice.of) == entry.joint_placements
    return entry.angle if asked and entry.id != GENERIC.id else "joint"


def reasons(choice: Choice, entry: Exercise, oriented: Mapping[str, Orientation]) -> list[Withheld]:
    """Why no angle of the whole recording can be said, if so."""
    without = [n for n in choice.of if n not in oriented]
    out = []
    if without:
        out.append(Withheld("rom_deg", f"The sensor {' and '.join(without)} has no gyroscope: count only."))
    if choice.unfit:
        out.append(Withheld("rom_deg", choice.unfit))
    if entry.about_vertical and not all(o.heading_known for o in oriented.values()):
        out.append(Withheld("rom_deg", f"{entry.name}: {NO_HEADING}."))
    return out
