"""bleak's back end on top of bumble: a Bluetooth host in Python behind any HCI transport.

The gateway speaks bleak's public API only, so the same code path runs on BlueZ, Windows, macOS and, through
this module, on a virtual radio or a USB dongle driven by bumble. `BLEDevice.details` carries the adapter,
so `BleakClient(device, backend=BumbleClient)` needs no further argument.

Behaviour is made like the operating system's: a stored bond encrypts the link by itself, a pending operation
fails with `BleakError` when the link drops, one connection is set up at a time, and a write without response
yields to the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import struct
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any, Literal, TypedDict, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import (
    BleakBluetoothNotAvailableError,
    BleakBluetoothNotAvailableReason,
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
    BleakGATTProtocolErrorCode,
)
from bumble import att, core, gatt_client, hci
from bumble.device import Advertisement, Connection, ConnectionParametersPreferences, Device, Peer
from bumble.keys import JsonKeyStore, KeyStore, MemoryKeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport import open_transport
from bumble.transport.common import Transport

from rtm_gateway.radio import BondLostError

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

ATT_MTU = 247  # one LE data-length-extended packet (251 B) minus the L2CAP header: no fragmentation on air
_BASE_UUID = "-0000-1000-8000-00805f9b34fb"
_NEEDS_ENCRYPTION = {
    BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHENTICATION,
    BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION,
}
_CONNECT_SLACK_S = 5.0  # a controller that ignores the cancel of a connection must not hold us for ever


class _Details(TypedDict):
    radio: Adapter
    hci_address: hci.Address


def uuid_text(value: core.UUID) -> str:
    """The 128-bit form in lower case, as bleak writes it."""
    return str(uuid.UUID(bytes=bytes(reversed(value.to_bytes(force_128=True)))))


class Adapter:
    """One radio: a bumble `Device` in the central role behind an HCI transport, reopened when it was lost.

    `address` is our static random address, to which sensors tie their bonds, so it must outlive a restart;
    `keys` is the file that holds our half of them (memory only when absent).
    """

    def __init__(self, transport: str, address: str, keys: Path | None = None) -> None:
        self._moniker = transport
        self._address = hci.Address(address)
        self.keystore: KeyStore = MemoryKeyStore() if keys is None else JsonKeyStore(address, str(keys))
        self._transport: Transport | None = None
        self._device: Device | None = None
        self._opening = asyncio.Lock()
        self._scanners: set[BumbleScanner] = set()
        self.connecting = asyncio.Lock()  # a controller holds one pending LE connection

    async def device(self) -> Device:
        """The powered device; opens or reopens the transport when there is none.

        Raises `BleakBluetoothNotAvailableError` when the radio cannot be reached.
        """
        async with self._opening:
            if self._device is None or self._transport is None or self._transport.source.terminated.done():
                await self._close()
            return self._device or await self._open()

    async def _open(self) -> Device:
        try:
            self._transport = await open_transport(self._moniker)
            device = Device.with_hci("gateway", self._address, self._transport.source, self._transport.sink)
            device.keystore = self.keystore
            # Just Works with LE Secure Connections: a sensor has neither screen nor keys. The identity is the
            # address we connect with, or a sensor would file its bond under the controller's public one.
            device.pairing_config_factory = lambda _: PairingConfig(
                sc=True,
                mitm=False,
                bonding=True,
                delegate=PairingDelegate(),
                identity_address_type=PairingConfig.AddressType.RANDOM,
            )
            async with asyncio.timeout(10):
                await device.power_on()
        except (OSError, TimeoutError, core.BaseBumbleError, ValueError) as error:
            await self._close()
            raise BleakBluetoothNotAvailableError(
                f"the Bluetooth radio at {self._moniker} cannot be reached ({_words(error)})",
                BleakBluetoothNotAvailableReason.NO_BLUETOOTH,
            ) from error
        device.on(Device.EVENT_ADVERTISEMENT, self._on_advertisement)
        self._device = device
        if self._scanners:  # the radio came back while somebody was scanning
            with _radio_errors():
                await device.start_scanning(active=True, filter_duplicates=False)
        return device

    def _on_advertisement(self, advertisement: Advertisement) -> None:
        for scanner in tuple(self._scanners):
            scanner.on_advertisement(advertisement)

    async def start_scanning(self, scanner: BumbleScanner, active: bool) -> None:
        device = await self.device()
        first = not self._scanners
        self._scanners.add(scanner)
        if first:
            with _radio_errors():
                await device.start_scanning(active=active, filter_duplicates=False)

    async def stop_scanning(self, scanner: BumbleScanner) -> None:
        self._scanners.discard(scanner)
        device = self._device
        if not self._scanners and device is not None and device.is_scanning:
            with contextlib.suppress(core.BaseBumbleError, TimeoutError):
                await device.stop_scanning()

    async def close(self) -> None:
        """Drop every connection and leave the transport."""
        async with self._opening:
            await self._close()

    async def _close(self) -> None:
        device, transport, self._device, self._transport = self._device, self._transport, None, None
        if device is not None and transport is not None and not transport.source.terminated.done():
            for connection in list(device.connections.values()):
                with contextlib.suppress(Exception):  # leaving: whatever it says, the transport goes next
                    async with asyncio.timeout(1):
                        await connection.disconnect()
        if transport is not None:
            with contextlib.suppress(OSError):
                await transport.close()
        if device is not None:
            device.on_flush()  # connections of a dead transport end, so that their clients hear of it


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__


@contextlib.contextmanager
def _radio_errors() -> Iterator[None]:
    try:
        yield
    except (core.BaseBumbleError, OSError) as error:
        raise BleakError(f"the radio refused: {_words(error)}") from error


class BumbleScanner(BaseBleakScanner):
    """Scanner back end: every report of the shared adapter, parsed without trust in its lengths."""

    def __init__(
        self,
        detection_callback: AdvertisementDataCallback | None,
        service_uuids: list[str] | None,
        scanning_mode: Literal["active", "passive"],
        *,
        radio: Adapter,
        **_: Any,
    ) -> None:
        super().__init__(detection_callback, service_uuids)
        self._radio = radio
        self._active = scanning_mode == "active"

    async def start(self) -> None:
        self.seen_devices = {}
        await self._radio.start_scanning(self, self._active)

    async def stop(self) -> None:
        await self._radio.stop_scanning(self)

    def on_advertisement(self, advertisement: Advertisement) -> None:
        address = advertisement.address.to_string(False)
        known = self.seen_devices.get(address)
        fields = parse_advertising(advertisement.data.ad_structures)
        # A report may lack the name an earlier one had.
        name = fields.name or (known[0].name if known else None)
        if not self.is_allowed_uuid(fields.service_uuids):
            return
        data = AdvertisementData(
            name,
            fields.manufacturer_data,
            fields.service_data,
            fields.service_uuids,
            fields.tx_power,
            advertisement.rssi,
            (advertisement,),
        )
        details: _Details = {"radio": self._radio, "hci_address": advertisement.address}
        device = self.create_or_update_device(address, address, name, details, data)
        self.call_detection_callbacks(device, data)


class AdvertisingFields:
    """The parts of an advertisement bleak reports."""

    def __init__(self) -> None:
        self.name: str | None = None
        self.manufacturer_data: dict[int, bytes] = {}
        self.service_data: dict[str, bytes] = {}
        self.service_uuids: list[str] = []
        self.tx_power: int | None = None


def _uuid16(value: bytes) -> str:
    return f"0000{int.from_bytes(value, 'little'):04x}{_BASE_UUID}"


def _uuid128(value: bytes) -> str:
    return str(uuid.UUID(bytes=bytes(reversed(value))))


def parse_advertising(structures: list[tuple[Any, bytes]]) -> AdvertisingFields:
    """Fields of the AD structures (type, value); structures of an impossible length are left out.

    Types: Bluetooth Assigned Numbers, section 2.3.
    """
    fields = AdvertisingFields()
    for kind, value in structures:
        size = len(value)
        match int(kind):
            case 0x08 | 0x09:
                fields.name = value.decode("utf-8", "replace")
            case 0x02 | 0x03:
                fields.service_uuids += [_uuid16(value[i : i + 2]) for i in range(0, size - 1, 2)]
            case 0x06 | 0x07:
                fields.service_uuids += [_uuid128(value[i : i + 16]) for i in range(0, size - 15, 16)]
            case 0x0A if size == 1:
                fields.tx_power = struct.unpack("b", value)[0]
            case 0x16 if size >= 2:
                fields.service_data[_uuid16(value[:2])] = bytes(value[2:])
            case 0x21 if size >= 16:
                fields.service_data[_uuid128(value[:16])] = bytes(value[16:])
            case 0xFF if size >= 2:
                fields.manufacturer_data[int.from_bytes(value[:2], "little")] = bytes(value[2:])
    return fields


class _GattClient(gatt_client.Client):
    """bumble's client, without the text it makes of every notification for a log that nobody reads."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(connection)
        self.direct: dict[int, NotifyCallback] = {}

    def on_gatt_pdu(self, att_pdu: att.ATT_PDU) -> None:
        if isinstance(att_pdu, att.ATT_Handle_Value_Notification):
            callback = self.direct.get(att_pdu.attribute_handle)
            if callback is not None:
                callback(bytearray(att_pdu.attribute_value))
                return
        super().on_gatt_pdu(att_pdu)


class BumbleClient(BaseBleakClient):
    """Client back end: one GATT client connection."""

    def __init__(
        self,
        address_or_ble_device: BLEDevice | str,
        *,
        disconnected_callback: Callable[[], None] | None,
        timeout: float,
        radio: Adapter | None = None,
        **_: Any,
    ) -> None:
        super().__init__(address_or_ble_device, disconnected_callback=disconnected_callback, timeout=timeout)
        if isinstance(address_or_ble_device, BLEDevice):
            details: _Details = address_or_ble_device.details
            self._radio = details["radio"]
            self._hci_address = details["hci_address"]
            self._name = address_or_ble_device.name or self.address
        elif radio is not None:
            self._radio = radio
            self._hci_address = hci.Address(self.address)
            self._name = self.address
        else:
            raise BleakError("a bare address needs radio=; scan first and pass the BLEDevice")
        self._connection: Connection | None = None
        self._client: _GattClient | None = None
        self._gone: asyncio.Future[None] | None = None
        self._abandoned: set[asyncio.Future[Any]] = set()
        self.disconnect_reason: int | None = None

    @property
    def name(self) -> str:
        return self._name

    @property
    def mtu_size(self) -> int:
        return self._connection.att_mtu if self._connection else att.ATT_DEFAULT_MTU

    @property
    def is_connected(self) -> bool:
        return self._connection is not None

    # Connection

    async def connect(self, pair: bool, **kwargs: Any) -> None:
        if self._connection is not None:
            raise BleakError("already connected")
        timeout = float(kwargs.get("timeout") or self._timeout)
        connection = await self._open_connection(timeout)
        self._gone = asyncio.get_running_loop().create_future()
        self._connection = connection
        self._client = connection.gatt_client = _GattClient(connection)
        connection.on(Connection.EVENT_DISCONNECTION, self._on_disconnection)
        try:
            async with asyncio.timeout(timeout):
                if await self._radio.keystore.get(str(connection.peer_address)) is not None:
                    await self._encrypt()
                elif pair:
                    await self.pair()
                await self._negotiate_mtu()
                self.services = await self._gatt(self._discover(Peer(connection)))
        except BaseException:
            with contextlib.suppress(BleakError, TimeoutError):
                await self.disconnect()
            raise

    async def _open_connection(self, timeout: float) -> Connection:
        device = await self._radio.device()
        async with self._radio.connecting:
            try:
                async with asyncio.timeout(timeout + _CONNECT_SLACK_S):
                    return await device.connect(
                        self._hci_address,
                        transport=core.PhysicalTransport.LE,
                        timeout=timeout,
                        connection_parameters_preferences={
                            # 15-30 ms: several wearables share the radio without starving each other.
                            hci.HCI_LE_1M_PHY: ConnectionParametersPreferences(
                                connection_interval_min=15,
                                connection_interval_max=30,
                                supervision_timeout=4000,
                            )
                        },
                    )
            except asyncio.CancelledError:
                task = asyncio.current_task()
                if task is not None and task.cancelling():
                    await self._cancel_pending(device)
                    raise
                raise BleakError("the radio was lost while connecting") from None
            except (core.TimeoutError, TimeoutError) as error:
                if not isinstance(error, core.TimeoutError):  # bumble cancels its own
                    await self._cancel_pending(device)
                raise TimeoutError(f"no answer from {self.address} in {timeout:g} s") from error
            except (core.ConnectionError, hci.HCI_Error) as error:
                raise BleakDeviceNotFoundError(
                    self.address, f"cannot connect to {self.address}: {error}"
                ) from error
            except (core.BaseBumbleError, OSError) as error:
                raise BleakError(f"cannot connect to {self.address}: {error}") from error

    @staticmethod
    async def _cancel_pending(device: Device) -> None:
        with contextlib.suppress(core.BaseBumbleError, TimeoutError, OSError):
            async with asyncio.timeout(1):
                await device.send_sync_command(hci.HCI_LE_Create_Connection_Cancel_Command())

    def _on_disconnection(self, reason: int) -> None:
        if self._connection is None:
            return
        self.disconnect_reason = reason
        self._connection, self.services = None, None
        if self._gone is not None and not self._gone.done():
            self._gone.set_result(None)
        for task in self._abandoned:
            task.cancel()
        if self._disconnected_callback is not None:
            self._disconnected_callback()

    async def _negotiate_mtu(self) -> None:
        client = self._need()
        with contextlib.suppress(BleakGATTProtocolError):  # a sensor may refuse: 23 it is, then
            await self._gatt(client.request_mtu(ATT_MTU))

    async def _discover(self, peer: Peer) -> BleakGATTServiceCollection:
        found = BleakGATTServiceCollection()
        for service in await peer.discover_services():
            owner = BleakGATTService(service, service.handle, uuid_text(service.uuid))
            found.add_service(owner)
            for proxy in await service.discover_characteristics():
                characteristic = BleakGATTCharacteristic(
                    proxy,
                    proxy.handle,
                    uuid_text(proxy.uuid),
                    list(gatt_char_props_to_strs(int(proxy.properties))),
                    lambda: self.mtu_size - 3,
                    owner,
                )
                found.add_characteristic(characteristic)
                for descriptor in await proxy.discover_descriptors():
                    found.add_descriptor(
                        BleakGATTDescriptor(
                            descriptor, descriptor.handle, uuid_text(descriptor.type), characteristic
                        )
                    )
        return found

    async def disconnect(self) -> None:
        connection = self._connection
        if connection is None:
            return
        try:
            async with asyncio.timeout(2):
                await connection.disconnect()
        except (core.BaseBumbleError, OSError, TimeoutError) as error:
            _log.debug("disconnect was not confirmed: %s", error)
        if self._connection is connection:
            self._on_disconnection(hci.HCI_ErrorCode.CONNECTION_TERMINATED_BY_LOCAL_HOST_ERROR)

    # Security

    async def pair(self, *_: Any, **__: Any) -> None:
        connection = self._connection
        if connection is None:
            raise BleakError("Not connected")
        try:
            await self._race(connection.pair())
        except (core.ProtocolError, hci.HCI_Error) as error:
            raise BleakError(f"pairing failed: {error}") from error

    async def unpair(self) -> None:
        """Forget the bond on our side and disconnect."""
        await self.disconnect()
        with contextlib.suppress(KeyError):
            await self._radio.keystore.delete(str(self._hci_address))

    async def _encrypt(self) -> None:
        connection = self._connection
        if connection is None:
            raise BleakError("Not connected")
        if connection.is_encrypted:
            return
        try:
            await self._race(connection.encrypt())
        except hci.HCI_Error as error:
            if error.error_code == hci.HCI_ErrorCode.PIN_OR_KEY_MISSING_ERROR:
                raise BondLostError("the sensor has forgotten its bond with this gateway") from error
            raise BleakError(f"encryption failed: {error}") from error
        except core.BaseBumbleError as error:
            raise BleakError(f"encryption failed: {error}") from error

    # GATT

    def _need(self) -> _GattClient:
        if self._connection is None or self._client is None:
            raise BleakError("Not connected")
        return self._client

    async def _race(self, operation: Coroutine[Any, Any, _T]) -> _T:
        """Run an operation until it ends or the link does.

        bumble cancels only the request in flight when the link drops, and a cancelled future looks like the
        cancellation of our own task; requests queued behind it would wait for their time-out.
        """
        gone = self._gone
        if gone is None:
            operation.close()
            raise BleakError("Not connected")
        task = asyncio.ensure_future(operation)
        waiting: set[asyncio.Future[Any]] = {task, gone}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            # Its answer is still to come and must not be taken for the next request's: let it end by itself.
            self._abandoned.add(task)
            task.add_done_callback(self._forget)
            raise
        if not task.done() or task.cancelled():
            task.cancel()
            raise BleakError("disconnected during the operation")
        return task.result()

    def _forget(self, task: asyncio.Future[Any]) -> None:
        self._abandoned.discard(task)
        if not task.cancelled():
            task.exception()

    async def _gatt(self, operation: Coroutine[Any, Any, _T]) -> _T:
        try:
            return await self._race(operation)
        except att.ATT_Error as error:
            raise BleakGATTProtocolError(int(error.error_code)) from error
        except (core.BaseBumbleError, TimeoutError) as error:
            raise BleakError(f"the operation failed: {_words(error)}") from error

    async def _secured(self, operation: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """Once more, encrypted, if the sensor asks for it and we hold a bond (as operating systems do)."""
        try:
            return await self._gatt(operation())
        except BleakGATTProtocolError as error:
            bond = await self._radio.keystore.get(str(self._hci_address))
            connection = self._connection
            if error.code not in _NEEDS_ENCRYPTION or bond is None or connection is None:
                raise
            if connection.is_encrypted:
                raise
            await self._encrypt()
            return await self._gatt(operation())

    async def read_gatt_char(
        self,
        characteristic: BleakGATTCharacteristic,
        **_: Any,
    ) -> bytearray:
        client = self._need()
        return bytearray(await self._secured(lambda: client.read_value(characteristic.handle)))

    async def read_gatt_descriptor(
        self,
        descriptor: BleakGATTDescriptor,
        **_: Any,
    ) -> bytearray:
        client = self._need()
        return bytearray(await self._secured(lambda: client.read_value(descriptor.handle)))

    async def write_gatt_char(
        self, characteristic: BleakGATTCharacteristic, data: SizedBuffer, response: bool
    ) -> None:
        client, value = self._need(), bytes(data)
        await self._secured(lambda: client.write_value(characteristic.handle, value, with_response=response))
        if not response:
            await asyncio.sleep(0)  # a loop of such writes must not starve the radio

    async def write_gatt_descriptor(self, descriptor: BleakGATTDescriptor, data: SizedBuffer) -> None:
        client, value = self._need(), bytes(data)
        await self._secured(lambda: client.write_value(descriptor.handle, value, with_response=True))

    async def start_notify(
        self, characteristic: BleakGATTCharacteristic, callback: NotifyCallback, **_: Any
    ) -> None:
        client = self._need()
        proxy: gatt_client.CharacteristicProxy[bytes] = characteristic.obj
        if not any(d.uuid.startswith("00002902") for d in characteristic.descriptors):
            raise BleakError(f"{characteristic.uuid} cannot notify: it has no client configuration")

        def deliver(value: bytes) -> None:
            callback(bytearray(value))

        client.direct[characteristic.handle] = callback  # indications go bumble's way, to be confirmed
        try:
            await self._secured(lambda: client.subscribe(proxy, deliver))
        except BleakError:
            client.direct.pop(characteristic.handle, None)
            raise

    async def stop_notify(self, characteristic: BleakGATTCharacteristic) -> None:
        client = self._need()
        client.direct.pop(characteristic.handle, None)
        await self._gatt(client.unsubscribe(characteristic.obj))


@contextlib.asynccontextmanager
async def adapter(transport: str, address: str, keys: Path | None = None) -> AsyncIterator[Adapter]:
    """An adapter that is closed at the end of the block."""
    opened = Adapter(transport, address, keys)
    try:
        yield opened
    finally:
        await opened.close()
