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
import uuid
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from bleak.args import SizedBuffer
from bleak.assigned_numbers import gatt_char_props_to_strs
from bleak.backends.characteristic import BleakGATTCharacteristic
from bleak.backends.client import BaseBleakClient, NotifyCallback
from bleak.backends.descriptor import BleakGATTDescriptor
from bleak.backends.device import BLEDevice
from bleak.backends.service import BleakGATTService, BleakGATTServiceCollection
from bleak.exc import (
    BleakDeviceNotFoundError,
    BleakError,
    BleakGATTProtocolError,
    BleakGATTProtocolErrorCode,
)
from bumble import att, core, gatt_client, hci
from bumble.device import Connection, ConnectionParametersPreferences, Device, Peer

from rtm_gateway.bond import BondLostError
from rtm_gateway.bumble_adapter import Adapter, BumbleScanner, Details, words

__all__ = ["Adapter", "BumbleClient", "BumbleScanner", "uuid_text"]

_log = logging.getLogger(__name__)
_T = TypeVar("_T")

ATT_MTU = 247  # one LE data-length-extended packet (251 B) minus the L2CAP header: no fragmentation on air
_NEEDS_ENCRYPTION = {
    BleakGATTProtocolErrorCode.INSUFFICIENT_AUTHENTICATION,
    BleakGATTProtocolErrorCode.INSUFFICIENT_ENCRYPTION,
}
_CONNECT_SLACK_S = 5.0  # a controller that ignores the cancel of a connection must not hold us for ever


def uuid_text(value: core.UUID) -> str:
    """The 128-bit form in lower case, as bleak writes it."""
    return str(uuid.UUID(bytes=bytes(reversed(value.to_bytes(force_128=True)))))


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
            details: Details = address_or_ble_device.details
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
            raise BleakError(f"the operation failed: {words(error)}") from error

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
