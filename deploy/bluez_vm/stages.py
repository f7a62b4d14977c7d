"""In the guest: the simulator behind /dev/vhci, `rtm gateway` on BlueZ, one stage after the other.

A stage that fails does not end the run: the later ones say how far the failure reaches.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import re
import signal
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from deploy.bluez_vm.home import SENSOR, GatewayProcess, make_air, make_sensor, output_of
from deploy.bluez_vm.result import Result, versions_line

from rtm_gateway.radio import open_radio
from rtm_signal.chunk import decode, stream_id
from rtm_signal.wire import CHUNK, Manifest

SEED = 4
RATE_HZ = 100.0
PATIENCE_S = 420.0
"""Longest wait for anything: on a busy host an emulated gateway takes three minutes to start."""
STREAM_S, CALM_S, AWAY_S, RESYNC_S = 20.0, 8.0, 12.0, 60.0
DATA = Path("/tmp/gateway")  # noqa: S108 - the guest's own memory, and nobody else is there

Outcome = tuple[bool, str]
T = TypeVar("T")


async def eventually(read: Callable[[], T], satisfied: Callable[[T], bool]) -> T:
    """What `read` gives once it satisfies, or at last. Read in a thread, so that the sensor never stands still."""
    deadline = time.monotonic() + PATIENCE_S
    while not satisfied(value := await asyncio.to_thread(read)) and time.monotonic() < deadline:
        await asyncio.sleep(2.0)
    return value


class Stages:
    """State of one run."""

    def __init__(self) -> None:
        self.air = make_air(SEED)
        self.sensor = make_sensor(RATE_HZ, SEED)
        self.address = self.sensor.address.to_string(False)
        self.gateway = GatewayProcess(DATA, self.address)

    async def adapter(self) -> Outcome:
        """bluetoothd takes the virtual controller and switches it on."""
        await self.air.add(self.sensor)
        await self.air.serve("vhci")
        deadline = time.monotonic() + PATIENCE_S
        shown = ""
        while "Powered: yes" not in shown and time.monotonic() < deadline:
            shown = await output_of("bluetoothctl", "show")
            await asyncio.sleep(1.0)
        found = re.search(r"Controller (\S+)", shown)
        return "Powered: yes" in shown, f"controller {found.group(1) if found else 'absent'}"

    async def scan(self) -> Outcome:
        """The gateway's own scan finds the sensor."""
        found = await open_radio("native").find(self.address, PATIENCE_S)
        if found is None:
            return False, "the sensor was not seen"
        device, advertisement = found
        return device.name == self.sensor.name, f"{device.name}, {advertisement.rssi} dBm"

    async def connect(self) -> Outcome:
        """The gateway starts, finds, connects and configures the sensor."""
        began = time.monotonic()
        await self.gateway.start()
        event = await self.gateway.wait_event("connected", 0, PATIENCE_S)
        link = self.sensor.connection
        if event is None or link is None:
            return False, "no connection"
        return True, f"{time.monotonic() - began:.0f} s after the process began; ATT MTU {link.att_mtu}"

    async def pair(self) -> Outcome:
        """Bonded on both sides, encrypted by LE Secure Connections; the gateway is bluetoothd's only agent."""
        link = self.sensor.connection
        info = await output_of("bluetoothctl", "info", self.address, timeout_s=PATIENCE_S)
        bonded = "Paired: yes" in info and "Bonded: yes" in info
        encrypted, secure = link is not None and link.is_encrypted, link is not None and link.sc
        words = [f"{'' if bonded else 'not '}bonded", f"{'' if encrypted else 'not '}encrypted"]
        return bonded and encrypted and secure, f"{', '.join(words)}, LE Secure Connections {secure}"

    async def stream(self) -> Outcome:
        """What is sampled within 20 s reaches the outbox; how soon depends on the host and is only told."""
        await asyncio.sleep(STREAM_S)
        sampled, began = self.sensor.firmware.next_index, time.monotonic()
        stored = await eventually(self.stored_samples, lambda number: number >= sampled)
        words = f"{stored} samples in the outbox"
        return stored >= sampled > 0, f"{words}; the first {sampled} after {time.monotonic() - began:.0f} s"

    async def drop(self) -> Outcome:
        """The link is lost as by a supervision time-out."""
        return await self.after(self.sensor.drop_link)

    async def out_of_range(self) -> Outcome:
        """Away for longer than the supervision time-out; the memory fills the gap."""
        return await self.after(lambda: self.sensor.lose_range(AWAY_S))

    async def bond_lost(self) -> Outcome:
        """The sensor forgets its bond: the gateway, started once more, forgets it too and pairs anew.

        The last stage: BlueZ of Debian 12 does not survive it (docs/explanation/bluez-result.md).
        """
        mark = len(self.gateway.log)
        await self.gateway.start()
        if await self.gateway.wait_event("connected", mark, PATIENCE_S) is None:
            return False, "the gateway did not connect to begin with"
        await self.sensor.forget_bonds()
        done, words = await self.after(self.sensor.drop_link)
        link = self.sensor.connection
        return done and link is not None and link.is_encrypted, words

    async def power_cycle(self) -> Outcome:
        """The adapter is switched off and on."""
        mark = len(self.gateway.log)
        await output_of("bluetoothctl", "power", "off")
        await asyncio.sleep(2.0)
        await output_of("bluetoothctl", "power", "on")
        return await self.back(mark)

    async def kill(self) -> Outcome:
        """kill -9 of the gateway, which leaves BlueZ connected, and a new start."""
        mark = len(self.gateway.log)
        await self.gateway.end(signal.SIGKILL)
        await asyncio.sleep(2.0)
        await self.gateway.start()
        await self.scanning_or_connected(mark)
        return await self.back(mark, patience_s=60.0)

    async def resume(self) -> Outcome:
        """The sensor's button closes the recording; everything sampled is stored, once, unaltered."""
        sampled = self.sensor.firmware.next_index
        await eventually(self.stored_samples, lambda number: number >= sampled)
        await self.sensor.press_button()
        await eventually(self.verdict, lambda outcome: outcome[0])
        code = await self.gateway.end(signal.SIGTERM)
        ok, words = self.verdict()
        return ok and code == 0, f"{words}; exit code {code}"

    # --- helpers -----------------------------------------------------------------------------------------

    async def after(self, fault: Callable[[], None]) -> Outcome:
        """A fault, and what follows it."""
        mark = len(self.gateway.log)
        fault()
        return await self.back(mark)

    async def scanning_or_connected(self, mark: int) -> None:
        """Wait until a gateway just started has come as far as its first scan; that takes minutes at worst."""
        deadline = time.monotonic() + PATIENCE_S
        while time.monotonic() < deadline:
            if await self.gateway.wait_event("connected", mark, 2.0) is not None:
                return
            if "Discovering: yes" in await output_of("bluetoothctl", "show"):
                return

    async def back(self, mark: int, patience_s: float = PATIENCE_S) -> Outcome:
        """Connected again, and the memory asked for what was missed."""
        began = time.monotonic()
        connected = await self.gateway.wait_event("connected", mark, patience_s)
        if connected is None:
            device = await output_of("bluetoothctl", "info", self.address)
            adapter = await output_of("bluetoothctl", "show")
            held = "holds the link" if "Connected: yes" in device else "has no link"
            scans = "is scanning" if "Discovering: yes" in adapter else "is not scanning"
            return False, f"not connected again in {patience_s:.0f} s; BlueZ {held} and {scans}"
        words = f"connected again after {time.monotonic() - began:.0f} s"
        resynced = await self.gateway.wait_event("resynced", mark, RESYNC_S)
        await asyncio.sleep(CALM_S)
        return True, f"{words}; {resynced['message'] if resynced else 'nothing came from the memory'}"

    def chunks(self) -> list[Any]:
        return [decode(entry.data) for entry in self.gateway.stored() if entry.kind == CHUNK]

    def stored_samples(self) -> int:
        return sum(chunk.n for chunk in self.chunks())

    def manifest(self) -> Manifest | None:
        others = [entry for entry in self.gateway.stored() if entry.kind != CHUNK]
        return Manifest.from_json(others[-1].data) if others else None

    def verdict(self) -> Outcome:
        """The outbox against the sensor's tape, from the recording's first sample to its last."""
        manifest = self.manifest()
        if manifest is None or len(manifest.streams) != 1:
            return False, "no manifest of one stream"
        (stream,) = manifest.streams
        tape = self.sensor.firmware.flash
        truth = tape.samples()  # type: ignore[attr-defined]  # make_sensor put a Tape there
        count = np.zeros(len(truth), dtype=np.int64)
        altered = 0
        for chunk in self.chunks():
            if chunk.stream != stream_id(SENSOR, "imu") or chunk.boot != self.sensor.firmware.boot:
                return False, "a chunk of another stream or boot"
            span = slice(chunk.first, chunk.first + chunk.n)
            count[span] += 1
            altered += int(np.any(chunk.values != truth[span], axis=1).sum())
        recorded = count[stream.first : stream.last + 1]
        missing, doubled = int((recorded == 0).sum()), int((count > 1).sum())
        lost = sum(last - first + 1 for first, last in stream.lost)
        words = f"{len(recorded)} of {len(truth)} sampled are in the recording: {missing} missing, {doubled} doubled"
        return not (
            missing or doubled or altered or lost
        ), f"{words}, {altered} altered, {lost} declared lost"


ORDER: tuple[Callable[[Stages], Coroutine[Any, Any, Outcome]], ...] = (
    Stages.adapter,
    Stages.scan,
    Stages.connect,
    Stages.pair,
    Stages.stream,
    Stages.drop,
    Stages.out_of_range,
    Stages.kill,
    Stages.power_cycle,
    Stages.resume,
    Stages.bond_lost,
)


async def versions() -> dict[str, str]:
    """Of everything that took part."""
    bluez = (await output_of("/usr/libexec/bluetooth/bluetoothd", "--version")).strip()
    found = {"kernel": platform.release(), "BlueZ": bluez, "Python": platform.python_version()}
    for package in ("bleak", "bleak-retry-connector", "dbus-fast", "bumble"):
        found[package] = importlib.metadata.version(package)
    return found


async def main() -> int:
    """Run the stages in order; 0 when all hold."""
    print(versions_line(await versions()), flush=True)
    stages = Stages()
    failed = 0
    for stage in ORDER:
        name = stage.__name__.replace("_", " ")
        print(f"bluez-vm: {name} ...", flush=True)
        try:
            ok, figure = await stage(stages)
        except Exception as error:
            ok, figure = False, f"{type(error).__name__}: {error}"
        failed += not ok
        print(Result(name, ok, figure).line(), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
