"""The sensors of this home: found, kept connected, and changed while the gateway runs.

A sensor is looked for until it was seen once; from then on its link looks after itself. A sensor that is refused
(somebody else's at its address) is looked for again a minute later.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from rtm_gateway.boot_number import boots_by_clock
from rtm_gateway.clock import ClockFit, WallClock
from rtm_gateway.drivers import SampleBlock, StreamSpec, create
from rtm_gateway.drivers.homestretch import EVENT_KIND
from rtm_gateway.link import LINK_ERRORS, Event, LinkEvent, SensorLink
from rtm_gateway.outbox import Outbox
from rtm_gateway.radio import Found, Radio
from rtm_gateway.recorder import Recorder
from rtm_gateway.settings import SensorSettings

_log = logging.getLogger(__name__)

_FIRST_SCAN_S: Final = 1.0
_SCAN_S: Final = 5.0
_FIRST_WAIT_S: Final = 0.5
"""After a scan that failed: a radio that is just being started answers a moment later. Doubles up to `_SCAN_S`."""
FREE_EVERY_S: Final = 30.0
_REFUSED_AGAIN_S: Final = 60.0
"""Somebody else's sensor may have answered at our sensor's address; ours may be there again later."""
_GONE_S: Final = 10.0
"""A link that is told to end has so long to say goodbye."""
_SHORT_PRESS: Final = {"homestretch": (EVENT_KIND + 1, 1)}
"""Profile -> (kind, ref) of the reply that is a short press of the sensor's button."""

OnBlock = Callable[[SensorSettings, StreamSpec, SampleBlock], None]
OnEvent = Callable[[SensorSettings, LinkEvent], None]


@dataclass(frozen=True, slots=True)
class House:
    """What all sensors share. on_block, on_event: called in the event loop."""

    radio: Radio
    recorder: Recorder
    outbox: Outbox
    wall: WallClock
    on_block: OnBlock
    on_event: OnEvent


class Sensors:
    """The sensors that are assigned. `run` until cancelled."""

    def __init__(self, house: House, settings: Iterable[SensorSettings]) -> None:
        self._house = house
        self._sensors = {each.sensor: Sensor(house, each) for each in settings}
        self._missing = dict(self._sensors)
        self._changed = asyncio.Event()
        self._tasks: dict[UUID, asyncio.Task[None]] = {}

    def __iter__(self) -> Iterator[Sensor]:
        return iter(self._sensors.values())

    def get(self, sensor: UUID) -> Sensor | None:
        """One of them, None where it is not of this home."""
        return self._sensors.get(sensor)

    def clock_of(self, sensor: UUID, boot: int) -> ClockFit | None:
        """The fit of a sensor's boot, None while there is none."""
        found = self._sensors.get(sensor)
        return None if found is None else found.clock_of(boot)

    async def run(self) -> None:
        """Find each sensor and keep it connected. A mistake of ours in one takes all down, loudly."""
        async with asyncio.TaskGroup() as group:
            seconds, wait = _FIRST_SCAN_S, _FIRST_WAIT_S
            while True:
                self._changed.clear()
                if not self._missing:
                    await self._changed.wait()
                try:
                    found = [*await self._house.radio.held(), *await self._house.radio.scan(seconds)]
                except LINK_ERRORS as error:
                    _log.warning("the radio cannot scan: %s", error)
                    await asyncio.sleep(wait)
                    wait = min(2.0 * wait, _SCAN_S)
                    continue
                seconds, wait = _SCAN_S, _FIRST_WAIT_S
                self._take(found, group)

    def _take(self, found: list[Found], group: asyncio.TaskGroup) -> None:
        """Begin the links of those that were found."""
        taken = {sensor.address for sensor in self._sensors.values()}
        for key, sensor in list(self._missing.items()):
            match = sensor.pick(found, taken)
            if match is not None:
                taken.add(match[0].address.lower())
                del self._missing[key]
                self._tasks[key] = group.create_task(self._keep(sensor, match))

    async def _keep(self, sensor: Sensor, match: Found) -> None:
        """Keep a sensor connected until it is refused; then look for it again."""
        await sensor.run(match)
        await asyncio.sleep(_REFUSED_AGAIN_S)
        self._missing[sensor.settings.sensor] = sensor
        self._changed.set()

    async def assign(self, settings: Iterable[SensorSettings]) -> None:
        """From now on these. A recording in which a sensor takes part that goes or is worn elsewhere ends here."""
        wanted = {each.sensor: each for each in settings}
        for key, sensor in list(self._sensors.items()):
            new = wanted.get(key)
            if new is not None and sensor.is_same_device(new):
                sensor.wear(new)
            else:
                await self._let_go(key)
        for key, new in wanted.items():
            if key not in self._sensors:
                self._sensors[key] = self._missing[key] = Sensor(self._house, new)
        self._changed.set()

    async def _let_go(self, key: UUID) -> None:
        sensor, task = self._sensors[key], self._tasks.pop(key, None)
        self._missing.pop(key, None)
        if task is not None:
            await sensor.stop()
            if sensor.running:
                await asyncio.wait({task}, timeout=_GONE_S)
            task.cancel()
            await asyncio.wait({task})
        self._house.recorder.remove_sensor(key)
        del self._sensors[key]


class Sensor:
    """One sensor and its link."""

    def __init__(self, house: House, settings: SensorSettings) -> None:
        self.settings = settings
        self._house = house
        self._driver = create(settings.profile)
        self._link: SensorLink | None = None
        self._found_at: str | None = None
        self._refused: set[str] = set()
        self._battery: float | None = None
        self._freed_s = -FREE_EVERY_S
        self._to_free: dict[int, int] = {}
        self._specs: dict[str, StreamSpec] = {}
        self._bound = settings.serial or first_seen(house.outbox.recall(_name(settings)), settings)
        house.recorder.add_sensor(
            settings.sensor,
            settings.placement,
            has_flash=self._driver.has_flash,
            has_files=self._driver.has_files,
            exercise=settings.exercise,
        )

    @property
    def running(self) -> bool:
        """It was found, and its link is kept."""
        return self._found_at is not None

    @property
    def address(self) -> str | None:
        """Where it is or should be, lower case; None while nobody knows."""
        address = self.settings.address or self._found_at
        return None if address is None else address.lower()

    def pick(self, found: Iterable[Found], taken: Container[str | None]) -> Found | None:
        """The strongest that has our address, or our name, or (with neither) our driver's advertisement.

        taken: addresses of other sensors, which neither name nor advertisement makes ours; nor those that were refused.
        """
        wanted = self.settings
        for device, advertisement in found:
            name = advertisement.local_name or device.name
            if wanted.address is not None:
                if device.address.lower() == wanted.address.lower():
                    return device, advertisement
            elif device.address.lower() in taken or device.address.lower() in self._refused:
                continue
            elif wanted.name is not None:
                if name == wanted.name:
                    return device, advertisement
            elif type(self._driver).matches(advertisement):
                return device, advertisement
        return None

    async def run(self, found: Found) -> None:
        """Keep the sensor connected; returns when it is refused or stopped."""
        recorder, sensor = self._house.recorder, self.settings.sensor
        self._found_at = found[0].address
        self._link = SensorLink(
            found[0],
            self._driver,
            radio=self._house.radio,
            on_block=self._block,
            on_event=self._event,
            have=recorder.have(sensor),
            fetched=recorder.files(sensor),
            bound=self._bound,
            next_boot=boots_by_clock(recorder.boots(sensor)),
            wall=self._house.wall,
        )
        try:
            await self._link.run()
        finally:
            self._found_at = None

    async def stop(self) -> None:
        """End the link."""
        if self._link is not None:
            await self._link.stop()

    def is_same_device(self, settings: SensorSettings) -> bool:
        """Whether these settings mean this sensor, worn anywhere and for anything."""
        worn = {"placement": self.settings.placement, "exercise": self.settings.exercise}
        return settings.model_copy(update=worn) == self.settings

    def wear(self, settings: SensorSettings) -> None:
        """It is worn elsewhere or for something else from now on, or as it was."""
        self._house.recorder.place(settings.sensor, settings.placement, settings.exercise)
        self.settings = settings

    def clock_of(self, boot: int) -> ClockFit | None:
        """The fit of a boot, None while there is none."""
        return None if self._link is None else self._link.clocks.of(boot)

    async def free(self, boot: int, up_to: int) -> None:
        """Let the sensor forget what the outbox has synced, also of earlier boots; twice a minute is often enough."""
        self._to_free[boot] = up_to
        now = time.monotonic()
        if self._link is None or now - self._freed_s < FREE_EVERY_S:
            return
        self._freed_s = now
        for number, index in list(self._to_free.items()):
            if await self._link.free(number, index) and self._to_free.get(number) == index:
                del self._to_free[number]

    async def blink(self) -> None:
        """Make the sensor show itself."""
        if self._link is not None:
            await self._link.blink()

    def button(self, event: LinkEvent) -> None:
        """An event of the sensor: its button opens a recording, and closes the open one."""
        reply = event.reply
        if reply is None or (reply.kind, reply.ref) != _SHORT_PRESS.get(self.settings.profile):
            return
        if self._house.recorder.recording is None:
            self._house.recorder.open("button", sensor=self.settings.sensor)
        else:
            self._house.recorder.close("stop")

    def status(self) -> dict[str, Any]:
        """For the heartbeat: ids, placement, link, battery and counters; nothing personal."""
        link = self._link
        return {
            "sensor": str(self.settings.sensor),
            "placement": self.settings.placement,
            "connected": link is not None and link.connected,
            "behind": self._house.recorder.is_behind(self.settings.sensor),
            "battery": self._battery,
            "samples": 0 if link is None else link.counters.samples,
            "malformed": 0 if link is None else link.counters.malformed,
            "gap_samples": 0 if link is None else link.counters.gap_samples,
        }

    def _block(self, block: SampleBlock) -> None:
        spec = self._specs.get(block.stream)
        if spec is None:  # asked once a link: the driver builds its answer anew each time
            self._specs = {each.name: each for each in self._driver.streams()}
            spec = self._specs.get(block.stream)
        if spec is not None:
            self._house.on_block(self.settings, spec, block)

    def _event(self, event: LinkEvent) -> None:
        if event.kind is Event.CONNECTED:
            self._specs = {}
        elif event.kind is Event.REFUSED and self._found_at is not None:
            self._refused.add(self._found_at.lower())
        elif event.kind is Event.BATTERY:
            self._battery = event.value
        self._house.on_event(self.settings, event)

    async def remember(self, event: LinkEvent) -> None:
        """Write down who was seen first, so that another one is refused after a restart too."""
        serial = event.identity.serial if event.identity is not None else ""
        if self._bound is not None or not serial:
            return
        self._bound = serial
        state = {_name(self.settings): bond_state(self.settings, serial)}
        await asyncio.to_thread(self._house.outbox.put, [], state)


def bond_state(settings: SensorSettings, serial: str) -> bytes:
    """That a sensor found by these settings said that it is number `serial`."""
    return json.dumps({"found_by": _found_by(settings), "serial": serial}).encode()


def first_seen(state: bytes | None, settings: SensorSettings) -> str | None:
    """The number seen first; None where none was, or where the settings mean another device since."""
    known = json.loads(state) if state is not None else {}
    return str(known["serial"]) if known.get("found_by") == _found_by(settings) else None


def _name(settings: SensorSettings) -> str:
    return f"bound:{settings.sensor}"


def _found_by(settings: SensorSettings) -> list[str | None]:
    return [settings.profile, settings.address, settings.name]
