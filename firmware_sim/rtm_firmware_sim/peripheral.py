"""A Bluetooth LE peripheral on bumble: what every profile shares.

It advertises until connected, lets one central in, and advertises again when the link is gone. A profile adds
services and handlers; it never sees HCI.
"""

from __future__ import annotations

import asyncio
import logging
import zlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from bumble import hci
from bumble.att import ATT_Handle_Value_Notification
from bumble.core import UUID, AdvertisingData
from bumble.device import Connection, Device, DeviceConfiguration
from bumble.gatt import (
    GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR,
    Characteristic,
    CharacteristicValue,
    Service,
)
from bumble.host import Host
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport.common import AsyncPipeSink

from rtm_firmware_sim.errors import SimulatorError
from rtm_firmware_sim.link import SimController, SimHost, SimLink

logger = logging.getLogger(__name__)

Properties = Characteristic.Properties
Permissions = Characteristic.Permissions
ENCRYPTED_READ = Permissions.READABLE | Permissions.READ_REQUIRES_ENCRYPTION
ENCRYPTED_WRITE = Permissions.WRITEABLE | Permissions.WRITE_REQUIRES_ENCRYPTION

ADVERTISING_BYTES = 31
ADVERTISING_INTERVAL_MS = 100
BATTERY_SERVICE, BATTERY_LEVEL = UUID.from_16_bits(0x180F), UUID.from_16_bits(0x2A19)
DEVICE_INFORMATION = UUID.from_16_bits(0x180A)
PENDING_PACKETS = 8
"""Packets the host may hold before a stream waits: enough to fill a connection event, little enough to stay
live."""


def advertisement(name: str, services: Sequence[UUID] = (), *, room: int = ADVERTISING_BYTES) -> bytes:
    """Advertising data: name and service UUIDs; the flags where there is room for them.

    Name and UUIDs must stand together, since bumble's link has no scan response of its own. Services that do
    not fit with the name are left out: clients of such wearables look for the name.
    """
    flags = (AdvertisingData.FLAGS, b"\x06")
    named = (AdvertisingData.COMPLETE_LOCAL_NAME, name.encode())
    lists = []
    for bits, kind in (
        (16, AdvertisingData.COMPLETE_LIST_OF_16_BIT_SERVICE_CLASS_UUIDS),
        (128, AdvertisingData.COMPLETE_LIST_OF_128_BIT_SERVICE_CLASS_UUIDS),
    ):
        uuids = b"".join(u.to_bytes() for u in services if len(u.to_bytes()) * 8 == bits)
        if uuids:
            lists.append((kind, uuids))
    for structures in ([flags, *lists, named], [*lists, named], [flags, named], [named]):
        data = bytes(AdvertisingData(structures))
        if len(data) <= room:
            return data
    raise SimulatorError(f"The name {name!r} is too long to be advertised: {room - 2} bytes at most.")


def static_address(*parts: object) -> hci.Address:
    """A random static address that follows from what names the sensor (the two highest bits are set)."""
    text = "/".join(str(part) for part in parts).encode()
    low = zlib.crc32(text).to_bytes(4, "little") + zlib.crc32(text + b"+").to_bytes(4, "little")
    return hci.Address(bytes([*low[:5], low[5] | 0xC0]), hci.Address.RANDOM_DEVICE_ADDRESS)


class Peripheral:
    """One wearable. Subclasses are the profiles.

    name, address: as advertised. seed: everything random in it. mtu: largest ATT MTU it accepts.
    """

    encrypted = False
    """Pairing is offered: LE Secure Connections only, bonding, Just Works or a passkey."""
    passkey: int | None = None
    """Six digits printed on the sensor, which the central must enter; None: Just Works."""

    def __init__(self, *, name: str, address: hci.Address, mtu: int = 247) -> None:
        self.name, self.address, self.mtu = name, address, mtu
        self.connection: Connection | None = None
        self.placement = ""
        self._link: SimLink | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._device: Device | None = None
        self._closed = False

    # What a profile says

    def advertising_data(self) -> bytes:
        """What it sends until somebody connects."""
        return advertisement(self.name)

    def services(self) -> list[Service]:
        """Its GATT services."""
        raise NotImplementedError

    def on_connected(self) -> None:
        """A central connected."""

    def on_disconnected(self) -> None:
        """The central is gone; tasks of the connection are cancelled already."""

    # Life

    @property
    def device(self) -> Device:
        """bumble's device; only after `power_on`."""
        if self._device is None:
            raise SimulatorError("The simulated sensor is not switched on.")
        return self._device

    async def power_on(self, link: SimLink) -> None:
        """Switch on in a virtual room."""
        self._link = link
        controller = SimController(self.name, link=link)
        await self._switch_on(SimHost(controller, AsyncPipeSink(controller)))

    async def power_on_with(self, source: Any, sink: Any) -> None:
        """Switch on behind a real controller (a bumble transport's source and sink)."""
        await self._switch_on(SimHost(source, sink))

    async def _switch_on(self, host: Host) -> None:
        configuration = DeviceConfiguration(
            name=self.name,
            address=self.address,
            advertising_interval_min=ADVERTISING_INTERVAL_MS,
            advertising_interval_max=ADVERTISING_INTERVAL_MS,
            advertising_data=self.advertising_data(),
        )
        device = self._device = Device(config=configuration, host=host)
        device.gatt_server.max_mtu = self.mtu
        services = self.services()
        device.add_services(services)
        self._guard_subscriptions(services)
        if self.encrypted:
            device.pairing_config_factory = lambda _connection: self._pairing()
        device.on("connection", self._on_connection)
        await device.power_on()
        await self._advertise()

    async def _advertise(self) -> None:
        device = self.device
        if device.legacy_advertising_set is not None:
            # The set that ended with a connection begins again: bumble forgets none, and has 240 in all.
            await device.legacy_advertising_set.start()
            return
        device.legacy_advertiser = None  # it ended with the connection, and stopping it raises
        await device.start_advertising(auto_restart=False)

    async def power_off(self) -> None:
        """Off the air; a connected central sees the link time out."""
        self._closed = True
        self._cancel_tasks()
        if self._link is not None:
            self._link.drop(self.address)
            await asyncio.sleep(0.001)  # the disconnection reaches the host before it is switched off
            controller = self._link.find_le_controller(self.address)
            if isinstance(controller, SimController):
                controller.forget_everything()
                self._link.remove_controller(controller)
        elif self.connection is not None:
            await self.connection.disconnect()
        if self._device is not None:
            await self._device.power_off()

    def _pairing(self) -> PairingConfig:
        if self.passkey is None:
            return PairingConfig(sc=True, mitm=False, bonding=True, delegate=PairingDelegate())
        return PairingConfig(sc=True, mitm=True, bonding=True, delegate=_Printed(self.passkey))

    async def _on_paired(self) -> None:
        """bumble falls back to legacy pairing where the central asks for it: refused by dropping bond and
        link."""
        connection = self.connection
        if connection is not None and not connection.sc:
            await self.forget_bonds()
            await connection.disconnect()

    async def forget_bonds(self) -> None:
        """Fault: the sensor has lost its bonds."""
        if self.device.keystore is not None:
            await self.device.keystore.delete_all()

    # The link

    def _on_connection(self, connection: Connection) -> None:
        self.connection = connection
        connection.on("disconnection", self._on_disconnection)
        connection.on("pairing", lambda _keys: self.spawn(self._on_paired()))
        self.on_connected()

    def _on_disconnection(self, _reason: int) -> None:
        self.connection = None
        self._cancel_tasks()
        self.on_disconnected()
        if not self._closed:
            self.spawn(self._advertise())

    def drop_link(self) -> None:
        """Fault: the connection is lost, as by supervision timeout."""
        if self._link is not None:
            self._link.drop(self.address)

    def lose_range(self, seconds: float) -> None:
        """Fault: walked out of the room."""
        if self._link is not None:
            self._link.lose_range(self.address, seconds)

    def set_mtu(self, mtu: int) -> None:
        """Fault: from the next connection on, another largest MTU."""
        self.mtu = self.device.gatt_server.max_mtu = mtu

    @property
    def payload(self) -> int:
        """Bytes a notification can carry now."""
        return (self.connection.att_mtu if self.connection is not None else 23) - 3

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        """Run until done or until the link is lost."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._forget_task)
        return task

    def _forget_task(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("a simulated sensor failed", exc_info=error)

    def _cancel_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()

    def subscribed(self, characteristic: Characteristic[bytes]) -> bool:
        """Somebody is subscribed to it over the present link."""
        if self.connection is None:
            return False
        return self.device.gatt_server.read_cccd(self.connection, characteristic)[0] != 0

    async def notify(self, characteristic: Characteristic[bytes], value: bytes) -> None:
        """Send to the subscriber as it asked, by notification or indication; nothing where nobody is
        subscribed.

        Waits while the host's queue is long.
        """
        connection = self.connection
        if connection is None:
            return
        server = self.device.gatt_server
        wanted = server.read_cccd(connection, characteristic)[0]
        if wanted & 1:
            told = ATT_Handle_Value_Notification(
                attribute_handle=characteristic.handle, attribute_value=value[: connection.att_mtu - 3]
            )
            server.send_gatt_pdu(connection, bytes(told))
        elif wanted & 2:
            await server.indicate_subscriber(connection, characteristic, value)
        queue = self.device.host.le_acl_packet_queue
        while queue is not None and queue.pending > PENDING_PACKETS and self.connection is connection:
            await asyncio.sleep(0.002)

    def _guard_subscriptions(self, services: Sequence[Service]) -> None:
        """A subscription to an encrypted characteristic needs encryption too: bumble leaves its descriptor
        open."""
        server = self.device.gatt_server
        for service in services:
            for characteristic in service.characteristics:
                if not characteristic.permissions & (
                    Permissions.READ_REQUIRES_ENCRYPTION | Permissions.WRITE_REQUIRES_ENCRYPTION
                ):
                    continue
                descriptor = server.get_descriptor_attribute(
                    service.uuid, characteristic.uuid, GATT_CLIENT_CHARACTERISTIC_CONFIGURATION_DESCRIPTOR
                )
                if descriptor is not None:
                    descriptor.permissions = ENCRYPTED_READ | ENCRYPTED_WRITE


class _Printed(PairingDelegate):
    """A sensor that shows a fixed passkey and has no keys of its own."""

    def __init__(self, passkey: int) -> None:
        super().__init__(PairingDelegate.IoCapability.DISPLAY_OUTPUT_ONLY)
        self._passkey = passkey

    async def generate_passkey(self) -> int:
        return self._passkey


Read = Callable[[Connection], bytes]
Write = Callable[[Connection, bytes], None]


def characteristic(
    uuid: UUID | str,
    properties: Properties,
    *,
    read: Read | None = None,
    write: Write | None = None,
    encrypted: bool = False,
) -> Characteristic[bytes]:
    """A characteristic with handlers; readable and writeable as its properties say."""
    permissions = Permissions(0)
    if properties & Properties.READ:
        permissions |= Permissions.READABLE
    if properties & (Properties.WRITE | Properties.WRITE_WITHOUT_RESPONSE):
        permissions |= Permissions.WRITEABLE
    if encrypted:
        permissions |= Permissions.READ_REQUIRES_ENCRYPTION | Permissions.WRITE_REQUIRES_ENCRYPTION
    value: CharacteristicValue[bytes] = CharacteristicValue(read=read, write=write)
    return Characteristic(uuid, properties, permissions, value)


def battery_service(percent: Callable[[], int]) -> Service:
    """Battery Service with Battery Level."""
    level = characteristic(
        BATTERY_LEVEL, Properties.READ | Properties.NOTIFY, read=lambda _c: bytes([percent()])
    )
    return Service(BATTERY_SERVICE, [level])


def _constant(value: bytes) -> Read:
    return lambda _connection: value


def device_information(**texts: str) -> Service:
    """Device Information Service; texts by `manufacturer`, `model`, `serial`, `firmware`, `hardware`."""
    uuids = {
        "manufacturer": 0x2A29,
        "model": 0x2A24,
        "serial": 0x2A25,
        "firmware": 0x2A26,
        "hardware": 0x2A27,
        "software": 0x2A28,
    }
    return Service(
        DEVICE_INFORMATION,
        [
            characteristic(UUID.from_16_bits(uuids[name]), Properties.READ, read=_constant(text.encode()))
            for name, text in texts.items()
        ],
    )
