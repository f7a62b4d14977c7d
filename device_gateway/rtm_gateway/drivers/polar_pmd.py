"""Driver of Polar's measurement data service (PMD): H10 (accelerometer) and Verity Sense (with gyroscope).

The service: control point `F0 op type err more ...` answers to commands, one data characteristic whose frames
are `type u8, stamp u64 ns, frame type u8, samples`. The stamp is that of the LAST sample; nothing is counted.

Not checked on hardware: that the stamp is the last sample's, that the control point indicates.
"""

from __future__ import annotations

import logging
import math
import struct
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import ClassVar, Final, NamedTuple

import numpy as np
from bleak.backends.scanner import AdvertisementData
from numpy.typing import NDArray

from rtm_gateway.drivers.driver import (
    BaseDriver,
    BurstLog,
    Counters,
    Identity,
    SampleBlock,
    StreamSpec,
    spec_channels,
)
from rtm_gateway.drivers.grid import StampGrid
from rtm_gateway.drivers.port import NoAnswerError, Port
from rtm_gateway.drivers.reply import Reply

_log = logging.getLogger(__name__)

SERVICE: Final = "fb005c80-02e7-f387-1cad-8acd2d8df0c8"
CONTROL: Final = "fb005c81-02e7-f387-1cad-8acd2d8df0c8"
DATA: Final = "fb005c82-02e7-f387-1cad-8acd2d8df0c8"
_SERIAL: Final = "00002a25-0000-1000-8000-00805f9b34fb"  # Device Information, Serial Number String
_FIRMWARE: Final = "00002a26-0000-1000-8000-00805f9b34fb"

GET_SETTINGS, START, STOP = 1, 2, 3
_ANSWER: Final = 0xF0
_FEATURES: Final = 0x0F
ACC, GYRO = 2, 5
_ALREADY: Final = 6  # "already in state": a stream that another start left running
_HEAD: Final = struct.Struct("<BQB")
_COMPRESSED: Final = 0x80
_SETTING_BYTES: Final = {0: 2, 1: 2, 2: 2, 3: 4, 4: 1, 5: 4, 6: 16}
RATE, RESOLUTION, RANGE, FACTOR, CHANNELS = 0, 1, 2, 5, 4
_MILLI_G: Final = 9.80665e-3
_GRAVITY: Final = 9.80665
_DEGREE: Final = math.pi / 180.0
_MAX_SAMPLES: Final = 4096  # a notification has 244 bytes: a frame that claims more is garbage


class FrameError(ValueError):
    """Bytes that cannot be a frame."""


def parse_settings(data: bytes, *, cut: bool = False) -> dict[int, list[int | float]]:
    """`type u8, count u8, values` repeated, up to a type whose size is not known.

    cut: a link of few bytes may have cut the answer short; what is whole is taken. Else raises FrameError.
    """
    settings: dict[int, list[int | float]] = {}
    at = 0
    while at < len(data):
        size = _SETTING_BYTES.get(data[at])
        if size is None:
            break
        if at + 2 > len(data) or at + 2 + data[at + 1] * size > len(data):
            if cut:
                break
            raise FrameError("settings cut short")
        kind, number, at = data[at], data[at + 1], at + 2
        values: list[int | float] = []
        for place in range(number):
            raw = data[at + place * size : at + (place + 1) * size]
            if kind == FACTOR:
                values.append(struct.unpack("<f", raw)[0])
            else:
                values.append(int.from_bytes(raw, "little"))
        settings[kind] = values
        at += number * size
    return settings


def decode_plain(data: bytes, width: int) -> NDArray[np.int32]:
    """Samples of x, y, z, `width` bytes each, little-endian, signed. Raises FrameError."""
    if not data or len(data) % (3 * width):
        raise FrameError("not a whole number of samples")
    if width == 2:
        return np.frombuffer(data, "<i2").astype(np.int32).reshape(-1, 3)
    if width == 1:
        return np.frombuffer(data, "<i1").astype(np.int32).reshape(-1, 3)
    octets = np.frombuffer(data, np.uint8).astype(np.int32).reshape(-1, 3)
    values = octets[:, 0] | octets[:, 1] << 8 | octets[:, 2] << 16
    return ((values ^ 0x800000) - 0x800000).astype(np.int32).reshape(-1, 3)


def decode_delta(data: bytes, width: int = 2) -> NDArray[np.int32]:
    """A reference sample (x, y, z of `width` bytes), then blocks of deltas.

    A block is: bits of a delta u8, samples u8, then samples x 3 deltas packed from the lowest bit on, padded
    to a byte. Raises FrameError.
    """
    start = 3 * width
    if len(data) < start:
        raise FrameError("no reference sample")
    parts = [decode_plain(data[:start], width).astype(np.int64)]
    at, total = start, 1
    while at < len(data):
        if at + 2 > len(data):
            raise FrameError("a delta block cut short")
        bits, number = data[at], data[at + 1]
        size = (bits * number * 3 + 7) // 8
        at += 2
        total += number
        if not 1 <= bits <= 32 or at + size > len(data) or total > _MAX_SAMPLES:
            raise FrameError("an impossible delta block")
        if number:
            flat = np.unpackbits(np.frombuffer(data, np.uint8, size, at), bitorder="little")
            table = flat[: bits * number * 3].reshape(number * 3, bits).astype(np.int64)
            deltas = table @ (np.int64(1) << np.arange(bits, dtype=np.int64))
            deltas -= table[:, -1] << bits  # two's complement
            parts.append(deltas.reshape(number, 3))
        at += size
    return np.cumsum(np.concatenate(parts), axis=0).astype(np.int32)


class _Kind(NamedTuple):
    """A measurement type: its stream, channels, unit of a plain frame, width of a compressed reference."""

    stream: str
    channels: str
    unit: str
    plain_scale: float
    compressed_scale: float  # of one LSB times the factor, frame type 80


_KINDS: Final = {
    ACC: _Kind("acc", "ax ay az", "m/s2", _MILLI_G, _GRAVITY),
    GYRO: _Kind("gyr", "gx gy gz", "rad/s", _DEGREE, _DEGREE),
}


@dataclass(slots=True)
class _Stream:
    kind: _Kind
    rate_hz: float
    grid: StampGrid[NDArray[np.int16]]
    scale: float


class PolarDecoder:
    """Frames into blocks. The answer to START tells the factor; the rate is given by `expect` or learned."""

    def __init__(self, next_boot: Callable[[], int] | None = None) -> None:
        self.counters = Counters()
        self._next_boot = next_boot or count(1).__next__
        self._streams: dict[int, _Stream] = {}
        self._replies: list[Reply] = []
        self._bursts = BurstLog(_log, "polar-pmd")
        self._rates: dict[int, float] = {}
        self._factors: dict[int, float] = {}

    def streams(self) -> tuple[StreamSpec, ...]:
        """The streams met so far."""
        return tuple(
            StreamSpec(
                stream.kind.stream,
                spec_channels(stream.kind.channels, stream.kind.unit, stream.scale),
                stream.rate_hz,
                "int16",
                1e9,
            )
            for stream in self._streams.values()
        )

    def expect(self, kind: int, rate_hz: float) -> None:
        """The rate a measurement is started with; another one than before begins a new boot."""
        if rate_hz != self._rates.get(kind):
            self._streams.pop(kind, None)
        self._rates[kind] = rate_hz

    def _learn_factor(self, kind: int, factor: float) -> None:
        if math.isfinite(factor) and 0 < factor < 1e6:
            self._factors[kind] = factor

    def take_replies(self) -> list[Reply]:
        """Control point answers: kind = op, ref = measurement type, data from the error byte on."""
        replies, self._replies = self._replies, []
        return replies

    def reconnected(self) -> None:
        """Frames are whole notifications."""
        for stream in self._streams.values():
            stream.grid.forget_held()

    def feed(self, characteristic: str, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        self.counters.notifications += 1
        if characteristic == DATA:
            try:
                return self._frame(data, arrival_ns)
            except FrameError as error:
                self.counters.malformed += 1
                self._bursts.bad(str(error), arrival_ns)
        elif characteristic == CONTROL:
            self._answer(data, arrival_ns)
        else:
            self.counters.unknown += 1
        return []

    def _answer(self, data: bytes, arrival_ns: int) -> None:
        if len(data) < 4 or data[0] != _ANSWER:
            self.counters.malformed += 1
            self._bursts.bad("an answer of an impossible length or kind", arrival_ns)
            return
        op, kind, error = data[1], data[2], data[3]
        if op == START and error == 0 and kind in _KINDS:
            try:
                factors = parse_settings(data[5:]).get(FACTOR, [])
            except FrameError:
                factors = []
            if factors:
                self._learn_factor(kind, float(factors[0]))
        self._replies.append(Reply(op, kind, data[3:], arrival_ns))

    def _frame(self, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        if len(data) <= _HEAD.size:
            raise FrameError("a frame cut short")
        kind, stamp, frame_type = _HEAD.unpack_from(data)
        if kind not in _KINDS:
            self.counters.unknown += 1
            return []
        values, scale = self._values(kind, frame_type, data[_HEAD.size :])
        if stamp >= 1 << 63 or values.max() > 32767 or values.min() < -32768:
            raise FrameError("impossible values")
        stream = self._stream(kind, scale)
        placed = stream.grid.place(stamp, len(values), values.astype(np.int16))
        return [
            SampleBlock(stream.kind.stream, boot, first, token, tick, 1e9, arrival_ns, flags)
            for token, boot, first, tick, flags in placed
        ]

    def _values(self, kind: int, frame_type: int, body: bytes) -> tuple[NDArray[np.int32], float]:
        """Raw integers and what one of them is in SI units."""
        known = _KINDS[kind]
        factor = self._factors.get(kind, 1.0)
        if frame_type & _COMPRESSED:
            number = frame_type & 0x7F
            if number == 0:
                return decode_delta(body), known.compressed_scale * factor
            if number == 1 and kind == ACC:
                return decode_delta(body), known.plain_scale * factor
        elif kind == ACC and frame_type <= 2:
            return decode_plain(body, frame_type + 1), known.plain_scale
        elif kind == GYRO and frame_type == 0:
            return decode_plain(body, 2), known.plain_scale * factor
        raise FrameError("an unknown frame type")

    def _stream(self, kind: int, scale: float) -> _Stream:
        """Within one boot a stream keeps its scale: another one begins a new boot."""
        stream = self._streams.get(kind)
        if stream is None or stream.scale != scale:
            grid: StampGrid[NDArray[np.int16]] = StampGrid(
                self._rates.get(kind), 1e9, self.counters, self._next_boot, stamp_of_last=True
            )
            stream = _Stream(_KINDS[kind], self._rates.get(kind, 52.0), grid, scale)
            self._streams[kind] = stream
        return stream


class PolarDriver(BaseDriver):
    """Polar H10 and Verity Sense, live. Their flash is not read (H10: heart rate only)."""

    profile: ClassVar[str] = "polar-pmd"
    title: ClassVar[str] = "Polar H10 and Verity Sense (PMD)"
    unverified: ClassVar[tuple[str, ...]] = (
        "The stamp of a frame is taken as that of its last sample.",
        "The control point is taken to indicate its answers.",
        "Offline recordings of the Verity Sense are not read.",
        "The link is not encrypted by the service.",
    )
    notify: ClassVar[tuple[str, ...]] = (CONTROL, DATA)

    def __init__(self, *, rate_hz: float = 100.0, range_g: int = 8) -> None:
        self._rate_hz = rate_hz
        self._range_g = range_g
        self._kinds: list[int] = [ACC]
        self._chosen: dict[int, float] = {}
        self._decoder = PolarDecoder()

    @classmethod
    def matches(cls, advertisement: AdvertisementData) -> bool:
        """By name: the service's UUID is seldom advertised."""
        name = advertisement.local_name or ""
        return SERVICE in advertisement.service_uuids or name.startswith("Polar ")

    def streams(self) -> tuple[StreamSpec, ...]:
        return self._decoder.streams()

    def decoder(self, next_boot: Callable[[], int] | None = None) -> PolarDecoder:
        self._decoder = PolarDecoder(next_boot)
        return self._decoder

    async def configure(self, port: Port, /) -> Identity:
        """Which measurements there are, and the rates they can have."""
        mask = await port.read(CONTROL)
        if len(mask) >= 2 and mask[0] == _FEATURES:
            bits = mask[1]
            self._kinds = [kind for kind in (ACC, GYRO) if bits >> kind & 1] or [ACC]
        serial = await port.read(_SERIAL) if port.has(_SERIAL) else b""
        firmware = await port.read(_FIRMWARE) if port.has(_FIRMWARE) else b""
        return Identity(_text(serial), _text(firmware))

    async def start(self, port: Port, /) -> None:
        for kind in self._kinds:
            await self._start(port, kind)

    async def _start(self, port: Port, kind: int) -> None:
        answer = await self._ask(port, GET_SETTINGS, kind, b"")
        settings = parse_settings(answer[2:], cut=True) if answer[0] == 0 else {}
        rate = int(min(settings.get(RATE) or [52], key=lambda r: abs(r - self._rate_hz)))
        chosen = struct.pack("<BBH", RATE, 1, rate)
        if settings.get(RESOLUTION):
            resolution = 16 if 16 in settings[RESOLUTION] else int(settings[RESOLUTION][0])
            chosen += struct.pack("<BBH", RESOLUTION, 1, resolution)
        if settings.get(RANGE):
            wanted = self._range_g if kind == ACC else 2000
            reach = int(min(settings[RANGE], key=lambda r: abs(r - wanted)))
            chosen += struct.pack("<BBH", RANGE, 1, reach)
        if settings.get(CHANNELS):
            chosen += struct.pack("<BBB", CHANNELS, 1, 3)
        port.decoder(PolarDecoder).expect(kind, float(rate))
        answer = await self._ask(port, START, kind, chosen)
        if answer[0] == _ALREADY:  # its rate, range and factor are those of another start: begin anew
            await self._ask(port, STOP, kind, b"")
            answer = await self._ask(port, START, kind, chosen)
        if answer[0] != 0:
            raise NoAnswerError(f"the sensor cannot start this measurement (error {answer[0]})")

    async def stop(self, port: Port, /) -> None:
        for kind in self._kinds:
            await self._ask(port, STOP, kind, b"")

    @staticmethod
    async def _ask(port: Port, op: int, kind: int, body: bytes) -> bytes:
        """The answer from its error byte on: err, more, data."""
        answer = await port.request(
            CONTROL, bytes((op, kind)) + body, lambda r: r.kind == op and r.ref == kind
        )
        return answer.reply.data


def _text(value: bytes) -> str:
    return value.split(b"\0")[0].decode("ascii", "replace").strip()
