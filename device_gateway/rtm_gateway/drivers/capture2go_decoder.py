"""Frames of a Capture2Go into samples and replies: CRC-32, nanosecond stamps, recordings. Pure.

A frame is `02, crc32 u32, size u8, header u16, payload`; the CRC (zlib) covers header and payload.
A notification is one byte `FF - n`, then n real-time frames, then a piece of the frame stream, cut anywhere.

Not checked on hardware: nothing here has met a device; the maker documents the protocol in full.
"""

from __future__ import annotations

import logging
import math
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Final

import numpy as np
from numpy.typing import NDArray

from rtm_gateway.drivers.driver import (
    BurstLog,
    Counters,
    Flag,
    SampleBlock,
    StreamSpec,
    spec_channels,
)
from rtm_gateway.drivers.grid import StampGrid
from rtm_gateway.drivers.reply import Reply
from rtm_gateway.drivers.stored_file import FileBoots, StoredFile

_log = logging.getLogger(__name__)


def _uuid(number: int) -> str:
    return f"8003{number:04x}-e629-4c98-9324-aa7fc0c66de7"


SERVICE: Final = _uuid(1)
RX: Final = _uuid(2)
TX: Final = _uuid(3)

GET_INFO, INFO = 0x0070, 0x0071
SET_MODE, MODE = 0x0120, 0x0122
START, STARTED, STOP, STOPPED = 0x0150, 0x0151, 0x0152, 0x0153
ROUND_TRIP: Final = 0x0172
SET_TIME, CLOCK_SET = 0x0170, 0x0171
SET_LED, LED = 0x0183, 0x0185
GET_STATUS, STATUS = 0x0200, 0x0201
LIST_FILES, FILE_COUNT, FILE, GET_BYTES, FILE_BYTES = 0x0500, 0x0501, 0x0502, 0x0503, 0x0504
FILES_LISTED, FILE_COME = 0x10500, 0x10504
"""Replies of the decoder's own: every file has been named; the last wanted byte of a file is here."""
ERROR: Final = 0xFFFF

_START_BYTE: Final = 0x02
_FRAME: Final = struct.Struct("<BIBH")
_MAX_PAYLOAD: Final = 236
_MAX_REALTIME: Final = 3
_RATES: Final = {1: 200.0, 2: 100.0, 3: 50.0, 4: 25.0, 5: 10.0, 6: 1.0}
MODE_OF_RATE: Final = {rate: mode for mode, rate in _RATES.items()}
_PACKED, _PACKED_6D = 0x0220, 0x0230  # + mode
_SAMPLES: Final = 8
_PACKED_BYTES, _PACKED_6D_BYTES = 163, 115
_ACC: Final = 16.0 * 9.81 / 32768.0  # the maker's g is 9.81
_GYR: Final = 2000.0 / 32768.0 * math.pi / 180.0
_MAG: Final = 1.0 / 16.0
_STAMP_LIMIT_NS: Final = 1 << 62
_FILE: Final = struct.Struct("<H65sI")
FILE_NAME: Final = 65


def frame(header: int, payload: bytes = b"") -> bytes:
    """A command as the sensor expects it."""
    body = struct.pack("<H", header) + payload
    return struct.pack("<BIB", _START_BYTE, zlib.crc32(body), len(payload)) + body


@dataclass(slots=True)
class FrameStream:
    """Finds frames in bytes cut anywhere; what fails its CRC is skipped to the next start byte."""

    buffer: bytearray = field(default_factory=bytearray)
    crc: int = 0
    """Frames that failed, and runs of bytes that were no frame."""
    _in_garbage: bool = False

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """(header, payload) of every whole frame."""
        buffer = self.buffer
        buffer += data
        frames: list[tuple[int, bytes]] = []
        at = 0
        while len(buffer) - at >= _FRAME.size:
            start, crc, size, header = _FRAME.unpack_from(buffer, at)
            end = at + _FRAME.size + size
            if start != _START_BYTE or size > _MAX_PAYLOAD:
                at = self._skip(at)
            elif end > len(buffer):
                break
            elif zlib.crc32(memoryview(buffer)[at + 6 : end]) != crc:
                at = self._skip(at)
            else:
                self._in_garbage = False
                frames.append((header, bytes(buffer[at + _FRAME.size : end])))
                at = end
        del buffer[:at]
        return frames

    def _skip(self, at: int) -> int:
        if not self._in_garbage:
            self.crc += 1
            self._in_garbage = True
        following = self.buffer.find(_START_BYTE, at + 1)
        return len(self.buffer) if following < 0 else following


class Capture2GoDecoder:
    """Notifications into blocks of eight samples; everything else into replies (kind = header)."""

    def __init__(self, next_boot: Callable[[], int] | None = None) -> None:
        self.counters = Counters()
        self._next_boot = next_boot or count(1).__next__
        self._stream = FrameStream()
        self._grids: dict[int, StampGrid[NDArray[np.int16]]] = {}
        self._specs: dict[int, StreamSpec] = {}
        self._newest = 0
        self._boot: int | None = None
        self._replies: list[Reply] = []
        self._bursts = BurstLog(_log, "capture2go")
        self._listing: dict[int, tuple[str, int]] = {}
        self._file_count: int | None = None
        self._files: dict[str, _Recorded] = {}
        self._reading: _Recorded | None = None

    def listing(self) -> None:
        """File names that follow make a new list."""
        self._listing.clear()
        self._file_count = None

    def listed(self) -> None:
        """The list is whole: a file that is shorter than what came of it is another one of its name."""
        for name, size in self.files():
            read = self._files.get(name)
            if read is not None and read.file.received > size:
                del self._files[name]

    def files(self) -> list[tuple[str, int]]:
        """(name, bytes) of the files named, in the sensor's order."""
        return [self._listing[number] for number in sorted(self._listing)]

    def reading(self, name: str, end: int) -> int:
        """File bytes that follow are this file's, wanted up to `end`. Returns how many are here already."""
        read = self._files.get(name)
        if read is None:
            boots = FileBoots()
            inner = Capture2GoDecoder(boots)
            inner.counters = self.counters
            read = self._files[name] = _Recorded(StoredFile(name), inner, boots)
        read.file.end = end
        self._reading = read
        return read.file.received

    def clock_set(self) -> None:
        """The sensor's clock was set: what it stamps from now on is of another boot."""
        self._grids.clear()
        self._specs.clear()
        self._boot = None

    @property
    def boot(self) -> int:
        """Number of the sensor's present clock."""
        grid = self._grids.get(self._newest)
        if grid is not None:
            return grid.boot
        if self._boot is None:
            self._boot = self._next_boot()
        return self._boot

    def streams(self) -> tuple[StreamSpec, ...]:
        """The streams met so far; 100 Hz with magnetometer before that."""
        specs = {spec.name: spec for read in self._files.values() for spec in read.decoder._specs.values()}
        specs |= {spec.name: spec for spec in self._specs.values()}
        return tuple(specs.values()) or (_spec(_PACKED + 2),)

    def take_replies(self) -> list[Reply]:
        replies, self._replies = self._replies, []
        return replies

    def reconnected(self) -> None:
        """A cut frame will not go on."""
        self._stream.buffer.clear()
        self._reading = None
        for grid in self._grids.values():
            grid.forget_held()

    def feed(self, characteristic: str, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        self.counters.notifications += 1
        if characteristic != TX:
            self.counters.unknown += 1
            return []
        realtime = 0xFF - data[0] if data else _MAX_REALTIME + 1
        if realtime > _MAX_REALTIME:
            self._bad("a notification without its first byte", arrival_ns)
            return []
        at = 1
        frames: list[tuple[int, bytes]] = []
        for _ in range(realtime):
            size = data[at + 5] if at + 6 <= len(data) else _MAX_PAYLOAD + 1
            found = FrameStream().feed(data[at : at + _FRAME.size + size])
            if len(found) != 1:
                self._bad("a real-time frame that fails its CRC", arrival_ns)
                return []
            frames += found
            at += _FRAME.size + size
        blocks: list[SampleBlock] = []
        for header, payload in frames + self._frames(data[at:], arrival_ns):
            blocks += self._package(header, payload, arrival_ns)
        return blocks

    def _frames(self, data: bytes, arrival_ns: int) -> list[tuple[int, bytes]]:
        failed = self._stream.crc
        frames = self._stream.feed(data)
        if self._stream.crc != failed:
            self.counters.crc += self._stream.crc - failed
            self._bursts.bad("a frame that fails its CRC", arrival_ns)
        return frames

    def _recorded(self, data: bytes, arrival_ns: int, boots: FileBoots) -> list[SampleBlock]:
        """Samples in bytes of a recording: a stream of the same frames, without counts of real-time ones."""
        blocks: list[SampleBlock] = []
        for header, payload in self._frames(data, arrival_ns):
            if header & 0xFFF0 in (_PACKED, _PACKED_6D):
                boots.note(payload)
            blocks += self._package(header, payload, arrival_ns)
        self._replies.clear()  # it holds the sensor's information and status of then
        return [
            replace(block, flags=block.flags | Flag.FLASH | Flag.FILE, utc_ns=block.tick) for block in blocks
        ]

    def _memory(self, header: int, payload: bytes, arrival_ns: int) -> list[SampleBlock]:
        """What the sensor's memory answers: counts, names, bytes."""
        if header == FILE_COUNT and len(payload) == 2:
            self._file_count = int.from_bytes(payload, "little")
        elif header == FILE and len(payload) == _FILE.size:
            number, name, size = _FILE.unpack(payload)
            self._listing[number] = (text(name), size)
        elif header == FILE_BYTES and len(payload) > 4 and self._reading is not None:
            read = self._reading
            new = read.file.take(int.from_bytes(payload[:4], "little"), payload[4:])
            blocks = read.decoder._recorded(new, arrival_ns, read.boots)
            if read.file.complete:
                self._reading = None
                self._replies.append(Reply(FILE_COME, 0, b"", arrival_ns))
            return blocks
        elif header == FILE_BYTES and len(payload) > 4:
            self.counters.unknown += 1  # of a download that was given up
            return []
        else:
            self._bad("an answer of the memory of an impossible length", arrival_ns)
            return []
        if self._file_count is not None and len(self._listing) >= self._file_count:
            self._replies.append(Reply(FILES_LISTED, 0, b"", arrival_ns))
        return []

    def _bad(self, what: str, arrival_ns: int) -> None:
        self.counters.malformed += 1
        self._bursts.bad(what, arrival_ns)

    def _package(self, header: int, payload: bytes, arrival_ns: int) -> list[SampleBlock]:
        if header in (FILE_COUNT, FILE, FILE_BYTES):
            return self._memory(header, payload, arrival_ns)
        mode = header & 0x0F
        base = header & 0xFFF0
        if base not in (_PACKED, _PACKED_6D) or mode not in _RATES:
            self._replies.append(Reply(header, 0, payload, arrival_ns))
            return []
        columns = 3 if base == _PACKED else 2
        if len(payload) != (_PACKED_BYTES if columns == 3 else _PACKED_6D_BYTES):
            self._bad("a package of an impossible length", arrival_ns)
            return []
        stamp = int.from_bytes(payload[:8], "little", signed=True)
        if not 0 <= stamp < _STAMP_LIMIT_NS:
            self._bad("an impossible time stamp", arrival_ns)
            return []
        raw = np.frombuffer(payload, "<i2", _SAMPLES * 3 * columns, 8).reshape(columns, _SAMPLES, 3)
        order = (1, 0, 2)[:columns]  # on the wire gyr, acc, mag
        values = np.concatenate([raw[i] for i in order], axis=1)
        spec = self._specs.get(header) or self._begin(header)
        self._newest = header
        return [
            SampleBlock(spec.name, boot, first, token, tick, 1e9, arrival_ns, flags)
            for token, boot, first, tick, flags in self._grids[header].place(stamp, _SAMPLES, values)
        ]

    def _begin(self, header: int) -> StreamSpec:
        """Each package type has a grid of its own; the first one takes the boot that was promised."""
        promised, self._boot = self._boot, None
        grid: StampGrid[NDArray[np.int16]] = StampGrid(
            _RATES[header & 0x0F], 1e9, self.counters, self._next_boot, boot=promised
        )
        self._grids[header] = grid
        self._specs = {header: _spec(header)} | {
            other: spec for other, spec in self._specs.items() if spec.name != _spec(header).name
        }
        return self._specs[header]


@dataclass(slots=True)
class _Recorded:
    """A recording on its way here, and the decoder of what it holds, with boots of its own."""

    file: StoredFile
    decoder: Capture2GoDecoder
    boots: FileBoots


def _spec(header: int) -> StreamSpec:
    nine = header & 0xFFF0 == _PACKED
    channels = spec_channels("ax ay az", "m/s2", _ACC) + spec_channels("gx gy gz", "rad/s", _GYR)
    if nine:
        channels += spec_channels("mx my mz", "uT", _MAG)
    return StreamSpec("imu9" if nine else "imu", channels, _RATES[header & 0x0F], "int16", 1e9)


def text(value: bytes) -> str:
    return value.split(b"\0")[0].decode("ascii", "replace").strip()
