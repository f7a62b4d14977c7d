"""Whether the sensors of a recording are worn as in the calibration: swapped, turned over, or slipped.

The same exercise with sensors worn alike turns each sensor about the same axis and holds it at the same mean
inclination, as seen in its own frame. Only clear contradictions count: an angle that merely looks odd is for
the uncertainty to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtm_signal.gravity import G
from rtm_signal.orientation import Orientation
from rtm_signal.recording import FloatArray

BoolArray = NDArray[np.bool_]

ALIKE = np.radians(25.0)
DIFFERENT = np.radians(60.0)
"""Between repetitions of one exercise, worn alike: 12 degrees at the 95th percentile (leg, quiet exercises)."""
OVER = np.radians(120.0)
"""A limb that never comes nearer than this to its direction in the pose."""
MORE, PLAINLY_MORE = 3.0, 2.0
"""Times by which one sensor's share of the turning, against the other's, may differ from the calibration's, where now
the other one turns more than the one that did so plainly, by the second factor, in the calibration. (A share may differ
by more where one segment rests, and a calibration that holds walking and handling tells no share.)"""
PLAIN, TOGETHER, SAME_AXIS = 0.85, 0.7, 0.9
"""Correlation of the turning of two sensors, about the main axis of each, from which a calibration says that they turn
together, and which is then asked of the repetitions (worn alike: 0.84 and more; turned over, among walking: below
0.63), where both still turn by this share about the same axes: a calibration may show getting up and walking."""
_DOMINANT = 0.8
_QUIET = 4.0
"""m/s2, standard deviation of the length of the specific force: jumps have no mean inclination to speak of."""
_LEAST_TURN = 0.3


@dataclass(frozen=True, slots=True)
class _Worn:
    """How one sensor is worn, in its frame: axis of its turning and mean vertical, None where not clear."""

    axis: FloatArray | None
    up: FloatArray | None


def misplaced(
    recording: Sequence[Orientation],
    calibration: Sequence[Orientation],
    names: Sequence[str],
    inside: BoolArray | None = None,
) -> str | None:
    """Why the sensors cannot be worn as in the calibration, one sentence; None where they may be.

    inside: (n,) samples of the recording within repetitions: two sensors are compared there, away from walking.
    """
    now, then = [_worn(o) for o in recording], [_worn(o) for o in calibration]
    straight = [_apart(a, b) for a, b in zip(now, then, strict=True)]
    if len(now) == 2:
        crossed = [_apart(now[0], then[1]), _apart(now[1], then[0])]
        if max(straight) > DIFFERENT and 0.0 < max(crossed) < ALIKE:
            return f"the sensors {names[0]} and {names[1]} seem to be swapped since the calibration"
        together = None if inside is None else _moving_otherwise(recording, calibration, names, inside)
        if together is not None:
            return together
    wrong = [name for name, angle in zip(names, straight, strict=True) if angle > DIFFERENT]
    if wrong:
        degrees = round(float(np.degrees(max(straight))))
        worn = " and ".join(wrong)
        return f"{worn}: worn differently from the calibration, turned over or slipped (by {degrees} degrees)"
    return None


def _moving_otherwise(
    recording: Sequence[Orientation],
    calibration: Sequence[Orientation],
    names: Sequence[str],
    inside: BoolArray,
) -> str | None:
    """Why two sensors do not turn together as in the calibration: another one does the moving, or they turn otherwise
    against each other. Then they are worn otherwise, or what was counted (walking) is not what was shown."""
    sound = inside & ~recording[0].gap & ~recording[1].gap
    if sound.sum() < recording[0].rate_hz:
        return None
    now = [o.gyr[sound] for o in recording]
    then = [o.gyr[~(calibration[0].gap | calibration[1].gap)] for o in calibration]
    more = [float(np.log(_size(first) / _size(second))) for first, second in (now, then)]
    which = f"the sensors {names[0]} and {names[1]}"
    if (
        abs(more[0] - more[1]) > np.log(MORE)
        and more[0] * more[1] < 0
        and abs(more[1]) > np.log(PLAINLY_MORE)
    ):
        return f"{which} do not share the movement as in the calibration: swapped, or worn or moved otherwise"
    spreads = [np.linalg.eigh(rate.T @ rate) for rate in then]
    if any(values[2] < _DOMINANT * values.sum() for values, _ in spreads):
        return None
    axes = [vectors[:, 2] for _, vectors in spreads]
    course = [[rate @ axis for rate, axis in zip(pair, axes, strict=True)] for pair in (now, then)]
    if any(_size(c) < SAME_AXIS * _size(rate) for c, rate in zip(course[0], now, strict=True)):
        return None
    alike, shown = (float(a @ b) / (_size(a) * _size(b)) for a, b in course)
    if abs(shown) > PLAIN and alike * np.sign(shown) < TOGETHER:
        return f"{which} do not turn together as in the calibration: one is turned over, or they are moved otherwise"
    return None


def _size(values: FloatArray) -> float:
    return max(float(np.linalg.norm(values)), 1e-9)


def turned_over(
    recording: Sequence[Orientation], pose: Sequence[FloatArray], names: Sequence[str]
) -> str | None:
    """Why the sensors cannot be worn as in the pose; pose: (3,) up of each sensor. None where they may be.

    A limb that points the other way up throughout is a sensor worn the other way up.
    """
    for orientation, up, name in zip(recording, pose, names, strict=True):
        steepest = float(np.max(orientation.up[~orientation.gap] @ up, initial=-1.0))
        if steepest < np.cos(OVER):
            return f"{name}: worn the other way up than in the pose"
    return None


def _worn(orientation: Orientation) -> _Worn:
    gyr = orientation.gyr[~orientation.gap]
    acc = orientation.acc[~orientation.gap]
    if gyr.shape[0] < orientation.rate_hz:
        return _Worn(None, None)
    values, vectors = np.linalg.eigh(gyr.T @ gyr)
    turns = values[2] > _DOMINANT * values.sum() and values.sum() > gyr.shape[0] * _LEAST_TURN**2
    axis = vectors[:, 2] if turns else None
    mean = orientation.up[~orientation.gap].mean(axis=0)
    size = float(np.linalg.norm(mean))
    quiet = float(np.std(np.linalg.norm(acc, axis=1))) < _QUIET and size > 0.7
    return _Worn(axis, mean / size if quiet and abs(np.linalg.norm(acc.mean(axis=0))) < 1.5 * G else None)


def _apart(a: _Worn, b: _Worn) -> float:
    """Largest angle, rad, between what both know; an axis has no direction."""
    apart = [0.0]
    if a.axis is not None and b.axis is not None:
        apart.append(float(np.arccos(min(1.0, abs(float(a.axis @ b.axis))))))
    if a.up is not None and b.up is not None:
        apart.append(float(np.arccos(np.clip(a.up @ b.up, -1.0, 1.0))))
    return max(apart)
