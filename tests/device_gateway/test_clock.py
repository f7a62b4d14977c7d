"""The clock against small truths: prompt and late arrivals, drift, steps, wraps, rushes."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_gateway.clock import ClockFit, DeviceClocks, WallClock, WallPair
from rtm_gateway.drivers.driver import Flag, FourStamp, SampleBlock
from rtm_gateway.refit import Anchor, RefitError, refit

UTC0 = 1_800_000_000_000_000_000
HZ = 32768.0


def wall(offset_ns: int = UTC0) -> WallClock:
    clock = WallClock()
    clock.note(WallPair(0, offset_ns))
    return clock


def feed(
    fit: ClockFit, seconds: float, *, ppm: float = 0.0, seed: int = 1, start: float = 0.0
) -> list[tuple[int, float]]:
    """Samples at 50 Hz with 1-31 ms of delay; returns (tick, true time s)."""
    rng = random.Random(seed)
    known, newest = [], 0.0
    for i in range(int(seconds * 50)):
        t = start + i / 50
        tick = int(t * (1 + ppm * 1e-6) * HZ) + 12345
        newest = max(newest, t + rng.uniform(0.001, 0.031))
        fit.observe(tick, int(newest * 1e9))
        known.append((tick, t))
    return known


def error_ms(fit: ClockFit, tick: int, t: float) -> float:
    return (fit.utc_us(tick)[0] - UTC0 / 1e3) / 1e3 - t * 1e3


@pytest.mark.parametrize("ppm", [-500.0, -40.0, 0.0, 40.0, 500.0])
def test_follows_drift_within_a_millisecond(ppm: float) -> None:
    fit = ClockFit(HZ, wall())
    known = feed(fit, 900, ppm=ppm)
    tick, t = known[-1]
    assert 0.0 < error_ms(fit, tick, t) < 2.5  # one-way: the shortest delay, 1 ms here, stays
    assert fit.drift_ppm == pytest.approx(-ppm, abs=5)
    assert abs(error_ms(fit, tick, t)) <= fit.utc_us(tick)[1] / 1e3


def test_stalls_do_not_pull_the_clock() -> None:
    fit = ClockFit(HZ, wall())
    feed(fit, 300)
    tick = int(300.5 * HZ) + 12345
    for extra in range(100):
        fit.observe(tick + extra * 655, int((302.6 + extra * 0.0001) * 1e9))  # two seconds late, in a rush
    assert abs(error_ms(fit, tick, 300.5)) < 3


def test_four_stamps_remove_the_bias() -> None:
    fit, rng = ClockFit(HZ, wall()), random.Random(3)
    for k in range(60):
        feed(fit, 10, start=k * 10, seed=k)
        t1 = k * 10 + 9.99
        t2 = t1 + rng.uniform(0.001, 0.031)
        t3 = t2 + 0.0001
        t4 = t3 + rng.uniform(0.001, 0.031)
        stamps = FourStamp(1, int(t1 * 1e9), int(t2 * HZ) + 12345, int(t3 * HZ) + 12345, int(t4 * 1e9), HZ)
        fit.exchange(stamps)
    tick = int(600.0 * HZ) + 12345
    assert abs(error_ms(fit, tick, 600.0)) < 1.0
    assert fit.utc_us(tick)[1] / 1e3 < 4.0  # and says so


def test_a_clock_that_was_never_set_is_not_believed() -> None:
    never = WallClock()
    never.note(WallPair(5_000_000_000, 30_000_000_000))  # 1970
    fit = ClockFit(HZ, never)
    known = feed(fit, 20)
    assert math.isinf(fit.utc_us(known[-1][0])[1])
    never.note(WallPair(30_000_000_000, UTC0 + 30_000_000_000))  # NTP has answered
    assert never.steps == 0
    assert abs(error_ms(fit, *known[-1])) < 40
    assert math.isfinite(fit.utc_us(known[-1][0])[1])


def test_a_step_of_the_wall_clock_moves_every_time_of_this_boot() -> None:
    clock = wall(UTC0 - 3_600_000_000_000)
    fit = ClockFit(HZ, clock)
    known = feed(fit, 20)
    assert error_ms(fit, *known[-1]) == pytest.approx(-3_600_000, abs=50)
    clock.note(WallPair(20_000_000_000, UTC0 + 20_000_000_000))
    assert clock.steps == 1
    assert abs(error_ms(fit, *known[-1])) < 40


def test_times_lie_in_the_past_whatever_the_pace() -> None:
    """A recording that drains ten times as fast as it was taken."""
    fit = ClockFit(HZ, wall())
    for i in range(5000):
        arrival = 1000.0 + i / 500  # 500 samples a second of a 50 Hz recording
        tick = int(i / 50 * HZ)
        fit.observe(tick, int(arrival * 1e9))
        at_ms = (fit.utc_us(tick)[0] - UTC0 / 1e3) / 1e3
        assert at_ms <= arrival * 1e3 + 0.1
    assert fit.utc_us(0)[1] > 1e6  # it states that it has had to give way by seconds


def test_a_refit_lays_a_rush_out_at_the_sensors_own_pace() -> None:
    anchors = [Anchor("g", int(i / 50 * HZ), int((1000.0 + i / 500) * 1e9)) for i in range(5000)]
    fit = refit(anchors, {"g": [WallPair(0, UTC0)]}, HZ)
    last = 1000.0 + 4999 / 500
    for tick, _ in ((a.tick, a.arrival_ns) for a in anchors[::500]):
        expected = last - (4999 / 50 - tick / HZ)
        assert (fit.utc_us(tick)[0] - UTC0 / 1e3) / 1e6 == pytest.approx(expected, abs=0.15)


def test_a_refit_bridges_a_gateway_boot_without_time() -> None:
    """The gateway restarts and never learns the time; the sensor's ticks carry it over."""
    rng = random.Random(5)
    anchors = [Anchor("a", int(t * HZ), int((t + rng.uniform(0.001, 0.02)) * 1e9)) for t in range(600)]
    anchors += [Anchor("b", int(t * HZ), int((t - 600) * 1e9)) for t in range(600, 900)]
    walls = {"a": [WallPair(0, 0), WallPair(10**9, UTC0 + 10**9)], "b": [WallPair(0, 10**9)]}
    fit = refit(anchors, walls, HZ)
    assert (fit.utc_us(int(899 * HZ))[0] - UTC0 / 1e3) / 1e6 == pytest.approx(899, abs=0.02)
    with pytest.raises(RefitError, match="never set"):
        refit(anchors, {"b": walls["b"]}, HZ)


def test_each_boot_has_its_own_fit_and_memory_tells_nothing() -> None:
    clocks = DeviceClocks(wall())

    def block(boot: int, first: int, arrival_s: float, flags: Flag = Flag.NONE) -> SampleBlock:
        values = np.zeros((1, 6), np.int16)
        return SampleBlock("imu", boot, first, values, first * 328, HZ, int(arrival_s * 1e9), flags)

    clocks.observe(block(1, 0, 10.0, Flag.FLASH))
    assert clocks.of(1) is None
    clocks.observe(block(1, 0, 10.0))
    clocks.observe(block(2, 0, 99.0))
    first, second = clocks.of(1), clocks.of(2)
    assert first is not None
    assert second is not None
    assert second.utc_us(0)[0] - first.utc_us(0)[0] == pytest.approx(89e6, abs=1)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 2**64), st.integers(0, 2**62), st.booleans()), min_size=1, max_size=60)
)
def test_no_sequence_of_stamps_breaks_it(stamps: list[tuple[int, int, bool]]) -> None:
    fit = ClockFit(1e9, wall())
    for tick, arrival, exchange in stamps:
        if exchange:
            fit.exchange(FourStamp(1, arrival, tick, tick, arrival + 1000, 1e9))
        else:
            fit.observe(tick, arrival)
        us, half = fit.utc_us(tick)
        assert math.isfinite(us)
        assert half > 0
