"""Two streams of one sensor, put together for the live count; and a Polar wearable counted live."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.simulate import wear
from rtm_gateway.drivers import create
from rtm_gateway.drivers.driver import SampleBlock, StreamSpec, spec_channels
from rtm_gateway.link import SensorLink
from rtm_gateway.live import Live
from rtm_gateway.motion_join import MotionJoin
from rtm_gateway.radio import open_radio
from rtm_signal.recording import Recording, SensorRecording

RECORDING, SENSOR = UUID(int=71), UUID(int=72)
HZ = 1e9
ACC = StreamSpec("acc", spec_channels("ax ay az", "m/s2", 0.01), 50.0, "int16", HZ)
GYR = StreamSpec("gyr", spec_channels("gx gy gz", "deg/s", 0.1), 52.0, "int16", HZ)


def stream(spec: StreamSpec, at: int, k: int, *, boot: int = 1, from_s: float = 0.0) -> SampleBlock:
    """A ramp: the value of each sample is its time, in hundredths (acc) or tenths (gyr) of the spec's unit."""
    index = np.arange(at, at + k)
    per_second = 100 if spec is ACC else 10
    values = np.rint((from_s + index / spec.rate_hz) * per_second)[:, None] * np.ones(3)
    tick = round((from_s + at / spec.rate_hz) * HZ)
    return SampleBlock(spec.name, boot, at, values.astype(np.int16), tick, HZ, tick)


def run(feed: list[tuple[StreamSpec, SampleBlock]]) -> list[SampleBlock]:
    join, out = MotionJoin(), []
    for spec, block in feed:
        joined = join.feed(spec, block)
        if joined is not None:
            assert [c.name for c in joined[0].channels] == ["ax", "ay", "az", "gx", "gy", "gz"]
            out.append(joined[1])
    return out


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.integers(1, 40)), min_size=1, max_size=30))
def test_every_angular_rate_meets_the_acceleration_of_its_moment(turns: list[tuple[bool, int]]) -> None:
    """However the two streams are cut and however one runs ahead, up to what is waited for."""
    at = {"acc": 0, "gyr": 0}
    feed = []
    for is_acc, k in turns:
        spec, other = (ACC, GYR) if is_acc else (GYR, ACC)
        if at[spec.name] / spec.rate_hz - at[other.name] / other.rate_hz > 0.9:
            continue
        feed.append((spec, stream(spec, at[spec.name], k)))
        at[spec.name] += k
    joined = run(feed)
    after = 0
    for block in joined:
        assert block.first == after, "consecutive, none twice"
        after = block.first + len(block.values)
        moments = np.arange(block.first, after) / GYR.rate_hz
        assert np.allclose(block.values[:, 0], moments, atol=0.011)
        assert np.allclose(np.degrees(block.values[:, 3]), moments, atol=0.051)
    covered = min(at["gyr"], int((at["acc"] - 1) / ACC.rate_hz * GYR.rate_hz) + 1 if at["acc"] else 0)
    assert after == pytest.approx(covered, abs=1)


def test_half_a_sensor_and_a_lost_half_are_not_waited_for() -> None:
    assert run([(ACC, stream(ACC, at, 50)) for at in range(0, 5000, 50)]) == []
    join = MotionJoin()
    for at in range(0, 10_000, 50):
        join.feed(GYR, stream(GYR, at, 50))
    assert join._gyr.t.size < 250, "two seconds at most"


def test_a_new_boot_of_either_stream_begins_anew() -> None:
    joined = run(
        [
            (ACC, stream(ACC, 0, 50)),
            (GYR, stream(GYR, 0, 40)),
            (ACC, stream(ACC, 0, 50, boot=2, from_s=500.0)),
            (GYR, stream(GYR, 0, 40, boot=2, from_s=500.0)),
        ]
    )
    assert [(block.boot, block.first, len(block.values)) for block in joined] == [(1, 0, 40), (2, 0, 40)]


def test_a_hole_ends_a_block() -> None:
    joined = run(
        [(GYR, stream(GYR, 0, 10)), (GYR, stream(GYR, 20, 10)), (ACC, stream(ACC, 0, 40)), (ACC, stream(ACC, 40, 1))]
    )  # fmt: skip
    assert [(block.first, len(block.values)) for block in joined] == [(0, 10), (20, 10)]


def squats() -> Recording:
    """A hinge that lifts by 60 degrees and returns, five times."""
    t = np.arange(0, 15, 0.01)
    angle = np.radians(30) * (1 - np.cos(2 * np.pi * np.clip(t - 2, 0, 10) / 2.0))
    zero = np.zeros_like(t)
    acc = 9.81 * np.stack([np.sin(angle), zero, np.cos(angle)], 1)
    gyr = np.stack([zero, -np.gradient(angle, t), zero], 1)
    return Recording({"wrist": SensorRecording(t, acc, gyr, None)})


def test_a_polar_wearable_is_counted_live() -> None:
    said: list[Mapping[str, Any]] = []
    live = Live(said.append)
    driver = create("polar-pmd")
    seen_s = [0.0]

    def on_block(block: SampleBlock) -> None:
        spec = next(each for each in driver.streams() if each.name == block.stream)
        live.on_block(RECORDING, None, SENSOR, spec, block)
        if block.stream == "gyr":
            seen_s[0] = (block.first + len(block.values)) / spec.rate_hz

    async def story() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listening:
            place = int(listening.getsockname()[1])
        async with Air(seed=5) as air, asyncio.timeout(120):
            (sensor,) = await wear(air, "polar-pmd", squats(), seed=5)
            await air.serve(f"tcp-server:127.0.0.1:{place}")
            radio = open_radio(f"bumble:tcp-client:127.0.0.1:{place}")
            found = await radio.find(sensor.address.to_string(False), 20)
            assert found is not None
            link = SensorLink(found[0], driver, radio=radio, on_block=on_block, on_event=lambda _: None)
            task = asyncio.create_task(link.run())
            while seen_s[0] < 13.8:
                await asyncio.sleep(0.05)
            await link.stop()
            await task
            await radio.close()

    asyncio.run(story())
    assert 4 <= said[-1]["count"] <= 5
    assert max(each["angle_deg"] for each in said) == pytest.approx(60, abs=8)
