"""Where the movement cannot show how two sensors stand to each other, no angle is said; where it can, it is right."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from rtm_signal.angle import Angle
from rtm_signal.joint_angle import joint_angle
from rtm_signal.orientation import Orientation, orient
from rtm_signal.recording import FloatArray, Recording, SensorRecording
from rtm_signal.time_grid import to_grid

RATE = 50.0


def planar(
    swing_deg: tuple[float, float], hz: tuple[float, float], lean_deg: float, seed: int
) -> tuple[Angle, float]:
    """A hinge at rest between two segments that turn in one plane; lean_deg: of its axis from the horizontal. The
    angle as measured, and the range of the true one, degrees."""
    rng = np.random.default_rng(seed)
    t = np.arange(int(20 * RATE)) / RATE
    axis = Rotation.from_euler("y", lean_deg, degrees=True).apply([1.0, 0.0, 0.0])
    begin = np.clip((t - 2) / 2, 0, 1)
    turned = [
        np.radians(a) / 2 * (1 - np.cos(2 * np.pi * f * t)) * begin
        for a, f in zip(swing_deg, hz, strict=True)
    ]
    arms = ([0.03, 0.0, 0.2], [0.02, 0.01, -0.22])
    sensors = {}
    for name, angle, arm in zip(("thigh", "shank"), turned, arms, strict=True):
        sensors[name] = worn(Rotation.from_rotvec(np.outer(angle, axis)), np.array(arm), t, rng)
    oriented: list[Orientation] = [orient(sensor) for sensor in to_grid(Recording(sensors)).sensors.values()]
    return joint_angle(oriented[0], oriented[1]), float(np.degrees(np.ptp(turned[1] - turned[0])))


def worn(segment: Rotation, arm: FloatArray, t: FloatArray, rng: np.random.Generator) -> SensorRecording:
    sensor = segment * Rotation.random(rng=rng)
    pull = np.gradient(np.gradient(segment.apply(arm), t, axis=0), t, axis=0) + np.array([0.0, 0.0, 9.81])
    rate = (sensor[:-1].inv() * sensor[1:]).as_rotvec() * RATE
    gyr = np.concatenate([rate[:1], rate]) + rng.normal(0, 0.003, (t.size, 3)) + rng.normal(0, 0.005, 3)
    return SensorRecording(t, sensor.inv().apply(pull) + rng.normal(0, 0.03, (t.size, 3)), gyr)


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize(
    ("swing_deg", "hz"), [((30, -60), (0.3, 0.3)), ((-53, -26), (0.35, 0.23)), ((-33, -28), (0.35, 0.35))]
)
def test_about_the_vertical_nothing_is_said(
    swing_deg: tuple[float, float], hz: tuple[float, float], seed: int
) -> None:
    angle, _ = planar(swing_deg, hz, 90.0, seed)
    assert not angle.valid.any()
    assert angle.withheld[0].what == "rom_deg"


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("lean_deg", [0.0, 10.0, 30.0, 60.0])
@pytest.mark.parametrize(
    ("swing_deg", "hz"), [((30, -15), (0.25, 0.25)), ((-51, 43), (0.44, 0.44)), ((40, 20), (0.3, 0.4))]
)
def test_in_other_planes_it_is_right_or_not_said(
    swing_deg: tuple[float, float], hz: tuple[float, float], lean_deg: float, seed: int
) -> None:
    angle, true_deg = planar(swing_deg, hz, lean_deg, seed)
    if angle.valid.any():
        assert np.degrees(np.ptp(angle.angle[angle.valid])) == pytest.approx(true_deg, abs=5.0)
    else:
        assert angle.withheld[0].what == "rom_deg"
