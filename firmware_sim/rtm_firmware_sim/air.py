"""A room: simulated sensors on one link, and a spare controller for each central that comes through a
transport.

    async with Air() as air:
        await air.add(sensor)
        await air.serve("tcp-server:127.0.0.1:7300")

In tests `await air.central()` gives a bumble central in the same process.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from types import TracebackType
from typing import Any, Self

from bumble import hci
from bumble.device import Device, DeviceConfiguration
from bumble.host import Host
from bumble.transport import open_transport
from bumble.transport.common import AsyncPipeSink, PacketParser

from rtm_firmware_sim.errors import SimulatorError
from rtm_firmware_sim.link import RadioConditions, SimController, SimLink
from rtm_firmware_sim.peripheral import Peripheral

logger = logging.getLogger(__name__)

REAL_CONTROLLERS = frozenset({"usb", "pyusb", "hci-socket", "serial", "tcp-client", "android-emulator"})
"""Transports at whose other end is a controller; at the other end of all others is a host."""


class Air:
    """A link and what is on it. `conditions` None: a perfect radio. One seed, one course of losses."""

    def __init__(self, conditions: RadioConditions | None = None, *, seed: int = 0) -> None:
        self.link = SimLink(conditions, seed=seed)
        self.sensors: list[Peripheral] = []
        self._closing = contextlib.AsyncExitStack()
        self._centrals = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Everything off the air."""
        for sensor in self.sensors:
            await sensor.power_off()
        self.sensors.clear()
        await self._closing.aclose()
        self.link.close()

    async def add(self, sensor: Peripheral) -> None:
        """Switch a sensor on."""
        self.sensors.append(sensor)
        await sensor.power_on(self.link)

    async def remove(self, sensor: Peripheral) -> None:
        """Switch a sensor off."""
        self.sensors.remove(sensor)
        await sensor.power_off()

    async def central(self, name: str = "central") -> Device:
        """A bumble device in the central role, in this process and this room, powered on."""
        self._centrals += 1
        address = hci.Address(f"D0:00:00:00:01:{self._centrals:02X}")
        controller = SimController(name, link=self.link)
        host = Host(controller, AsyncPipeSink(controller))
        device = Device(config=DeviceConfiguration(name=name, address=address), host=host)
        await device.power_on()
        return device

    async def serve(self, moniker: str) -> None:
        """Let centrals in through a bumble transport, until closed.

        Over `tcp-server:HOST:PORT` every connection gets a controller of its own; when it goes, its links
        time out. Raises SimulatorError where the transport cannot be opened.
        """
        try:
            if moniker.startswith("tcp-server:"):
                await self._serve_tcp(moniker.removeprefix("tcp-server:"))
            else:
                transport = await open_transport(moniker)
                self._closing.push_async_callback(transport.close)
                self._spare(transport.source, transport.sink, plain=moniker.startswith("vhci"))
        except SimulatorError:
            raise
        except (OSError, OverflowError, ValueError, RuntimeError) as error:
            raise SimulatorError(
                f"The transport {moniker} cannot be opened: {str(error).rstrip('.')}."
            ) from error

    def _spare(self, source: Any, sink: Any, *, plain: bool = False) -> SimController:
        self._centrals += 1
        controller = SimController(
            f"spare-{self._centrals}",
            host_source=source,
            host_sink=sink,
            link=self.link,
            public_address=hci.Address(
                f"00:16:A4:00:00:{self._centrals:02X}", hci.Address.PUBLIC_DEVICE_ADDRESS
            ),
        )
        if plain:
            # Linux's own host trips over these two in a virtual controller (google/bumble issue 841).
            controller.le_features &= ~(
                hci.LeFeatureMask.LL_PRIVACY | hci.LeFeatureMask.LE_EXTENDED_ADVERTISING
            )
        return controller

    async def _serve_tcp(self, place: str) -> None:
        host, _, port = place.rpartition(":")
        if not port.isdigit():
            raise SimulatorError(f"The transport tcp-server:{place} needs a host and a port.")

        def protocol() -> _Guest:
            return _Guest(self)

        loop = asyncio.get_running_loop()
        server = await loop.create_server(protocol, None if host in ("", "_") else host, int(port))
        self._closing.callback(server.close)


class _Guest(asyncio.Protocol):
    """One TCP connection: a host that gets a controller in the room."""

    def __init__(self, air: Air) -> None:
        self._air = air
        self._parser = PacketParser()
        self._transport: asyncio.WriteTransport | None = None
        self._controller: SimController | None = None

    def set_packet_sink(self, sink: Any) -> None:
        """bumble's source protocol: where packets from the host go."""
        self._parser.set_packet_sink(sink)

    def on_packet(self, packet: bytes) -> None:
        """bumble's sink protocol: a packet for the host."""
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(packet)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport if isinstance(transport, asyncio.WriteTransport) else None
        self._controller = self._air._spare(self, self)

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except Exception:
            logger.warning("a central sent what is not HCI; it is disconnected", exc_info=True)
            if self._transport is not None:
                self._transport.close()

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        if self._controller is not None:
            self._controller.forget_everything()
            self._air.link.remove_controller(self._controller)
