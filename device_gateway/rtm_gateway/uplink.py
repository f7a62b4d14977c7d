"""The way to the server: batches from the outbox over MQTT 5, QoS 1; only the server's ack empties the
outbox.

A broker's PUBACK is not durability (Mosquitto and rumqttd lose acknowledged messages on kill -9), so a
PUBACK here only makes room for the next batch. Nothing waits in paho's own queue: a batch is handed over
while connected and while fewer than `_UNACKED` wait for their PUBACK, everything else stays on disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from uuid import UUID

from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode

from rtm_gateway.outbox import Outbox
from rtm_signal.wire import (
    Ack,
    Command,
    WireError,
    ack_topic,
    cmd_topic,
    live_topic,
    pack_batch,
    status_topic,
    up_topic,
)

_log = logging.getLogger(__name__)

BATCH_BYTES: Final = 128 << 10
"""About thirty chunks: large enough that the server's commit is shared, small enough for a slow line."""
WINDOW_BYTES: Final = 4 << 20
"""Sent and not yet acknowledged by the server; more would only wait in the broker's memory."""
HEARTBEAT_S: Final = 30.0
SESSION_S: Final = 86_400
"""The broker keeps acks and commands for a gateway that is away for a day."""
_UNACKED: Final = 8  # batches without PUBACK
_RECEIVE_MAXIMUM: Final = 32
_KEEPALIVE_S: Final = 30
_PACKET_OVERHEAD: Final = 256  # topic, properties and the batch's own header
_POLL_S: Final = 0.1
_GOODBYE_S: Final = 2.0
_STATUS_GAP_S: Final = 0.2
"""Events come in bursts; one status says them all."""


class UplinkError(ValueError):
    """Settings that cannot be used; the message is one plain sentence."""


@dataclass(frozen=True, slots=True)
class Broker:
    """Where the broker is and how to sign in. tls: on for mqtts; ca, certificate, key: PEM files (mTLS)."""

    host: str
    port: int
    tls: bool = False
    username: str | None = None
    password: str | None = None
    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None

    @staticmethod
    def from_url(
        url: str, *, ca: Path | None = None, certificate: Path | None = None, key: Path | None = None
    ) -> Broker:
        """`mqtt://user:password@host:1883` or `mqtts://host:8883`."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise UplinkError("The broker's address has a port that is no number.") from error
        if parts.scheme not in ("mqtt", "mqtts") or not parts.hostname:
            raise UplinkError(
                "The broker's address is not of the form mqtt://host:1883 or mqtts://host:8883."
            )
        tls = parts.scheme == "mqtts"
        return Broker(
            parts.hostname,
            port or (8883 if tls else 1883),
            tls,
            unquote(parts.username) if parts.username else None,
            unquote(parts.password) if parts.password else None,
            ca,
            certificate,
            key,
        )


class Uplink:
    """One gateway's connection. `run` until cancelled; the callbacks come in the event loop.

    on_command: a command of the server. status: what the heartbeat says of the gateway, beside the outbox.
    """

    def __init__(
        self,
        broker: Broker,
        gateway: UUID,
        outbox: Outbox,
        *,
        on_command: Callable[[Command], None] | None = None,
        status: Callable[[], Mapping[str, Any]] = dict,
    ) -> None:
        self._broker = broker
        self._gateway = gateway
        self._outbox = outbox
        self._on_command = on_command
        self._status = status
        self._loop: asyncio.AbstractEventLoop | None = None
        self._wake = asyncio.Event()
        self._status_due = asyncio.Event()
        self._unacked: set[int] = set()
        self._max_packet = 1 << 28
        self._said_down = False
        self.connected = False
        self.malformed = 0
        self.connections = 0
        self._client = self._make_client()

    async def run(self) -> None:
        """Connect, reconnect, and send what the outbox holds."""
        self._loop = asyncio.get_running_loop()
        properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]  # paho
        properties.SessionExpiryInterval = SESSION_S
        properties.ReceiveMaximum = _RECEIVE_MAXIMUM
        self._client.connect_async(
            self._broker.host,
            self._broker.port,
            keepalive=_KEEPALIVE_S,
            clean_start=False,
            properties=properties,
        )
        self._client.loop_start()
        heartbeat = asyncio.create_task(self._heartbeat())
        try:
            await self._pump()
        finally:
            heartbeat.cancel()
            await asyncio.shield(asyncio.to_thread(self._say_goodbye))

    def publish_live(self, message: Mapping[str, Any]) -> None:
        """The live count: QoS 0, dropped while there is no connection."""
        if self.connected:
            self._client.publish(live_topic(self._gateway), json.dumps(message).encode(), qos=0)

    def publish_status(self) -> None:
        """The heartbeat, now."""
        if self.connected:
            self._client.publish(
                status_topic(self._gateway), json.dumps(self._status_message()).encode(), qos=1, retain=True
            )

    def status_changed(self) -> None:
        """The status is worth a message now. In the event loop."""
        self._status_due.set()

    # --- sending -----------------------------------------------------------------------------------------

    async def _pump(self) -> None:
        while True:
            self._wake.clear()
            if not await self._send_one():
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_POLL_S):
                        await self._wake.wait()

    async def _send_one(self) -> bool:
        """Hand over one batch; False when there is nothing to send or no room for it."""
        room = WINDOW_BYTES - self._outbox.in_flight_bytes
        if not self.connected or len(self._unacked) >= _UNACKED or not self._outbox.pending() or room <= 0:
            return False
        entries = await asyncio.to_thread(self._outbox.take, min(room, self._batch_bytes()), time.monotonic())
        if not entries:
            return False
        if len(entries) == 1 and len(entries[0].data) > self._max_packet - _PACKET_OVERHEAD:
            await asyncio.to_thread(
                self._outbox.refuse, entries[0].key, "It is larger than the broker accepts."
            )
            return True
        batch = pack_batch((entry.kind, entry.data) for entry in entries)
        sent = self._client.publish(up_topic(self._gateway), batch, qos=1)
        if sent.rc != MQTTErrorCode.MQTT_ERR_QUEUE_SIZE:  # else it is sent again when it is due
            self._unacked.add(sent.mid)
        return True

    def _batch_bytes(self) -> int:
        return min(BATCH_BYTES, self._max_packet - _PACKET_OVERHEAD)

    async def _heartbeat(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(HEARTBEAT_S):
                    await self._status_due.wait()
            self._status_due.clear()
            await asyncio.to_thread(self.publish_status)  # it asks the outbox, which may be writing
            await asyncio.sleep(_STATUS_GAP_S)

    def _status_message(self) -> dict[str, Any]:
        box = self._outbox.status()
        return {
            "online": True,
            "at": time.time(),
            "outbox": {
                "items": box.items,
                "bytes": box.bytes,
                "limit_bytes": box.limit_bytes,
                "in_flight": box.in_flight,
                "refused": box.refused,
                "committed": box.committed,
                "not_stored": box.not_stored,
                "lag_s": round(box.lag_s, 1),
            },
            "uplink": {"connections": self.connections, "malformed": self.malformed},
            **self._status(),
        }

    # --- in paho's thread --------------------------------------------------------------------------------

    def _make_client(self) -> Client:
        client = Client(
            CallbackAPIVersion.VERSION2,
            client_id=f"rtm-gateway-{self._gateway}",
            protocol=MQTTProtocolVersion.MQTTv5,
        )
        broker = self._broker
        if broker.username is not None:
            client.username_pw_set(broker.username, broker.password)
        if broker.tls:
            try:
                client.tls_set(
                    ca_certs=None if broker.ca is None else str(broker.ca),
                    certfile=None if broker.certificate is None else str(broker.certificate),
                    keyfile=None if broker.key is None else str(broker.key),
                )
            except OSError as error:
                raise UplinkError(f"A certificate of the uplink cannot be read: {error}.") from error
        client.max_inflight_messages_set(_UNACKED + 4)
        # Doubling waits from a random first one: gateways that were lost together do not return together.
        client.reconnect_delay_set(
            min_delay=random.uniform(0.5, 1.5),  # type: ignore[arg-type]  # noqa: S311  # used as float; jitter
            max_delay=random.uniform(20, 40),  # type: ignore[arg-type]  # noqa: S311  # used as float; jitter
        )
        client.will_set(status_topic(self._gateway), b'{"online":false}', qos=1, retain=True)
        client.on_connect = self._connected
        client.on_connect_fail = self._not_connected
        client.on_disconnect = self._disconnected
        client.on_publish = self._published
        client.on_message = self._message
        return client

    def _connected(
        self, client: Client, _: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._say_down(f"The broker refuses this gateway: {reason}.")
            return
        self._max_packet = getattr(properties, "MaximumPacketSize", 1 << 28)
        client.subscribe([(ack_topic(self._gateway), 1), (cmd_topic(self._gateway), 1)])
        if not flags.session_present:
            self._outbox.rewind()  # the broker remembers nothing: do not wait for what it has forgotten
        self.connected = True
        self.connections += 1
        self._said_down = False
        _log.info("connected to the broker")
        self.publish_status()
        self._call(self._wake.set)

    def _not_connected(self, *_: Any) -> None:
        self._say_down("The broker cannot be reached at the moment; data wait in the outbox.")

    def _disconnected(
        self, _client: Client, _: Any, _flags: DisconnectFlags, reason: ReasonCode, _properties: Any
    ) -> None:
        self.connected = False
        if reason.is_failure:
            self._say_down(f"The connection to the broker has ended: {reason}.")

    def _published(self, _client: Client, _: Any, mid: int, *_rest: Any) -> None:
        self._call(self._made_room, mid)

    def _made_room(self, mid: int) -> None:
        """In the event loop, hence always after `_send_one` has noted the number."""
        self._unacked.discard(mid)
        self._wake.set()

    def _message(self, _client: Client, _: Any, message: MQTTMessage) -> None:
        try:
            if message.topic == ack_topic(self._gateway):
                self._acknowledged(Ack.from_json(bytes(message.payload)))
            elif message.topic == cmd_topic(self._gateway) and self._on_command is not None:
                self._call(self._on_command, Command.from_json(bytes(message.payload)))
        except WireError as error:
            self.malformed += 1
            _log.warning("a message of the server is dropped: %s", error)

    def _acknowledged(self, ack: Ack) -> None:
        self._outbox.committed(ack.committed)
        for key, why in ack.refused:
            if self._outbox.refuse(key, why):
                _log.warning("the server refused an item: %s", why)
        self._call(self._wake.set)

    def _call(self, function: Callable[..., object], *arguments: object) -> None:
        loop = self._loop
        if loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                loop.call_soon_threadsafe(function, *arguments)

    def _say_down(self, sentence: str) -> None:
        """Once per outage."""
        if not self._said_down:
            self._said_down = True
            _log.warning("%s", sentence)

    def _say_goodbye(self) -> None:
        if self.connected:
            farewell = self._client.publish(
                status_topic(self._gateway), b'{"online":false}', qos=1, retain=True
            )
            with contextlib.suppress(RuntimeError, ValueError):
                farewell.wait_for_publish(_GOODBYE_S)
        self._client.disconnect()
        self._client.loop_stop()
