"""What the repetition counter looks at: posture and turning rate of each sensor, whatever its heading.

Posture of a sensor is the vertical in its own frame (3) and the turn about the vertical, high-passed because
its drift is not observable (1). Rate is the angular rate in its own frame (3). None of them depends on the
heading or the clock, so that a calibration worn alike is comparable sample by sample.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d

from rtm_signal.filters import low_pass
from rtm_signal.gravity import G
from rtm_signal.orientation import Orientation
from rtm_signal.recording import FloatArray
from rtm_signal.time_grid import GriddedSensor

RATE_HZ = 25.0
"""Of the features: voluntary repetitions end below 3 Hz, so that this leaves four harmonics."""
_LEAST_SAMPLES = 64
"""A clip shorter than this at RATE_HZ keeps more of its own samples: a hop lasts a third of a second."""
_LOW_PASS_HZ = 4.0
"""Keeps voluntary limb movement, drops tremor (4-12 Hz), impacts and soft-tissue ringing."""
_TURN_WINDOW_S = 8.0
"""The turn about the vertical is taken from its mean over this long: heading drift is below 1 deg in it."""
_GRAVITY_LOW_PASS_HZ = 0.8
"""Without a gyroscope the accelerometer, low-passed, stands in for the vertical."""


@dataclass(frozen=True, slots=True)
class Motion:
    """Features of one or more sensors on a grid.

    t: (n,) s; rate_hz; posture: (n, 4 m) and rate: (n, 3 m) of m sensors, rad and rad/s; speed: (n,) rad/s,
    the largest turning speed of any sensor; lift: (n, m) m/s2, vertical acceleration of each sensor, without
    gravity, where it is known.
    """

    t: FloatArray
    rate_hz: float
    posture: FloatArray
    rate: FloatArray
    speed: FloatArray
    lift: FloatArray | None = None

    def part(self, first: int, last: int) -> Motion:
        """Samples first..last-1."""
        cut = slice(first, last)
        lift = None if self.lift is None else self.lift[cut]
        return Motion(self.t[cut], self.rate_hz, self.posture[cut], self.rate[cut], self.speed[cut], lift)


def motion(sources: Sequence[Orientation | GriddedSensor]) -> Motion:
    """Features of sensors that share one grid; a `GriddedSensor` where there is no gyroscope."""
    parts = [_of_orientation(s) if isinstance(s, Orientation) else _of_accelerometer(s) for s in sources]
    rate_hz = sources[0].rate_hz
    step = max(1, min(int(rate_hz // RATE_HZ), len(sources[0].t) // _LEAST_SAMPLES))
    keep = slice(None, None, step)
    posture = np.concatenate([p for p, _ in parts], axis=1)[keep]
    rate = np.concatenate([r for _, r in parts], axis=1)[keep]
    speed = np.max([np.linalg.norm(r[keep], axis=1) for _, r in parts], axis=0)
    lifts = [_lift(s) for s in sources if isinstance(s, Orientation)]
    lift = np.column_stack(lifts)[keep] if lifts else None
    return Motion(sources[0].t[keep], rate_hz / step, posture, rate, speed, lift)


def _lift(source: Orientation) -> FloatArray:
    """(n,) m/s2, upward acceleration, low-passed as the rest."""
    along = np.einsum("ij,ij->i", source.acc, source.up) - G
    return low_pass(along, _LOW_PASS_HZ, source.rate_hz)


def _of_orientation(source: Orientation) -> tuple[FloatArray, FloatArray]:
    rate = low_pass(source.gyr, _LOW_PASS_HZ, source.rate_hz)
    up = low_pass(source.up, _LOW_PASS_HZ, source.rate_hz)
    turn = np.cumsum(np.einsum("ij,ij->i", rate, up)) / source.rate_hz
    turn -= uniform_filter1d(turn, max(1, round(_TURN_WINDOW_S * source.rate_hz)), mode="nearest")
    return np.column_stack([up, turn]), rate


def _of_accelerometer(source: GriddedSensor) -> tuple[FloatArray, FloatArray]:
    acc = low_pass(source.acc, _GRAVITY_LOW_PASS_HZ, source.rate_hz)
    up = acc / np.maximum(np.linalg.norm(acc, axis=1, keepdims=True), 1e-9)
    rate = np.cross(np.gradient(up, axis=0) * source.rate_hz, up)
    return np.column_stack([up, np.zeros(len(up))]), rate
