"""The radio: the operating system's Bluetooth, or a bumble host behind an HCI transport."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from bleak import BleakAdapter, BleakClient, BleakScanner
from bleak.backends.device import BLEDevice
from bleak.backends.scanner import AdvertisementData
from bleak.exc import BleakError
from bleak_retry_connector import BleakClientWithServiceCache, establish_connection

from rtm_gateway.bond import BondLostError

Found = tuple[BLEDevice, AdvertisementData]
_NO_RSSI: Final = -127
"""What bleak gives where no signal was measured."""


class Radio(ABC):
    """What links and the set-up use. One connection is set up at a time."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.connecting = asyncio.Lock()

    @property
    def client_arguments(self) -> dict[str, Any]:
        """Keyword arguments every BleakClient of this radio needs."""
        return {}

    @abstractmethod
    def scanner(self, **arguments: Any) -> BleakScanner:
        """A scanner on this radio; arguments as for `bleak.BleakScanner`."""

    async def close(self) -> None:
        """Leave the radio; links end."""
        return

    async def held(self) -> list[Found]:
        """What the operating system keeps connected although its gateway is gone (killed): it does not advertise."""
        return []

    def pairing(self, _device: BLEDevice) -> contextlib.AbstractAsyncContextManager[None]:
        """Around the connecting of a device that must be paired: what its agreement needs."""
        return contextlib.nullcontext()

    async def scan(self, timeout: float = 5.0) -> list[Found]:
        """Everything that advertises within `timeout` seconds, strongest first."""
        async with self.scanner() as scanner:
            await asyncio.sleep(timeout)
        found = scanner.discovered_devices_and_advertisement_data.values()
        return sorted(found, key=lambda pair: -pair[1].rssi)

    async def find(self, address: str, timeout: float = 10.0) -> Found | None:
        """The device at this address, held or as soon as it advertises; None after `timeout` seconds without."""
        wanted = address.lower()
        for found in await self.held():
            if found[0].address.lower() == wanted:
                return found
        seen: asyncio.Future[Found] = asyncio.get_running_loop().create_future()

        def on_advertisement(device: BLEDevice, data: AdvertisementData) -> None:
            if device.address.lower() == wanted and not seen.done():
                seen.set_result((device, data))

        async with self.scanner(detection_callback=on_advertisement):
            try:
                async with asyncio.timeout(timeout):
                    return await seen
            except TimeoutError:
                return None

    async def connect(
        self,
        device: BLEDevice,
        on_disconnected: Callable[[BleakClient], None] | None = None,
        *,
        pair: bool = False,
        timeout: float = 45.0,
    ) -> BleakClient:
        """Connect through bleak-retry-connector; with `pair`, bond first unless there is a bond.

        Raises TimeoutError and bleak's errors, `BondLostError` and `PairingRefusedError` among them.
        """
        pairing = self.pairing(device) if pair else contextlib.nullcontext()
        try:
            async with self.connecting, pairing, asyncio.timeout(timeout):
                return await establish_connection(
                    BleakClientWithServiceCache,
                    device,
                    device.name or device.address,
                    disconnected_callback=on_disconnected,
                    max_attempts=2,
                    pair=pair,
                    **self.client_arguments,
                )
        except BleakError as error:
            lost = bond_lost(error)
            if lost is not None:
                raise lost from error
            raise
        except TimeoutError as error:
            raise TimeoutError(f"the sensor could not be connected within {timeout:g} s") from error


def bond_lost(error: BaseException) -> BondLostError | None:
    """The lost bond behind an error, however it was wrapped, None when it is something else."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, BondLostError):
            return cause
        cause = cause.__cause__
    return None


class NativeRadio(Radio):
    """BlueZ, Windows or macOS through bleak's own back ends."""

    def __init__(self) -> None:
        super().__init__("native")

    def scanner(self, **arguments: Any) -> BleakScanner:
        return BleakScanner(**arguments)

    async def held(self) -> list[Found]:
        try:
            devices = await (await BleakAdapter.get()).get_connected_devices()
        except NotImplementedError:  # bleak's word for an operating system that cannot be asked
            return []
        return [(device, _of_held(device)) for device in devices]

    def pairing(self, device: BLEDevice) -> contextlib.AbstractAsyncContextManager[None]:
        if sys.platform != "linux":
            return contextlib.nullcontext()
        from rtm_gateway.bluez import pairing_with  # noqa: PLC0415 - D-Bus is there on Linux only

        return pairing_with(device.details["path"])


def _of_held(device: BLEDevice) -> AdvertisementData:
    """What a held device would advertise, as far as the operating system knows: BlueZ knows its services."""
    details = device.details if isinstance(device.details, dict) else {}
    uuids = [str(uuid).lower() for uuid in details.get("props", {}).get("UUIDs", ())]
    return AdvertisementData(device.name, {}, {}, uuids, None, _NO_RSSI, (device.details,))


class BumbleRadio(Radio):
    """A bumble host. Needs the `sim` extra."""

    def __init__(self, transport: str, state_dir: Path | None = None) -> None:
        from rtm_gateway.bumble_backend import Adapter  # noqa: PLC0415 - bumble is an extra

        super().__init__(f"bumble:{transport}")
        keys, address = None, _static_address()
        if state_dir is not None:
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            keys = state_dir / "bonds.json"
            address = _kept(state_dir / "radio_address", address)
        self.adapter = Adapter(transport, address, keys)

    @property
    def client_arguments(self) -> dict[str, Any]:
        from rtm_gateway.bumble_backend import BumbleClient  # noqa: PLC0415 - bumble is an extra

        return {"backend": BumbleClient}

    def scanner(self, **arguments: Any) -> BleakScanner:
        from rtm_gateway.bumble_backend import BumbleScanner  # noqa: PLC0415 - bumble is an extra

        return BleakScanner(backend=BumbleScanner, radio=self.adapter, **arguments)

    async def close(self) -> None:
        await self.adapter.close()


def _static_address() -> str:
    """A random static address: the two highest bits are ones (Bluetooth Core 5.4, Vol 6, Part B, 1.3.2.1)."""
    octets = bytearray(secrets.token_bytes(6))
    octets[0] |= 0xC0
    return ":".join(f"{octet:02X}" for octet in octets)


def _kept(path: Path, fresh: str) -> str:
    """The address of earlier starts: sensors tie their bonds to it."""
    try:
        known = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        path.write_text(fresh + "\n", encoding="ascii")
        return fresh
    return known or fresh


def open_radio(moniker: str, state_dir: Path | None = None) -> Radio:
    """`native`, or `bumble:` and a bumble transport such as `bumble:tcp-client:127.0.0.1:7300`.

    state_dir keeps our address and bonds over restarts (bumble only; operating systems keep their own); it
    must be readable by this user alone.
    Nothing is opened until the first scan or connection. Raises ValueError.
    """
    if moniker == "native":
        return NativeRadio()
    kind, _, transport = moniker.partition(":")
    if kind == "bumble" and transport:
        return BumbleRadio(transport, state_dir)
    raise ValueError(f"unknown radio {moniker!r}; use native or bumble:TRANSPORT")
