"""Plateaus of a clipped channel are told at any scale; rest, slow quantised movement and steady rotation are none."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_firmware_sim.body import exercise
from rtm_signal.full_scale import clipped
from rtm_signal.inclination import inclination
from rtm_signal.orientation import orient
from rtm_signal.recording import FloatArray, Recording
from rtm_signal.time_grid import to_grid

T = np.arange(2000) / 50.0
NEVER = np.inf


def movement(seed: int, noise: float = 0.01) -> FloatArray:
    rng = np.random.default_rng(seed)
    phase = rng.uniform(0, 2 * np.pi, (3, 3))
    hz = rng.uniform(0.3, 1.5, (3, 3))
    waves = np.sin(2 * np.pi * hz * T[:, None, None] + phase) * [1.0, 0.6, 0.3]
    return np.asarray(waves.sum(axis=2) + rng.normal(0, noise, (T.size, 3)))


@given(seed=st.integers(0, 10_000), scale=st.sampled_from([1e-3, 0.1, 4.0]), share=st.floats(0.3, 0.8))
@settings(max_examples=40, deadline=None)
def test_a_clipped_channel_is_told_at_any_scale(seed: int, scale: float, share: float) -> None:
    true = movement(seed) * scale
    top = share * float(np.abs(true[:, 0]).max())
    read = true.copy()
    read[:, 0] = np.clip(true[:, 0], -top, top)
    found = clipped(read, NEVER, NEVER)
    assert found.any()
    assert not found[np.abs(true[:, 0]) < top].any()


@given(seed=st.integers(0, 10_000), bits=st.integers(4, 16))
@settings(max_examples=40, deadline=None)
def test_quantised_movement_is_not_clipped(seed: int, bits: int) -> None:
    step = 4.0 / 2**bits
    slow = np.sin(2 * np.pi * 0.2 * T)[:, None] + movement(seed, noise=0.0) * 0.1
    assert not clipped(np.round(slow / step) * step, NEVER, NEVER).any()


@given(seed=st.integers(0, 10_000), step=st.sampled_from([1e-4, 2e-3, 0.02, 0.1]))
@settings(max_examples=40, deadline=None)
def test_a_resting_sensor_is_not_clipped(seed: int, step: float) -> None:
    noise = np.random.default_rng(seed).normal(0, 0.01, (T.size, 3)) + np.array([0.003, -0.01, 0.02])
    assert not clipped(np.round(noise / step) * step, NEVER, NEVER).any()


@pytest.mark.parametrize("noise", [0.0, 0.01])
def test_a_steady_rotation_is_not_clipped(noise: float) -> None:
    turning = np.zeros((T.size, 3))
    turning[:, 1] = np.clip(np.minimum(T - 5, 35 - T), 0, 1)
    turning += np.random.default_rng(0).normal(0, noise, turning.shape) if noise else 0.0
    assert not clipped(turning, NEVER, NEVER).any()


def test_a_sensor_with_a_dead_zone_is_not_clipped_at_rest() -> None:
    read = movement(1)
    read[np.abs(read) < 0.3] = 0.0
    assert not clipped(np.abs(read), NEVER, NEVER).any()


def test_what_was_missed_at_full_scale_does_not_stay_in_the_angle() -> None:
    """Turns beyond the range are lost; gravity on both sides of them tells how much, and the interval says so."""
    recording = exercise("biceps_curl", repetitions=6, rate_hz=50.0, seed=3, context=False).recording
    sensor = recording.sensors["forearm"]
    assert sensor.gyr is not None
    low = replace(sensor, gyr=np.clip(sensor.gyr, -1.0, 1.0))
    sound, short = (
        inclination(orient(to_grid(Recording({"forearm": s})).sensors["forearm"])) for s in (sensor, low)
    )
    both = sound.valid & short.valid
    assert 0.5 < both.mean() < 0.9
    error = np.degrees(short.angle - sound.angle)[both]
    assert np.std(error) < 4.0
    assert np.median(1.96 * np.degrees(short.sigma)) > np.std(error)
