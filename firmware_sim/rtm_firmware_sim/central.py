"""A plain bumble central, for tests and benchmarks: connects, subscribes, keeps what arrives in order. No
bleak."""

from __future__ import annotations

import asyncio
import uuid
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Self

from bumble import core
from bumble.device import Connection, Device, Peer
from bumble.gatt_client import CharacteristicProxy

from rtm_firmware_sim.air import Air
from rtm_firmware_sim.peripheral import Peripheral


async def until(condition: Callable[[], Any], seconds: float = 60.0) -> None:
    """Wait for something to become true; TimeoutError where it does not."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


class Client:
    """A connected central: characteristics by UUID text, notifications by UUID text, in order."""

    def __init__(self, central: Device, connection: Connection) -> None:
        self.central, self.connection = central, connection
        self.received: dict[str, list[bytes]] = defaultdict(list)
        self._characteristics: dict[str, CharacteristicProxy[bytes]] = {}

    @classmethod
    async def connect(
        cls, air: Air, sensor: Peripheral, *, mtu: int = 247, central: Device | None = None
    ) -> Self:
        """Connect to a sensor in the room, with a central of its own unless one is given; mtu 23 asks for
        none."""
        central = central or await air.central()
        async with asyncio.timeout(60.0):
            connection = await central.connect(sensor.address, transport=core.PhysicalTransport.LE)
        client = cls(central, connection)
        await client.discover(mtu)
        return client

    async def discover(self, mtu: int) -> None:
        """Exchange the MTU and find every characteristic."""
        peer = Peer(self.connection)
        if mtu > 23:
            await peer.request_mtu(mtu)
        for service in await peer.discover_services():
            for found in await service.discover_characteristics():
                raw = bytes(reversed(found.uuid.to_bytes(force_128=True)))
                self._characteristics[str(uuid.UUID(bytes=raw))] = found

    def has(self, key: str) -> bool:
        """The peripheral has a characteristic of that UUID."""
        return key.lower() in self._characteristics

    async def read(self, key: str) -> bytes:
        """Read a characteristic."""
        return bytes(await self._characteristics[key.lower()].read_value())

    async def write(self, key: str, value: bytes, *, response: bool = True) -> None:
        """Write a characteristic, with or without response."""
        await self._characteristics[key.lower()].write_value(value, with_response=response)

    async def subscribe(self, key: str) -> list[bytes]:
        """Subscribe; the list that fills with what arrives."""
        box = self.received[key.lower()]
        await self._characteristics[key.lower()].subscribe(lambda value: box.append(bytes(value)))
        return box

    async def unsubscribe(self, key: str) -> None:
        """End a subscription."""
        await self._characteristics[key.lower()].unsubscribe()

    async def ask(self, key: str, value: bytes, answers: list[bytes]) -> bytes:
        """Write, and return the next notification of a box."""
        before = len(answers)
        await self.write(key, value)
        await until(lambda: len(answers) > before)
        return answers[before]
