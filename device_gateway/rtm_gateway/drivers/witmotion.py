"""Driver of WitMotion's WT901BLE and BWT901BLE5.0: no time stamp, no sequence, no check sum.

Frames of 20 bytes (`55 61`, nine int16) arrive split and merged over notifications; `55 71` frames answer
register reads. What is lost on the way cannot be seen; the index and the time are the gateway's.

Not checked on hardware: registers 03 (rate) and 64 (battery), the unlock command, the battery's voltage
curve.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from itertools import count
from typing import ClassVar, Final

import numpy as np
from bleak.backends.scanner import AdvertisementData

from rtm_gateway.drivers.driver import (
    BaseDriver,
    BurstLog,
    Counters,
    Flag,
    Identity,
    SampleBlock,
    StreamSpec,
    spec_channels,
)
from rtm_gateway.drivers.port import NoAnswerError, Port
from rtm_gateway.drivers.reply import Reply

_log = logging.getLogger(__name__)

# Not the Bluetooth SIG's base UUID, which ends in 5f9b34fb.
SERVICE: Final = "0000ffe5-0000-1000-8000-00805f9a34fb"
NOTIFY: Final = "0000ffe4-0000-1000-8000-00805f9a34fb"
WRITE: Final = "0000ffe9-0000-1000-8000-00805f9a34fb"

_FRAME: Final = 20
_DATA: Final = b"\x55\x61"
_REGISTER: Final = b"\x55\x71"
_UNLOCK: Final = bytes.fromhex("ffaa6988b5")
_RATE_REGISTER: Final = 0x03
_BATTERY_REGISTER: Final = 0x64
_RATE_CODES: Final = {1: 0x03, 5: 0x05, 10: 0x06, 50: 0x08, 100: 0x09, 200: 0x0B}
_ACC: Final = 16.0 * 9.80665 / 32768.0
_GYR: Final = 2000.0 / 32768.0 * math.pi / 180.0
_EMPTY_V, _FULL_V = 3.4, 4.1  # a lithium cell at rest; the maker's curve is not known
_STREAM: Final = "imu"


class WitMotionDecoder:
    """Finds frames in a byte stream cut anywhere.

    A frame is taken when what follows it begins like a frame, or nothing follows yet. A notification that
    begins with a header ends whatever was incomplete: a lost tail cannot be told from a split one otherwise.
    """

    def __init__(self, next_boot: Callable[[], int] | None = None, *, rate_hz: float = 100.0) -> None:
        self.counters = Counters()
        self.rate_hz = rate_hz
        self._boot = (next_boot or count(1).__next__)()
        self._buffer = bytearray()
        self._index = 0
        self._lost_ns: int | None = None
        self._arrival_ns: int | None = None
        self._replies: list[Reply] = []
        self._bursts = BurstLog(_log, "witmotion")

    def streams(self) -> tuple[StreamSpec, ...]:
        """Accelerometer and gyroscope; the angles the sensor computes are not taken."""
        channels = spec_channels("ax ay az", "m/s2", _ACC) + spec_channels("gx gy gz", "rad/s", _GYR)
        return (StreamSpec(_STREAM, channels, self.rate_hz, "int16"),)

    def take_replies(self) -> list[Reply]:
        """Register replies: kind = first register, data = eight int16."""
        replies, self._replies = self._replies, []
        return replies

    def reconnected(self) -> None:
        """The rest of a frame will not come; how many frames were missed is estimated by the time."""
        if self._buffer:
            self.counters.malformed += 1
            self._buffer.clear()
        self._lost_ns = self._arrival_ns

    def feed(self, characteristic: str, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        self.counters.notifications += 1
        if characteristic != NOTIFY:
            self.counters.unknown += 1
            return []
        buffer = self._buffer
        if buffer and data[:2] in (_DATA, _REGISTER):
            self._bad("a frame cut short", arrival_ns)
            buffer.clear()
        buffer += data
        rows = self._take_frames(arrival_ns)
        if not rows:
            return []
        flags = Flag.GATEWAY_INDEX
        if self._lost_ns is not None:
            missed = round((arrival_ns - self._lost_ns) * 1e-9 * self.rate_hz) - len(rows)
            if missed > 0:
                self._index += missed
                self.counters.gap += 1
                self.counters.gap_samples += missed
                flags |= Flag.GAP
            self._lost_ns = None
        self._arrival_ns = arrival_ns
        values = np.frombuffer(b"".join(rows), "<i2").reshape(-1, 6)
        first, self._index = self._index, self._index + len(values)
        self.counters.samples += len(values)
        return [SampleBlock(_STREAM, self._boot, first, values, None, self.rate_hz, arrival_ns, flags)]

    def _bad(self, what: str, arrival_ns: int) -> None:
        self.counters.malformed += 1
        self._bursts.bad(what, arrival_ns)

    def _take_frames(self, arrival_ns: int) -> list[bytes]:
        """Acc and gyr bytes of every whole data frame in the buffer."""
        buffer, rows, at = self._buffer, [], 0
        while len(buffer) - at >= 2:
            if bytes(buffer[at : at + 2]) not in (_DATA, _REGISTER):
                at = self._skip(at, arrival_ns)
                continue
            if len(buffer) - at < _FRAME:
                break
            following = bytes(buffer[at + _FRAME : at + _FRAME + 2])
            if following and not (_DATA.startswith(following) or _REGISTER.startswith(following)):
                at = self._skip(at + 1, arrival_ns)
                continue
            frame = bytes(buffer[at : at + _FRAME])
            if frame[1] == _DATA[1]:
                rows.append(frame[2:14])
            else:
                self._replies.append(Reply(frame[2] | frame[3] << 8, 0, frame[4:], arrival_ns))
            at += _FRAME
        if len(buffer) - at == 1 and buffer[at] != _DATA[0]:
            at = self._skip(at, arrival_ns)
        del buffer[:at]
        return rows

    def _skip(self, at: int, arrival_ns: int) -> int:
        """The place of the next possible header."""
        self._bad("bytes that are no frame", arrival_ns)
        while True:
            at = self._buffer.find(_DATA[0], at)
            if at < 0:
                return len(self._buffer)
            if len(self._buffer) - at == 1 or self._buffer[at + 1] in (_DATA[1], _REGISTER[1]):
                return at
            at += 1


class WitMotionDriver(BaseDriver):
    """WitMotion WT901BLE: streams as soon as it is connected."""

    profile: ClassVar[str] = "witmotion"
    title: ClassVar[str] = "WitMotion WT901BLE and BWT901BLE5.0"
    unverified: ClassVar[tuple[str, ...]] = (
        "Registers 03 (rate) and 64 (battery) and the unlock command.",
        "The battery's charge is guessed from its voltage.",
        "Lost frames cannot be seen; gaps over a lost link are estimated by the clock.",
        "The link is not encrypted.",
    )
    notify: ClassVar[tuple[str, ...]] = (NOTIFY,)

    def __init__(self, *, rate_hz: int = 100) -> None:
        if rate_hz not in _RATE_CODES:
            raise ValueError(f"rates are {', '.join(map(str, _RATE_CODES))} Hz")
        self._rate_hz = rate_hz
        self._decoder = WitMotionDecoder(rate_hz=rate_hz)

    @classmethod
    def matches(cls, advertisement: AdvertisementData) -> bool:
        name = advertisement.local_name or ""
        return SERVICE in advertisement.service_uuids or name.startswith(("WT", "BWT"))

    def streams(self) -> tuple[StreamSpec, ...]:
        return self._decoder.streams()

    def decoder(self, next_boot: Callable[[], int] | None = None) -> WitMotionDecoder:
        self._decoder = WitMotionDecoder(next_boot, rate_hz=self._rate_hz)
        return self._decoder

    async def configure(self, port: Port, /) -> Identity:
        """Set the rate, not kept over a power cycle (the sensor's flash wears). It tells no serial number."""
        await port.write(WRITE, _UNLOCK, response=False)
        code = _RATE_CODES[self._rate_hz]
        await port.write(WRITE, bytes((0xFF, 0xAA, _RATE_REGISTER, code, 0)), response=False)
        return Identity("")

    async def start(self, _port: Port, /) -> None:
        """It streams by itself."""

    async def stop(self, _port: Port, /) -> None:
        """It has no such command; leaving the link ends the stream."""

    async def battery(self, port: Port, /) -> float | None:
        command = bytes((0xFF, 0xAA, 0x27, _BATTERY_REGISTER, 0))
        try:
            answer = await port.request(
                WRITE, command, lambda r: r.kind == _BATTERY_REGISTER, response=False, timeout_s=2.0
            )
        except NoAnswerError:
            return None
        volts = int.from_bytes(answer.reply.data[:2], "little", signed=True) / 100.0
        if not 2.5 < volts < 5.5:
            return None
        return min(max((volts - _EMPTY_V) / (_FULL_V - _EMPTY_V), 0.0), 1.0)
