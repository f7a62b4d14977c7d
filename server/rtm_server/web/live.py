"""Live counts in, commands out.

The hub holds the newest live message of each gateway in this process; it may be lost without harm. `MqttLive`
fills it from `rtm/v1/+/live` and publishes to `rtm/v1/{gateway}/cmd` (docs/reference/mqtt.md).
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import unquote, urlsplit
from uuid import UUID, uuid4

import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from rtm_server.web.errors import UnavailableError
from rtm_signal.wire import Command, cmd_topic

LIVE_TOPIC = "rtm/v1/+/live"
FRESH_S = 10.0  # a live message is sent at least every second while a recording is open
STOPPING_S = 10.0  # until a gateway has carried out a stop; one that goes on for longer has not heard it
LARGEST_MESSAGE = 4096  # bytes; a live message has about a hundred
REMEMBERED_SETS = 10_000
ANGLE_NAME = re.compile("[a-z_]{1,40}")

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Live:
    """The newest count and angle of a gateway's open recording. `heard` is monotonic seconds.

    angle: what the angle is of (`knee_flexion`, `joint`, `inclination`); with a joint's name and no `angle_deg` the
    joint's axis is not known yet.
    """

    recording: UUID
    exercise: str | None
    count: int
    heard: float
    angle_deg: float | None = None
    angle: str | None = None


@dataclass(frozen=True, slots=True)
class OpenSet:
    """A set, or a calibration, that a page has asked a gateway to record."""

    recording: UUID
    tenant: UUID
    patient: UUID
    gateway: UUID
    exercise: str | None
    calibration: bool = False
    opened_at: datetime | None = None


Kept = TypeVar("Kept")
_Listener = tuple[asyncio.AbstractEventLoop, asyncio.Event]


class LiveHub:
    """Newest counts and open sets, shared by threads. Bounded: the oldest sets fall off first."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._live: dict[UUID, Live] = {}
        self._sets: dict[UUID, OpenSet] = {}
        self._ended: dict[UUID, float] = {}
        self._streams: dict[UUID, int] = {}
        self._listeners: dict[UUID, set[_Listener]] = {}
        self._ending = threading.Event()

    def end(self) -> None:
        """The process stops: streams end now, browsers come back to whoever follows."""
        self._ending.set()

    @property
    def ending(self) -> bool:
        """Whether streams should end."""
        return self._ending.is_set()

    def heard(
        self,
        gateway: UUID,
        recording: UUID,
        exercise: str | None,
        count: int,
        angle_deg: float | None = None,
        angle: str | None = None,
    ) -> None:
        """A live message has come: whoever listens to this gateway is woken."""
        with self._lock:
            self._live[gateway] = Live(recording, exercise, count, self._clock(), angle_deg, angle)
            listeners = tuple(self._listeners.get(gateway, ()))
        for loop, news in listeners:
            with suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(news.set)

    @contextmanager
    def listen(self, gateway: UUID) -> Iterator[asyncio.Event]:
        """An event of the running loop that is set at each live message of this gateway."""
        listener = (asyncio.get_running_loop(), asyncio.Event())
        with self._lock:
            self._listeners.setdefault(gateway, set()).add(listener)
        try:
            yield listener[1]
        finally:
            with self._lock:
                self._listeners[gateway].discard(listener)
                if not self._listeners[gateway]:
                    del self._listeners[gateway]

    def opened(self, running: OpenSet) -> None:
        """A set was started from a page."""
        with self._lock:
            self._ended.pop(running.recording, None)
            _remember(self._sets, running.recording, running)

    def closed(self, recording: UUID) -> None:
        """A set was stopped: what its gateway still says of it while the stop travels is no running set."""
        with self._lock:
            self._sets.pop(recording, None)
            _remember(self._ended, recording, self._clock())

    def set_of(self, recording: UUID) -> OpenSet | None:
        """The set with this recording, while it runs."""
        with self._lock:
            return self._sets.get(recording)

    def running(self, tenant: UUID, patient: UUID, gateways: frozenset[UUID]) -> UUID | None:
        """The recording a patient has open: started here, or heard of from one of the patient's gateways."""
        with self._lock:
            for known in self._sets.values():
                if known.tenant == tenant and known.patient == patient:
                    return known.recording
            now = self._clock()
            for gateway in gateways:
                live = self._live.get(gateway)
                if live is None or now - live.heard >= FRESH_S:
                    continue
                ended = self._ended.get(live.recording)
                if ended is None or live.heard - ended >= STOPPING_S:
                    return live.recording
        return None

    def stopped(self, recording: UUID) -> bool:
        """Whether a set was stopped on a page a moment ago."""
        with self._lock:
            ended = self._ended.get(recording)
        return ended is not None and self._clock() - ended < STOPPING_S

    def newest(self, gateway: UUID, recording: UUID) -> Live | None:
        """The newest message; None when nothing was heard of this recording."""
        with self._lock:
            live = self._live.get(gateway)
        return live if live is not None and live.recording == recording else None

    def count(self, gateway: UUID, recording: UUID) -> int | None:
        """Repetitions so far; None when nothing was heard of this recording."""
        live = self.newest(gateway, recording)
        return None if live is None else live.count

    def enter_stream(self, user: UUID, limit: int) -> bool:
        """Take one of a person's places for a stream; False when all are taken."""
        with self._lock:
            if self._streams.get(user, 0) >= limit:
                return False
            self._streams[user] = self._streams.get(user, 0) + 1
            return True

    def leave_stream(self, user: UUID) -> None:
        """Give the place back."""
        with self._lock:
            left = self._streams.get(user, 1) - 1
            if left > 0:
                self._streams[user] = left
            else:
                self._streams.pop(user, None)


def _remember(kept: dict[UUID, Kept], key: UUID, value: Kept) -> None:
    """Add an item; the oldest fall off."""
    kept[key] = value
    while len(kept) > REMEMBERED_SETS:
        del kept[next(iter(kept))]


def read_live(
    topic: str, payload: bytes
) -> tuple[UUID, UUID, str | None, int, float | None, str | None] | None:
    """(gateway, recording, exercise, count, angle_deg, angle) of a live message; None for anything that is not one."""
    parts = topic.split("/")
    if len(parts) != 4 or len(payload) > LARGEST_MESSAGE:
        return None
    try:
        message: Any = json.loads(payload)
        count = message["count"]
        exercise = message.get("exercise")
        if type(count) is not int or not 0 <= count < 1_000_000:
            return None
        return (
            UUID(parts[2]),
            UUID(message["recording"]),
            None if exercise is None else str(exercise)[:80],
            count,
            _angle(message.get("angle_deg")),
            _angle_name(message.get("angle")),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _angle(value: object) -> float | None:
    """An angle that a page can show; a message without one still counts."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) and abs(value) <= 360 else None


def _angle_name(value: object) -> str | None:
    """The name of an angle as in a result; a gateway of an earlier release names none."""
    return value if isinstance(value, str) and ANGLE_NAME.fullmatch(value) else None


class MqttLive:
    """The pages' connection to the broker (`mqtt://user:password@host`, `mqtts://`). Reconnects by itself."""

    def __init__(self, url: str, hub: LiveHub) -> None:
        parts = urlsplit(url)
        self._address = (
            parts.hostname or "127.0.0.1",
            parts.port or (8883 if parts.scheme == "mqtts" else 1883),
        )
        self._hub = hub
        self._client = mqtt.Client(
            CallbackAPIVersion.VERSION2, client_id=f"pages-{uuid4()}", protocol=MQTTProtocolVersion.MQTTv5
        )
        if parts.username:
            self._client.username_pw_set(unquote(parts.username), unquote(parts.password or ""))
        if parts.scheme == "mqtts":
            self._client.tls_set_context(ssl.create_default_context())
        self._client.on_connect = self._on_connect
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(min_delay=1, max_delay=30)

    def open(self) -> None:
        """Connect in the background; a broker that is down does not stop the pages."""
        self._client.connect_async(*self._address, keepalive=30)
        self._client.loop_start()

    def close(self) -> None:
        """Say goodbye and end the thread."""
        self._client.disconnect()
        self._client.loop_stop()

    @property
    def connected(self) -> bool:
        """Whether the broker answers."""
        return self._client.is_connected()

    def send(self, gateway: UUID, command: Command) -> None:
        """Publish to a gateway's topic of commands."""
        if not self._client.is_connected():
            raise UnavailableError(
                "Your sensor's gateway cannot be reached just now. Please try again in a minute."
            )
        self._client.publish(cmd_topic(gateway), command.to_json(), qos=1)

    def _on_connect(self, client: mqtt.Client, *_: object) -> None:
        client.subscribe(LIVE_TOPIC, qos=0)

    def _on_message(self, _client: mqtt.Client, _data: object, message: mqtt.MQTTMessage) -> None:
        found = read_live(message.topic, bytes(message.payload))
        if found is None:
            log.warning("a live message could not be read")
            return
        self._hub.heard(*found)
