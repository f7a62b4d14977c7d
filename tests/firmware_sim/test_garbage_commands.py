"""Nothing a central writes makes a simulated sensor fall over."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.central import Client, until
from rtm_firmware_sim.profiles import PROFILES
from rtm_firmware_sim.profiles import capture2go_packages as capture2go
from rtm_firmware_sim.simulate import wear
from rtm_signal.recording import Recording, SensorRecording

Play = Callable[[Coroutine[Any, Any, None]], None]

# profile: (where commands are written, where answers come, a good command)
DOORS = {
    "homestretch": (
        "4ef80003-139d-493c-9069-c0b6411e52e4",
        "4ef80003-139d-493c-9069-c0b6411e52e4",
        b"\x05\x07",
    ),
    "polar-pmd": (
        "fb005c81-02e7-f387-1cad-8acd2d8df0c8",
        "fb005c81-02e7-f387-1cad-8acd2d8df0c8",
        b"\x01\x02",
    ),
    "movesense-gsp": (
        "34800001-7185-4d5d-b431-630e7050e8f0",
        "34800002-7185-4d5d-b431-630e7050e8f0",
        b"\x00\x07",
    ),
    "witmotion": (
        "0000ffe9-0000-1000-8000-00805f9a34fb",
        "0000ffe4-0000-1000-8000-00805f9a34fb",
        b"\xff\xaa\x27\x3a\x00",
    ),
    "capture2go": (
        "80030002-e629-4c98-9324-aa7fc0c66de7",
        "80030003-e629-4c98-9324-aa7fc0c66de7",
        capture2go.frame(0x0200),
    ),
}


def garbage(good: bytes, rng: np.random.Generator) -> bytes:
    """Random bytes, a good command cut or bent, or a well-framed one with nonsense in it."""
    kind = rng.integers(4)
    if kind == 0:
        return rng.bytes(int(rng.integers(0, 40)))
    if kind == 1:
        return good[: int(rng.integers(0, len(good)))]
    if kind == 2:
        return bytes([int(rng.integers(0, 16)), 1]) + rng.bytes(int(rng.integers(0, 14)))
    headers = (0x70, 0x120, 0x123, 0x140, 0x150, 0x154, 0x156, 0x160, 0x170, 0x172, 0x503, 0x507, 0x509)
    return capture2go.frame(int(rng.choice(headers)), rng.bytes(int(rng.choice([0, 2, 8, 30, 32, 73, 74]))))


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("seed", [1, 2])
def test_garbage_is_survived(
    play: Play,
    moving: Callable[..., SensorRecording],
    caplog: pytest.LogCaptureFixture,
    profile: str,
    seed: int,
) -> None:
    async def scene() -> None:
        rng = np.random.default_rng(seed)
        door, answers, good = DOORS[profile]
        async with Air() as air:
            (sensor,) = await wear(air, profile, Recording({"thigh": moving()}), loop=True)
            client = await Client.connect(air, sensor)
            if sensor.encrypted:
                await client.connection.pair()
            box = await client.subscribe(answers)
            for _ in range(120):
                await client.write(door, garbage(good, rng))
            await asyncio.sleep(0.05)
            before = len(box)
            await client.write(door, good)
            await until(lambda: len(box) > before)
            assert sensor.connection is not None

    with caplog.at_level(logging.ERROR):
        play(scene())
    assert [record.message for record in caplog.records if "simulated sensor" in record.message] == []
    assert not [record for record in caplog.records if record.exc_info]
