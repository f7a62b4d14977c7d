"""Clocks that disagree are put right where the movement tells by how much, and right ones are left alone."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from rtm_firmware_sim.body import exercise
from rtm_signal.analysis import analyze
from rtm_signal.clock_lag import clock_lag
from rtm_signal.lag_profile import Verdict, read
from rtm_signal.orientation import orient
from rtm_signal.recording import Recording, SensorRecording
from rtm_signal.result import Analysis
from rtm_signal.sensor_clock import gyroscope_lag
from rtm_signal.time_grid import to_grid

RATE = 50.0


@cache
def performed(name: str, *, context: bool = True, repetitions: int = 6) -> Recording:
    return exercise(name, repetitions=repetitions, rate_hz=RATE, seed=11, context=context).recording


def late(recording: Recording, lag_s: float, drift: float = 0.0) -> Recording:
    """The second sensor stamped too late."""
    (first, one), (second, other) = recording.sensors.items()
    stamped = replace(other, t=other.t + lag_s + drift * (other.t - other.t.mean()))
    return Recording({first: one, second: stamped})


def gyroscope_late(recording: Recording, lag_s: float) -> Recording:
    """Of the last sensor alone."""
    name, one = list(recording.sensors.items())[-1]
    assert one.gyr is not None
    rows = round(lag_s * RATE)
    after, before, n = max(0, rows), max(0, -rows), one.t.size
    cut = SensorRecording(
        one.t[: n - after - before], one.acc[after : n - before], one.gyr[before : n - after]
    )
    return Recording({name: cut})


def remarks(result: Analysis) -> list[str]:
    return [w.why for w in result.withheld if "aligned" in w.why]


def span(result: Analysis) -> float:
    series = result.angle_series
    assert series is not None
    return float(np.ptp(series.angle_deg[series.valid]))


@pytest.mark.parametrize("lag_s", [0.12, -1.7])
def test_two_sensors_are_brought_onto_one_clock(lag_s: float) -> None:
    sound = performed("squat")
    result = analyze(late(sound, lag_s), "squat")
    (told,) = remarks(result)
    assert told.startswith("the clock of shank was ")
    assert ("ahead of" if lag_s > 0 else "behind") in told
    assert float(told.split(" was ")[1].split(" s ")[0]) == pytest.approx(abs(lag_s), abs=0.025)
    assert span(result) == pytest.approx(span(analyze(sound, "squat")), abs=3.0)
    assert result.repetitions == 6


def test_a_drift_is_followed_along_the_recording() -> None:
    sound = performed("squat", repetitions=50)
    lag_s, drift = 0.3, 150e-6
    sensors = to_grid(late(sound, lag_s, drift)).sensors
    verdict, lag = clock_lag(*(orient(sensor) for sensor in sensors.values()))
    t = sound.sensors["shank"].t
    assert verdict is Verdict.KNOWN
    true = -(lag_s + drift * (t - t.mean()))
    assert np.abs(lag.of(t) - true).max() < 0.03
    assert np.abs(lag.of(t) - true).max() < np.ptp(true)  # better than a constant could be


@pytest.mark.parametrize("lag_s", [0.1, -0.2, 0.4])
@pytest.mark.parametrize("name", ["squat", "biceps_curl"])
def test_the_lag_within_a_sensor_is_told(name: str, lag_s: float) -> None:
    (sensor,) = to_grid(gyroscope_late(performed(name), lag_s)).sensors.values()
    verdict, late_s = gyroscope_lag(sensor)
    assert verdict is Verdict.KNOWN
    assert late_s == pytest.approx(lag_s, abs=0.05)


def test_accelerometer_and_gyroscope_are_brought_together() -> None:
    sound = performed("biceps_curl")
    result = analyze(gyroscope_late(sound, 0.3), "biceps_curl")
    (told,) = remarks(result)
    assert told.startswith("forearm: the gyroscope was stamped ")
    assert "s too late" in told
    plain = analyze(gyroscope_late(sound, 0.0), "biceps_curl")
    assert span(result) == pytest.approx(span(plain), abs=6.0)
    assert not remarks(plain)


@pytest.mark.parametrize("context", [True, False])
@pytest.mark.parametrize("name", ["squat", "biceps_curl", "plank", "gait_training", "pendulum"])
def test_right_clocks_are_left_alone(name: str, context: bool) -> None:
    sensors = to_grid(performed(name, context=context)).sensors
    assert {gyroscope_lag(sensor)[0] for sensor in sensors.values()} == {Verdict.AGREE}
    assert clock_lag(*(orient(sensor) for sensor in sensors.values()))[0] is Verdict.AGREE


def test_clocks_that_plainly_disagree_by_nobody_knows_how_much_withhold_the_angle() -> None:
    result = analyze(late(performed("plank", context=False), -1.0), "plank")
    assert result.rom_deg.median is None
    assert any("the clocks of pelvis and trunk disagree" in w.why for w in result.withheld)


def test_a_movement_that_says_nothing_changes_nothing() -> None:
    """Two sensors at rest: whatever the stamps, no lag is made up."""
    rng = np.random.default_rng(0)
    t, gravity = np.arange(3000) / RATE, np.array([0.0, 0.0, 9.81])
    rest = {
        name: SensorRecording(
            t, gravity + rng.normal(0, 0.02, (t.size, 3)), rng.normal(0, 0.002, (t.size, 3))
        )
        for name in ("thigh", "shank")
    }
    sensors = to_grid(Recording(rest)).sensors
    assert clock_lag(*(orient(sensor) for sensor in sensors.values()))[0] is Verdict.AGREE


def test_a_peak_is_read_between_the_lags_and_beside_its_rival() -> None:
    lags = np.arange(-100, 101) / 25
    first, second = -0.5 * ((lags - 0.613) / 0.1) ** 2, -7.0 - 0.5 * ((lags + 2.0) / 0.1) ** 2
    peak = read(lags, np.maximum(first, second))
    assert peak.lag_s == pytest.approx(0.613, abs=1e-6)
    assert peak.sigma_s == pytest.approx(0.1, abs=1e-6)
    assert peak.over_next == pytest.approx(7.0, abs=0.1)
    ask = {"sure": 3.0, "visible": 5.0, "least_s": 0.03, "most_sigma_s": 0.2}
    assert peak.verdict(**ask) is Verdict.KNOWN
    assert peak.verdict(**{**ask, "sure": 8.0}) is Verdict.UNCLEAR
    assert read(lags, 0.0 * lags).verdict(**ask) is Verdict.AGREE
    assert not read(lags, lags).inside


@pytest.mark.parametrize("name", ["squat", "biceps_curl"])
@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_a_wrong_rate_is_told_by_gravity(name: str, factor: float) -> None:
    first, one = list(performed(name, context=False).sensors.items())[-1]
    stamped = Recording({first: replace(one, t=factor * one.t)})
    result = analyze(stamped, name)
    told = any("the rate is wrong" in w.why for w in result.withheld)
    assert told == (factor != 1.0)
