"""What the tests of the simulator share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import numpy as np
import pytest

from rtm_signal.recording import SensorRecording


@pytest.fixture
def play() -> Callable[[Coroutine[Any, Any, None]], None]:
    """Run a coroutine; a scene that hangs fails after two minutes."""

    def run(scene: Coroutine[Any, Any, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(120.0):
                await scene

        asyncio.run(bounded())

    return run


@pytest.fixture
def moving() -> Callable[..., SensorRecording]:
    """A recording of smooth movement: `moving(seconds, rate_hz, mag=...)`."""

    def make(seconds: float = 2.0, rate_hz: float = 100.0, *, mag: bool = False) -> SensorRecording:
        rng = np.random.default_rng(7)
        t = np.arange(round(seconds * rate_hz)) / rate_hz
        phase = rng.uniform(0.0, 6.0, size=(3, 3))
        acc, gyr, field = (
            size * np.sin(2.0 * np.pi * 0.7 * t[:, None] + phase[k])
            for k, size in enumerate((9.0, 2.0, 30.0))
        )
        return SensorRecording(t, acc + rng.normal(scale=0.1, size=acc.shape), gyr, field if mag else None)

    return make
