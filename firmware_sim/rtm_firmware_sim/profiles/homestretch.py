"""The homestretch profile: docs/reference/homestretch-profile.md, byte by byte."""

from __future__ import annotations

import asyncio
import binascii
import struct
import zlib
from collections.abc import Callable
from enum import IntEnum
from typing import ClassVar

import numpy as np
from bumble import hci
from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Service
from numpy.typing import NDArray

from rtm_firmware_sim.firmware import Battery, Firmware, acc_lsb, gyr_lsb
from rtm_firmware_sim.flash import CHANNELS, Stored
from rtm_firmware_sim.peripheral import (
    Peripheral,
    Properties,
    advertisement,
    battery_service,
    characteristic,
    device_information,
    static_address,
)
from rtm_firmware_sim.playback import Playback
from rtm_firmware_sim.profiles.wearable import Order

VERSION = 1
FIRMWARE_VERSION = (1, 0, 0, 0)
FRAME_OVERHEAD = 8
SAMPLE_BYTES = 2 * CHANNELS
FIFO_S = 10.0
"""A live stream further behind than this skips to the present; the flash has the rest."""
READ_BLOCK = 4096
BATTERY_LOW, FLASH_FULL = (15, 5), (80, 95)
"""Percentages at which an event is sent."""


def uuid(number: int) -> UUID:
    """The profile's UUID of a number."""
    return UUID(f"4ef8{number:04x}-139d-493c-9069-c0b6411e52e4")


class Op(IntEnum):
    START = 1
    STOP = 2
    SET_RATE = 3
    SET_RANGE = 4
    STATUS = 5
    READ = 6
    CANCEL = 7
    FREE = 8
    TIME = 9
    LIST = 10
    BLINK = 11
    TICK = 12


class Status(IntEnum):
    DONE = 0
    UNKNOWN = 1
    BAD_ARGUMENT = 2
    NOT_NOW = 3
    NOT_STORED = 4


class EventKind(IntEnum):
    BUTTON = 1
    BATTERY_LOW = 2
    FLASH_NEARLY_FULL = 3
    RUN_BEGAN = 4
    RUN_ENDED = 5


class Refused(Exception):  # noqa: N818 - a protocol answer, not an error of ours
    """A command answered with a status other than done, perhaps with data."""

    def __init__(self, status: Status, data: bytes = b"") -> None:
        super().__init__(status)
        self.status, self.data = status, data


def frame(boot: int, first: int, tick: int, samples: NDArray[np.int16]) -> bytes:
    """One frame: samples (n, 6) from index `first`."""
    body = struct.pack("<HI", first & 0xFFFF, tick & 0xFFFFFFFF) + samples.astype("<i2").tobytes()
    crc = binascii.crc_hqx(struct.pack("<I", boot) + body, 0xFFFF)
    return body + struct.pack("<H", crc)


def _unpack(layout: str, arguments: bytes) -> tuple[int, ...]:
    if len(arguments) != struct.calcsize(layout):
        raise Refused(Status.BAD_ARGUMENT)
    return struct.unpack(layout, arguments)


class Homestretch(Peripheral):
    """Our own sensor."""

    encrypted = True
    ARGUMENTS: ClassVar[dict[Op, str]] = {
        Op.START: "<B",
        Op.STOP: "<",
        Op.SET_RATE: "<I",
        Op.SET_RANGE: "<HH",
        Op.STATUS: "<",
        Op.READ: "<III",
        Op.CANCEL: "<",
        Op.FREE: "<II",
        Op.TIME: "<",
        Op.LIST: "<B",
        Op.BLINK: "<B",
        Op.TICK: "<II",
    }

    def __init__(
        self, firmware: Firmware, playback: Playback, *, name: str, address: hci.Address, mtu: int = 247
    ) -> None:
        super().__init__(name=name, address=address, mtu=mtu)
        self.firmware = firmware
        self.blinking = 0
        self._playback = playback
        self._streaming = False
        self._stream_index = 0
        self._reading = self._stopped = False
        self._cancel_read = False
        self._warned: set[tuple[EventKind, int]] = set()
        notify = Properties.NOTIFY
        self._information = characteristic(
            uuid(2), Properties.READ, read=lambda _c: self.information(), encrypted=True
        )
        self._control = characteristic(
            uuid(3), Properties.WRITE | notify, write=self._on_control, encrypted=True
        )
        self._data = characteristic(uuid(4), notify, encrypted=True)
        self._flash = characteristic(uuid(5), notify, encrypted=True)
        self._event = characteristic(uuid(6), notify, encrypted=True)
        self._data.on("subscription", self._on_data_subscription)
        self._commands: dict[Op, Callable[..., bytes]] = {
            Op.START: self._start_streaming,
            Op.STOP: self._stop,
            Op.SET_RATE: self._set_rate,
            Op.SET_RANGE: self._set_range,
            Op.STATUS: self._status,
            Op.CANCEL: self._cancel,
            Op.FREE: self._free,
            Op.LIST: self._list,
            Op.BLINK: self._blink,
            Op.TICK: self._tick,
        }

    def advertising_data(self) -> bytes:
        return advertisement(self.name, [uuid(1)])

    def services(self) -> list[Service]:
        return [
            Service(uuid(1), [self._information, self._control, self._data, self._flash, self._event]),
            battery_service(self.firmware.battery.percent),
            device_information(
                manufacturer="Homestretch (simulated)", model="HS-1", serial=self.firmware.serial
            ),
        ]

    def on_disconnected(self) -> None:
        self._streaming = self._reading = False

    def _on_data_subscription(self, _connection: Connection, notify: bool, _indicate: bool) -> None:
        if not notify:
            self._streaming = False  # sampling goes on to flash

    def information(self) -> bytes:
        """The Information characteristic, 48 bytes."""
        f = self.firmware
        return struct.pack(
            "<BBBx12s4BIIIffHHI",
            VERSION,
            1,  # simulated
            3,
            f.serial.encode()[:12],
            *FIRMWARE_VERSION,
            f.boot,
            f.clock.tick_hz,
            f.rate_mhz,
            acc_lsb(f.range_g),
            gyr_lsb(f.range_dps),
            f.range_g,
            f.range_dps,
            f.flash.capacity,
        )

    # Commands

    def _on_control(self, _connection: Connection, value: bytes) -> None:
        if len(value) < 2:
            self.spawn(self._answer(value[:1].ljust(1, b"\0")[0], 0, Status.BAD_ARGUMENT))
            return
        received = self._playback.now()
        code, ref, arguments = value[0], value[1], value[2:]
        data = b""
        try:
            op = Op(code)
        except ValueError:
            self.spawn(self._answer(code, ref, Status.UNKNOWN))
            return
        try:
            values = _unpack(self.ARGUMENTS[op], arguments)
            self.firmware.advance()
            if op is Op.READ:
                data = self._read(ref, *values)
            elif op is Op.TIME:
                tick = int(self.firmware.clock.ticks(received))
                data = struct.pack("<QI", tick, self.firmware.clock.tick() - tick)
            else:
                data = self._commands[op](*values)
        except Refused as refused:
            self.spawn(self._answer(code, ref, refused.status, refused.data))
        else:
            if op is not Op.READ:
                self.spawn(self._answer(code, ref, Status.DONE, data))

    async def _answer(self, code: int, ref: int, status: Status, data: bytes = b"") -> None:
        await self.notify(self._control, bytes([code | 0x80, ref, status]) + data)

    def _start_streaming(self, batch: int) -> bytes:
        f = self.firmware
        self._stopped = False
        if not f.sampling:
            self._stream_index = f.next_index
            f.start_run()
        elif not self._streaming:
            self._stream_index = f.next_index
        fits = max(1, (self.payload - FRAME_OVERHEAD) // SAMPLE_BYTES)
        if not self._streaming:
            self._streaming = True
            self.spawn(self._stream(min(batch or fits, fits)))
        stored = f.flash.read(f.boot, self._stream_index, 1)
        tick = int(stored.ticks[0]) if stored else int(f.clock.ticks(f.next_instant(1)))
        return struct.pack("<III", f.boot, self._stream_index, tick & 0xFFFFFFFF)

    def _stop(self) -> bytes:
        self._stopped = True
        self.firmware.stop_run()
        return struct.pack("<II", self.firmware.boot, self.firmware.next_index)

    def _set_rate(self, rate_mhz: int) -> bytes:
        if self.firmware.sampling:
            raise Refused(Status.NOT_NOW)
        if rate_mhz == 0:
            raise Refused(Status.BAD_ARGUMENT)
        self.firmware.set_rate(rate_mhz / 1000.0)
        return struct.pack("<I", self.firmware.rate_mhz)

    def _set_range(self, g: int, dps: int) -> bytes:
        if self.firmware.sampling:
            raise Refused(Status.NOT_NOW)
        self.firmware.set_range(g, dps)
        return struct.pack("<HH", self.firmware.range_g, self.firmware.range_dps)

    def _status(self) -> bytes:
        f = self.firmware
        state = f.sampling | (self._streaming << 1) | (f.battery.charging << 2) | (f.flash.overwritten << 3)
        oldest = f.flash.oldest(f.boot)
        return struct.pack(
            "<BBIII",
            state,
            f.battery.percent(),
            f.boot,
            f.next_index if oldest is None else oldest,
            f.next_index,
        )

    def _read(self, ref: int, boot: int, first: int, count: int) -> bytes:
        if self._reading:
            raise Refused(Status.NOT_NOW)
        stored = self.firmware.flash.read(boot, first, count)
        if stored is None:
            raise Refused(Status.NOT_STORED)
        self._reading, self._cancel_read = True, False
        self.spawn(self._send_stored(ref, stored))
        return b""

    async def _send_stored(self, ref: int, stored: Stored) -> None:
        total = stored.ticks.size
        await self._answer(Op.READ, ref, Status.DONE, struct.pack("<II", stored.first, total))
        most = max(1, (self.payload - FRAME_OVERHEAD) // SAMPLE_BYTES)
        crc = sent = 0
        while sent < total and not self._cancel_read:
            part = stored.samples[sent : sent + most]
            await self.notify(
                self._flash, frame(stored.boot, stored.first + sent, int(stored.ticks[sent]), part)
            )
            crc = zlib.crc32(part.astype("<i2").tobytes(), crc)
            sent += len(part)
        self._reading = False
        done = bytes([Op.READ | 0xC0, ref, Status.DONE]) + struct.pack("<II", sent, crc)
        await self.notify(self._control, done)

    def _cancel(self) -> bytes:
        self._cancel_read = True
        return b""

    def _free(self, boot: int, up_to: int) -> bytes:
        f = self.firmware
        f.flash.free(boot, up_to)
        oldest = f.flash.oldest(boot)
        return struct.pack("<I", up_to if oldest is None else oldest)

    def _list(self, number: int) -> bytes:
        runs = self.firmware.flash.listed()
        if number >= len(runs):
            raise Refused(Status.BAD_ARGUMENT, bytes([min(len(runs), 255)]))
        boot, first, after, tick = runs[number]
        return struct.pack("<BIIII", min(len(runs), 255), boot, first, after, tick & 0xFFFFFFFF)

    def _tick(self, boot: int, index: int) -> bytes:
        stored = self.firmware.flash.read(boot, index, 0xFFFFFFFF)
        if stored is None:
            raise Refused(Status.NOT_STORED)
        return struct.pack("<IQ", stored.first, int(stored.ticks[0]))

    def _blink(self, seconds: int) -> bytes:
        self.blinking = seconds
        return b""

    # The live stream

    async def _stream(self, most: int) -> None:
        f = self.firmware
        fifo = int(FIFO_S * f.rate_hz) if self._playback.speed <= 1.0 else None
        while self._streaming:
            f.advance()
            ready = f.next_index - self._stream_index
            if ready < most and f.sampling:
                await self._playback.until(f.next_instant(max(1, most - ready)))
                f.advance()
                ready = f.next_index - self._stream_index
            if fifo is not None and ready > fifo:
                self._stream_index = f.next_index - most
            stored = f.flash.read(f.boot, self._stream_index, max(most, min(ready, READ_BLOCK)))
            if stored is not None:
                await self._send_live(stored, most, whole=f.sampling)
            elif not f.sampling:
                self._streaming = False
                if not self._stopped:  # the recording is over
                    await self._send_event(EventKind.RUN_ENDED, 0)
            else:  # so far behind that the flash has overwritten it: the stream skips, the index shows it
                oldest = f.flash.oldest(f.boot)
                self._stream_index = f.next_index if oldest is None else max(oldest, self._stream_index)
            await self._warn()
            await asyncio.sleep(0)  # whatever the stream does, the radio goes on

    async def _warn(self) -> None:
        """Events of battery and flash, each level once."""
        f = self.firmware
        battery, used = f.battery.percent(), round(f.flash.used() * 100)
        reached = [(EventKind.BATTERY_LOW, level, battery) for level in BATTERY_LOW if battery <= level]
        reached += [(EventKind.FLASH_NEARLY_FULL, level, used) for level in FLASH_FULL if used >= level]
        for kind, level, value in reached:
            if (kind, level) not in self._warned:
                self._warned.add((kind, level))
                await self._send_event(kind, value)

    async def _send_live(self, stored: Stored, most: int, *, whole: bool) -> None:
        """Frames of `most` samples; the rest of a stretch waits for more unless the run or the stretch is
        over."""
        total = stored.ticks.size
        at_present = stored.first + total == self.firmware.next_index
        sent = 0
        while sent < total and self._streaming:
            if whole and at_present and total - sent < most:
                break
            part = stored.samples[sent : sent + most]
            await self.notify(
                self._data, frame(stored.boot, stored.first + sent, int(stored.ticks[sent]), part)
            )
            sent += len(part)
            self._stream_index = stored.first + sent

    # The person and the hardware

    async def press_button(self, *, long: bool = False) -> None:
        """Short: begin or end a run. Long: open pairing (the simulator always pairs)."""
        f = self.firmware
        await self._send_event(EventKind.BUTTON, 2 if long else 1)
        if long:
            return
        if f.sampling:
            f.stop_run()
            await self._send_event(EventKind.RUN_ENDED, 0)
        else:
            f.start_run()
            await self._send_event(EventKind.RUN_BEGAN, 0)

    async def _send_event(self, kind: EventKind, value: int) -> None:
        f = self.firmware
        await self.notify(self._event, struct.pack("<BBIQ", kind, value, f.boot, f.clock.tick()))

    def reboot(self, *, boot: int | None = None) -> None:
        """Fault: the firmware restarts (with a boot number of its own if told); the link is lost with it."""
        self.firmware.reboot(boot=boot)
        self._warned.clear()
        self.drop_link()


def make(order: Order) -> Peripheral:
    """The profile `homestretch`."""
    serial = f"HS{order.hex_serial}"
    firmware = Firmware(
        order.track,
        order.playback,
        serial=serial,
        clock=order.clock(),
        battery=Battery(order.playback.now),
        boot=1 + int(order.hex_serial[:2], 16),
    )
    return Homestretch(
        firmware,
        order.playback,
        name=order.name or f"HS-{serial[-4:]}",
        address=static_address("homestretch", order.seed, order.placement, order.number),
        mtu=order.mtu,
    )
