"""Captures of the simulated wearables, damaged in every way the kit knows: never a crash, and where a check
sum exists never a wrong sample."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.simulate import wear
from rtm_gateway.drivers import DRIVERS, Port, SampleBlock, create
from rtm_gateway.drivers.homestretch import HomestretchDriver
from rtm_gateway.drivers.testkit import Capture, Notification, check, damage, decode
from rtm_gateway.radio import open_radio
from rtm_signal.recording import Recording, SensorRecording

CHECKED = {"homestretch", "capture2go"}
"""Frames with a check sum. Polar, Movesense and WitMotion have none: a flipped bit inside a sample stays."""
BYTE_STREAM = {"witmotion"}
SAMPLES = 250


def wandering() -> Recording:
    """Neighbouring samples differ, so that a shifted one is noticed."""
    t = np.arange(0, 60, 0.01)
    wave = np.cumsum(np.random.default_rng(1).normal(0, 0.2, (len(t), 3)), axis=0) % 7
    return Recording({"wrist": SensorRecording(t, wave, wave / 3, None)})


async def record(profile: str, mtu: int) -> Capture:
    """What a simulated wearable sends from the subscription on, and the samples in it."""
    driver = create(profile)
    decoder: Any = driver.decoder()
    sent: list[Notification] = []
    blocks: list[SampleBlock] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        place = int(listening.getsockname()[1])
    radio = open_radio(f"bumble:tcp-client:127.0.0.1:{place}")
    async with Air(seed=9) as air, asyncio.timeout(60), contextlib.AsyncExitStack() as closing:
        closing.push_async_callback(radio.close)
        (sensor,) = await wear(air, profile, wandering(), seed=9, loop=True, speed=2.0, mtu=mtu)
        await air.serve(f"tcp-server:127.0.0.1:{place}")
        found = await radio.find(sensor.address.to_string(False), 10)
        assert found is not None
        client = await radio.connect(found[0], pair=driver.encrypted)
        names = frozenset(c.uuid for service in client.services for c in service.characteristics)
        port = Port(client, decoder, names)

        def receive(characteristic: Any, data: bytearray) -> None:
            sent.append((characteristic.uuid, bytes(data), len(sent) * 20_000_000))
            blocks.extend(decoder.feed(*sent[-1]))
            for reply in decoder.take_replies():
                port.deliver(reply)

        for characteristic in driver.notify:
            await client.start_notify(characteristic, receive)
        await driver.configure(port)
        await driver.start(port)
        while sum(len(block.values) for block in blocks) < SAMPLES:
            await asyncio.sleep(0.02)
        notifications, got = tuple(sent), list(blocks)
    information = driver.information if isinstance(driver, HomestretchDriver) else None

    def prepare(fresh: Any) -> None:
        if information is not None:
            fresh.know(information)

    by_stream: dict[str, list[Any]] = {}
    for block in got:
        by_stream.setdefault(block.stream, []).append(block.values)
    samples = {stream: np.concatenate(values) for stream, values in by_stream.items()}
    return Capture(
        f"simulated {profile}",
        notifications,
        samples,
        prepare=prepare,
        checked=profile in CHECKED,
        byte_stream=profile in BYTE_STREAM,
        split=profile == "movesense-gsp" and mtu < 201,
    )


@lru_cache
def captured(profile: str, mtu: int = 247) -> Capture:
    return asyncio.run(record(profile, mtu))


@pytest.mark.parametrize("profile", sorted(DRIVERS))
def test_a_simulated_capture_passes_the_kit(profile: str) -> None:
    check(create(profile), [captured(profile)], trials=10)


@pytest.mark.parametrize("profile", sorted(DRIVERS))
@pytest.mark.parametrize("mtu", [23, 57])
def test_a_link_of_few_bytes_gives_the_same_samples(profile: str, mtu: int) -> None:
    """57: the first part of a Movesense packet is a whole number of samples."""
    narrow, wide = captured(profile, mtu), captured(profile)
    check(create(profile), [narrow], trials=5)
    for stream, truth in narrow.samples.items():
        rows = {tuple(row) for row in wide.samples[stream].tolist()}
        common = [tuple(row) in rows for row in truth[: len(wide.samples[stream])].tolist()]
        assert np.mean(common) > 0.8, "samples of the narrow link are not those of the wide one"


@pytest.mark.parametrize("profile", sorted(DRIVERS))
@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32), rounds=st.integers(2, 8))
def test_a_capture_damaged_many_times(profile: str, seed: int, rounds: int) -> None:
    """Several kinds of damage at once, one on top of the other."""
    capture, rng = captured(profile), random.Random(seed)
    notifications: list[Notification] = list(capture.notifications)
    for _ in range(rounds):
        worse = Capture(capture.name, tuple(notifications), capture.samples, byte_stream=capture.byte_stream)
        notifications, _ = damage(worse, rng)
    blocks = decode(create(profile), capture, notifications)
    for stream, truth in capture.samples.items():
        rows = [tuple(row) for b in blocks if b.stream == stream for row in b.values.tolist()]
        assert np.isfinite(np.array(rows)).all()
        if capture.checked:
            assert set(rows) <= {tuple(row) for row in truth.tolist()}, "a sample that nobody sent"
