"""The sensors of a campaign on one air, and the plug of the gateway's Bluetooth adapter."""

from __future__ import annotations

import asyncio
import contextlib
import socket

import numpy as np
from benchmarks.campaign.truth import TapedFlash
from bumble.gatt import Characteristic

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.link import RadioConditions
from rtm_firmware_sim.playback import Playback
from rtm_firmware_sim.profiles.homestretch import Homestretch
from rtm_firmware_sim.simulate import make_sensors
from rtm_signal.recording import Recording, SensorRecording

PLACEMENTS = ("thigh", "shank", "wrist")
RADIO = RadioConditions(interval_s=0.0075, loss=0.05, packets_per_event=8, supervision_s=0.72)
"""An ordinary link; the short interval carries the compressed time."""
HALF_OPEN_S = 8.0
"""Longer than the 5 s of silence after which the gateway gives a link up."""


def free_port() -> int:
    """A port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def noise(sensors: int, seconds: float, rate_hz: float, seed: int) -> Recording:
    """Restless sensors: no two samples alike, so that a misplaced one is seen."""
    rng = np.random.default_rng(seed)
    t = np.arange(max(round(seconds * rate_hz), 2)) / rate_hz
    return Recording(
        {
            place: SensorRecording(t, rng.normal(0.0, 6.0, (t.size, 3)), rng.normal(0.0, 2.0, (t.size, 3)))
            for place in PLACEMENTS[:sensors]
        }
    )


class Room:
    """Use as an async context manager; `moniker` is the gateway's radio."""

    def __init__(
        self, *, sensors: int, seconds: float, rate_hz: float, speed: float, flash: int, seed: int
    ) -> None:
        self.rate_hz, self.speed, self.flash = rate_hz, speed, flash
        self._recording = noise(sensors, seconds * speed, rate_hz, seed)
        self._seed = seed
        self._air = Air(RADIO, seed=seed)
        self._inner, self._outer = free_port(), free_port()
        self._plugged = True
        self._lines: set[asyncio.StreamWriter] = set()
        self.sensors: list[Homestretch] = []
        self.moniker = f"bumble:tcp-client:127.0.0.1:{self._outer}"

    async def __aenter__(self) -> Room:
        playback = Playback(speed=self.speed, loop=True)
        for sensor in make_sensors("homestretch", self._recording, playback, seed=self._seed):
            if isinstance(sensor, Homestretch):
                sensor.firmware.flash = TapedFlash(self.flash)
                self.sensors.append(sensor)
                await self._air.add(sensor)
        await self._air.serve(f"tcp-server:127.0.0.1:{self._inner}")
        self._plug = await asyncio.start_server(self._pass, "127.0.0.1", self._outer)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._plug.close()
        self._cut()
        await self._air.close()

    def tape(self, number: int) -> TapedFlash:
        """What sensor `number` sampled."""
        flash = self.sensors[number].firmware.flash
        if not isinstance(flash, TapedFlash):
            raise TypeError("the sensor's flash has no tape")
        return flash

    def freeze(self) -> None:
        """The sensors are taken off: they sample no more, but still answer."""
        for sensor in self.sensors:
            sensor.firmware.stop_run()
            sensor.firmware.start_run = lambda: None  # type: ignore[method-assign]  # the campaign's end

    # Faults

    async def half_open(self, number: int) -> None:
        """The link stays up and nothing arrives any more, until somebody connects anew."""
        sensor = self.sensors[number]
        deaf = sensor.connection

        async def swallow(characteristic: Characteristic[bytes], value: bytes) -> None:
            if sensor.connection is not deaf:
                await Homestretch.notify(sensor, characteristic, value)
            else:
                await asyncio.sleep(0.01)

        sensor.notify = swallow  # type: ignore[method-assign]  # the fault
        await asyncio.sleep(HALF_OPEN_S)
        del sensor.notify

    async def unplug(self, seconds: float) -> None:
        """The adapter is pulled out, and put back."""
        self._plugged = False
        self._cut()
        await asyncio.sleep(seconds)
        self._plugged = True

    def _cut(self) -> None:
        for line in list(self._lines):
            line.transport.abort()
        self._lines.clear()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a gateway to its adapter."""
        if not self._plugged:
            writer.transport.abort()
            return
        inward, outward = await asyncio.open_connection("127.0.0.1", self._inner)
        self._lines |= {writer, outward}
        await asyncio.gather(_pump(reader, outward), _pump(inward, writer))
        self._lines -= {writer, outward}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    writer.close()
