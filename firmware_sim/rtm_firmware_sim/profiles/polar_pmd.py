"""Polar Measurement Data (PMD), as a Polar H10 or a Polar Verity Sense speaks it.

A name with "Sense" or "Verity" in it makes a Verity Sense: 52 Hz, delta-compressed frames with a factor,
settings with channels. Any other name makes an H10: raw accelerometer frames at 25 to 200 Hz. Unlike the real
one the simulated H10 has a gyroscope where the recording has one, in the Verity's frames: a joint angle needs
it. Facts: docs/reference/simulator.md; nothing here was checked on hardware.
"""

from __future__ import annotations

import asyncio
import struct
from dataclasses import dataclass

import numpy as np
from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Service
from numpy.typing import NDArray

from rtm_firmware_sim.firmware import STANDARD_GRAVITY
from rtm_firmware_sim.peripheral import (
    Peripheral,
    Properties,
    advertisement,
    battery_service,
    characteristic,
    device_information,
)
from rtm_firmware_sim.playback import Block, Sampler
from rtm_firmware_sim.profiles.wearable import Order, Wearable

PMD = UUID("FB005C80-02E7-F387-1CAD-8ACD2D8DF0C8")
PMD_CONTROL = UUID("FB005C81-02E7-F387-1CAD-8ACD2D8DF0C8")
PMD_DATA = UUID("FB005C82-02E7-F387-1CAD-8ACD2D8DF0C8")
HEART_RATE, HEART_RATE_MEASUREMENT = UUID.from_16_bits(0x180D), UUID.from_16_bits(0x2A37)
POLAR = UUID.from_16_bits(0xFEEE)

ACC, GYRO, MAG = 2, 5, 6
GET, START, STOP = 1, 2, 3
SUCCESS, INVALID_OP, INVALID_TYPE, INVALID_LENGTH = 0, 1, 2, 4
INVALID_PARAMETER, ALREADY_IN_STATE, INVALID_RATE, INVALID_RANGE, INVALID_STATE = 5, 6, 8, 9, 12
RATE, RESOLUTION, RANGE, RANGE_MILLI, CHANNELS, FACTOR, SECURITY = range(7)
SETTING_BYTES = {RATE: 2, RESOLUTION: 2, RANGE: 2, RANGE_MILLI: 4, CHANNELS: 1, FACTOR: 4, SECURITY: 16}

RAW_TYPE_1, COMPRESSED_TYPE_0, COMPRESSED_TYPE_1 = 0x01, 0x80, 0x81
EPOCH_2019_S = 599_616_000.0
"""An H10 that lost its clock restarts at 2019-01-01, which is so many seconds after 2000-01-01."""
BLOCK_S = 0.25
BEATS_A_MINUTE, RR_PRESENT = 64, 0x10
DELTAS_A_BLOCK = 8


@dataclass(frozen=True, slots=True)
class Kind:
    """One measurement: rates, resolution, ranges, channels as settings tell them; frame type; what one LSB
    is.

    factor: the maker's units an LSB (mg, dps, gauss); None where the frame is in those units. si: m/s2, rad/s
    or uT a unit. also_ranges: not told, but taken: a published client documents 2 for 2000 degrees/s.
    """

    rates: tuple[int, ...]
    ranges: tuple[int, ...]
    frame: int
    factor: float | None
    si: float
    channels: int | None = 3
    also_ranges: tuple[int, ...] = ()

    @property
    def lsb(self) -> float:
        return self.si * (self.factor or 1.0)


MILLI_G = STANDARD_GRAVITY / 1000.0
H10_ACC = Kind((25, 50, 100, 200), (2, 4, 8), RAW_TYPE_1, None, MILLI_G, channels=None)
VERITY_ACC = Kind((52,), (8,), COMPRESSED_TYPE_1, 8000.0 / 32768.0, MILLI_G)
VERITY_GYRO = Kind(
    (52,), (2000,), COMPRESSED_TYPE_0, 2000.0 / 32768.0, float(np.radians(1.0)), also_ranges=(2,)
)
VERITY_MAG = Kind((10, 20, 50, 100), (50,), COMPRESSED_TYPE_0, 50.0 / 32768.0, 100.0)
H10_GYRO = Kind((25, 50, 52, 100, 200), (2000,), COMPRESSED_TYPE_0, 2000.0 / 32768.0, float(np.radians(1.0)))


def pack_bits(values: NDArray[np.int64], bits: int) -> bytes:
    """Signed values, each in `bits` bits, the least significant bit first, filled up to a byte."""
    total = 0
    for place, value in enumerate(values.ravel().tolist()):
        total |= (value & ((1 << bits) - 1)) << (place * bits)
    return total.to_bytes((values.size * bits + 7) // 8, "little")


def bits_for(values: NDArray[np.int64]) -> int:
    """Bits of the widest signed value; at least 2, since clients disagree about the sign of a single bit."""
    low, high = int(values.min()), int(values.max())
    return max(2, high.bit_length() + 1, (-low - 1).bit_length() + 1 if low < 0 else 0)


def compress(samples: NDArray[np.int16], room: int) -> tuple[bytes, int]:
    """(bytes, samples used): the first sample as three i16, then blocks {bits u8, count u8, deltas}, within
    `room`."""
    data = samples[0].astype("<i2").tobytes()
    wide = samples.astype(np.int64)
    deltas = wide[1:] - wide[:-1]
    used = 1
    while used < len(samples):
        part = deltas[used - 1 : used - 1 + DELTAS_A_BLOCK]
        bits = bits_for(part)
        block = bytes([bits, len(part)]) + pack_bits(part, bits)
        if len(data) + len(block) > room:
            break
        data += block
        used += len(part)
    return data, used


def quantise(values: NDArray[np.float64], lsb: float) -> NDArray[np.int16]:
    """Round and saturate to int16."""
    return np.clip(np.rint(values / lsb), -32768, 32767).astype(np.int16)


def header(kind: int, timestamp_ns: int, frame: int) -> bytes:
    """The ten bytes before the samples; the time is that of the last sample."""
    return struct.pack("<BQB", kind, timestamp_ns, frame)


class PolarPmd(Wearable):
    """A Polar sensor."""

    def __init__(self, order: Order) -> None:
        name = order.name or f"Polar H10 {order.hex_serial}"
        super().__init__(order, name=name, maker="polar", started_s=EPOCH_2019_S)
        self._serial = order.hex_serial
        verity = any(word in name for word in ("Sense", "Verity"))
        self.kinds: dict[int, Kind] = {ACC: VERITY_ACC if verity else H10_ACC}
        if np.any(order.track.gyr):
            self.kinds[GYRO] = VERITY_GYRO if verity else H10_GYRO
        if verity and order.track.mag is not None:
            self.kinds[MAG] = VERITY_MAG
        self._model = "Sense" if verity else "H10"
        self._control = characteristic(
            PMD_CONTROL,
            Properties.READ | Properties.WRITE | Properties.INDICATE,
            read=lambda _c: bytes([0x0F, sum(1 << kind for kind in self.kinds)]).ljust(17, b"\0"),
            write=self._on_control,
        )
        self._data = characteristic(PMD_DATA, Properties.NOTIFY)
        self._heart_rate = characteristic(HEART_RATE_MEASUREMENT, Properties.NOTIFY)

    def advertising_data(self) -> bytes:
        return advertisement(self.name, [HEART_RATE, POLAR])

    def services(self) -> list[Service]:
        return [
            Service(HEART_RATE, [self._heart_rate]),
            battery_service(self.battery.percent),
            device_information(
                manufacturer="Polar Electro Oy", model=self._model, serial=self._serial, firmware="0.0.0-sim"
            ),
            Service(PMD, [self._control, self._data]),
        ]

    def on_connected(self) -> None:
        self.spawn(self._beat())

    async def _beat(self) -> None:
        """A resting heart for clients that wait for one: 64 beats a minute, each with its RR interval."""
        while True:
            await asyncio.sleep(60.0 / BEATS_A_MINUTE)
            interval = round(60.0 / BEATS_A_MINUTE * 1024.0)
            await self.notify(self._heart_rate, struct.pack("<BBH", RR_PRESENT, BEATS_A_MINUTE, interval))

    def _on_control(self, _connection: Connection, value: bytes) -> None:
        self.spawn(self.notify(self._control, self._reply(value)))

    def _reply(self, request: bytes) -> bytes:
        op, kind = (*request[:2], 0, 0)[:2]
        error, parameters = self._execute(op, kind, request[2:])
        # The byte that says whether more frames follow is mandatory, even after an error.
        return bytes([0xF0, op, kind, error, 0]) + parameters

    def _execute(self, op: int, kind: int, rest: bytes) -> tuple[int, bytes]:
        if op not in (GET, START, STOP):
            return INVALID_OP, b""
        if kind not in self.kinds:
            return INVALID_TYPE, b""
        if op == GET:
            return SUCCESS, self._settings(self.kinds[kind])
        if op == STOP:
            return (SUCCESS if self.stop_stream(str(kind)) else INVALID_STATE), b""
        return self._start(kind, rest)

    def _settings(self, kind: Kind) -> bytes:
        told = struct.pack(f"<BB{len(kind.rates)}H", RATE, len(kind.rates), *kind.rates)
        told += struct.pack("<BBH", RESOLUTION, 1, 16)
        told += struct.pack(f"<BB{len(kind.ranges)}H", RANGE, len(kind.ranges), *kind.ranges)
        return told + (b"" if kind.channels is None else bytes([CHANNELS, 1, kind.channels]))

    def _start(self, number: int, rest: bytes) -> tuple[int, bytes]:
        kind = self.kinds[number]
        asked = parse_settings(rest)
        if asked is None:
            return INVALID_LENGTH, b""
        rate, wide = asked.get(RATE, kind.rates[-1]), asked.get(RANGE, kind.ranges[-1])
        if self.streaming(str(number)):
            return ALREADY_IN_STATE, b""
        if rate not in kind.rates:
            return INVALID_RATE, b""
        if wide not in kind.ranges + kind.also_ranges:
            return INVALID_RANGE, b""
        sampler = self.sampler(str(number), float(rate))
        self.start_stream(str(number), self._stream(number, kind, sampler, wide), sampler)
        if kind.factor is None:
            return SUCCESS, b""
        return SUCCESS, struct.pack("<BBf", FACTOR, 1, kind.factor)

    async def _stream(self, number: int, kind: Kind, sampler: Sampler, wide: int) -> None:
        most = max(1, round(sampler.track.rate_hz * BLOCK_S))
        if kind.frame == RAW_TYPE_1:
            most = max(1, min(most, (self.payload - 10) // 6))
        async for block in sampler.blocks(most):
            samples = quantise(self._channel(number, block), kind.lsb)
            if kind.frame == RAW_TYPE_1:  # saturates at its range, a number of g
                samples = np.clip(samples, -1000 * wide, 1000 * wide).astype(np.int16)
            await self._send(number, kind, samples, block)

    @staticmethod
    def _channel(number: int, block: Block) -> NDArray[np.float64]:
        if number == MAG and block.mag is not None:
            return block.mag
        return block.acc if number == ACC else block.gyr

    async def _send(self, number: int, kind: Kind, samples: NDArray[np.int16], block: Block) -> None:
        done = 0
        while done < len(samples):
            if kind.frame == RAW_TYPE_1:
                used = max(1, min(len(samples) - done, (self.payload - 10) // 6))
                data = samples[done : done + used].astype("<i2").tobytes()
            else:
                data, used = compress(samples[done:], self.payload - 10)
            done += used
            time_ns = round(float(self.clock.device_s(block.at[done - 1])) * 1e6) * 1000
            await self.notify(self._data, header(number, time_ns, kind.frame) + data)


def parse_settings(data: bytes) -> dict[int, int] | None:
    """First value of each `type count values` setting; None where the lengths do not add up or a type is
    unknown."""
    found: dict[int, int] = {}
    at = 0
    while at < len(data):
        if at + 2 > len(data) or data[at] not in SETTING_BYTES:
            return None
        kind, count = data[at], data[at + 1]
        size = SETTING_BYTES[kind]
        at += 2
        if count == 0 or at + count * size > len(data):
            return None
        found[kind] = int.from_bytes(data[at : at + size], "little")
        at += count * size
    return found


def make(order: Order) -> Peripheral:
    """The profile `polar-pmd`."""
    return PolarPmd(order)
