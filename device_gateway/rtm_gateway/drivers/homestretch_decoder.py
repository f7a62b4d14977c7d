"""Frames of the open `homestretch` profile into samples: index, tick, boot, CRC, flash reads. Pure."""

from __future__ import annotations

import binascii
import logging
import struct
import zlib
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rtm_gateway.drivers.driver import (
    BurstLog,
    Counters,
    Flag,
    SampleBlock,
    StreamSpec,
    WrongDeviceError,
    spec_channels,
)
from rtm_gateway.drivers.reply import Reply
from rtm_gateway.unwrap import Coverage, nearest

_log = logging.getLogger(__name__)


def _uuid(number: int) -> str:
    return f"4ef8{number:04x}-139d-493c-9069-c0b6411e52e4"


SERVICE: Final = _uuid(1)
INFORMATION: Final = _uuid(2)
CONTROL: Final = _uuid(3)
DATA: Final = _uuid(4)
FLASH: Final = _uuid(5)
EVENT: Final = _uuid(6)

START, STOP, STATUS, READ, FREE, TIME, LIST, BLINK, TICK = 1, 2, 5, 6, 8, 9, 10, 11, 12
ANSWER: Final = 0x80
READ_END: Final = 0xC6
EVENT_KIND: Final = 0x100
"""Event replies have the kind EVENT_KIND + the profile's event number."""
DONE: Final = 0

_HEAD: Final = struct.Struct("<HI")
_INFORMATION: Final = struct.Struct("<BBBB12s3BxIIIffHHI")
_SAMPLE_BYTES: Final = 12
_OVERHEAD: Final = 8  # sequence, tick, CRC
_MAX_HOLES: Final = 4096  # spans remembered to tell duplicates; older holes are forgotten
STREAM: Final = "imu"


class Information(NamedTuple):
    """The sensor's constant settings."""

    version: int
    simulated: bool
    channels: int
    serial: str
    firmware: str
    boot: int
    tick_hz: int
    rate_hz: float
    acc_scale: float
    gyr_scale: float
    flash_samples: int


def parse_information(value: bytes) -> Information:
    """Raises WrongDeviceError when the value is not one of version 1."""
    if len(value) < _INFORMATION.size:
        raise WrongDeviceError(f"its information has {len(value)} bytes instead of {_INFORMATION.size}")
    (
        version,
        bits,
        channels,
        _,
        serial,
        major,
        minor,
        patch,
        boot,
        tick_hz,
        rate_mhz,
        acc,
        gyr,
        _,
        _,
        flash,
    ) = _INFORMATION.unpack_from(value)
    if version != 1:
        raise WrongDeviceError(f"it speaks version {version} of the profile; this gateway knows version 1")
    if channels != 3:
        raise WrongDeviceError("it sends other channels than accelerometer and gyroscope")
    if not (0 < tick_hz <= 10**9 and 0 < rate_mhz <= 10**7 and 0 < acc < 1 and 0 < gyr < 1):
        raise WrongDeviceError("its information holds impossible values")
    name = serial.rstrip(b"\0").decode("ascii", "replace")
    return Information(
        version,
        bool(bits & 1),
        channels,
        name,
        f"{major}.{minor}.{patch}",
        boot,
        tick_hz,
        rate_mhz / 1000.0,
        acc,
        gyr,
        flash,
    )


def frame_crc(boot: int, body: bytes) -> int:
    """CRC-16/CCITT-FALSE over the boot and the frame without its CRC."""
    return binascii.crc_hqx(body, binascii.crc_hqx(boot.to_bytes(4, "little"), 0xFFFF))


@dataclass(slots=True)
class _Track:
    """Where one flow of frames (live, or one flash read) is: expected index and a point on the clock."""

    boot: int
    index: int
    tick: int | None = None
    """Unwrapped tick of `tick_index`."""
    tick_index: int = 0
    arrival_ns: int = 0
    gap: bool = False
    crc_seed: int = 0

    def __post_init__(self) -> None:
        self.crc_seed = binascii.crc_hqx(self.boot.to_bytes(4, "little"), 0xFFFF)


class _Frame(NamedTuple):
    """What one frame holds, placed."""

    first: int
    values: NDArray[np.int16]
    tick: int
    arrival_ns: int
    flags: Flag


@dataclass(slots=True)
class _Read:
    """A READ under way: its frames wait for the CRC-32 over all of their samples."""

    track: _Track
    held: list[_Frame] = field(default_factory=list)
    crc32: int = 0
    count: int = 0
    ending: tuple[int, int] | None = None
    """(samples, CRC-32) as the sensor told them; frames may still be on their way."""


class HomestretchDecoder:
    """Frames of Data and Flash into blocks; answers and events into replies.

    Samples of a READ come out when its closing CRC-32 has proved them all; none of them when it refutes them.
    A READ that a lost link cut short has no CRC-32: its frames are taken on their own CRC.

    Which boot the frames belong to is learned from Information, START and LIST answers (`know`), or given at
    creation; a frame of any other boot fails its CRC and is dropped.
    """

    def __init__(self, boot: int = 0, *, tick_hz: float = 32768.0, rate_hz: float = 100.0) -> None:
        self.counters = Counters()
        self.tick_hz = tick_hz
        self.rate_hz = rate_hz
        self._scales = (1.0, 1.0)
        self._live = _Track(boot, 0)
        self._fresh = True  # the first frame decides where a recording without START answer begins
        self._read: _Read | None = None
        self._cut_short: tuple[int, list[_Frame]] | None = None
        self.read_proved = False
        """The last READ is over and its CRC-32 was right."""
        self._seen: dict[int, Coverage] = {}
        self._replies: list[Reply] = []
        self._bursts = BurstLog(_log, "homestretch")
        self._now: tuple[int, int] | None = None  # (tick u64, arrival) of the present boot

    @property
    def boot(self) -> int:
        """Boot of the live frames."""
        return self._live.boot

    def streams(self) -> tuple[StreamSpec, ...]:
        """One stream, acc and gyr together; scales are 1 until Information is known."""
        acc, gyr = self._scales
        channels = spec_channels("ax ay az", "m/s2", acc) + spec_channels("gx gy gz", "rad/s", gyr)
        return (StreamSpec(STREAM, channels, self.rate_hz, "int16", self.tick_hz),)

    def know(self, information: Information) -> None:
        """What Information says. A new boot restarts index and tick."""
        boot = information.boot
        self.tick_hz, self.rate_hz = float(information.tick_hz), information.rate_hz
        self._scales = (information.acc_scale, information.gyr_scale)
        if boot != self._live.boot:
            self._live = _Track(boot, 0)
            self._fresh = False
            self._now = None

    def reading(self, boot: int, first: int, tick: int | None = None) -> None:
        """Flash frames that follow belong to this boot and begin near this index.

        tick: the tick of `first` to within half a wrap (18 h), None when unknown.
        """
        self._read = _Read(_Track(boot, first, tick, first))
        self.read_proved = False

    @property
    def reading_on(self) -> bool:
        """A READ is not over: its end or some of its frames have not come."""
        return self._read is not None

    def reconnected(self) -> None:
        """Frames are whole notifications; those of a READ cut short come out with the next one."""
        read, self._read = self._read, None
        if read is not None and read.held:
            self._cut_short = (read.track.boot, read.held)

    def take_replies(self) -> list[Reply]:
        """Answers (kind = op | 80) and events (kind = EVENT_KIND + number)."""
        replies, self._replies = self._replies, []
        return replies

    def feed(self, characteristic: str, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        """Blocks of one notification: none or one for a frame, with holes made by duplicates more."""
        self.counters.notifications += 1
        if self._cut_short is not None:
            (boot, frames), self._cut_short = self._cut_short, None
            return self._emit_all(boot, frames) + self._dispatch(characteristic, data, arrival_ns)
        return self._dispatch(characteristic, data, arrival_ns)

    def _dispatch(self, characteristic: str, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        if characteristic == DATA:
            frame = self._frame(self._live, data, arrival_ns, live=True)
            return [] if frame is None else self._emit(self._live.boot, frame)
        if characteristic == FLASH:
            return self._flash_frame(data, arrival_ns)
        if characteristic == CONTROL:
            return self._answer(data, arrival_ns)
        if characteristic == EVENT:
            self._event(data, arrival_ns)
        else:
            self.counters.unknown += 1
        return []

    def _drop(self, what: str, arrival_ns: int) -> None:
        self.counters.malformed += 1
        self._bursts.bad(what, arrival_ns)

    def _flash_frame(self, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        read = self._read
        if read is None:
            self._drop("flash samples nobody asked for", arrival_ns)
            return []
        frame = self._frame(read.track, data, arrival_ns, live=False)
        if frame is None:
            return []
        read.held.append(frame)
        read.count += len(frame.values)
        read.crc32 = zlib.crc32(data[_HEAD.size : -2], read.crc32)
        return self._conclude(read, arrival_ns)

    def _conclude(self, read: _Read, arrival_ns: int) -> list[SampleBlock]:
        """The samples of a READ whose end and frames have all come, if they are what the sensor sent."""
        if read.ending is None or read.count < read.ending[0]:
            return []
        self._read = None
        if (read.count, read.crc32) != read.ending:
            self.counters.crc += 1
            self._bursts.bad("a flash read that fails its CRC", arrival_ns)
            return []
        self.read_proved = True
        return self._emit_all(read.track.boot, read.held)

    def _emit_all(self, boot: int, frames: list[_Frame]) -> list[SampleBlock]:
        return [block for frame in frames for block in self._emit(boot, frame)]

    def _frame(self, track: _Track, data: bytes, arrival_ns: int, *, live: bool) -> _Frame | None:
        size = len(data) - _OVERHEAD
        if size < _SAMPLE_BYTES or size % _SAMPLE_BYTES:
            self._drop("a frame of an impossible length", arrival_ns)
            return None
        if binascii.crc_hqx(data[:-2], track.crc_seed) != data[-2] | data[-1] << 8:
            self.counters.crc += 1
            self._bursts.bad("a frame that fails its CRC", arrival_ns)
            return None
        sequence, low_tick = _HEAD.unpack_from(data)
        tick = self._unwrap_tick(track, low_tick, sequence, arrival_ns, live=live)
        first = self._unwrap_index(track, sequence, tick, live=live)
        count = size // _SAMPLE_BYTES
        values = np.frombuffer(data, "<i2", count * 6, 6).reshape(count, 6)
        if first >= track.index:
            track.tick, track.tick_index, track.arrival_ns = tick, first, arrival_ns
        flags = Flag.NONE if live else Flag.FLASH
        if live and first > track.index:
            flags |= Flag.GAP
            self.counters.gap += 1
            self.counters.gap_samples += first - track.index
        elif track.gap:
            flags |= Flag.GAP
        track.gap = False
        track.index = max(track.index, first + count)
        return _Frame(first, values, tick, arrival_ns, flags)

    def _emit(self, boot: int, frame: _Frame) -> list[SampleBlock]:
        first, values, tick, arrival_ns, flags = frame
        seen = self._seen.get(boot)
        if seen is None:
            seen = self._seen[boot] = Coverage()
        count = len(values)
        new = seen.add(first, first + count)
        if len(seen) > _MAX_HOLES:
            seen.forget_below(seen.spans[_MAX_HOLES // 2][0])
        if len(new) == 1 and new[0] == (first, first + count):  # the usual case
            self.counters.samples += count
            return [SampleBlock(STREAM, boot, first, values, tick, self.tick_hz, arrival_ns, flags)]
        blocks = []
        for start, end in new:
            at = tick + round((start - first) * self.tick_hz / self.rate_hz)
            part = values[start - first : end - first]
            blocks.append(SampleBlock(STREAM, boot, start, part, at, self.tick_hz, arrival_ns, flags))
        fresh = sum(end - start for start, end in new)
        self.counters.samples += fresh
        self.counters.duplicate += count - fresh
        return blocks

    def _unwrap_tick(self, track: _Track, low: int, sequence: int, arrival_ns: int, *, live: bool) -> int:
        """The tick passes once in 36.4 h: arrival (live) or index (flash) says which one this is."""
        if live:
            known = self._now if track.tick is None else (track.tick, track.arrival_ns)
            if known is None:
                return low
            elapsed = (arrival_ns - known[1]) * 1e-9
            return nearest(low, 32, known[0] + round(elapsed * self.tick_hz))
        if track.tick is None:
            return low
        ahead = nearest(sequence, 16, track.index) - track.tick_index
        return nearest(low, 32, track.tick + round(ahead * self.tick_hz / self.rate_hz))

    def _unwrap_index(self, track: _Track, sequence: int, tick: int, *, live: bool) -> int:
        """Sixteen bits pass once in 655 s at 100 Hz; within a run the tick tells how many have passed."""
        if live and self._fresh:
            self._fresh = False
            track.index = sequence
            return sequence
        if live and track.tick is not None:
            by_tick = track.tick_index + round((tick - track.tick) * self.rate_hz / self.tick_hz)
            if abs(by_tick - track.index) >= 0x8000:
                return nearest(sequence, 16, by_tick)
        return nearest(sequence, 16, track.index)

    def _answer(self, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        if len(data) < 3 or not data[0] & ANSWER:
            self._drop("an answer of an impossible length or kind", arrival_ns)
            return []
        kind, ref, status, body = data[0], data[1], data[2], data[3:]
        if kind == ANSWER | START and status == DONE and len(body) >= 12:
            boot, index, low = struct.unpack_from("<III", body)
            self.begin(boot, index, low, arrival_ns)
        elif kind == ANSWER | TIME and status == DONE and len(body) >= 12:
            tick, later = struct.unpack_from("<QI", body)
            self._now = (tick + later, arrival_ns)
        elif kind == ANSWER | READ and status == DONE and len(body) >= 8 and self._read is not None:
            self._read.track.index = struct.unpack_from("<I", body)[0]
        self._replies.append(Reply(kind, ref, data[2:], arrival_ns))
        if kind == READ_END and len(body) >= 8 and self._read is not None:
            count, crc32 = struct.unpack_from("<II", body)
            self._read.ending = (count, crc32)
            return self._conclude(self._read, arrival_ns)
        return []

    def begin(self, boot: int, index: int, low: int, arrival_ns: int) -> None:
        """START says where live frames begin: what was expected before it is in flash."""
        known = None
        if boot == self._live.boot:
            known = self._now or (self._live.tick and (self._live.tick, self._live.arrival_ns))
        tick = low
        if known:
            tick = nearest(low, 32, known[0] + round((arrival_ns - known[1]) * 1e-9 * self.tick_hz))
        missed = index - self._live.index if boot == self._live.boot and not self._fresh else 0
        if missed > 0:
            self.counters.gap += 1
            self.counters.gap_samples += missed
        self._live = _Track(boot, index, tick, index, arrival_ns, gap=missed > 0)
        self._fresh = False

    def _event(self, data: bytes, arrival_ns: int) -> None:
        if len(data) != 14:
            self._drop("an event of an impossible length", arrival_ns)
            return
        kind, value = data[0], data[1]
        self._replies.append(Reply(EVENT_KIND + kind, value, data[2:], arrival_ns))
