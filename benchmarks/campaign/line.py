"""What the clinic hears of a home and says to it, whichever server stores the samples."""

from __future__ import annotations

import json
import time
from typing import Any
from uuid import UUID

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from rtm_signal.wire import Command, ack_topic, cmd_topic, status_topic


def connect(port: int, name: str, topics: list[tuple[str, int]], on_message: Any) -> Client:
    """A client of the campaign's broker that comes back within a second or so and subscribes anew."""
    client = Client(CallbackAPIVersion.VERSION2, client_id=name, protocol=MQTTProtocolVersion.MQTTv5)
    client.reconnect_delay_set(1, 1)
    client.on_connect = lambda client, *_: client.subscribe(topics)
    client.on_message = on_message
    client.connect("127.0.0.1", port)
    client.loop_start()
    return client


class HomeLine:
    """The status of one gateway as last heard, and commands to it."""

    def __init__(self, port: int, gateway: UUID) -> None:
        self.status: dict[str, Any] = {}
        self._empty_at = 0.0
        self._read_at: dict[str, float] = {}
        self._gateway = gateway
        self._client = connect(port, "campaign-line", [(status_topic(gateway), 1)], self._message)

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()

    def command(self, do: str, **arguments: Any) -> None:
        """Send a command; it may be lost with the broker."""
        self._client.publish(cmd_topic(self._gateway), Command(do, arguments).to_json(), qos=1)

    def poison(self) -> None:
        """What no gateway should stumble over."""
        for topic in (ack_topic(self._gateway), cmd_topic(self._gateway)):
            for payload in (b"", b"\xff\x00{", b"[]", b'{"do": "dance"}', b'{"committed": [1]}'):
                self._client.publish(topic, payload, qos=1)
        for payload in (b'{"do": "start", "recording": "not an id"}', b'{"do": "assign", "sensor": 7}'):
            self._client.publish(cmd_topic(self._gateway), payload, qos=1)

    def hears_of_nothing_left(self, since: float) -> bool:
        """The gateway has said after `since` (monotonic) that its outbox was empty and each sensor's memory read."""
        sensors = [sensor["sensor"] for sensor in self.status.get("sensors", [])]
        return (
            bool(sensors)
            and self._empty_at > since
            and all(self._read_at.get(sensor, 0.0) > since for sensor in sensors)
        )

    def _message(self, _client: Client, _: object, message: MQTTMessage) -> None:
        self.status = json.loads(message.payload)
        now = time.monotonic()
        if self.status.get("outbox", {}).get("items") == 0:
            self._empty_at = now
        for sensor in self.status.get("sensors", []):
            if not sensor["behind"]:
                self._read_at[sensor["sensor"]] = now
