"""Capture2Go: CRC-framed packages, nanosecond stamps, a lossless buffer, files with ranged download, clock
round trip.

Facts: docs/reference/simulator.md; nothing here was checked on hardware.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bumble.core import UUID
from bumble.device import Connection
from bumble.gatt import Service

from rtm_firmware_sim.attitude import Attitude
from rtm_firmware_sim.peripheral import Peripheral, Properties, advertisement, characteristic
from rtm_firmware_sim.playback import Block, Sampler
from rtm_firmware_sim.profiles.capture2go_packages import (
    DEFAULT_MODE,
    MODE,
    TIME_GAP,
    Mode,
    frame,
    pack_quaternion,
    parse,
    raw_samples,
    samples_in,
)
from rtm_firmware_sim.profiles.wearable import Order, Wearable

SERVICE = UUID("80030001-e629-4c98-9324-aa7fc0c66de7")
RX = UUID("80030002-e629-4c98-9324-aa7fc0c66de7")
TX = UUID("80030003-e629-4c98-9324-aa7fc0c66de7")

NO_REAL_TIME = 0xFF
MOST_REAL_TIME = 3
FILE_PIECE = 232
IDLE, STREAMING, RECORDING = 1, 2, 3
BLE_CONNECTED = 2
CHARGING = 0x80
FILE_NOT_FOUND, FILE_NAME_INVALID, RECORDING_CONFIG_NOT_SET = 240, 245, 249
WRONG_STATE, PACKAGE_ERROR, UNKNOWN_COMMAND = 251, 252, 253
FILE_NAME = 65
STORAGE_BYTES = 64 << 20
STATUS_AFTER_S = (0.05, 0.6)
"""After a subscription: soon, and again for a client that was not ready yet."""
STREAM = "stream"


@dataclass(slots=True)
class Recording:
    """A file that is being written: its samplers, and the bytes so far."""

    name: str
    data: bytearray
    sources: list[tuple[str, int, Sampler, Attitude]]


class Capture2Go(Wearable):
    """A Capture2Go sensor."""

    def __init__(self, order: Order) -> None:
        serial = order.hex_serial[-6:].lower()
        super().__init__(order, name=order.name or f"IMU_{serial}", maker="capture2go")
        self.serial = self.name[4:10] if self.name.startswith("IMU_") else serial
        self.files: dict[str, bytes] = {}
        self._mode = DEFAULT_MODE
        self._set_ns: int | None = None
        self._time_gap = False
        self._file_config: bytes | None = None
        self._recording: Recording | None = None
        self._echo: dict[int, bytes] = {
            0x0182: bytes(6),
            0x0185: bytes(17),
            0x0187: bytes(17),
            0x0125: bytes(19),
        }
        self._buffer = bytearray()
        self._real_time: list[bytes] = []
        self._more = asyncio.Event()
        self._sending: list[asyncio.Task[None]] = []
        self._rx = characteristic(
            RX, Properties.WRITE | Properties.WRITE_WITHOUT_RESPONSE, write=self._on_write
        )
        self._tx = characteristic(TX, Properties.NOTIFY)
        self._tx.on("subscription", self._on_subscription)
        self._commands: dict[int, Callable[[bytes], None]] = self._table()

    def advertising_data(self) -> bytes:
        return advertisement(self.name, [SERVICE])

    def services(self) -> list[Service]:
        return [Service(SERVICE, [self._rx, self._tx])]

    def on_disconnected(self) -> None:
        super().on_disconnected()
        self._buffer.clear()
        self._real_time.clear()

    def reboot(self) -> None:
        self._recording = None
        self._set_ns = None
        super().reboot()

    # Time

    def _ns(self, at: float | None = None) -> int:
        """Sensor time in ns, at a simulated time or now; since boot until it is set."""
        seconds = self.clock.seconds() if at is None else float(self.clock.device_s(at))
        return round(seconds * 1e6) * 1000 + (self._set_ns or 0)

    # From the buffer to the air

    def _on_subscription(self, _connection: Connection, notify: bool, _indicate: bool) -> None:
        for task in self._sending:
            task.cancel()
        self._sending.clear()
        if notify:
            self._buffer.clear()
            self._sending = [self.spawn(self._pump()), self.spawn(self._greet())]

    async def _greet(self) -> None:
        last = 0.0
        for moment in STATUS_AFTER_S:
            await asyncio.sleep(moment - last)
            last = moment
            self._status()

    async def _pump(self) -> None:
        """Notifications: a count byte, real-time frames, then as much of the buffer as fits."""
        while self.connection is not None:
            while self._buffer or self._real_time:
                await self.notify(self._tx, self._next_notification())
            self._more.clear()
            await self._more.wait()

    def _next_notification(self) -> bytes:
        room = self.payload - 1
        urgent: list[bytes] = []
        while (
            self._real_time
            and len(urgent) < MOST_REAL_TIME
            and (len(b"".join(urgent)) + len(self._real_time[0]) <= room)
        ):
            urgent.append(self._real_time.pop(0))
        if self._real_time and not urgent:  # too long for this link: it goes with the rest
            self._buffer += self._real_time.pop(0)
        real_time = b"".join(urgent)
        rest = bytes(self._buffer[: room - len(real_time)])
        del self._buffer[: len(rest)]
        return bytes([NO_REAL_TIME - len(urgent)]) + real_time + rest

    def _send(self, header: int, payload: bytes = b"", *, real_time: bool = False) -> None:
        if real_time:
            self._real_time.append(frame(header, payload))
        else:
            self._buffer += frame(header, payload)
        self._more.set()

    def _error(self, code: int, command: int) -> None:
        self._send(0xFFFF, struct.pack("<BH", code, command))

    # Commands

    def _on_write(self, _connection: Connection, value: bytes) -> None:
        received = self._ns()
        package = parse(value)
        if package is None:
            self._error(PACKAGE_ERROR, 0)
            return
        header, payload = package
        if header == 0x0172 and len(payload) == 32:
            sent = payload[:8]
            self._send(0x0172, sent + struct.pack("<qqq", received, self._ns(), 0), real_time=True)
        elif header in self._commands:
            self._commands[header](payload)
        else:
            self._error(UNKNOWN_COMMAND, header)

    def _table(self) -> dict[int, Callable[[bytes], None]]:
        table: dict[int, Callable[[bytes], None]] = {
            0x0070: lambda _p: self._send(0x0071, self._device_information()),
            0x0120: self._set_mode,
            0x0121: lambda _p: self._send(0x0122, self._mode.raw),
            0x0140: self._set_file,
            0x0141: lambda _p: self._send(0x0142, self._file_config or bytes(74)),
            0x0150: self._start_streaming,
            0x0152: lambda _p: self._stop_streaming(0x0153),
            0x0154: self._start_recording,
            0x0156: self._stop_recording,
            0x0158: self._clear,
            0x0160: self._start_real_time,
            0x0163: self._stop_real_time,
            0x0170: self._set_time,
            0x0200: lambda _p: self._status(),
            0x0500: lambda _p: self._list(),
            0x0503: self._get_bytes,
            0x0505: self._stop_bytes,
            0x0507: self._size,
            0x0509: self._delete,
            0x050D: self._format,
        }
        for command, answer, size in (
            (0x0180, 0x0182, 6),
            (0x0183, 0x0185, 17),
            (0x0186, 0x0187, 17),
            (0x0123, 0x0125, 19),
        ):
            table[command] = self._echoing(command, answer, size)
        for command, answer in ((0x0181, 0x0182), (0x0184, 0x0185), (0x0124, 0x0125)):
            table[command] = self._telling(answer)
        return table

    def _telling(self, answer: int) -> Callable[[bytes], None]:
        return lambda _payload: self._send(answer, self._echo[answer])

    def _echoing(self, command: int, answer: int, size: int) -> Callable[[bytes], None]:
        def handle(payload: bytes) -> None:
            if len(payload) != size:
                self._error(PACKAGE_ERROR, command)
                return
            self._echo[answer] = payload
            self._send(answer, payload)

        return handle

    def _device_information(self) -> bytes:
        return struct.pack("<H6s8s8s12s11s", 1, self.serial.encode(), b"sim", b"sim", b"1.0.0", b"2026-01-01")

    def _status(self) -> None:
        state = RECORDING if self._recording else STREAMING if self.streaming(STREAM) else IDLE
        battery = self.battery.percent() | (CHARGING if self.battery.charging else 0)
        used = sum(map(len, self.files.values()))
        self._send(
            0x0201,
            struct.pack(
                "<qBB3h?BB",
                self._ns(),
                state,
                BLE_CONNECTED,
                0,
                0,
                0,
                self._set_ns is not None,
                battery,
                max(0, 100 - 100 * used // STORAGE_BYTES),
            ),
        )

    def _set_mode(self, payload: bytes) -> None:
        if len(payload) != MODE.size:
            self._error(PACKAGE_ERROR, 0x0120)
        elif self.streaming(STREAM) or self._recording:
            self._error(WRONG_STATE, 0x0120)
        else:
            self._mode = Mode(payload)
            self._send(0x0122, payload)

    def _set_time(self, payload: bytes) -> None:
        if len(payload) != 8:
            self._error(PACKAGE_ERROR, 0x0170)
            return
        (wanted,) = struct.unpack("<q", payload)
        self._set_ns = 0
        self._set_ns = wanted - self._ns()
        self._time_gap = self.streaming(STREAM)
        self._send(0x0171, payload)

    # Streaming

    def _start_streaming(self, _payload: bytes) -> None:
        if self.streaming(STREAM) or self._recording:
            self._error(WRONG_STATE, 0x0150)
            return
        self._send(0x0151)
        for number, (kind, header, rate) in enumerate(self._mode.packages()):
            stream = STREAM if number == 0 else f"{STREAM}{number}"
            sampler = self.sampler(stream, rate)
            self.start_stream(stream, self._stream(kind, header, sampler), sampler)
        if not self.streaming(STREAM):
            self.start_stream(STREAM, asyncio.sleep(0.0))
        if self._mode.status_s:
            self.start_stream("status", self._report(self._mode.status_s))

    async def _report(self, interval_s: int) -> None:
        while True:
            await asyncio.sleep(interval_s)
            self._status()

    async def _stream(self, kind: str, header: int, sampler: Sampler) -> None:
        attitude = Attitude()
        async for block in sampler.blocks(samples_in(kind)):
            for payload in self._payloads(kind, block, attitude, sampler.track.rate_hz):
                self._send(header, payload)
            while (
                len(self._buffer) > 64 * 1024
            ):  # lossless: sampling waits for the link, as the real buffer does
                await asyncio.sleep(0.01)

    def _payloads(self, kind: str, block: Block, attitude: Attitude, rate_hz: float) -> Iterator[bytes]:
        """Packages of one block; one that lacks samples (a hole, the end) is not sent, as a time gap shows."""
        quaternions = attitude.over(block.acc, block.gyr, 1.0 / rate_hz)
        if block.size < samples_in(kind):
            self._time_gap = True
            return
        stamp = struct.pack("<q", self._ns(float(block.at[0])))
        gap = TIME_GAP if self._time_gap else 0
        self._time_gap = False
        if kind == "quat_packed":
            packed = [pack_quaternion(q) for q in quaternions]
            yield (
                stamp
                + struct.pack(f"<{len(packed)}Q", *packed)
                + bytes(2 * len(packed))
                + bytes([gap] * len(packed))
            )
        elif kind == "quat_fixed":
            yield stamp + struct.pack("<QhB", pack_quaternion(quaternions[-1]), 0, gap)
        else:
            raw = raw_samples(block, with_mag=self._mode.with_mag)
            yield stamp + raw + struct.pack("<QhB", pack_quaternion(quaternions[-1]), 0, gap)

    def _stop_streaming(self, answer: int) -> None:
        for stream in list(self._streams):
            if stream.startswith(STREAM) or stream == "status":
                self.stop_stream(stream)
        self._send(answer)

    def _clear(self, _payload: bytes) -> None:
        self._buffer.clear()
        self._stop_streaming(0x0159)

    def _start_real_time(self, payload: bytes) -> None:
        if len(payload) != 2 or payload[0] > 2:
            self._error(PACKAGE_ERROR, 0x0160)
            return
        self._send(0x0162, payload)
        if payload[0] == 0:
            self.stop_stream("real_time")
            return
        kind, header = ("quat_fixed", 0x0287) if payload[0] == 1 else ("fixed", 0x0247)
        rate = min(50.0, float(payload[1]) or 50.0)
        sampler = self.sampler("real_time", rate)
        self.start_stream("real_time", self._stream_now(kind, header, sampler), sampler)

    async def _stream_now(self, kind: str, header: int, sampler: Sampler) -> None:
        attitude = Attitude()
        async for block in sampler.blocks(1):
            for payload in self._payloads(kind, block, attitude, sampler.track.rate_hz):
                # The full real-time package always has a magnetometer field.
                lacks = header == 0x0247 and not self._mode.with_mag
                whole = payload[:20] + bytes(6) + payload[20:] if lacks else payload
                if len(self._real_time) < MOST_REAL_TIME:  # a slow link gets the newest it can carry
                    self._send(header, whole, real_time=True)

    def _stop_real_time(self, _payload: bytes) -> None:
        self.stop_stream("real_time")
        self._send(0x0164)

    # Files

    def _set_file(self, payload: bytes) -> None:
        if len(payload) != 74 or not _name(payload[9:]):
            self._error(FILE_NAME_INVALID, 0x0140)
            return
        self._file_config = payload
        self._send(0x0142, payload)

    def _start_recording(self, _payload: bytes) -> None:
        if self._file_config is None:
            self._error(RECORDING_CONFIG_NOT_SET, 0x0154)
            return
        if self._recording or self.streaming(STREAM):
            self._error(WRONG_STATE, 0x0154)
            return
        sources = [
            (kind, header, self.sampler(f"file{n}", rate), Attitude())
            for n, (kind, header, rate) in enumerate(self._mode.packages())
        ]
        data = bytearray(frame(0x0071, self._device_information()) + frame(0x0122, self._mode.raw))
        self._recording = Recording(_name(self._file_config[9:]), data, sources)
        self._send(0x0155)

    def _stop_recording(self, _payload: bytes) -> None:
        recording = self._recording
        if recording is None:
            self._error(WRONG_STATE, 0x0156)
            return
        for kind, header, sampler, attitude in recording.sources:
            while sampler.due() - sampler.position >= samples_in(kind):
                block = sampler.take(samples_in(kind))
                for payload in self._payloads(kind, block, attitude, sampler.track.rate_hz):
                    recording.data += frame(header, payload)
            sampler.stop()
        self.files[recording.name] = bytes(recording.data)
        self._recording = None
        self._send(0x0157)

    def _list(self) -> None:
        self._send(0x0501, struct.pack("<H", len(self.files)))
        for number, (name, data) in enumerate(self.files.items()):
            self._send(0x0502, struct.pack("<H65sI", number, name.encode(), len(data)))

    def _get_bytes(self, payload: bytes) -> None:
        data = self.files.get(_name(payload[:FILE_NAME])) if len(payload) == 73 else None
        if data is None:
            self._error(FILE_NOT_FOUND, 0x0503)
            return
        start, end = struct.unpack_from("<II", payload, FILE_NAME)
        self.start_stream("file", self._send_file(data, start, min(end, len(data)) or len(data)))

    async def _send_file(self, data: bytes, start: int, end: int) -> None:
        for at in range(start, end, FILE_PIECE):
            self._send(0x0504, struct.pack("<I", at) + data[at : min(at + FILE_PIECE, end)])
            while len(self._buffer) > 8 * 1024:
                await asyncio.sleep(0.002)

    def _stop_bytes(self, _payload: bytes) -> None:
        self.stop_stream("file")
        self._send(0x0506)

    def _size(self, payload: bytes) -> None:
        data = self.files.get(_name(payload))
        if data is None:
            self._error(FILE_NOT_FOUND, 0x0507)
        else:
            self._send(0x0508, payload[:FILE_NAME].ljust(FILE_NAME, b"\0") + struct.pack("<I", len(data)))

    def _delete(self, payload: bytes) -> None:
        if self.files.pop(_name(payload), None) is None:
            self._error(FILE_NOT_FOUND, 0x0509)
        else:
            self._send(0x050A, payload)

    def _format(self, _payload: bytes) -> None:
        self.files.clear()
        self._send(0x050E)


def _name(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "replace")


def make(order: Order) -> Peripheral:
    """The profile `capture2go`."""
    return Capture2Go(order)
