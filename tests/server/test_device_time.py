"""Samples placed by the sensor's own clock, whatever way and however late they came."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rtm_server import device_time, reading
from rtm_server.testing import IMU
from rtm_signal import chunk as chunks

RATE, TICK_HZ, SIZE = 50.0, 1000.0, 100
TAKEN = 1_770_000_000.0  # Unix time of sample 0
ZERO_TICK = 4_000  # of the sensor's clock at sample 0
BOOT_A, BOOT_B = UUID(int=0xA), UUID(int=0xB)
BOOTED = {BOOT_A: TAKEN - 500.0, BOOT_B: TAKEN - 20.0}  # true Unix time of each gateway boot
PER_NOTIFICATION = 10


def stored(
    number: int,
    arrived: NDArray[np.float64],
    *,
    boot: UUID = BOOT_A,
    sealed: float | None = None,
    wall_error: float = 0.0,
    drift_ppm: float = 0.0,
) -> chunks.Chunk:
    """Chunk `number` of SIZE samples; arrived: true Unix time at which each of its notifications came.

    wall_error: s by which the gateway's wall clock was off when it sealed; drift_ppm: of the sensor's clock.
    """
    first = number * SIZE
    offset = np.arange(0, SIZE, PER_NOTIFICATION)
    taken = (first + offset) / RATE
    sealed = float(arrived.max()) if sealed is None else sealed
    wall = sealed + wall_error
    return chunks.Chunk(
        tenant=BOOT_A,
        stream=BOOT_A,
        boot=1,
        first=first,
        n=SIZE,
        t_key=first,
        channels=IMU,
        rate_hz=RATE,
        start_us=round(wall * 1e6) - 2_000_000,  # the fit of the moment: wrong while samples drain
        period_ns=1e9 / RATE,
        tick_hz=TICK_HZ,
        gateway_boot=boot,
        mono_ns=round((sealed - BOOTED[boot]) * 1e9),
        wall_us=round(wall * 1e6),
        values=np.zeros((SIZE, 6), np.int16),
        anchors=chunks.Anchors(
            offset.astype(np.int64),
            np.round(ZERO_TICK + taken * TICK_HZ * (1 + drift_ppm * 1e-6)).astype(np.uint64),
            np.round((arrived - BOOTED[boot]) * 1e9).astype(np.uint64),
        ),
    )


def true_time(number: int) -> NDArray[np.float64]:
    """When the notifications of a chunk were taken."""
    return TAKEN + (number * SIZE + np.arange(0, SIZE, PER_NOTIFICATION)) / RATE


def live(number: int, delay_s: float = 0.02, **more: object) -> chunks.Chunk:
    return stored(number, true_time(number) + delay_s, **more)  # type: ignore[arg-type]  # handed on as it came


def placed(parts: list[chunks.Chunk]) -> NDArray[np.float64]:
    """(n,) Unix time of every sample, by the reader that pages and the pipeline use."""
    last = max(part.first + part.n for part in parts) - 1
    return reading.merge(parts, 0, last, TAKEN).t + TAKEN


def error_s(parts: list[chunks.Chunk]) -> float:
    """The largest error against the truth."""
    found = reading.merge(parts, 0, max(part.first + part.n for part in parts) - 1, TAKEN)
    return float(np.max(np.abs(found.t - found.index / RATE)))


def test_live_samples_lie_where_they_were_taken_but_for_the_shortest_delay() -> None:
    assert error_s([live(number) for number in range(10)]) == pytest.approx(0.02, abs=1e-3)


def test_samples_that_drain_faster_than_real_time_keep_the_sensors_pace() -> None:
    """Twenty minutes from memory in half a minute, the last of it as it was taken."""
    parts, now = [], TAKEN + 600 * SIZE / RATE
    for number in range(600):
        arrived = now + 0.05 * number + np.linspace(0, 0.04, SIZE // PER_NOTIFICATION)
        parts.append(stored(number, arrived))
    parts.append(live(615))
    t = placed(parts)
    assert np.max(np.abs(np.diff(t[: 600 * SIZE]) - 1 / RATE)) < 1e-3
    assert error_s(parts) < 0.05


def test_without_a_live_sample_the_drain_ends_when_it_arrived_at_the_latest() -> None:
    parts = [stored(number, np.full(10, TAKEN + 1000.0 + number)) for number in range(20)]
    t = placed(parts)
    assert t[-1] <= TAKEN + 1020.0
    assert np.max(np.abs(np.diff(t) - 1 / RATE)) < 1e-3


@pytest.mark.parametrize("learned_at", [1, 5, 9])
def test_a_gateway_that_boots_in_1970_learns_the_time(learned_at: int) -> None:
    parts = [live(n, wall_error=0.0 if n >= learned_at else -TAKEN) for n in range(10)]
    assert error_s(parts) < 0.05
    assert error_s(parts[::-1]) < 0.05, "in whatever order they are read"


def test_a_gateway_boot_that_never_learned_the_time_says_nothing_beside_one_that_did() -> None:
    """The sensor's ticks went on over the gateway's restart: they carry the time."""
    lost = [live(n, wall_error=-TAKEN) for n in range(5)]
    knew = [live(n, boot=BOOT_B) for n in range(5, 10)]
    assert error_s([*lost, *knew]) < 0.05
    assert error_s(knew) < 0.05


def test_if_nobody_ever_knew_the_time_it_is_1970_and_will_be_flagged() -> None:
    t = placed([live(n, wall_error=-TAKEN) for n in range(3)])
    assert t[0] < 86_400
    assert np.max(np.abs(np.diff(t) - 1 / RATE)) < 1e-3


def test_flash_after_live_moves_nothing() -> None:
    """Chunks 3 to 5 were lost on the air and come from memory an hour later, 2 and 6 once more with them."""
    heard = [live(n) for n in (0, 1, 2, 6, 7, 8)]
    flash = [stored(n, np.full(10, TAKEN + 3600.0 + n)) for n in range(2, 7)]
    assert error_s([*heard, *flash]) < 0.05
    assert error_s([*flash, *heard]) < 0.05


def test_two_boots_of_the_gateway_agree() -> None:
    parts = [live(n, boot=BOOT_A if n < 5 else BOOT_B) for n in range(10)]
    assert error_s(parts) < 0.05


def test_a_sensor_without_ticks_has_no_time_of_its_own() -> None:
    silent = [replace(live(n), tick_hz=0.0) for n in range(3)]
    assert device_time.fit(silent) is None
    assert device_time.fit([*silent, live(3)]) is None, "part of it is no measure for the rest"
    assert device_time.fit([]) is None


def test_a_crystal_of_50_ppm_moves_twenty_minutes_by_60_ms() -> None:
    """As much as the module says it leaves alone."""
    parts = [live(n, drift_ppm=50.0) for n in range(600)]
    assert 0.02 < error_s(parts) < 0.09


delays = st.lists(st.floats(0.0, 900.0), min_size=3, max_size=12)


@settings(max_examples=60)
@given(delays, st.randoms(use_true_random=False))
def test_no_sample_is_placed_after_it_arrived_and_the_pace_is_the_sensors(
    waits: list[float], order: object
) -> None:
    parts = [live(number, wait) for number, wait in enumerate(waits)]
    order.shuffle(parts)  # type: ignore[attr-defined]  # random.Random, as hypothesis makes it
    t = placed(parts)
    assert np.max(np.abs(np.diff(t) - 1 / RATE)) < 2e-3
    shortest = min(waits)
    assert np.max(np.abs(t - TAKEN - np.arange(len(t)) / RATE - shortest)) < 2e-3


@settings(max_examples=60)
@given(delays, st.integers(0, 11), st.floats(0.0, 900.0))
def test_what_arrives_later_never_moves_samples_later(waits: list[float], at: int, more: float) -> None:
    """More evidence can only lower the offset."""
    parts = [live(number, wait) for number, wait in enumerate(waits)]
    extra = live(at % len(waits), more)
    before, after = device_time.fit(parts), device_time.fit([*parts, extra])
    assert before is not None
    assert after is not None
    assert after.offset_s <= before.offset_s + 2e-6, "pairs of clocks are in whole microseconds"
