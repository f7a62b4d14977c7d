"""Movesense with the GATT SensorData Protocol (GSP): subscriptions, a logbook, UTC.

Facts: docs/reference/simulator.md; nothing here was checked on hardware.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Service
from numpy.typing import NDArray

from rtm_firmware_sim.peripheral import (
    Peripheral,
    Properties,
    advertisement,
    battery_service,
    characteristic,
    device_information,
)
from rtm_firmware_sim.playback import Block, Sampler
from rtm_firmware_sim.profiles import sbem
from rtm_firmware_sim.profiles.wearable import Order, Wearable

SERVICE = UUID("34802252-7185-4d5d-b431-630e7050e8f0")
WRITE = UUID("34800001-7185-4d5d-b431-630e7050e8f0")
NOTIFY = UUID("34800002-7185-4d5d-b431-630e7050e8f0")

REPLY, DATA, DATA_PART_2 = 1, 2, 3
OK, ACCEPTED, BAD_REQUEST, NOT_FOUND, CONFLICT = 200, 202, 400, 404, 409
READY, LOGGING = 2, 3
RATES_HZ = (13, 26, 52, 104, 208, 416, 833)
SAMPLES_AT_HZ = 13
"""A packet holds rate / 13 samples, at most `MOST_SAMPLES`: 13 packets a second, as the real one."""
MOST_SAMPLES = 8
PROTOCOL_VERSION = 1
LOGBOOK_ENTRY = struct.Struct("<IIQ")

_RESOURCE = re.compile(r"/Meas/(IMU6|IMU9|Acc|Gyro|Magn)/(\d+)")
ARRAYS = {
    "IMU6": ("ArrayAcc", "ArrayGyro"),
    "IMU9": ("ArrayAcc", "ArrayGyro", "ArrayMagn"),
    "Acc": ("ArrayAcc",),
    "Gyro": ("ArrayGyro",),
    "Magn": ("ArrayMagn",),
}


def channels(kind: str, block: Block) -> list[NDArray[np.float64]]:
    """The arrays of a resource: m/s2, degrees/s, uT, each (n, 3)."""
    mag = np.zeros_like(block.acc) if block.mag is None else block.mag
    by_name = {"ArrayAcc": block.acc, "ArrayGyro": np.degrees(block.gyr), "ArrayMagn": mag}
    return [by_name[name] for name in ARRAYS[kind]]


def measurement(timestamp_ms: int, arrays: list[NDArray[np.float64]]) -> bytes:
    """What a data packet carries after type and reference: u32 ms, then each array as float32 x y z."""
    values = b"".join(array.astype("<f4").tobytes() for array in arrays)
    return struct.pack("<I", timestamp_ms & 0xFFFFFFFF) + values


@dataclass(slots=True)
class Log:
    """A log that is being written."""

    kind: str
    sampler: Sampler
    data: bytearray


class MovesenseGsp(Wearable):
    """A Movesense sensor."""

    def __init__(self, order: Order) -> None:
        super().__init__(order, name=order.name or f"Movesense {order.digit_serial}", maker="movesense")
        self.serial = self.name.rpartition(" ")[2]
        self.logs: dict[int, bytes] = {}
        self._paths: list[str] = []
        self._log: list[Log] = []
        self._utc_offset_us = 0
        self._write = characteristic(
            WRITE, Properties.WRITE | Properties.WRITE_WITHOUT_RESPONSE, write=self._on_write
        )
        self._notify = characteristic(NOTIFY, Properties.NOTIFY)
        self._commands: dict[int, Callable[[int, bytes], bytes | None]] = {
            0: self._hello,
            1: self._subscribe,
            2: self._unsubscribe,
            3: self._fetch,
            4: self._get,
            5: self._erase,
            6: self._configure,
            7: lambda _ref, data: _status(ACCEPTED if data else BAD_REQUEST),
            8: self._set_utc,
            9: self._set_state,
        }

    def advertising_data(self) -> bytes:
        return advertisement(self.name, [SERVICE])

    def services(self) -> list[Service]:
        return [
            Service(SERVICE, [self._write, self._notify]),
            battery_service(self.battery.percent),
            device_information(manufacturer="Movesense", model="Movesense", serial=self.serial),
        ]

    def reboot(self) -> None:
        self._close_log()
        super().reboot()

    def _ms(self, at: float | None = None) -> int:
        seconds = self.clock.seconds() if at is None else float(self.clock.device_s(at))
        return round(seconds * 1000.0)

    # Commands

    def _on_write(self, _connection: Connection, value: bytes) -> None:
        if len(value) < 2:
            return
        command, ref, data = value[0], value[1], value[2:]
        handle = self._commands.get(command)
        answer = _status(BAD_REQUEST) if handle is None else handle(ref, data)
        if answer is not None:
            self.spawn(self.notify(self._notify, bytes([REPLY, ref]) + answer))

    def _hello(self, _ref: int, _data: bytes) -> bytes:
        texts = (self.serial, "Movesense sim", self.address.to_string(False), "gsp_sim", "1.0.0")
        return bytes([PROTOCOL_VERSION]) + b"".join(text.encode() + b"\0" for text in texts)

    def _subscribe(self, ref: int, data: bytes) -> bytes | None:
        found = _resource(_path(data))
        if found is None:
            return _status(NOT_FOUND)
        if self.streaming(str(ref)):
            return _status(CONFLICT)
        kind, rate = found
        sampler = self.sampler(str(ref), float(rate))
        self.start_stream(str(ref), self._stream(ref, kind, sampler), sampler)
        return None  # the stream begins with the answer, so that no data come before it

    async def _stream(self, ref: int, kind: str, sampler: Sampler) -> None:
        await self.notify(self._notify, bytes([REPLY, ref]) + _status(OK))
        most = max(1, min(MOST_SAMPLES, round(sampler.track.rate_hz / SAMPLES_AT_HZ)))
        async for block in sampler.blocks(most):
            packet = measurement(self._ms(float(block.at[0])), channels(kind, block))
            await self._send_data(ref, packet)

    async def _send_data(self, ref: int, packet: bytes) -> None:
        """In one notification where it fits, else the rest as part 2."""
        room = self.payload - 2
        for at in range(0, len(packet), room):
            kind = DATA if at == 0 else DATA_PART_2
            await self.notify(self._notify, bytes([kind, ref]) + packet[at : at + room])

    def _unsubscribe(self, ref: int, _data: bytes) -> bytes:
        return _status(OK if self.stop_stream(str(ref)) else NOT_FOUND)

    def _get(self, _ref: int, data: bytes) -> bytes:
        path = _path(data)
        if path == "/Mem/DataLogger/State":
            return _status(OK) + bytes([LOGGING if self._log else READY])
        if path == "/System/Energy/Level":
            return _status(OK) + bytes([self.battery.percent()])
        if path == "/Mem/Logbook/entries":
            room = (self.payload - 5) // LOGBOOK_ENTRY.size
            entries = [
                LOGBOOK_ENTRY.pack(number, self._ms() // 1000, len(log)) for number, log in self.logs.items()
            ]
            return _status(OK) + b"\0" + b"".join(entries[:room])
        if path == "/Time":
            return _status(OK) + struct.pack("<q", self._ms() * 1000 + self._utc_offset_us)
        return _status(NOT_FOUND)

    def _set_utc(self, _ref: int, data: bytes) -> bytes:
        if len(data) != 8:
            return _status(BAD_REQUEST)
        self._utc_offset_us = int.from_bytes(data, "little") - self._ms() * 1000
        return _status(OK)

    # The log

    def _configure(self, _ref: int, data: bytes) -> bytes:
        paths = [path for path in data.decode("utf-8", "replace").split("\0") if path]
        if any(_resource(path) is None and not path.startswith("/Time") for path in paths):
            return _status(NOT_FOUND)
        self._paths = paths
        return _status(OK)

    def _set_state(self, _ref: int, data: bytes) -> bytes:
        if data[:1] == bytes([LOGGING]):
            measured = [found for path in self._paths if (found := _resource(path)) is not None]
            if not measured or self._log:
                return _status(CONFLICT)
            # One resource a log: two would need descriptors that do not collide.
            kind, rate = measured[0]
            data_so_far = bytearray(sbem.begin(f"Meas{kind}", ARRAYS[kind]))
            data_so_far += sbem.time_chunk(self._ms(), self._ms() * 1000 + self._utc_offset_us)
            self._log = [Log(kind, self.sampler("log", float(rate)), data_so_far)]
            return _status(OK)
        if data[:1] == bytes([READY]):
            self._close_log()
            return _status(OK)
        return _status(BAD_REQUEST)

    def _close_log(self) -> None:
        for log in self._log:
            while (due := log.sampler.due()) > log.sampler.position:
                block = log.sampler.take(min(sbem.GROUP, due - log.sampler.position))
                arrays = channels(log.kind, block)
                whole = block.size == sbem.GROUP
                for at in range(0, block.size, sbem.GROUP if whole else 1):
                    part = [array[at : at + (sbem.GROUP if whole else 1)] for array in arrays]
                    log.data += sbem.data_chunk(self._ms(float(block.at[at])), part)
            log.sampler.stop()
            self.logs[max(self.logs, default=0) + 1] = bytes(log.data)
        self._log = []

    def _fetch(self, ref: int, data: bytes) -> bytes | None:
        log = self.logs.get(int.from_bytes(data[:4], "little")) if len(data) >= 4 else None
        if log is None:
            return _status(NOT_FOUND)
        self.start_stream("fetch", self._send_log(ref, log))
        return None

    async def _send_log(self, ref: int, log: bytes) -> None:
        await self.notify(self._notify, bytes([REPLY, ref]) + _status(OK))
        room = self.payload - 6
        for at in range(0, len(log), room):
            piece = struct.pack("<BBI", DATA, ref, at) + log[at : at + room]
            await self.notify(self._notify, piece)
        await self.notify(self._notify, struct.pack("<BBI", DATA, ref, len(log)))
        self.stop_stream("fetch")

    def _erase(self, _ref: int, _data: bytes) -> bytes:
        if self._log:
            return _status(CONFLICT)
        self.logs.clear()
        return _status(OK)


def _status(code: int) -> bytes:
    return struct.pack("<H", code)


def _path(data: bytes) -> str:
    """Up to the NUL that most clients send and not all."""
    return data.partition(b"\0")[0].decode("utf-8", "replace")


def _resource(path: str) -> tuple[str, int] | None:
    match = _RESOURCE.fullmatch(path)
    if match is None or int(match[2]) not in RATES_HZ:
        return None
    return match[1], int(match[2])


def make(order: Order) -> Peripheral:
    """The profile `movesense-gsp`."""
    return MovesenseGsp(order)
