"""`rtm gateway`: sensors in, recordings to the outbox, the outbox to the server.

SIGTERM (a cancelled `run`) seals and stores what has come and says goodbye; SIGKILL loses nothing that
reached the outbox: the next start goes on with the same recording, asks the sensors' memories for the
rest, and sends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Container, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from rtm_gateway import logs
from rtm_gateway.boot import gateway_boot
from rtm_gateway.clock import ClockFit, DeviceClocks, read_clocks, wall_clock
from rtm_gateway.drivers import SampleBlock, StreamSpec, create
from rtm_gateway.drivers.homestretch import EVENT_KIND
from rtm_gateway.home_warnings import HomeWarnings
from rtm_gateway.keys import load_or_create_key
from rtm_gateway.link import LINK_ERRORS, Event, LinkEvent, SensorLink
from rtm_gateway.live import Live
from rtm_gateway.outbox import Outbox, OutboxEvent
from rtm_gateway.pairing import Pairing
from rtm_gateway.radio import Found, Radio, open_radio
from rtm_gateway.recorder import Recorder
from rtm_gateway.recording_life import RecordingLife
from rtm_gateway.sealer import Sealer
from rtm_gateway.settings import GatewaySettings, SensorSettings
from rtm_gateway.status_page import StatusPage
from rtm_gateway.status_words import Line, lines
from rtm_gateway.uplink import Broker, Uplink
from rtm_signal.wire import Command

_log = logging.getLogger(__name__)

_FIRST_SCAN_S: Final = 1.0
_SCAN_S: Final = 5.0
_FIRST_WAIT_S: Final = 0.5
"""After a scan that failed: a radio that is just being started answers a moment later. Doubles up to `_SCAN_S`."""
_FREE_EVERY_S: Final = 30.0
_CLOCK_EVERY_S: Final = 10.0
_MEGABYTE: Final = 1 << 20
_SHORT_PRESS: Final = {"homestretch": (EVENT_KIND + 1, 1)}
"""Profile -> (kind, ref) of the reply that is a short press of the sensor's button."""

_REFUSED_AGAIN_S: Final = 60.0
"""Somebody else's sensor may have answered at our sensor's address; ours may be there again later."""
_QUIET: Final = frozenset({Event.CLOCK, Event.RATE})
"""Events of a link that change nothing in the status."""


class GatewayError(ValueError):
    """The gateway cannot start; the message is one plain sentence."""


async def run(settings: GatewaySettings) -> None:
    """Run until cancelled."""
    logs.configure()
    gateway = Gateway(settings)
    try:
        await gateway.run()
    finally:
        gateway.close()


class Gateway:
    """All parts of one gateway, wired together."""

    def __init__(self, settings: GatewaySettings, radio: Radio | None = None) -> None:
        try:
            settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise GatewayError(f"RTM_DATA_DIR cannot be made: {error.strerror}.") from error
        self._settings = settings
        self._radio = radio or open_radio(settings.radio, settings.data_dir / "radio")
        self.outbox = Outbox(
            settings.data_dir / "outbox.db",
            load_or_create_key(settings.key_path),
            limit_bytes=settings.outbox_limit_mb * _MEGABYTE,
            on_event=_log_outbox,
        )
        life = RecordingLife(
            settings.tenant, settings.gateway, self.outbox.recall("life"), now_s=time.monotonic()
        )
        self._wall = wall_clock()
        sealer = Sealer(settings.tenant, gateway_boot(), clock_of=self._clock_of)
        self.recorder = Recorder(
            self.outbox,
            sealer,
            life,
            exercise=settings.exercise,
            open_on_motion=settings.open_on_motion,
            on_stored=self._stored,
            on_life=self._changed,
        )
        self._sensors = {
            sensor.sensor: _Sensor(
                sensor, self._radio, self.recorder, DeviceClocks(self._wall), self._on_block, self._on_event
            )
            for sensor in settings.sensors
        }
        self.uplink: Uplink | None = None
        if settings.mqtt_url is not None:
            broker = Broker.from_url(
                settings.mqtt_url,
                ca=settings.mqtt_ca,
                certificate=settings.mqtt_certificate,
                key=settings.mqtt_key,
            )
            self.uplink = Uplink(
                broker, settings.gateway, self.outbox, on_command=self._command, status=self._status
            )
        self._counting = ThreadPoolExecutor(1, "live")
        self._live: Live | None = Live(self._publish_live, background=self._counting.submit)
        self._tasks: set[asyncio.Task[Any]] = set()
        self._warnings = HomeWarnings(settings.sensors, self.outbox)
        self._page: StatusPage | None = None
        if settings.status_port is not None:
            pairing = Pairing.kept(settings.data_dir / "status_page.json")
            self._page = StatusPage(settings.status_host, settings.status_port, pairing, self._lines)

    async def run(self) -> None:
        """Until cancelled. A part that fails by a mistake of ours takes the whole down, loudly."""
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.recorder.run())
                group.create_task(self._watch_clock())
                group.create_task(self._warnings.run())
                if self._page is not None:
                    group.create_task(self._page.run())
                if self.uplink is not None:
                    group.create_task(self.uplink.run())
                if self._sensors:
                    group.create_task(self._find_sensors(group))
        finally:
            await self._radio.close()

    def close(self) -> None:
        """Close the outbox."""
        self._counting.shutdown(cancel_futures=True)
        self.outbox.close()

    async def _watch_clock(self) -> None:
        """NTP may set the wall clock at any time."""
        while True:
            self._wall.note(read_clocks())
            await asyncio.sleep(_CLOCK_EVERY_S)

    def _clock_of(self, sensor: UUID, boot: int) -> ClockFit | None:
        return self._sensors[sensor].clocks.of(boot)

    async def _find_sensors(self, group: asyncio.TaskGroup) -> None:
        """Scan until every sensor was seen once; from then on its link looks after itself."""
        missing = dict(self._sensors)
        taken = {each.address.lower() for each in self._settings.sensors if each.address is not None}
        seconds, wait = _FIRST_SCAN_S, _FIRST_WAIT_S
        while missing:
            try:
                found = [*await self._radio.held(), *await self._radio.scan(seconds)]
            except LINK_ERRORS as error:
                _log.warning("the radio cannot scan: %s", error)
                await asyncio.sleep(wait)
                wait = min(2.0 * wait, _SCAN_S)
                continue
            seconds, wait = _SCAN_S, _FIRST_WAIT_S
            for key, sensor in list(missing.items()):
                match = sensor.pick(found, taken)
                if match is not None:
                    taken.add(match[0].address.lower())
                    group.create_task(sensor.run(match))
                    del missing[key]

    def _on_block(self, sensor: SensorSettings, spec: StreamSpec, block: SampleBlock) -> None:
        self.recorder.on_block(sensor.sensor, spec, block)
        self._warnings.on_block(self.recorder.recording, self.recorder.exercise, sensor.sensor, spec, block)
        if self._live is None:
            return
        try:
            self._live.on_block(self.recorder.recording, self.recorder.exercise, sensor.sensor, spec, block)
        except Exception:  # whatever is wrong with the counting must not cost a sample
            _log.exception("the live count has failed; it is off until the gateway is started anew")
            self._live = None

    def _on_event(self, sensor: SensorSettings, event: LinkEvent) -> None:
        _log.info("%s", event.what, extra={"sensor": str(sensor.sensor), "event": event.kind.value})
        self._warnings.on_event(sensor, event)
        if event.kind is Event.RESYNCED:
            self.recorder.resynced(sensor.sensor, event.spans)
        elif event.kind is Event.FETCHED and event.file is not None:
            self.recorder.file_came(sensor.sensor, *event.file)
        elif event.kind is Event.DISCONNECTED:
            self.recorder.left(sensor.sensor)
        elif event.kind is Event.SENSOR and event.reply is not None:
            self._sensors[sensor.sensor].button(event)
        if event.kind not in _QUIET:
            self._changed()

    def _changed(self) -> None:
        """Somebody may be waiting for it: the status goes out at once, not with the next heartbeat."""
        if self.uplink is not None:
            self.uplink.status_changed()

    def _stored(self, sensor: UUID, boot: int, up_to: int) -> None:
        self._keep(self._sensors[sensor].free(boot, up_to))

    def _command(self, command: Command) -> None:
        """What the server asks for. Anything not understood is counted by the log and changes nothing."""
        try:
            self._obey(command)
        except (TypeError, ValueError) as error:
            _log.warning("a command of the server cannot be carried out: %s", error)

    def _obey(self, command: Command) -> None:
        arguments = command.args
        if command.do == "start":
            recording = arguments.get("recording")
            self.recorder.open(
                "start",
                exercise=_text(arguments.get("exercise")) or None,
                recording=None if recording is None else UUID(_text(recording)),
            )
        elif command.do == "stop":
            self.recorder.close("stop")
        elif command.do == "blink":
            sensor = self._sensors.get(UUID(_text(arguments.get("sensor"))))
            if sensor is not None:
                self._keep(sensor.blink())
        elif command.do == "settings":
            self.recorder.watch(bool(arguments.get("watched", False)))
        else:
            _log.warning("the command %s is not carried out by this gateway yet", command.do)

    def _keep(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _publish_live(self, message: Mapping[str, Any]) -> None:
        if self.uplink is not None:
            self.uplink.publish_live(message)

    def _status(self) -> dict[str, Any]:
        recording = self.recorder.recording
        return {
            "recording": None if recording is None else str(recording),
            "dropped_samples": self.recorder.dropped_samples,
            "sensors": [sensor.status() for sensor in self._sensors.values()],
            "warnings": self._warnings.current(),
        }

    def _lines(self) -> list[Line]:
        online = self.uplink is not None and self.uplink.connected
        return lines(self._status(), self.outbox.status(), online=online)


class _Sensor:
    """One configured sensor and its link."""

    def __init__(
        self,
        settings: SensorSettings,
        radio: Radio,
        recorder: Recorder,
        clocks: DeviceClocks,
        on_block: Callable[[SensorSettings, StreamSpec, SampleBlock], None],
        on_event: Callable[[SensorSettings, LinkEvent], None],
    ) -> None:
        self.clocks = clocks
        self._settings = settings
        self._radio = radio
        self._recorder = recorder
        self._on_block = on_block
        self._on_event = on_event
        self._driver = create(settings.profile)
        self._link: SensorLink | None = None
        self._battery: float | None = None
        self._freed_s = -_FREE_EVERY_S
        self._to_free: dict[int, int] = {}
        self._specs: dict[str, StreamSpec] = {}
        recorder.add_sensor(
            settings.sensor,
            settings.placement,
            has_flash=self._driver.has_flash,
            has_files=self._driver.has_files,
        )

    def pick(self, found: Iterable[Found], taken: Container[str]) -> Found | None:
        """The strongest that has our address, or our name, or (with neither) our driver's advertisement.

        taken: addresses of other sensors, which neither name nor advertisement makes ours.
        """
        wanted = self._settings
        for device, advertisement in found:
            name = advertisement.local_name or device.name
            if wanted.address is not None:
                if device.address.lower() == wanted.address.lower():
                    return device, advertisement
            elif device.address.lower() in taken:
                continue
            elif wanted.name is not None:
                if name == wanted.name:
                    return device, advertisement
            elif type(self._driver).matches(advertisement):
                return device, advertisement
        return None

    async def run(self, found: Found) -> None:
        """Keep the sensor connected."""
        link = SensorLink(
            found[0],
            self._driver,
            radio=self._radio,
            on_block=self._block,
            on_event=self._event,
            have=self._recorder.have(self._settings.sensor),
            fetched=self._recorder.files(self._settings.sensor),
            bound=self._settings.serial,
        )
        self._link = link
        while True:  # the link ends when the sensor is refused
            await link.run()
            await asyncio.sleep(_REFUSED_AGAIN_S)

    async def free(self, boot: int, up_to: int) -> None:
        """Let the sensor forget what the outbox has synced, also of earlier boots; twice a minute is often enough."""
        self._to_free[boot] = up_to
        now = time.monotonic()
        if self._link is None or now - self._freed_s < _FREE_EVERY_S:
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
        if event.reply is None or not self._is_button(event):
            return
        if self._recorder.recording is None:
            self._recorder.open("button")
        else:
            self._recorder.close("stop")

    def status(self) -> dict[str, Any]:
        """For the heartbeat: ids, placement, link, battery and counters; nothing personal."""
        link = self._link
        return {
            "sensor": str(self._settings.sensor),
            "placement": self._settings.placement,
            "connected": link is not None and link.connected,
            "behind": self._recorder.is_behind(self._settings.sensor),
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
            self.clocks.observe(block if block.tick_hz > 0 else replace(block, tick_hz=spec.rate_hz))
            self._on_block(self._settings, spec, block)

    def _event(self, event: LinkEvent) -> None:
        if event.kind is Event.CONNECTED:
            self._specs = {}
        elif event.kind is Event.BATTERY:
            self._battery = event.value
        elif event.kind is Event.CLOCK and event.stamps is not None:
            self.clocks.exchange(event.stamps)
        self._on_event(self._settings, event)

    def _is_button(self, event: LinkEvent) -> bool:
        reply = event.reply
        return reply is not None and (reply.kind, reply.ref) == _SHORT_PRESS.get(self._settings.profile)


def _text(value: object) -> str:
    """A text argument of a command; empty where there is none."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError("an argument is not a text")
    return value


def _log_outbox(event: OutboxEvent) -> None:
    _log.warning("%s", event.detail, extra={"event": event.kind})
