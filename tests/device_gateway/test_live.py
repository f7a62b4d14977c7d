"""The live topic: counts what arrives, fills small holes, keeps silent where it cannot count."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any
from uuid import UUID

import numpy as np
import pytest

from rtm_gateway.drivers.driver import Flag, SampleBlock, StreamSpec
from rtm_gateway.live import Live
from rtm_signal.chunk import Channel

RECORDING, SENSOR = UUID(int=51), UUID(int=52)
RATE_HZ = 100.0
ACC, GYR = 0.005, 0.001
IMU = StreamSpec(
    "imu",
    tuple(Channel(name, "m/s2", ACC) for name in ("ax", "ay", "az"))
    + tuple(Channel(name, "rad/s", GYR) for name in ("gx", "gy", "gz")),
    RATE_HZ,
    "int16",
)


def repetitions(count: int, period_s: float = 2.5, lead_s: float = 3.0) -> np.ndarray:
    """(n, 6) int16: a hinge that lifts by 60 degrees and returns, `count` times, with rest before and after."""
    t = np.arange(round((2 * lead_s + count * period_s) * RATE_HZ)) / RATE_HZ
    inside = np.clip(t - lead_s, 0.0, count * period_s)
    angle = np.radians(30) * (1 - np.cos(2 * np.pi * inside / period_s))
    rate = np.gradient(angle, 1 / RATE_HZ)
    zero = np.zeros_like(t)
    rng = np.random.default_rng(1)
    acc = 9.81 * np.stack([np.sin(angle), zero, np.cos(angle)], 1) + rng.normal(0, 0.02, (len(t), 3))
    gyr = np.stack([zero, -rate, zero], 1) + rng.normal(0, 0.003, (len(t), 3))
    return np.rint(np.hstack([acc / ACC, gyr / GYR])).astype(np.int16)


def blocks(values: np.ndarray, k: int, flags: Flag = Flag.NONE) -> list[SampleBlock]:
    return [
        SampleBlock("imu", 1, at, values[at : at + k], None, RATE_HZ, at * 10_000_000, flags)
        for at in range(0, len(values), k)
    ]


@pytest.mark.parametrize(("k", "lose"), [(1, 0), (10, 0), (10, 17)])
def test_the_count_follows_the_repetitions(k: int, lose: int) -> None:
    said: list[Mapping[str, Any]] = []
    live = Live(said.append)
    for number, block in enumerate(blocks(repetitions(8), k)):
        if not lose or number % lose:
            live.on_block(RECORDING, None, SENSOR, IMU, block)
    assert 7 <= said[-1]["count"] <= 8, "the server's result corrects it"
    assert max(each["angle_deg"] for each in said) == pytest.approx(60, abs=6)
    assert said[-1].keys() == {"recording", "exercise", "count", "angle_deg", "angle", "t"}
    changes = sum(a["count"] != b["count"] for a, b in pairwise(said))
    assert len(said) <= len(repetitions(8)) / RATE_HZ * 10 + 1 + changes, "ten a second and each new count"


def test_another_recording_begins_at_zero() -> None:
    said: list[Mapping[str, Any]] = []
    live = Live(said.append)
    for block in blocks(repetitions(4), 10):
        live.on_block(RECORDING, "no such exercise", SENSOR, IMU, block)
    assert said[-1]["count"] >= 3
    live.on_block(UUID(int=53), None, SENSOR, IMU, blocks(repetitions(4), 10)[0])
    assert said[-1]["count"] == 0


def test_history_no_recording_and_no_gyroscope_are_not_counted() -> None:
    said: list[Mapping[str, Any]] = []
    live = Live(said.append)
    acc_only = StreamSpec("acc", IMU.channels[:3], RATE_HZ, "int16")
    slow = StreamSpec("imu", IMU.channels, 1.0, "int16")
    block = blocks(repetitions(2), 100)[3]
    live.on_block(None, None, SENSOR, IMU, block)
    live.on_block(RECORDING, None, SENSOR, IMU, blocks(repetitions(2), 100, Flag.FLASH)[3])
    live.on_block(RECORDING, None, UUID(int=54), acc_only, block)
    live.on_block(RECORDING, None, UUID(int=55), slow, block)
    assert said == []


def test_counting_in_the_background_comes_to_the_same_and_holds_up_nothing() -> None:
    said: list[Mapping[str, Any]] = []
    at_once: list[Mapping[str, Any]] = []
    alone = Live(at_once.append)
    with ThreadPoolExecutor(1) as pool:
        live = Live(said.append, background=pool.submit)
        for block in blocks(repetitions(6), 10):
            live.on_block(RECORDING, None, SENSOR, IMU, block)
            alone.on_block(RECORDING, None, SENSOR, IMU, block)
    assert said[-1]["count"] == at_once[-1]["count"] >= 5
    angles = [each["angle_deg"] for each in at_once]
    assert max(each["angle_deg"] for each in said) == max(angles)


def test_a_failure_in_the_background_is_raised_where_samples_come(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise TypeError("a mistake of ours")

    monkeypatch.setattr("rtm_gateway.live.LiveCounter.push", broken)
    live = Live(lambda _message: None)
    first, second = blocks(repetitions(1), 10)[:2]
    live.on_block(RECORDING, None, SENSOR, IMU, first)
    with pytest.raises(TypeError, match="mistake"):
        live.on_block(RECORDING, None, SENSOR, IMU, second)
