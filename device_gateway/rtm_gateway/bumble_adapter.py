"""One radio on bumble, shared by its scanners and clients, reopened when it was lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, TypedDict

from bleak.backends.scanner import AdvertisementData, AdvertisementDataCallback, BaseBleakScanner
from bleak.exc import BleakBluetoothNotAvailableError, BleakBluetoothNotAvailableReason, BleakError
from bumble import core, hci
from bumble.device import Advertisement, Device
from bumble.keys import JsonKeyStore, KeyStore, MemoryKeyStore
from bumble.pairing import PairingConfig, PairingDelegate
from bumble.transport import open_transport
from bumble.transport.common import Transport

from rtm_gateway.advertising import parse_advertising


class Details(TypedDict):
    """What `BLEDevice.details` carries."""

    radio: Adapter
    hci_address: hci.Address


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
                f"the Bluetooth radio at {self._moniker} cannot be reached ({words(error)})",
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


def words(error: BaseException) -> str:
    return str(error) or type(error).__name__


@contextlib.contextmanager
def _radio_errors() -> Iterator[None]:
    try:
        yield
    except (core.BaseBumbleError, OSError) as error:
        raise BleakError(f"the radio refused: {words(error)}") from error


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
        details: Details = {"radio": self._radio, "hci_address": advertisement.address}
        device = self.create_or_update_device(address, address, name, details, data)
        self.call_detection_callbacks(device, data)
