"""What the makers' wearables share: a recorded sensor, a clock, a battery, streams that start and stop by
name."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

from bumble import hci

from rtm_firmware_sim.clock import Clock, Crystal
from rtm_firmware_sim.firmware import Battery
from rtm_firmware_sim.peripheral import Peripheral, static_address
from rtm_firmware_sim.playback import Playback, Sampler, Track


@dataclass(frozen=True, slots=True)
class Order:
    """What a profile is made from. name None: one that the maker's own clients look for."""

    track: Track
    playback: Playback
    placement: str
    number: int
    seed: int
    name: str | None = None
    crystal: Crystal | None = None
    mtu: int = 247

    @property
    def hex_serial(self) -> str:
        """Eight hex digits that follow from the seed and the place."""
        return f"{zlib.crc32(f'{self.seed}/{self.placement}/{self.number}'.encode()):08X}"

    @property
    def digit_serial(self) -> str:
        """Twelve digits that follow from the seed and the place."""
        return f"{int(self.hex_serial, 16):012d}"

    def clock(self, *, started_s: float = 60.0) -> Clock:
        """A clock of the sensor's own crystal."""
        return Clock(self.playback.now, crystal=self.crystal, started_s=started_s)


class Wearable(Peripheral):
    """A maker's wearable: it streams while connected and forgets its streams when the link is gone."""

    def __init__(self, order: Order, *, name: str, maker: str, started_s: float = 60.0) -> None:
        address: hci.Address = static_address(maker, order.seed, order.placement, order.number)
        super().__init__(name=name, address=address, mtu=order.mtu)
        self.track, self.playback = order.track, order.playback
        self.clock = order.clock(started_s=started_s)
        self.battery = Battery(order.playback.now)
        self._streams: dict[str, tuple[asyncio.Task[None], Sampler | None]] = {}

    def sampler(self, stream: str, rate_hz: float) -> Sampler:
        """A run of its own through the recording at a rate."""
        return Sampler(self.track.at_rate(rate_hz), self.playback, f"{self.address}/{stream}")

    def start_stream(
        self, stream: str, work: Coroutine[Any, Any, None], sampler: Sampler | None = None
    ) -> None:
        """Run a stream under a name, in place of one of that name."""
        self.stop_stream(stream)
        self._streams[stream] = (self.spawn(work), sampler)

    def stop_stream(self, stream: str) -> bool:
        """Stop a stream; False where there is none."""
        task, sampler = self._streams.pop(stream, (None, None))
        if task is not None:
            task.cancel()
        if sampler is not None:
            sampler.stop()
        return task is not None

    def streaming(self, stream: str) -> bool:
        """A stream of that name was started and not stopped."""
        return stream in self._streams

    def on_disconnected(self) -> None:
        for stream in list(self._streams):
            self.stop_stream(stream)

    def reboot(self) -> None:
        """Fault: the firmware restarts; the link is lost with it."""
        self.clock.restart()
        self.drop_link()
