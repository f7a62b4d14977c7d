"""`rtm gateway`: sensors in, recordings to the outbox, the outbox to the server.

SIGTERM (a cancelled `run`) seals and stores what has come and says goodbye; SIGKILL loses nothing that
reached the outbox: the next start goes on with the same recording, asks the sensors' memories for the
rest, and sends.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Mapping
from typing import Any, Final
from uuid import UUID

from rtm_gateway import assignment, logs
from rtm_gateway.assignment import Assignment
from rtm_gateway.background import Background
from rtm_gateway.boot import gateway_boot
from rtm_gateway.clock import ClockFit, read_clocks, wall_clock
from rtm_gateway.commands import Commands
from rtm_gateway.drivers import SampleBlock, StreamSpec
from rtm_gateway.home_warnings import STATE as WORN
from rtm_gateway.home_warnings import HomeWarnings
from rtm_gateway.keys import load_or_create_key
from rtm_gateway.link import Event, LinkEvent
from rtm_gateway.live import Live
from rtm_gateway.outbox import Outbox, OutboxEvent
from rtm_gateway.pairing import Pairing
from rtm_gateway.radio import Radio, open_radio
from rtm_gateway.recorder import Recorder
from rtm_gateway.recording_life import RecordingLife
from rtm_gateway.sealer import Sealer
from rtm_gateway.sensors import House, Sensors
from rtm_gateway.settings import GatewaySettings, SensorSettings
from rtm_gateway.status_page import StatusPage
from rtm_gateway.status_words import Line, lines
from rtm_gateway.uplink import Broker, Uplink

_log = logging.getLogger(__name__)

_CLOCK_EVERY_S: Final = 10.0
_MEGABYTE: Final = 1 << 20
_COUNTED_LATE: Final = 300
"""Blocks of a tenth of a second that may wait for the live count: a quarter of a minute of two sensors."""
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
        self._assigned = Assignment.of(settings, self.outbox.recall(assignment.STATE))
        life = RecordingLife(
            settings.tenant, settings.gateway, self.outbox.recall("life"), now_s=time.monotonic()
        )
        self._wall = wall_clock()
        sealer = Sealer(settings.tenant, gateway_boot(), clock_of=self._clock_of)
        self.recorder = Recorder(
            self.outbox,
            sealer,
            life,
            exercise=self._assigned.exercise,
            open_on_motion=settings.open_on_motion,
            on_stored=self._stored,
            on_life=self._changed,
        )
        self._assigning = asyncio.Lock()
        house = House(self._radio, self.recorder, self.outbox, self._wall, self._on_block, self._on_event)
        self._sensors = Sensors(house, self._assigned.sensors)
        self._commands = Commands(self.recorder, self._sensors, assign=self._assign, keep=self._keep)
        self.uplink: Uplink | None = None
        if settings.mqtt_url is not None:
            broker = Broker.from_url(
                settings.mqtt_url,
                ca=settings.mqtt_ca,
                certificate=settings.mqtt_certificate,
                key=settings.mqtt_key,
            )
            self.uplink = Uplink(
                broker, settings.gateway, self.outbox, on_command=self._commands.obey, status=self._status
            )
        self._counting = Background("live", limit=_COUNTED_LATE)
        self._live: Live | None = Live(
            self._publish_live, background=self._counting.submit, clock_of=self._clock_of
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._warnings = HomeWarnings(self._assigned.sensors, self.outbox)
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
                group.create_task(self._sensors.run())
        finally:
            await self._radio.close()

    def close(self) -> None:
        """Close the outbox."""
        self._counting.close()
        self.outbox.close()

    async def _watch_clock(self) -> None:
        """NTP may set the wall clock at any time."""
        while True:
            self._wall.note(read_clocks())
            await asyncio.sleep(_CLOCK_EVERY_S)

    def _clock_of(self, sensor: UUID, boot: int) -> ClockFit | None:
        return self._sensors.clock_of(sensor, boot)

    def _on_block(self, sensor: SensorSettings, spec: StreamSpec, block: SampleBlock) -> None:
        self.recorder.on_block(sensor.sensor, spec, block)
        self._warnings.on_block(self.recorder.recording, self.recorder.exercise, sensor.sensor, spec, block)
        if self._live is None:
            return
        try:
            self._live.on_block(
                self.recorder.recording, self.recorder.exercise, sensor.sensor, spec, block,
                placement=sensor.placement,
            )  # fmt: skip
        except Exception:  # whatever is wrong with the counting must not cost a sample
            _log.exception("the live count has failed; it is off until the gateway is started anew")
            self._live = None

    def _on_event(self, sensor: SensorSettings, event: LinkEvent) -> None:
        level = (
            logging.DEBUG if event.kind is Event.CLOCK else logging.INFO
        )  # clocks are compared all the time
        _log.log(level, "%s", event.what, extra={"sensor": str(sensor.sensor), "event": event.kind.value})
        self._warnings.on_event(sensor, event)
        known = self._sensors.get(sensor.sensor)
        if event.kind is Event.RESYNCED:
            self.recorder.resynced(sensor.sensor, event.spans)
        elif event.kind is Event.FETCHED and event.file is not None:
            self.recorder.file_came(sensor.sensor, *event.file)
        elif event.kind is Event.DISCONNECTED:
            self.recorder.left(sensor.sensor)
        elif event.kind is Event.CONNECTED and known is not None:
            self._keep(known.remember(event))
        elif event.kind is Event.SENSOR and known is not None:
            known.button(event)
        if event.kind not in _QUIET:
            self._changed()

    def _changed(self) -> None:
        """Somebody may be waiting for it: the status goes out at once, not with the next heartbeat."""
        if self.uplink is not None:
            self.uplink.status_changed()

    def _stored(self, sensor: UUID, boot: int, up_to: int) -> None:
        known = self._sensors.get(sensor)
        if known is not None:
            self._keep(known.free(boot, up_to))

    async def _assign(self, command: Mapping[str, Any]) -> None:
        """Carry out the clinic's assignment: written down first, so that a restart knows it. Raises ValueError."""
        async with self._assigning:
            wanted = self._assigned.changed(command)
            kept: dict[str, bytes | None] = {assignment.STATE: wanted.state(self._settings)}
            if wanted.sensors != self._assigned.sensors:
                kept[WORN] = None
            if not await asyncio.to_thread(self.outbox.put, [], kept):
                raise ValueError("the assignment could not be stored; nothing was changed")
            self._assigned = wanted
            self._warnings.assign(wanted.sensors)
            await self._sensors.assign(wanted.sensors)
        _log.info("the clinic has assigned %d sensors", len(wanted.sensors))
        self._changed()

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
            "sensors": [sensor.status() for sensor in self._sensors],
            "warnings": self._warnings.current(),
        }

    def _lines(self) -> list[Line]:
        online = self.uplink is not None and self.uplink.connected
        return lines(self._status(), self.outbox.status(), online=online)


def _log_outbox(event: OutboxEvent) -> None:
    _log.warning("%s", event.detail, extra={"event": event.kind})
