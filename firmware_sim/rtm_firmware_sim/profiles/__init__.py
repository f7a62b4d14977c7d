"""The five wearables: one file a profile, and the table that makes one for a recorded sensor."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from rtm_firmware_sim.clock import Clock, Crystal
from rtm_firmware_sim.firmware import Battery, Firmware
from rtm_firmware_sim.peripheral import Peripheral, static_address
from rtm_firmware_sim.playback import Playback, Track
from rtm_firmware_sim.profiles.homestretch import Homestretch


@dataclass(frozen=True, slots=True)
class Order:
    """What a profile is made from. name None: one that the maker's own clients look for."""

    track: Track
    playback: Playback
    placement: str
    number: int
    seed: int
    name: str | None = None
    crystal: Crystal = Crystal()
    mtu: int = 247

    @property
    def hex_serial(self) -> str:
        """Eight hex digits that follow from the seed and the place."""
        return f"{zlib.crc32(f'{self.seed}/{self.placement}/{self.number}'.encode()):08X}"

    @property
    def digit_serial(self) -> str:
        """Twelve digits that follow from the seed and the place."""
        return f"{int(self.hex_serial, 16):012d}"

    def clock(self, tick_hz: int = 32768) -> Clock:
        """A clock of the sensor's own crystal."""
        return Clock(self.playback.now, crystal=self.crystal, tick_hz=tick_hz)


def _homestretch(order: Order) -> Peripheral:
    serial = f"HS{order.hex_serial}"
    firmware = Firmware(
        order.track,
        order.playback,
        serial=serial,
        clock=order.clock(),
        battery=Battery(order.playback.now),
        boot=1 + int(order.hex_serial[:2], 16),
    )
    name = order.name or f"HS-{serial[-4:]}"
    return Homestretch(
        firmware, order.playback, name=name, address=static_address("homestretch", serial), mtu=order.mtu
    )


PROFILES: Mapping[str, Callable[[Order], Peripheral]] = {
    "homestretch": _homestretch,
}
"""Maker of each profile, by the name that `--wearable` takes."""
