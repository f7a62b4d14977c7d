"""The body model: somebody does an exercise of the catalogue, wearing ideal or real sensors, and the truth is
known.

motion = exercise("squat", repetitions=10, rate_hz=100.0, seed=1) motion.recording, motion.repetitions
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rtm_firmware_sim.errors import SimulatorError
from rtm_firmware_sim.imu import Imu, measure
from rtm_firmware_sim.motions import Movement, movement
from rtm_firmware_sim.performance import Effort, Performance, Repetition
from rtm_firmware_sim.skeleton import SEGMENTS, Felt, feel
from rtm_signal.catalogue import EXERCISES, Exercise, UnknownExercise, get
from rtm_signal.recording import FloatArray, Recording, SensorRecording

DEFAULT_IMU = Imu()


@dataclass(frozen=True, slots=True)
class Motion:
    """What was done and what the sensors measured.

    recording: one sensor a placement, t from 0. repetitions: the truth, in order. angle_deg: (n,) the
    exercise's angle at the recording's times, degrees, 0 in the neutral pose. felt: ideal sensors aligned
    with their segments, by placement. mounting: rotation (3, 3) sensor to segment, by placement.
    """

    exercise: str
    recording: Recording
    repetitions: tuple[Repetition, ...]
    t: FloatArray
    angle_deg: FloatArray
    felt: Mapping[str, Felt]
    mounting: Mapping[str, NDArray[np.float64]]


def exercise(
    exercise_id: str,
    *,
    repetitions: int = 10,
    rate_hz: float = 100.0,
    seed: int = 0,
    placements: Sequence[str] | None = None,
    effort: Effort | None = None,
    imu: Imu = DEFAULT_IMU,
    magnetometer: bool = False,
    context: bool = True,
    step_s: float = 1e-3,
) -> Motion:
    """Perform an exercise. The same arguments give the same bytes.

    placements: where sensors are worn, default the pair that spans the joint. effort: tempo, amplitude,
    fatigue, pauses, mistakes; what it leaves open follows from the catalogue and the seed. context: putting
    the sensors on, walking and idling before and after. step_s: of the numerical derivatives; see
    `skeleton.feel`. Raises SimulatorError for an unknown exercise or placement, or for numbers that make no
    sense.
    """
    entry = _entry(exercise_id)
    worn = tuple(placements) if placements is not None else entry.joint_placements
    if unknown := [name for name in worn if name not in SEGMENTS]:
        raise SimulatorError(f"No sensor is worn at {unknown[0]!r}; there are {', '.join(SEGMENTS)}.")
    if repetitions < 0 or not rate_hz > 0.0:
        raise SimulatorError("Repetitions must be 0 or more and the rate above 0 Hz.")
    rng = np.random.default_rng([seed, zlib.crc32(exercise_id.encode())])
    how: Movement = movement(entry)
    performed = Performance(entry, how, repetitions, effort or Effort(), rng, context=context)
    t = np.arange(int(performed.duration_s * rate_hz) + 1) / rate_hz
    felt = feel(t, performed.angles, worn, how.anchor, step_s=step_s)
    sensors: dict[str, SensorRecording] = {}
    mounting: dict[str, NDArray[np.float64]] = {}
    for name in worn:
        one = felt[name]
        acc, gyr, mag, mounting[name] = measure(one.acc, one.gyr, one.mag, rate_hz, imu, rng)
        sensors[name] = SensorRecording(t, acc, gyr, mag if magnetometer else None)
    return Motion(
        exercise_id,
        Recording(sensors),
        performed.repetitions,
        t,
        performed.angle_deg(t),
        felt,
        mounting,
    )


def _entry(exercise_id: str) -> Exercise:
    if exercise_id not in EXERCISES:
        try:
            get(exercise_id)
        except UnknownExercise as error:
            raise SimulatorError(str(error)) from error
        raise SimulatorError("The body model needs an exercise of the catalogue, not 'generic'.")
    return EXERCISES[exercise_id]
