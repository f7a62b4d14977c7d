"""Driver of Movesense sensors with the GATT sensor data service (GSP): streaming and the sensor's own log.

Commands are `op u8, ref u8, arguments`; the path of a subscription ends in NUL.
Notifications are `01 ref status` (answers), `02 ref, u32 ms, floats` (data) and `03 ref` (the second part of
a packet too long for the MTU). A data packet holds N accelerations (m/s2), then N angular rates (degrees/s),
then for IMU9 N magnetic fields (uT); N follows from the length alone. The stamp is that of the first sample.

Not checked on hardware: when packets are split, and that the stamp is the first sample's.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import ClassVar, Final, NamedTuple

import numpy as np
from bleak.backends.scanner import AdvertisementData
from numpy.typing import NDArray

from rtm_gateway.drivers.driver import (
    BaseDriver,
    BurstLog,
    Counters,
    Flag,
    Identity,
    SampleBlock,
    StoredRun,
    StreamSpec,
    spec_channels,
)
from rtm_gateway.drivers.grid import StampGrid
from rtm_gateway.drivers.port import NoAnswerError, Port
from rtm_gateway.drivers.reply import Reply
from rtm_gateway.drivers.sbem import LogSamples, SbemError, SbemReader
from rtm_gateway.drivers.stored_file import FileBoots, StoredFile
from rtm_gateway.unwrap import nearest

_log = logging.getLogger(__name__)


def _uuid(head: str) -> str:
    return f"{head}-7185-4d5d-b431-630e7050e8f0"


SERVICE: Final = _uuid("34802252")
WRITE: Final = _uuid("34800001")
NOTIFY: Final = _uuid("34800002")

HELLO, SUBSCRIBE, UNSUBSCRIBE, FETCH_LOG, GET, SET_TIME = 0, 1, 2, 3, 4, 8
_CONFLICT: Final = 409
LOG_COME: Final = 0x103
"""Reply of the decoder's own: the empty packet that ends a log has come."""
ANSWER, DATA, DATA_PART2 = 1, 2, 3
RATES: Final = (13, 26, 52, 104, 208, 416, 833)
_IMU_REF, _HELLO_REF, _BATTERY_REF, _LOGBOOK_REF, _LOG_REF = 0x11, 0x01, 0x12, 0x13, 0x14
_HEAD: Final = 6
_PACKETS_A_SECOND: Final = 13  # a packet holds rate / 13 samples: 8 at 104 Hz
_MAX_PACKET: Final = 4096  # 64 samples of IMU9 at 833 Hz, and some
_ENTRY: Final = struct.Struct("<IIQ")  # id, modified (s), bytes
_ENTRIES_AT: Final = 3  # after status and one more byte
_SLOWEST: Final = 1000.0  # bytes/s below which the fetching of a log is given up
_MAX_ACC, _MAX_GYR, _MAX_MAG = 400.0, 5000.0, 10000.0  # beyond twice the largest range: garbage
_LIMITS: Final = np.repeat(np.array([_MAX_ACC, _MAX_GYR, _MAX_MAG], np.float32), 3)


class _Held(NamedTuple):
    """A data packet, or its parts so far, waiting for what comes next. first: length of its first part."""

    ref: int
    data: bytes
    first: int
    arrival_ns: int


@dataclass(slots=True)
class _Log:
    """A log on its way here; it begins anew with every fetch, and what came before is dropped by its offset."""

    file: StoredFile
    reader: SbemReader = field(default_factory=SbemReader)
    grids: dict[int, StampGrid[NDArray[np.float32]]] = field(default_factory=dict)
    boots: FileBoots = field(default_factory=FileBoots)
    next_piece: int = 0
    """Where a second part goes on."""


class MovesenseDecoder:
    """Data packets into blocks of float32, answers into replies (kind 01, ref, data from the status on)."""

    def __init__(
        self,
        next_boot: Callable[[], int] | None = None,
        *,
        rate_hz: float | None = None,
        sensors: int = 0,
    ) -> None:
        """sensors: 2 for IMU6, 3 for IMU9, 0 to tell by the length of the packets (IMU6 in doubt)."""
        self.counters = Counters()
        self._next_boot = next_boot or count(1).__next__
        self._rate_hz = rate_hz
        self._sensors = sensors
        self._refs: dict[int, tuple[int, StampGrid[NDArray[np.float32]]]] = {}
        self._ms: int | None = None
        self._ms_arrival = 0
        self._pending: _Held | None = None
        self._whole: dict[int, set[int]] = {}
        self._split_at: dict[int, set[int]] = {}
        self._logs: dict[str, _Log] = {}
        self._fetching: _Log | None = None
        self._replies: list[Reply] = []
        self._bursts = BurstLog(_log, "movesense-gsp")

    def expect(self, rate_hz: float, sensors: int) -> None:
        """The subscription just made."""
        if (rate_hz, sensors) != (self._rate_hz, self._sensors):
            self._refs.clear()
        self._rate_hz, self._sensors = rate_hz, sensors

    def streams(self) -> tuple[StreamSpec, ...]:
        sensors = {s for s, _ in self._refs.values()} | {s for log in self._logs.values() for s in log.grids}
        sensors = sensors or {self._sensors or 2}
        return tuple(_spec(s, self._rate_hz or 104.0) for s in sorted(sensors))

    def take_replies(self) -> list[Reply]:
        replies, self._replies = self._replies, []
        return replies

    def reconnected(self) -> None:
        """The second part of a packet will not come, and the link may have another MTU."""
        self._pending = self._fetching = None
        self._whole.clear()
        self._split_at.clear()
        for _, grid in self._refs.values():
            grid.forget_held()

    def feed(self, characteristic: str, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        self.counters.notifications += 1
        if characteristic != NOTIFY:
            self.counters.unknown += 1
        elif len(data) < 3:
            self._bad("a notification of an impossible length", arrival_ns)
        else:
            return self._notification(data, arrival_ns)
        return []

    def fetching(self, key: str) -> None:
        """Data packets of the log's reference that follow are this log's, from its beginning."""
        log = self._logs.setdefault(key, _Log(StoredFile(key)))
        self._fetching = log

    def listed(self, sizes: Mapping[str, int]) -> None:
        """Logs there are: one that is shorter than what came of it is another one of its number."""
        for key in [key for key, log in self._logs.items() if log.file.received > sizes.get(key, 0)]:
            del self._logs[key]

    def log_bytes(self, key: str) -> int:
        """How much of a log has come."""
        return self._logs[key].file.received if key in self._logs else 0

    def _notification(self, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        kind, ref = data[0], data[1]
        if kind == ANSWER:  # it may come between the parts of a packet
            self._replies.append(Reply(kind, ref, data[2:], arrival_ns))
            return []
        if self._fetching is not None and ref == _LOG_REF:
            return self._log_piece(self._fetching, kind, data, arrival_ns)
        if kind == DATA_PART2:
            return self._later_part(ref, data[2:], arrival_ns)
        if kind == DATA:
            return self._first_part(ref, data, arrival_ns)
        self.counters.unknown += 1
        return []

    def _first_part(self, ref: int, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        """A packet or its first part; what was held before it was either whole or will never be."""
        held, self._pending = self._pending, None
        blocks: list[SampleBlock] = []
        if held is not None and self._sensors_of(held.ref, len(held.data) - _HEAD):
            self._whole.setdefault(held.ref, set()).add(len(held.data))
            blocks = self._packet(held.ref, held.data, held.arrival_ns)
        elif held is not None:
            self._bad("a packet without its second part", arrival_ns)
        if len(data) not in self._split_at.get(ref, ()) and self._is_whole(ref, data):
            return blocks + self._packet(ref, data, arrival_ns)
        self._pending = _Held(ref, data, len(data), arrival_ns)
        return blocks

    def _later_part(self, ref: int, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        held, self._pending = self._pending, None
        if held is None or held.ref != ref:
            self._bad("the second part of a packet without its first", arrival_ns)
            return []
        self._split_at.setdefault(ref, set()).add(held.first)
        joined = held.data + data
        if self._is_whole(ref, joined):
            return self._packet(ref, joined, arrival_ns)
        if len(joined) <= _MAX_PACKET:  # on a link of few bytes there are more than two
            self._pending = _Held(ref, joined, held.first, arrival_ns)
        else:
            self._bad("a packet of an impossible length", arrival_ns)
        return []

    def _is_whole(self, ref: int, data: bytes) -> bool:
        """Surely all of a packet: of the usual length, or of one that was followed by another packet.

        A part is as long as the link allows, and that may happen to be a whole number of samples. So a
        packet of an unusual length waits, the first time, for the notification after it.
        """
        sensors = self._sensors_of(ref, len(data) - _HEAD)
        if sensors == 0:
            return False
        usual = max(1, round((self._rate_hz or 104.0) / _PACKETS_A_SECOND))
        n = (len(data) - _HEAD) // (12 * sensors)
        return n == usual or len(data) in self._whole.get(ref, ())

    def _log_piece(self, log: _Log, kind: int, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        """`u32 offset, bytes` of a log; nothing after the offset is its end."""
        if kind == DATA_PART2:
            offset, piece = log.next_piece, data[2:]
        elif kind == DATA and len(data) >= _HEAD:
            offset, piece = struct.unpack_from("<I", data, 2)[0], data[_HEAD:]
        else:
            self._bad("a piece of a log of an impossible length or kind", arrival_ns)
            return []
        log.next_piece = offset + len(piece)
        if not piece:
            self._fetching = None
            self._replies.append(Reply(LOG_COME, _LOG_REF, b"", arrival_ns))
            return []
        try:
            found = log.reader.feed(log.file.take(offset, piece))
        except SbemError as error:
            self._bad(f"a log that cannot be read: {error}", arrival_ns)
            self._fetching = None
            self._replies.append(Reply(LOG_COME, _LOG_REF, b"", arrival_ns))
            return []
        return [block for samples in found for block in self._logged(log, samples, arrival_ns)]

    def _logged(self, log: _Log, samples: LogSamples, arrival_ns: int) -> list[SampleBlock]:
        arrays = list(samples.arrays.values())
        if len(arrays) < 2 or len({len(array) for array in arrays}) != 1:  # IMU6 and IMU9 are what it reads
            self.counters.unknown += 1
            return []
        values = np.hstack(arrays)
        if not bool((np.abs(values) < _LIMITS[: values.shape[1]]).all()):
            self._bad("impossible values", arrival_ns)
            return []
        grid = log.grids.get(len(arrays))
        if grid is None:
            log.boots.note(samples.stamp_ms.to_bytes(8, "little", signed=True) + values.tobytes())
            grid = StampGrid(None, 1000.0, self.counters, log.boots, guess_hz=104.0)
            log.grids[len(arrays)] = grid
        name, source = _name(len(arrays)), Flag.FLASH | Flag.FILE
        return [
            SampleBlock(
                name, boot, first, token, tick, 1000.0, arrival_ns, flags | source, log.reader.utc_ns(tick)
            )
            for token, boot, first, tick, flags in grid.place(samples.stamp_ms, len(values), values)
        ]

    def _bad(self, what: str, arrival_ns: int) -> None:
        self.counters.malformed += 1
        self._bursts.bad(what, arrival_ns)

    def _packet(self, ref: int, data: bytes, arrival_ns: int) -> list[SampleBlock]:
        sensors = self._sensors_of(ref, len(data) - _HEAD)
        if sensors == 0:
            self._bad("a packet of an impossible length", arrival_ns)
            return []
        n = (len(data) - _HEAD) // (12 * sensors)
        raw = np.frombuffer(data, "<f4", 3 * sensors * n, _HEAD).reshape(sensors, n, 3)
        values = np.ascontiguousarray(raw.transpose(1, 0, 2).reshape(n, 3 * sensors), np.float32)
        if not bool((np.abs(values) < _LIMITS[: 3 * sensors]).all()):  # false for NaN too
            self._bad("impossible values", arrival_ns)
            return []
        stamp = self._unwrap(struct.unpack_from("<I", data, 2)[0], arrival_ns)
        grid = self._grid(ref, sensors)
        return [
            SampleBlock(_name(sensors), boot, first, token, tick, 1000.0, arrival_ns, flags)
            for token, boot, first, tick, flags in grid.place(stamp, n, values)
        ]

    def _sensors_of(self, ref: int, size: int) -> int:
        """How many of acc, gyr, mag a packet of this many bytes holds; 0 when it is not whole."""
        known = self._refs.get(ref)
        candidates = (known[0],) if known else (self._sensors,) if self._sensors else (2, 3)
        return next((s for s in candidates if size > 0 and size % (12 * s) == 0), 0)

    def _grid(self, ref: int, sensors: int) -> StampGrid[NDArray[np.float32]]:
        known = self._refs.get(ref)
        if known is None:
            grid: StampGrid[NDArray[np.float32]] = StampGrid(
                self._rate_hz, 1000.0, self.counters, self._next_boot, guess_hz=104.0
            )
            known = self._refs[ref] = (sensors, grid)
        return known[1]

    def _unwrap(self, raw: int, arrival_ns: int) -> int:
        """Milliseconds in 32 bits pass once in 49.7 days."""
        if self._ms is None:
            value = raw
        else:
            elapsed_ms = max(0, arrival_ns - self._ms_arrival) // 1_000_000
            value = nearest(raw, 32, self._ms + elapsed_ms)
            if abs(value - self._ms) > 1 << 31 and raw < 1 << 31:
                value = raw  # the sensor was switched off and on: its clock begins anew
        self._ms, self._ms_arrival = value, arrival_ns
        return value


def _name(sensors: int) -> str:
    return "imu9" if sensors == 3 else "imu"


def _spec(sensors: int, rate_hz: float) -> StreamSpec:
    channels = spec_channels("ax ay az", "m/s2", 1.0) + spec_channels("gx gy gz", "deg/s", 1.0)
    if sensors == 3:
        channels += spec_channels("mx my mz", "uT", 1.0)
    return StreamSpec(_name(sensors), channels, rate_hz, "float32", 1000.0)


class MovesenseDriver(BaseDriver):
    """Movesense with the GATT sensor data service."""

    profile: ClassVar[str] = "movesense-gsp"
    title: ClassVar[str] = "Movesense (GATT sensor data service)"
    unverified: ClassVar[tuple[str, ...]] = (
        "When a packet is split in two, and that its stamp is the first sample's.",
        "The descriptors in a log, and that logs can be read while it streams; they stay in its memory.",
        "A log is dated by /Time/Detailed in it; one without is dated by the day on which it came.",
        "The link is not encrypted.",
    )
    notify: ClassVar[tuple[str, ...]] = (NOTIFY,)
    has_files: ClassVar[bool] = True

    def __init__(self, *, rate_hz: int = 104, magnetometer: bool = False) -> None:
        if rate_hz not in RATES:
            raise ValueError(f"rates are {', '.join(map(str, RATES))} Hz")
        self._rate_hz = rate_hz
        self._sensors = 3 if magnetometer else 2
        self._decoder = MovesenseDecoder(rate_hz=rate_hz, sensors=self._sensors)

    @classmethod
    def matches(cls, advertisement: AdvertisementData) -> bool:
        name = advertisement.local_name or ""
        return SERVICE in advertisement.service_uuids or name.startswith("Movesense")

    def streams(self) -> tuple[StreamSpec, ...]:
        return self._decoder.streams()

    def decoder(self, next_boot: Callable[[], int] | None = None) -> MovesenseDecoder:
        self._decoder = MovesenseDecoder(next_boot, rate_hz=float(self._rate_hz), sensors=self._sensors)
        return self._decoder

    @staticmethod
    async def _ask(port: Port, op: int, ref: int, body: bytes = b"") -> bytes:
        answer = await port.request(
            WRITE, bytes((op, ref)) + body, lambda r: r.kind == ANSWER and r.ref == ref
        )
        return answer.reply.data

    async def configure(self, port: Port, /) -> Identity:
        """HELLO tells the serial number; the sensor's clock is set to UTC for its own log."""
        hello = await self._ask(port, HELLO, _HELLO_REF)
        words = [word.decode("ascii", "replace") for word in hello[1:].split(b"\0")]
        serial = words[0] if words else ""
        firmware = words[4] if len(words) > 4 else ""
        microseconds = time.time_ns() // 1000
        await self._ask(port, SET_TIME, 0x6C, struct.pack("<Q", microseconds))
        return Identity(serial, firmware)

    async def start(self, port: Port, /) -> None:
        path = f"/Meas/IMU{'9' if self._sensors == 3 else '6'}/{self._rate_hz}"
        port.decoder(MovesenseDecoder).expect(float(self._rate_hz), self._sensors)
        status = _status(await self._ask(port, SUBSCRIBE, _IMU_REF, path.encode() + b"\0"))
        if status not in (200, 201, 202, _CONFLICT):  # 409: it has been subscribed already
            raise NoAnswerError(f"the sensor cannot send {path} (status {status})")

    async def stop(self, port: Port, /) -> None:
        await self._ask(port, UNSUBSCRIBE, _IMU_REF)

    async def stored(self, port: Port, /) -> Sequence[StoredRun]:
        """Its logs: `key` is the log's number, first and next count bytes."""
        data = await self._ask(port, GET, _LOGBOOK_REF, b"/Mem/Logbook/entries\0")
        if _status(data) != 200:
            return ()
        entries = data[_ENTRIES_AT:]
        entries = entries[: len(entries) // _ENTRY.size * _ENTRY.size]
        sizes = {str(number): size for number, _, size in _ENTRY.iter_unpack(entries)}
        port.decoder(MovesenseDecoder).listed(sizes)
        return [StoredRun("", 0, 0, size, key) for key, size in sizes.items()]

    async def download(self, port: Port, run: StoredRun, _first: int, _last: int, /) -> None:
        """A whole log: the command has no offset, so a broken download begins again and drops what it had.

        The samples come out of the decoder as a boot of their own, flagged FLASH. Raises NoAnswerError.
        """
        port.decoder(MovesenseDecoder).fetching(run.key)
        await port.request(
            WRITE,
            struct.pack("<BBI", FETCH_LOG, _LOG_REF, int(run.key)),
            lambda r: (
                r.ref == _LOG_REF and (r.kind == LOG_COME or (r.kind == ANSWER and _status(r.data) >= 400))
            ),
            timeout_s=10.0 + run.next / _SLOWEST,
        )
        come = port.decoder(MovesenseDecoder).log_bytes(run.key)
        if come < run.next:
            raise NoAnswerError(f"the sensor sent {come} of {run.next} bytes of its log")

    async def battery(self, port: Port, /) -> float | None:
        data = await self._ask(port, GET, _BATTERY_REF, b"/System/Energy/Level\0")
        if _status(data) != 200 or len(data) < 3 or data[2] > 100:
            return await super().battery(port)
        return data[2] / 100.0


def _status(data: bytes) -> int:
    return int.from_bytes(data[:2], "little")
