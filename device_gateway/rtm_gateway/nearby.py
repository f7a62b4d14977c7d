"""The sensors in range during set-up: each connected and streaming, so that a wave is seen."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from uuid import UUID

from rtm_gateway.drivers import DRIVERS, Identity, SampleBlock, StreamSpec, create, recognise
from rtm_gateway.drivers.driver import Flag, StoredRun
from rtm_gateway.file_recordings import passed_by, state_name
from rtm_gateway.link import LINK_ERRORS, Event, LinkEvent, LinkPolicy, SensorLink
from rtm_gateway.outbox import Outbox
from rtm_gateway.radio import Found, Radio
from rtm_gateway.stored_spans import StoredSpans, StreamKey

_POLICY = LinkPolicy(settle_s=3600.0, find_s=5.0)
"""The set-up fetches nothing from a sensor's memory: that is the gateway's work, and takes long."""
BATTERY_LOW = 0.2

OnBlock = Callable[["NearbySensor", StreamSpec, SampleBlock], None]


class NearbySensor:
    """One sensor in range and its link."""

    def __init__(self, found: Found, profile: str, radio: Radio, on_block: OnBlock) -> None:
        device, advertisement = found
        self.address = device.address
        self.profile = profile
        self.name = advertisement.local_name or device.name or DRIVERS[profile].title
        self.rssi = advertisement.rssi
        self.identity: Identity | None = None
        self.battery: float | None = None
        self.problem: str | None = None
        self.settled = asyncio.Event()
        self._on_block = on_block
        self._seen: dict[tuple[str, int], tuple[int, int]] = {}
        self._memory: Sequence[StoredRun] = ()
        self._link = SensorLink(
            device, create(profile), radio=radio, on_block=self._block, on_event=self._event, policy=_POLICY
        )
        self._task: asyncio.Task[None] | None = None

    @property
    def encrypted(self) -> bool:
        """Whether the radio link is encrypted, as the driver says."""
        return self._link.driver.encrypted

    @property
    def ready(self) -> bool:
        """Connected, and it has said who it is."""
        return self._link.connected and self.identity is not None

    def start(self) -> None:
        """Connect and stream until `close`."""
        self._task = asyncio.create_task(self._link.run())

    async def blink(self) -> None:
        """Make it show itself, where it can."""
        await self._link.blink()

    async def close(self) -> None:
        """Switch it off and leave it."""
        port = self._link.port
        if port is not None:
            with contextlib.suppress(*LINK_ERRORS):
                await self._link.driver.stop(port)
                await self._note_end()
        await self._link.stop()
        if self._task is not None:
            with contextlib.suppress(*LINK_ERRORS):
                await self._task

    def forget_in(self, outbox: Outbox, sensor: UUID) -> None:
        """What was waved is no exercise: the gateway must not fetch it from the sensor's memory later.

        Nor what a sensor that is new here holds already: somebody else may have worn it before.
        """
        kept = outbox.recall(f"kept:{sensor}")
        spans = StoredSpans()
        spans.load(sensor, kept)
        for (stream, boot), (first, end) in self._seen.items():
            spans.pass_by(StreamKey(sensor, stream, boot), first, end)
        states: dict[str, bytes] = {}
        if kept is None and self._link.driver.has_flash:
            for run in self._memory:
                spans.pass_by(StreamKey(sensor, run.stream, run.boot), run.first, run.next)
        if self._link.driver.has_flash and (self._seen or self._memory):
            states |= spans.states([sensor], [])
        if self._link.driver.has_files and outbox.recall(state_name(sensor)) is None:
            states[state_name(sensor)] = passed_by({run.key: run.next for run in self._memory})
        if states:
            outbox.put([], dict(states))

    async def _note_end(self) -> None:
        """The last samples were taken after the last block."""
        port, driver = self._link.port, self._link.driver
        if port is None or not (driver.has_flash or driver.has_files):
            return
        self._memory = await driver.stored(port)
        for run in self._memory if driver.has_flash else ():
            seen = self._seen.get((run.stream, run.boot))
            if seen is not None:
                self._seen[run.stream, run.boot] = (seen[0], max(seen[1], run.next))

    def _block(self, block: SampleBlock) -> None:
        if block.flags & Flag.FLASH:
            return
        key, end = (block.stream, block.boot), block.first + len(block.values)
        first, last = self._seen.get(key, (block.first, end))
        self._seen[key] = (min(first, block.first), max(last, end))
        spec = self._link.spec(block.stream)
        self.settled.set()
        if spec is not None:
            self._on_block(self, spec, block)

    def _event(self, event: LinkEvent) -> None:
        if event.kind is Event.CONNECTED:
            self.identity, self.problem = event.identity, None
        elif event.kind is Event.BATTERY:
            self.battery = event.value
        elif event.kind in (Event.REFUSED, Event.UNREACHABLE, Event.BOND_LOST, Event.RADIO_GONE):
            self.problem = event.what
            self.settled.set()


async def look(radio: Radio, seconds: float) -> list[tuple[Found, str]]:
    """The sensors that advertise and that some driver reads, strongest first, with the driver's profile."""
    every = await radio.scan(seconds)
    return [(found, profile) for found in every if (profile := recognise(found[1])) is not None]
