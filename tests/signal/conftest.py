"""Synthetic movement with known truth, shared by the tests of the signal chain."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from rtm_signal.recording import Recording, SensorRecording

FloatArray = NDArray[np.float64]
RATE = 100.0


@dataclass(frozen=True)
class Squat:
    """Two sensors across a hinge; flexion_deg: (n,) truth; pose: standing still, sensors worn alike."""

    recording: Recording
    pose: Recording
    flexion_deg: FloatArray


def squat(
    *,
    duration_s: float = 30.0,
    period_s: float = 4.0,
    rom_deg: float = 90.0,
    rest_s: float = 2.0,
    bias: float = 0.005,
    noise: float = 1.0,
    seed: int = 0,
    rate_hz: float = RATE,
    mounts: tuple[Rotation, Rotation] | None = None,
) -> Squat:
    """Thigh and shank over a planted foot; bias: rad/s, standard deviation of the gyroscopes'."""
    rng = np.random.default_rng(seed)
    mounts = mounts or (Rotation.random(rng=rng), Rotation.random(rng=rng))
    biases = bias * rng.normal(size=(2, 3))
    t = np.arange(int(duration_s * rate_hz)) / rate_hz
    moving = np.clip(t - rest_s, 0.0, None)
    flexion = np.radians(rom_deg) / 2 * (1 - np.cos(2 * np.pi * moving / period_s))
    recording = _worn(flexion, t, mounts, biases, noise, rng)
    still = np.arange(int(3 * rate_hz)) / rate_hz
    pose = _worn(np.zeros(still.size), still, mounts, biases, noise, rng)
    return Squat(recording, pose, np.degrees(flexion))


def _worn(
    flexion: FloatArray,
    t: FloatArray,
    mounts: tuple[Rotation, Rotation],
    biases: FloatArray,
    noise: float,
    rng: np.random.Generator,
) -> Recording:
    thigh = Rotation.from_rotvec(np.outer(-0.55 * flexion, [0.0, 1.0, 0.0]))
    shank = Rotation.from_rotvec(np.outer(0.45 * flexion, [0.0, 1.0, 0.0]))
    knee = shank.apply([0.0, 0.0, 0.4])
    places = (knee + thigh.apply([0.06, 0.0, 0.2]), knee + shank.apply([0.04, 0.02, -0.18]))
    sensors = {}
    for name, segment, place, mount, bias in zip(
        ("thigh", "shank"), (thigh, shank), places, mounts, biases, strict=True
    ):
        rate_hz = 1.0 / (t[1] - t[0])
        sensor = segment * mount
        velocity = np.gradient(place, t, axis=0)
        force = sensor.inv().apply(np.gradient(velocity, t, axis=0) + np.array([0.0, 0.0, 9.81]))
        turn = (sensor[:-1].inv() * sensor[1:]).as_rotvec() * rate_hz
        gyr = np.concatenate([turn[:1], turn]) + bias + noise * rng.normal(0, 0.003, (t.size, 3))
        sensors[name] = SensorRecording(t, force + noise * rng.normal(0, 0.05, (t.size, 3)), gyr)
    return Recording(sensors)


@pytest.fixture(scope="session", name="squat")
def squat_factory() -> Callable[..., Squat]:
    """The factory of squats, for tests that choose their own."""
    return squat
