"""Sessions by the hundred, for a history that came through the same door: fast rather than fine.

The only difference to `body.exercise` is the step of the numerical derivatives: one sampling period, so that
the body is moved once instead of three times. At 50 Hz that smooths accelerations above about 10 Hz, where
exercise has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from rtm_firmware_sim.body import DEFAULT_IMU, Motion, exercise
from rtm_firmware_sim.performance import Effort

HISTORY_IMU = replace(DEFAULT_IMU, wobble=0.0)
"""Soft-tissue wobble costs a convolution for each axis and changes no count and no range of motion."""


def session(
    exercise_id: str,
    repetitions: int,
    rate_hz: float = 50.0,
    seed: int = 0,
    *,
    placements: Sequence[str] | None = None,
    effort: Effort | None = None,
    context: bool = False,
) -> Motion:
    """One recording (`.recording`) with its truth (`.repetitions`); see `body.exercise`."""
    return exercise(
        exercise_id,
        repetitions=repetitions,
        rate_hz=rate_hz,
        seed=seed,
        placements=placements,
        effort=effort,
        imu=HISTORY_IMU,
        context=context,
        step_s=1.0 / rate_hz,
    )


def course(day: int, days: int, seed: int) -> Effort:
    """How somebody in rehabilitation does on a day of an episode: less fatigue and fewer mistakes towards its
    end."""
    done = day / max(1, days - 1)
    rng = np.random.default_rng([seed, day])
    return Effort(
        fatigue=float(np.clip(0.25 - 0.2 * done + 0.03 * rng.normal(), 0.0, 0.4)),
        partial=float(np.clip(0.15 - 0.13 * done + 0.03 * rng.normal(), 0.0, 0.3)),
        pauses=0.1 * (1.0 - done),
    )
