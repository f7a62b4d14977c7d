"""WitMotion WT901BLE / BWT901BLE5.0: 20-byte frames without time or sequence, registers, nothing else.

Facts: docs/reference/simulator.md; nothing here was checked on hardware. The real sensor is delivered at 10
Hz; the simulated one is set to the rate nearest to its recording's, so that a replay loses nothing until a
client says otherwise.
"""

from __future__ import annotations

import struct
from typing import Literal

import numpy as np
from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Service

from rtm_firmware_sim.attitude import Attitude, euler_deg
from rtm_firmware_sim.firmware import acc_lsb, gyr_lsb, to_int16
from rtm_firmware_sim.peripheral import Peripheral, Properties, advertisement, characteristic
from rtm_firmware_sim.playback import Block, Sampler
from rtm_firmware_sim.profiles.wearable import Order, Wearable

# Not the base of the Bluetooth SIG, which ends in 5f9b34fb.
SERVICE = UUID("0000ffe5-0000-1000-8000-00805f9a34fb")
NOTIFY = UUID("0000ffe4-0000-1000-8000-00805f9a34fb")
WRITE = UUID("0000ffe9-0000-1000-8000-00805f9a34fb")

RATE_CODES = {0x03: 1.0, 0x05: 5.0, 0x06: 10.0, 0x08: 50.0, 0x09: 100.0, 0x0B: 200.0}
FRAME_BYTES = 20
SAVE, RATE, READ, UNLOCK = 0x00, 0x03, 0x27, 0x69
MAG_X, ANGLE_X, TEMPERATURE, QUATERNION, BATTERY = 0x3A, 0x3D, 0x40, 0x51, 0x64
MAG_PER_UT = 120.0
"""The register is the field times 120; that its unit is uT is not verified on hardware."""
REGISTERS_A_REPLY = 8
MERGED_FRAMES = 4

Framing = Literal["whole", "split", "merged"]
STREAM = "data"


def data_frame(acc: np.ndarray, gyr: np.ndarray, angle_deg: np.ndarray) -> bytes:
    """55 61 and nine i16: acceleration (16 g), rate (2000 dps), angle (180 deg); acc m/s2, gyr rad/s."""
    return (
        bytes([0x55, 0x61])
        + np.concatenate(
            [
                to_int16(acc, acc_lsb(16.0)),
                to_int16(gyr, gyr_lsb(2000.0)),
                to_int16(angle_deg, 180.0 / 32768.0),
            ]
        )
        .astype("<i2")
        .tobytes()
    )


def register_frame(register: int, values: list[int]) -> bytes:
    """55 71, the register's address, then it and the seven after it."""
    return struct.pack("<BBH8h", 0x55, 0x71, register, *values)


class WitMotion(Wearable):
    """A WitMotion sensor. framing: one frame a notification, frames cut anywhere, or several in one."""

    def __init__(self, order: Order, *, framing: Framing = "whole") -> None:
        super().__init__(order, name=order.name or f"WT901BLE{order.hex_serial[:2]}", maker="witmotion")
        self.framing = framing
        nearest = min(RATE_CODES, key=lambda code: abs(RATE_CODES[code] - order.track.rate_hz))
        self._written: dict[int, int] = {RATE: nearest}
        self._attitude = Attitude()
        self._mag_ut = np.zeros(3)
        self._angle_deg = np.zeros(3)
        self._pending = b""
        self._notify = characteristic(NOTIFY, Properties.NOTIFY)
        self._write = characteristic(
            WRITE, Properties.WRITE | Properties.WRITE_WITHOUT_RESPONSE, write=self._on_write
        )
        self._notify.on("subscription", self._on_subscription)

    def advertising_data(self) -> bytes:
        return advertisement(self.name, [SERVICE])

    def services(self) -> list[Service]:
        return [Service(SERVICE, [self._notify, self._write])]

    @property
    def rate_hz(self) -> float:
        """What the rate register says; an unknown code leaves the recording's own rate."""
        return RATE_CODES.get(self._written[RATE], self.track.rate_hz)

    def _on_subscription(self, _connection: Connection, notify: bool, _indicate: bool) -> None:
        if notify:
            self._restart()
        else:
            self.stop_stream(STREAM)

    def _restart(self) -> None:
        self.stop_stream(STREAM)
        self._attitude, self._pending = Attitude(), b""
        sampler = self.sampler(STREAM, self.rate_hz)
        self.start_stream(STREAM, self._stream(sampler), sampler)

    def on_disconnected(self) -> None:
        super().on_disconnected()
        self._pending = b""

    async def _stream(self, sampler: Sampler) -> None:
        async for block in sampler.blocks(MERGED_FRAMES if self.framing == "merged" else 1):
            await self._send(self._frames(block, 1.0 / sampler.track.rate_hz))

    def _frames(self, block: Block, dt: float) -> bytes:
        angles = euler_deg(self._attitude.over(block.acc, block.gyr, dt))
        self._angle_deg = angles[-1]
        if block.mag is not None:
            self._mag_ut = block.mag[-1]
        return b"".join(
            data_frame(acc, gyr, angle) for acc, gyr, angle in zip(block.acc, block.gyr, angles, strict=True)
        )

    async def _send(self, frames: bytes) -> None:
        """Cut the byte stream into notifications as the framing says."""
        self._pending += frames
        most = self.payload
        if (
            self.framing == "split"
        ):  # a length that shares no factor with 20: the cut wanders through the frame
            most = min(most, 13)
        elif self.framing == "whole":
            most = most // FRAME_BYTES * FRAME_BYTES or most
        while len(self._pending) >= (most if self.framing == "split" else 1):
            part, self._pending = self._pending[:most], self._pending[most:]
            await self.notify(self._notify, part)

    # Registers

    def _on_write(self, _connection: Connection, value: bytes) -> None:
        if len(value) != 5 or value[:2] != b"\xff\xaa":
            return  # the real one says nothing either
        register, number = value[2], int.from_bytes(value[3:], "little")
        if register == READ:
            self.spawn(self._answer(value[3]))
        elif register == SAVE:
            if number == 1:
                self._written[RATE] = 0x06
        elif register != UNLOCK:  # some clients never unlock: not insisted on
            self._written[register] = number
            if register == RATE and self.streaming(STREAM):
                self._restart()

    async def _answer(self, register: int) -> None:
        values = [self._register(register + k) for k in range(REGISTERS_A_REPLY)]
        # Not within a cut frame: the reply follows the bytes that are still to be sent.
        rest, self._pending = self._pending, b""
        if rest:
            await self.notify(self._notify, rest)
        await self.notify(self._notify, register_frame(register, values))

    def _register(self, register: int) -> int:
        q = self._attitude.q if self._attitude.q is not None else np.array([1.0, 0.0, 0.0, 0.0])
        live: dict[int, float] = {TEMPERATURE: 2500.0, BATTERY: 330.0 + 0.9 * self.battery.percent()}
        live |= {MAG_X + k: float(self._mag_ut[k] * MAG_PER_UT) for k in range(3)}
        live |= {ANGLE_X + k: float(self._angle_deg[k]) / 180.0 * 32768.0 for k in range(3)}
        live |= {QUATERNION + k: float(q[k]) * 32768.0 for k in range(4)}
        value = live.get(register, float(self._written.get(register, 0)))
        number = int(np.clip(round(value), -32768, 65535))
        return number - 65536 if number > 32767 else number


def make(order: Order) -> Peripheral:
    """The profile `witmotion`."""
    return WitMotion(order)
