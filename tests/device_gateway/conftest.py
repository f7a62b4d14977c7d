"""A virtual radio for the gateway's tests: real bumble peripherals, reached over a TCP transport.

`air` opens it; `HomestretchSensor` is a small peripheral written from docs/reference/homestretch-profile.md,
so that these tests do not depend on the simulator.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import zlib
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from bumble import hci
from bumble.controller import Controller
from bumble.core import AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import Characteristic, CharacteristicValue, Service
from bumble.host import Host
from bumble.link import LocalLink
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import AsyncPipeSink
from bumble.transport.tcp_server import open_tcp_server_transport_with_socket

Notify = Characteristic.Properties.NOTIFY
Read = Characteristic.Properties.READ
Write = Characteristic.Properties.WRITE
P = Characteristic.Permissions
OPEN = P.READABLE | P.WRITEABLE
ENCRYPTED = OPEN | P.READ_REQUIRES_ENCRYPTION | P.WRITE_REQUIRES_ENCRYPTION


class CancellableController(Controller):
    """bumble's controller answers a cancelled connection attempt only with SUCCESS, never with the event."""

    def on_hci_le_create_connection_cancel_command(
        self, _command: hci.HCI_LE_Create_Connection_Cancel_Command
    ) -> hci.HCI_StatusReturnParameters:
        pending, self.pending_le_connection = self.pending_le_connection, None
        if pending is None:
            return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.COMMAND_DISALLOWED_ERROR)
        self.send_hci_packet(
            hci.HCI_LE_Connection_Complete_Event(
                status=hci.HCI_ErrorCode.UNKNOWN_CONNECTION_IDENTIFIER_ERROR,
                connection_handle=0,
                role=hci.Role.CENTRAL,
                peer_address_type=pending.peer_address.address_type,
                peer_address=pending.peer_address,
                connection_interval=0,
                peripheral_latency=0,
                supervision_timeout=0,
                central_clock_accuracy=0,
            )
        )
        return hci.HCI_StatusReturnParameters(hci.HCI_ErrorCode.SUCCESS)


class Air:
    """A LocalLink with one spare controller whose HCI is served over TCP."""

    def __init__(self) -> None:
        self.link: LocalLink = LocalLink()  # type: ignore[no-untyped-call]  # bumble's is untyped
        self.moniker = ""
        self._peripherals: list[Peripheral] = []

    async def open(self) -> None:
        listening = socket.create_server(("127.0.0.1", 0))
        # asyncio does so only for sockets it made itself; without it each answer waits 40 ms.
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        port = listening.getsockname()[1]
        self._transport = await open_tcp_server_transport_with_socket(listening)
        self.controller = CancellableController(
            "gateway", host_source=self._transport.source, host_sink=self._transport.sink, link=self.link
        )
        self.controller.le_acl_data_packet_length = 251
        self.moniker = f"bumble:tcp-client:127.0.0.1:{port}"

    async def close(self) -> None:
        for peripheral in self._peripherals:
            await peripheral.close()
        self._transport.server.close()  # type: ignore[attr-defined]  # bumble's class is local to a function
        if self._transport.sink.transport is not None:  # type: ignore[attr-defined]  # the same
            self._transport.sink.transport.close()  # type: ignore[attr-defined]  # the same
        await asyncio.sleep(0)

    async def drop(self, reason: int = 0x08) -> None:
        """Every link ends as by a supervision time-out."""
        for controller in self.link.controllers:
            for connection in list(controller.le_connections.values()):
                controller.on_le_disconnected(connection, reason)
        await asyncio.sleep(0)


class Peripheral:
    """A wearable on the air: services, an advertisement, and helpers to notify."""

    def __init__(
        self, air: Air, address: str, advertising: bytes, services: list[Service], *, interval_ms: int = 20
    ) -> None:
        self.air = air
        self.controller = CancellableController("wearable", link=air.link)
        self.controller.le_acl_data_packet_length = 251
        config = DeviceConfiguration(
            name="wearable",
            address=hci.Address(address),
            advertising_interval_min=interval_ms,
            advertising_interval_max=interval_ms,
            advertising_data=advertising,
        )
        self.device = Device(config=config, host=Host(self.controller, AsyncPipeSink(self.controller)))
        self.device.add_services(services)
        self.device.pairing_config_factory = lambda _: PairingConfig(
            sc=True, mitm=False, bonding=True, delegate=PairingDelegate()
        )
        self.device.on(Device.EVENT_CONNECTION, self._on_connection)
        self.connection: Connection | None = None
        self.visible = True
        self._tasks: set[asyncio.Task[None]] = set()
        air._peripherals.append(self)

    async def open(self) -> None:
        await self.device.power_on()
        await self.device.start_advertising()

    async def close(self) -> None:
        self.visible = False
        for task in list(self._tasks):
            task.cancel()
        with contextlib.suppress(Exception):
            await self.device.stop_advertising()

    def later(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _on_connection(self, connection: Connection) -> None:
        self.connection = connection
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)

    def _on_disconnection(self, _reason: int) -> None:
        self.connection = None
        self.on_link_lost()
        if self.visible:
            self.later(self._advertise())

    async def _advertise(self) -> None:
        await self.device.start_advertising()

    def on_link_lost(self) -> None:
        """For subclasses."""

    async def notify(self, characteristic: Characteristic[bytes], value: bytes) -> None:
        if self.connection is not None:
            await self.device.notify_subscriber(self.connection, characteristic, value)


def advertisement(name: str, service: str | None = None) -> bytes:
    fields: list[tuple[int, bytes]] = []
    if service is not None:
        fields.append((7, bytes.fromhex(service.replace("-", ""))[::-1]))
    fields.append((9, name.encode()))
    return bytes(AdvertisingData(fields))


def written(handler: Callable[[Connection, bytes], None]) -> CharacteristicValue[bytes]:
    return CharacteristicValue(write=handler)


def _homestretch_uuid(number: int) -> str:
    return f"4ef8{number:04x}-139d-493c-9069-c0b6411e52e4"


def _crc16(data: bytes) -> int:
    """CRC-16/CCITT-FALSE, bit by bit as in its definition."""
    crc = 0xFFFF
    for byte in data:
        crc ^= byte << 8
        for _ in range(8):
            crc = (crc << 1 ^ 0x1021 if crc & 0x8000 else crc << 1) & 0xFFFF
    return crc


class HomestretchSensor(Peripheral):
    """Ticks and samples advance by `sample()`, so that tests need no waiting. One run per boot."""

    TICK_HZ = 32768
    RATE = 100

    def __init__(self, air: Air, address: str = "C0:00:00:00:00:01", serial: str = "TEST0001") -> None:
        self.serial = serial
        self.boot = 7
        self.index = 0
        self.oldest = 0
        self.flash: dict[tuple[int, int], tuple[int, bytes]] = {}
        self.freed: list[tuple[int, int]] = []
        self.sampling = self.streaming = False
        self.mute = False
        self.knows_tick = True
        self.ticks_at_start = 1000
        self.batch = 0
        self.commands: list[int] = []
        information: CharacteristicValue[bytes] = CharacteristicValue(read=lambda _: self.information())
        self.info: Characteristic[bytes] = Characteristic(_homestretch_uuid(2), Read, ENCRYPTED, information)
        self.control: Characteristic[bytes] = Characteristic(
            _homestretch_uuid(3), Write | Notify, ENCRYPTED, written(self.on_control)
        )
        self.data = Characteristic(_homestretch_uuid(4), Notify, ENCRYPTED, b"")
        self.flash_data = Characteristic(_homestretch_uuid(5), Notify, ENCRYPTED, b"")
        self.event = Characteristic(_homestretch_uuid(6), Notify, ENCRYPTED, b"")
        everything = [self.info, self.control, self.data, self.flash_data, self.event]
        service = Service(_homestretch_uuid(1), everything)
        super().__init__(air, address, advertisement(f"HS-{serial[-4:]}", _homestretch_uuid(1)), [service])

    def information(self) -> bytes:
        return struct.pack(
            "<BBBB12s4BIIIffHHI",
            *(1, 1, 3, 0, self.serial.encode(), 1, 0, 0, 0, self.boot, self.TICK_HZ, self.RATE * 1000),
            *(0.0048, 0.0011, 16, 2000, 100000),
        )

    def tick(self, index: int) -> int:
        return self.ticks_at_start + index * self.TICK_HZ // self.RATE

    @staticmethod
    def value(boot: int, index: int) -> tuple[int, ...]:
        """What the sample of this index holds, so that a test recognises it."""
        return tuple((boot * 31 + index * 7 + channel * 1000) % 20011 - 10000 for channel in range(6))

    def frame(self, boot: int, first: int, count: int) -> bytes:
        body = struct.pack("<HI", first & 0xFFFF, self.flash[boot, first][0] & 0xFFFFFFFF)
        body += b"".join(self.flash[boot, i][1] for i in range(first, first + count))
        return body + struct.pack("<H", _crc16(struct.pack("<I", boot) + body))

    async def sample(self, count: int) -> None:
        """Take samples: to flash first, then live while the link is there."""
        for _ in range(count):
            self.flash[self.boot, self.index] = (
                self.tick(self.index),
                struct.pack("<6h", *self.value(self.boot, self.index)),
            )
            self.index += 1
            if self.streaming and not self.mute:
                await self.notify(self.data, self.frame(self.boot, self.index - 1, 1))
        await asyncio.sleep(0)

    def on_link_lost(self) -> None:
        self.streaming = False

    def reboot(self) -> None:
        self.boot += 1
        self.index = 0
        self.sampling = self.streaming = False

    def on_control(self, _connection: Connection, value: bytes) -> None:
        op, ref = value[0], value[1]
        self.commands.append(op)
        self.later(self.obey(op, ref, value[2:]))

    async def answer(self, op: int, ref: int, status: int, data: bytes = b"") -> None:
        await self.notify(self.control, bytes((op | 0x80, ref, status)) + data)

    async def obey(self, op: int, ref: int, body: bytes) -> None:
        match op:
            case 1:
                self.sampling = self.streaming = True
                low = self.tick(self.index) & 0xFFFFFFFF
                await self.answer(op, ref, 0, struct.pack("<III", self.boot, self.index, low))
            case 2:
                self.sampling = self.streaming = False
                await self.answer(op, ref, 0, struct.pack("<II", self.boot, self.index))
            case 5:
                data = struct.pack("<BBIII", self.sampling, 87, self.boot, self.oldest, self.index)
                await self.answer(op, ref, 0, data)
            case 6:
                await self.read(ref, *struct.unpack("<III", body))
            case 8:
                boot, up_to = struct.unpack("<II", body)
                self.freed.append((boot, up_to))
                for key in [k for k in self.flash if k[0] == boot and k[1] < up_to]:
                    del self.flash[key]
                await self.answer(op, ref, 0, struct.pack("<I", up_to))
            case 9:
                await self.answer(op, ref, 0, struct.pack("<QI", self.tick(self.index), 1))
            case 10:
                await self.list_runs(ref, body[0])
            case 11:
                await self.answer(op, ref, 0)
            case 12 if self.knows_tick:
                await self.answer(op, ref, *self.whole_tick(*struct.unpack("<II", body)))
            case _:
                await self.answer(op, ref, 1)

    def whole_tick(self, boot: int, index: int) -> tuple[int, bytes]:
        held = min((i for b, i in self.flash if b == boot and i >= index), default=None)
        return (4, b"") if held is None else (0, struct.pack("<IQ", held, self.flash[boot, held][0]))

    async def list_runs(self, ref: int, number: int) -> None:
        boots = sorted({boot for boot, _ in self.flash})
        if number >= len(boots):
            await self.answer(10, ref, 2, bytes((len(boots),)))
            return
        boot = boots[number]
        indices = sorted(i for b, i in self.flash if b == boot)
        low = self.flash[boot, indices[0]][0] & 0xFFFFFFFF
        data = struct.pack("<BIIII", len(boots), boot, indices[0], indices[-1] + 1, low)
        await self.answer(10, ref, 0, data)

    async def read(self, ref: int, boot: int, first: int, count: int) -> None:
        held = [i for i in range(first, first + count) if (boot, i) in self.flash]
        if not held:
            await self.answer(6, ref, 4)
            return
        start, end = held[0], held[0]
        while end in held:
            end += 1
        await self.answer(6, ref, 0, struct.pack("<II", start, end - start))
        most = 19 if self.connection is not None and self.connection.att_mtu >= 247 else 1
        crc, at = 0, start
        while at < end:
            number = min(most, end - at)
            frame = self.frame(boot, at, number)
            crc = zlib.crc32(frame[6:-2], crc)
            await self.notify(self.flash_data, frame)
            at += number
        await self.notify(self.control, bytes((0xC6, ref, 0)) + struct.pack("<II", end - start, crc))


@contextlib.asynccontextmanager
async def open_air() -> AsyncIterator[Air]:
    opened = Air()
    await opened.open()
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def radio_kit() -> SimpleNamespace:
    """The names of this file, since test folders cannot import one another."""
    return SimpleNamespace(
        open_air=open_air,
        Peripheral=Peripheral,
        HomestretchSensor=HomestretchSensor,
        advertisement=advertisement,
        written=written,
        crc16=_crc16,
    )
