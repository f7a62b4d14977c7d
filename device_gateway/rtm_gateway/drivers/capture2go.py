"""Driver of the Capture2Go IMU: packed streaming, four-stamp clock exchange, recordings read by range.

Not checked on hardware: nothing here has met a device; the maker documents the protocol in full.
"""

from __future__ import annotations

import contextlib
import struct
import time
from collections.abc import Callable, Sequence
from typing import ClassVar, Final

from bleak.backends.scanner import AdvertisementData

from rtm_gateway.drivers.capture2go_decoder import (
    CLOCK_SET,
    ERROR,
    FILE_COME,
    FILE_NAME,
    FILES_LISTED,
    GET_BYTES,
    GET_INFO,
    GET_STATUS,
    INFO,
    LED,
    LIST_FILES,
    MODE,
    MODE_OF_RATE,
    ROUND_TRIP,
    RX,
    SERVICE,
    SET_LED,
    SET_MODE,
    SET_TIME,
    START,
    STARTED,
    STATUS,
    STOP,
    STOPPED,
    TX,
    Capture2GoDecoder,
    FrameStream,
    frame,
    text,
)
from rtm_gateway.drivers.driver import (
    BaseDriver,
    FourStamp,
    Identity,
    StoredRun,
    StreamSpec,
    WrongDeviceError,
)
from rtm_gateway.drivers.port import NoAnswerError, Port

__all__ = ["RX", "SERVICE", "TX", "Capture2GoDecoder", "Capture2GoDriver", "FrameStream", "frame"]

_INFO: Final = struct.Struct("<H6s8s8s12s11s")
_STATUS: Final = struct.Struct("<qBB3hBBB")
_IDLE, _STREAMING = 1, 2
_SLOWEST: Final = 2000.0  # bytes/s below which a download is given up
_SET_WITHIN_S: Final = 2.0  # a clock this near to UTC is left alone: setting it makes a jump
_SANE_NS: Final = 1_735_689_600_000_000_000  # 2025-01-01: a gateway's clock before it was never set


class Capture2GoDriver(BaseDriver):
    """Capture2Go, buffered streaming of packed packages."""

    profile: ClassVar[str] = "capture2go"
    title: ClassVar[str] = "Capture2Go"
    unverified: ClassVar[tuple[str, ...]] = (
        "That the send buffer goes on where a lost link left it.",
        "That recordings can be read while it streams; they stay in its memory until somebody erases them.",
        "A recording is dated by the sensor's clock, which the gateway sets when it is idle and wrong.",
        "The link is not encrypted.",
    )
    notify: ClassVar[tuple[str, ...]] = (TX,)
    has_files: ClassVar[bool] = True

    def __init__(self, *, rate_hz: float = 100.0, magnetometer: bool = True) -> None:
        if rate_hz not in MODE_OF_RATE:
            raise ValueError(f"rates are {', '.join(f'{rate:g}' for rate in MODE_OF_RATE)} Hz")
        self._mode = MODE_OF_RATE[rate_hz]
        self._magnetometer = magnetometer
        self._decoder = Capture2GoDecoder()

    @classmethod
    def matches(cls, advertisement: AdvertisementData) -> bool:
        return SERVICE in advertisement.service_uuids

    def streams(self) -> tuple[StreamSpec, ...]:
        return self._decoder.streams()

    def decoder(self, next_boot: Callable[[], int] | None = None) -> Capture2GoDecoder:
        self._decoder = Capture2GoDecoder(next_boot)
        return self._decoder

    @staticmethod
    async def _ask(
        port: Port, header: int, answer: int, payload: bytes = b"", timeout_s: float | None = None
    ) -> bytes:
        """The payload of the answer. Raises NoAnswerError, also for an error package about this command."""
        got = await port.request(
            RX,
            frame(header, payload),
            lambda r: r.kind == answer or (r.kind == ERROR and r.data[1:3] == struct.pack("<H", header)),
            response=False,
            timeout_s=timeout_s,
        )
        if got.reply.kind == ERROR:
            raise NoAnswerError(f"the sensor refuses command {header:04x} (error {got.reply.data[0]:02x})")
        return got.reply.data

    async def configure(self, port: Port, /) -> Identity:
        info = await self._ask(port, GET_INFO, INFO)
        if len(info) < _INFO.size:
            raise WrongDeviceError("its device information is too short")
        version, serial, _, _, firmware, _ = _INFO.unpack_from(info)
        if version != 1:
            raise WrongDeviceError(
                f"it speaks version {version} of its protocol; this gateway knows version 1"
            )
        with contextlib.suppress(NoAnswerError):  # it can be used with a clock that is wrong
            await self._set_clock(port)
        return Identity(text(serial), text(firmware))

    async def _set_clock(self, port: Port) -> None:
        """Set to UTC while it is idle, so that a recording it makes by itself can be dated."""
        now_ns = time.time_ns()
        at_ns, state, _ = await self._status(port)
        if state == _IDLE and now_ns > _SANE_NS and abs(now_ns - at_ns) > _SET_WITHIN_S * 1e9:
            await self._ask(port, SET_TIME, CLOCK_SET, struct.pack("<q", time.time_ns()))
            port.decoder(Capture2GoDecoder).clock_set()

    async def _status(self, port: Port) -> tuple[int, int, int]:
        """(sensor's clock in ns, state, battery byte)."""
        status = await self._ask(port, GET_STATUS, STATUS)
        if len(status) < _STATUS.size:
            raise NoAnswerError("the sensor's status is too short")
        at_ns, state, _, _, _, _, _, battery, _ = _STATUS.unpack_from(status)
        return at_ns, state, battery

    async def start(self, port: Port, /) -> None:
        """A sensor that streams already goes on: its send buffer holds what a lost link left."""
        _, state, _ = await self._status(port)
        if state == _STREAMING:
            return
        mode = bytearray(30)
        mode[10] = self._mode
        mode[29] = not self._magnetometer
        await self._ask(port, SET_MODE, MODE, bytes(mode))
        await self._ask(port, START, STARTED)

    async def stop(self, port: Port, /) -> None:
        _, state, _ = await self._status(port)
        if state != _IDLE:
            await self._ask(port, STOP, STOPPED)

    async def battery(self, port: Port, /) -> float | None:
        _, _, battery = await self._status(port)
        percent = battery & 0x7F
        return percent / 100.0 if percent <= 100 else None

    async def exchange(self, port: Port, /) -> FourStamp | None:
        """Bounced by the sensor, which adds its own stamps at receipt and at sending."""
        answer = await port.request(
            RX, frame(ROUND_TRIP, bytes(32)), lambda r: r.kind == ROUND_TRIP, response=False
        )
        if len(answer.reply.data) < 32:
            return None
        _, received, sent, _ = struct.unpack_from("<4q", answer.reply.data)
        if not 0 <= received <= sent:
            return None
        boot = port.decoder(Capture2GoDecoder).boot
        return FourStamp(boot, answer.sent_ns, received, sent, answer.reply.arrival_ns, 1e9)

    async def stored(self, port: Port, /) -> Sequence[StoredRun]:
        """Its recordings: `key` is the file's name, first and next count bytes of the file."""
        port.decoder(Capture2GoDecoder).listing()
        await self._ask(port, LIST_FILES, FILES_LISTED)
        port.decoder(Capture2GoDecoder).listed()
        return [StoredRun("", 0, 0, size, name) for name, size in port.decoder(Capture2GoDecoder).files()]

    async def download(self, port: Port, run: StoredRun, _first: int, last: int, /) -> None:
        """Bytes of a recording up to `last`. A broken download goes on where it broke, whatever `first` says.

        The samples come out of the decoder as a boot of their own, flagged FLASH. Raises NoAnswerError.
        """
        received = port.decoder(Capture2GoDecoder).reading(run.key, last + 1)
        if received > last:
            return
        place = struct.pack(f"<{FILE_NAME}sII", run.key.encode(), received, last + 1)
        await self._ask(port, GET_BYTES, FILE_COME, place, 10.0 + (last + 1 - received) / _SLOWEST)

    async def blink(self, port: Port, seconds: int, /) -> bool:
        await self._ask(port, SET_LED, LED, struct.pack("<qqB", 0, seconds * 1_000_000_000, 1))
        return True
