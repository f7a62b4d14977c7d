"""The angle of the joint between two segments, without a magnetometer and without drift.

The rotation about the joint's dominant axis (swing-twist) between the proximal and the distal segment, zero
in the neutral pose. The axis and the sensors' mounting come from the movement itself and, where there is one,
from the calibration recording; the pose gives the zero and the sign.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from rtm_signal import quaternion
from rtm_signal.alignment import Alignment, Neutral, align, neutral_rotation
from rtm_signal.angle import Angle, excursion_sign
from rtm_signal.lever_arm import Pair
from rtm_signal.orientation import Orientation
from rtm_signal.placement import misplaced, turned_over
from rtm_signal.recording import FloatArray
from rtm_signal.result import Withheld
from rtm_signal.uncertainty import joint_sigma, withhold

FROM_EXTENSION = frozenset({"knee_flexion", "elbow_flexion"})
"""Joints whose neutral pose is the end of their range: the larger excursion is flexion, positive (ISB)."""
THIN = 0.5
"""Margin between two readings below which neither is believed: either leaves up to 1.6 times as much unexplained."""
UNEXPLAINED, THIN_THEN = 0.3, 1.0
"""Share of the joint's movement that the chosen reading leaves unexplained, beyond which, without a pose, the margin
must be wider: a joint that rests tells little (so wide in none of 169 simulated movements without a pose)."""
UPRIGHT, NOTHING_TOLD = 0.06, 0.7
"""Horizontal part of an axis, root mean square, up to which it is the vertical; disagreement of the forces from which
they do not tell either how the sensors stand about it."""
ALIKE = np.radians(5.0)
"""Ranges of motion closer than this are one result, whichever reading is right."""
BEYOND = np.radians(200.0)
"""No knee or elbow has this range of motion (160 degrees at most)."""


def joint_angle(
    proximal: Orientation,
    distal: Orientation,
    *,
    joint: str = "joint",
    of: tuple[str, str] = ("proximal", "distal"),
    pose: tuple[Neutral, Neutral] | None = None,
    calibration: Pair | None = None,
    inside: NDArray[np.bool_] | None = None,
) -> Angle:
    """Angle about the dominant axis of the joint between two sensors on one grid.

    joint: what it is called (`knee_flexion`, `joint`); of: the placements; pose: both sensors, standing or
    lying still in the neutral pose; calibration: both in supervised repetitions of the exercise, worn alike; inside:
    (n,) samples within repetitions, in which the movement is compared with the calibration's.
    Zero is the neutral pose, without one the first valid sample. Positive is flexion for joints that start
    from extension, otherwise the first excursion.
    """
    pairs = [(proximal, distal)] + ([calibration] if calibration is not None else [])
    alignment = align(pairs, pose)[0]
    angle = about_axis(alignment, pose)
    valid, withheld = withhold(joint, proximal, distal)
    wrong = None if calibration is None else misplaced((proximal, distal), calibration, of, inside)
    if wrong is None and pose is not None:
        wrong = turned_over((proximal, distal), (pose[0].up, pose[1].up), of)
    if (
        wrong is None
        and joint in FROM_EXTENSION
        and pose is not None
        and valid.any()
        and np.ptp(angle[valid]) > BEYOND
    ):
        wrong = (
            f"{joint} cannot pass {round(np.degrees(BEYOND))} degrees: the sensors are worn or named wrongly"
        )
    sigma, rom_sigma = joint_sigma(proximal, distal, alignment)
    if wrong is None and valid.any():
        wrong = about_vertical(alignment, proximal) or two_readings(
            alignment, pose, np.ptp(angle[valid]), valid, rom_sigma
        )
    if wrong is not None:
        valid = np.zeros_like(valid)
        withheld = (Withheld("rom_deg", wrong), *withheld)
    angle = _placed(_without_false_turns(angle, valid), valid, fixed_zero=pose is not None)
    angle = angle * excursion_sign(angle[valid] if valid.any() else angle, largest=joint in FROM_EXTENSION)
    return Angle(proximal.t, angle, sigma, valid, joint, of, rom_sigma, withheld)


def about_vertical(alignment: Alignment, proximal: Orientation) -> str | None:
    """Why the angle cannot be told: its axis is the vertical, and the joint does not move. Then neither gravity nor the
    axis nor the forces hold the two frames together, and the angle wanders with the gyroscopes' bias."""
    axis = quaternion.rotate(proximal.quat, alignment.axis_proximal)
    lean = float(np.sqrt(np.mean(axis[:, 0] ** 2 + axis[:, 1] ** 2)))
    if lean > UPRIGHT or alignment.disagreement < NOTHING_TOLD:
        return None
    return (
        "the movement turns about the vertical through a joint at rest, which two such sensors cannot follow"
    )


def two_readings(
    alignment: Alignment,
    pose: tuple[Neutral, Neutral] | None,
    swing: float,
    valid: NDArray[np.bool_],
    rom_sigma: tuple[float, float],
) -> str | None:
    """Why the angle cannot be told: another reading of how the sensors stand fits as well and says otherwise.

    swing: rad, range of the angle in the chosen reading.
    """
    rival = alignment.rival
    doubtful = pose is None and alignment.disagreement > UNEXPLAINED
    if rival is None or alignment.margin > (THIN_THEN if doubtful else THIN):
        return None
    other = float(np.ptp(about_axis(rival, pose)[valid]))
    half = 1.96 * np.hypot(rom_sigma[0], rom_sigma[1] * swing)
    if abs(other - swing) < max(2 * half, ALIKE):
        return None
    return (
        f"the sensors may stand to each other in two ways that fit alike ({np.degrees(swing):.0f} or "
        f"{np.degrees(other):.0f} degrees of movement); a calibration with the therapist would tell"
    )


def about_axis(alignment: Alignment, pose: tuple[Neutral, Neutral] | None) -> FloatArray:
    """(n,) rad about the proximal axis, from the neutral rotation, or from the first sample."""
    start = alignment.relative[0] if pose is None else neutral_rotation(alignment, pose)
    turned = quaternion.multiply(alignment.relative, quaternion.conjugate(start))
    return quaternion.twist_angle(turned, alignment.axis_proximal)


def _without_false_turns(angle: FloatArray, valid: NDArray[np.bool_]) -> FloatArray:
    """Where nothing was measured, or at full scale, whole turns may be seen that nobody made: they are taken off."""
    known = np.flatnonzero(valid)
    jumps = np.zeros(len(angle))
    after = known[1:][np.diff(known) > 1]
    before = known[:-1][np.diff(known) > 1]
    jumps[after] = 2 * np.pi * np.round((angle[after] - angle[before]) / (2 * np.pi))
    return np.asarray(angle - np.cumsum(jumps))


def _placed(angle: FloatArray, valid: NDArray[np.bool_], *, fixed_zero: bool) -> FloatArray:
    """The branch of the unwrapped angle nearest to zero; without a pose the first valid sample is zero."""
    if not valid.any():
        return angle
    if not fixed_zero:
        return np.asarray(angle - angle[valid][0])
    return np.asarray(angle - 2 * np.pi * np.round(np.median(angle[valid]) / (2 * np.pi)))
