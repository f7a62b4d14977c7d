"""The time grid: nothing is changed that is regular, and what is not is repaired and flagged."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_signal.recording import FloatArray, Recording, RecordingError, SensorRecording
from rtm_signal.time_grid import to_grid

RATE = 100.0


def smooth(t: FloatArray) -> FloatArray:
    return np.stack([np.sin(3 * t), np.cos(2 * t), 9.81 + 0 * t], axis=1)


def wrist(t: FloatArray, values: FloatArray | None = None) -> Recording:
    acc = smooth(t) if values is None else values
    return Recording({"wrist": SensorRecording(t, acc, acc / 10)})


@given(
    start=st.floats(-1e4, 1e6),
    rate=st.floats(10, 390),
    jitter=st.sampled_from([0.0, 1e-4]),
    digits=st.sampled_from([3, 6, 12]),
)
@settings(max_examples=50, deadline=None)
def test_a_regular_recording_keeps_its_samples(start: float, rate: float, jitter: float, digits: int) -> None:
    n = 300
    t = start + np.arange(n) / rate
    stamped = np.round(t + jitter * np.random.default_rng(0).uniform(-1, 1, n) / rate, digits)
    grid = to_grid(wrist(stamped, smooth(t)))
    assert grid.t.size == n
    assert np.abs(grid.t - t).max() < 0.3 / rate
    np.testing.assert_array_equal(grid.sensors["wrist"].acc, smooth(t))
    assert not grid.gaps


@given(seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_gaps_are_bridged_flagged_and_known_by_length(seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = np.arange(1000) / RATE
    kept = np.ones(t.size, dtype=bool)
    for start in rng.choice(np.arange(20, 960, 60), 5, replace=False):
        kept[start : start + rng.integers(1, 40)] = False
    grid = to_grid(wrist(t[kept]))
    np.testing.assert_array_equal(grid.sensors["wrist"].gap, ~kept)
    np.testing.assert_array_equal(grid.sensors["wrist"].acc[kept], smooth(t)[kept])
    assert len(grid.gaps) == 5
    bridged = sum(round((gap.to_s - gap.from_s) * RATE) - 1 for gap in grid.gaps)
    assert bridged == (~kept).sum()


@given(seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_repeated_and_reordered_samples_change_nothing(seed: int) -> None:
    rng = np.random.default_rng(seed)
    t = np.arange(300) / RATE
    order = np.sort(np.concatenate([np.arange(300), rng.integers(0, 300, 5)]))
    at = int(rng.integers(0, order.size - 8))
    order[at : at + 8] = rng.permutation(order[at : at + 8])
    grid = to_grid(Recording({"wrist": SensorRecording(t[order], smooth(t)[order], smooth(t)[order])}))
    np.testing.assert_array_equal(grid.sensors["wrist"].acc, smooth(t))
    assert grid.remarks


def test_missing_values_are_gaps() -> None:
    t = np.arange(200) / RATE
    acc = smooth(t)
    acc[50:60] = np.nan
    grid = to_grid(wrist(t, acc))
    assert np.flatnonzero(grid.sensors["wrist"].gap).tolist() == list(range(50, 60))
    assert np.isfinite(grid.sensors["wrist"].acc).all()


def test_sensors_of_different_rates_and_starts_share_one_grid() -> None:
    fast, slow = np.arange(2000) / 100, 0.337 + np.arange(700) / 50
    grid = to_grid(
        Recording(
            {"thigh": SensorRecording(slow, smooth(slow)), "shank": SensorRecording(fast, smooth(fast))}
        )
    )
    thigh, shank = grid.sensors["thigh"], grid.sensors["shank"]
    assert grid.rate_hz == pytest.approx(100)
    np.testing.assert_array_equal(shank.acc, smooth(fast))
    there = ~thigh.gap & (grid.t > slow[0]) & (grid.t < slow[-1])
    assert np.abs(thigh.acc - smooth(grid.t))[there].max() < 2e-3
    assert thigh.gap[grid.t < 0.3].all()
    assert thigh.gap[grid.t > 14.5].all()


def test_a_faster_sensor_is_averaged_not_thinned() -> None:
    t = np.arange(8000) / 1000
    noisy = smooth(t) + np.where(np.arange(8000) % 2, 1.0, -1.0)[:, None]
    grid = to_grid(Recording({"wrist": SensorRecording(t, noisy)}), rate_hz=100)
    assert np.abs(grid.sensors["wrist"].acc - smooth(grid.t))[5:-5].max() < 0.1


def test_packets_with_one_stamp_each_are_spread() -> None:
    t = np.arange(1000) / RATE
    grid = to_grid(wrist(np.repeat(t[::10], 10), smooth(t)))
    np.testing.assert_allclose(grid.sensors["wrist"].acc, smooth(t), atol=1e-9)
    assert "spread" in grid.remarks[0]


@pytest.mark.parametrize("stray", [np.inf, -1e308, 1e20, 1e5])
@pytest.mark.parametrize("channel", ["acc", "gyr"])
def test_a_value_that_no_sensor_can_show_is_a_missing_one(stray: float, channel: str) -> None:
    t = np.arange(1000) / RATE
    values = {"acc": smooth(t), "gyr": smooth(t) / 10}
    values[channel][300, 1] = stray
    grid = to_grid(Recording({"wrist": SensorRecording(t, values["acc"], values["gyr"])}))
    np.testing.assert_array_equal(np.flatnonzero(grid.sensors["wrist"].gap), [300])
    assert np.isfinite(stray) == any("1 sample was left out" in remark for remark in grid.remarks)


def test_a_sensor_that_shows_nothing_possible_is_refused() -> None:
    t = np.arange(1000) / RATE
    with pytest.raises(RecordingError, match="impossible"):
        to_grid(wrist(t, smooth(t) * 1e300))


def test_raw_counts_are_left_to_the_judge_of_units() -> None:
    t = np.arange(1000) / RATE
    assert not to_grid(wrist(t, smooth(t) * 2048 / 9.81)).remarks


def test_full_scale_is_flagged_and_a_plain_extreme_is_not() -> None:
    t = np.arange(1000) / RATE
    acc = smooth(t)
    acc[:, 0] = np.clip(40 * np.sin(3 * t), -30, 30)
    grid = to_grid(wrist(t, acc))
    np.testing.assert_array_equal(grid.sensors["wrist"].saturated, np.abs(acc[:, 0]) >= 30)
    assert not to_grid(wrist(t, smooth(t) * [40, 40, 1])).sensors["wrist"].saturated.any()


@pytest.mark.parametrize(
    ("t", "says"),
    [
        (np.array([0.0]), "1 sample;"),
        (np.zeros(0), "0 samples"),
        (np.zeros(50), "the same time"),
        (np.arange(200) * 10.0, "milliseconds"),
        (np.concatenate([np.arange(1000), np.arange(1000)]) / RATE, "starts again"),
        (np.concatenate([np.arange(100) / RATE, [1e9]]), "too long"),
        (np.array([0.0, np.nan, 1.0]), "not a finite number"),
    ],
)
def test_times_that_make_no_recording_are_refused(t: FloatArray, says: str) -> None:
    with pytest.raises(RecordingError, match=says):
        to_grid(wrist(t, np.ones((t.size, 3))))


def test_no_sensor_and_no_values_are_refused() -> None:
    with pytest.raises(RecordingError, match="no sensor"):
        to_grid(Recording({}))
    with pytest.raises(RecordingError, match="missing value"):
        to_grid(wrist(np.arange(100) / RATE, np.full((100, 3), np.nan)))
