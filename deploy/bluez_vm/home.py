"""In the guest: one simulated sensor with a tape of what it sampled, and `rtm gateway` in a process of its own."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.body import exercise
from rtm_firmware_sim.flash import CHANNELS, FlashRing
from rtm_firmware_sim.link import RadioConditions
from rtm_firmware_sim.playback import Playback
from rtm_firmware_sim.profiles.homestretch import Homestretch
from rtm_firmware_sim.simulate import make_sensors
from rtm_gateway.keys import load_or_create_key
from rtm_gateway.outbox import Entry, Outbox
from rtm_signal.recording import Recording

TENANT, GATEWAY, SENSOR = UUID(int=1), UUID(int=2), UUID(int=3)
RADIO = RadioConditions(interval_s=0.030, loss=0.02, packets_per_event=4, supervision_s=2.0)
_OUTBOX_LIMIT = 1 << 30


class Tape(FlashRing):
    """A flash ring that also keeps every sample ever written, freed or not. One boot."""

    def __init__(self, capacity: int) -> None:
        super().__init__(capacity)
        self._parts: list[NDArray[np.int16]] = []

    def write(self, index: NDArray[np.int64], samples: NDArray[np.int16], ticks: NDArray[np.uint64]) -> None:
        """Tape, then write."""
        self._parts.append(samples.astype(np.int16))
        super().write(index, samples, ticks)

    def samples(self) -> NDArray[np.int16]:
        """(n, 6): sample i in row i."""
        return np.concatenate([np.zeros((0, CHANNELS), np.int16), *self._parts])


def make_sensor(rate_hz: float, seed: int) -> Homestretch:
    """A sensor on the shank that squats until it is taken off, switched off still."""
    motion = exercise("squat", repetitions=20, rate_hz=rate_hz, seed=seed).recording
    worn = Recording({"shank": next(iter(motion.sensors.values()))})
    (sensor,) = make_sensors("homestretch", worn, Playback(loop=True), seed=seed)
    if not isinstance(sensor, Homestretch):
        raise TypeError("the profile homestretch is another class now")
    sensor.firmware.flash = Tape(1 << 20)
    return sensor


def make_air(seed: int) -> Air:
    """The room: an ordinary radio link."""
    return Air(RADIO, seed=seed)


class GatewayProcess:
    """`rtm gateway` on bleak's own back end; what it logs is kept and shown."""

    def __init__(self, folder: Path, address: str) -> None:
        self._folder = folder
        sensors = [
            {"sensor": str(SENSOR), "profile": "homestretch", "placement": "shank", "address": address}
        ]
        self._environment = os.environ | {
            "RTM_TENANT": str(TENANT),
            "RTM_GATEWAY": str(GATEWAY),
            "RTM_RADIO": "native",
            "RTM_DATA_DIR": str(folder),
            "RTM_SENSORS": json.dumps(sensors),
        }
        self.log: list[dict[str, Any]] = []
        self._heard = asyncio.Condition()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it (again): the same outbox, the same bonds."""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "homestretch", "gateway"),
            env=self._environment,
            stderr=asyncio.subprocess.PIPE,
        )
        self._reader = asyncio.create_task(self._listen(self._process))

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        while process.stderr is not None and (line := await process.stderr.readline()):
            text = line.decode(errors="replace").rstrip()
            try:
                entry = json.loads(text)
            except ValueError:
                entry = {"message": text}
            print(f"  gateway: {entry.get('event', '-')}: {entry.get('message')}", flush=True)
            async with self._heard:
                self.log.append(entry)
                self._heard.notify_all()

    async def wait_event(self, event: str, after: int, timeout_s: float) -> dict[str, Any] | None:
        """The first log line with this event from line `after` on; None when none comes in time."""

        def found() -> dict[str, Any] | None:
            return next((entry for entry in self.log[after:] if entry.get("event") == event), None)

        async with self._heard:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(timeout_s):
                    await self._heard.wait_for(lambda: found() is not None)
        return found()

    async def end(self, number: signal.Signals) -> int:
        """Send a signal and wait; the exit code."""
        if self._process is None or self._reader is None:
            return -1
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        code = await self._process.wait()
        await self._reader
        return code

    def stored(self) -> list[Entry]:
        """Everything in its outbox at this moment, read from a copy."""
        path = self._folder / "outbox.db"
        if not path.exists():
            return []
        with tempfile.TemporaryDirectory() as name:
            copy = Path(name) / "outbox.db"
            source, target = sqlite3.connect(f"file:{path}?mode=ro", uri=True), sqlite3.connect(copy)
            with contextlib.closing(source), contextlib.closing(target):
                source.backup(target)
            outbox = Outbox(copy, load_or_create_key(self._folder / "outbox.key"), limit_bytes=_OUTBOX_LIMIT)
            with contextlib.closing(outbox):
                return outbox.take(_OUTBOX_LIMIT, now=0.0)


async def output_of(*command: str, timeout_s: float = 30.0) -> str:
    """What a command prints; what it printed before the time was over."""
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    try:
        async with asyncio.timeout(timeout_s):
            printed, _ = await process.communicate()
    except TimeoutError:
        process.kill()
        await process.wait()
        return ""
    return printed.decode(errors="replace")
