"""A patient's home in the demo: simulated wearables on a virtual radio, and the gateway that reads them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from paho.mqtt.client import Client, MQTTMessage

from homestretch.demo.standing import Standing, must_say
from rtm_server import mqtt
from rtm_server.embedded_broker import free_port
from rtm_signal import wire

NAME = "Demo"  # what the simulated sensors advertise; with several, the placement is appended
QUIET_S = 3.0  # no live message for so long: the count has come to rest
SETTLE_S = 60.0


@dataclass(frozen=True, slots=True)
class Wearing:
    """Whose sensors (by placement), on which gateway, and the file of what they will feel."""

    tenant: UUID
    gateway: UUID
    sensors: Mapping[str, UUID]
    recording: Path


class LiveHome:
    """One home of the demo: start the gateway and the wearables in any order. `port`: of its virtual radio."""

    def __init__(self, standing: Standing, name: str, wearing: Wearing) -> None:
        self._standing = standing
        self._name = name
        self._wearing = wearing
        self.port = free_port()

    def start_wearable(self, *, speed: float = 1.0, loop: bool = False, seed: int = 1) -> None:
        """Put the sensors on: they advertise, and replay from the start once they are switched on."""
        wearing = self._wearing
        arguments = [
            "simulate", "--wearable", "homestretch", "--recording", str(wearing.recording),
            "--speed", str(speed), "--seed", str(seed), "--name", NAME,
            "--transport", f"tcp-server:127.0.0.1:{self.port}",
        ]  # fmt: skip
        if loop:
            arguments.append("--loop")
        self._standing.children.start(f"{self._name}-wearable", arguments)
        must_say(self._standing.children, f"{self._name}-wearable", "advertising")

    def start_gateway(self) -> None:
        """Switch the gateway on (again): the same outbox, the same keys."""
        wearing = self._wearing
        folder = self._standing.folder / f"{self._name}-gateway"
        folder.mkdir(mode=0o700, exist_ok=True)
        sensors = [
            {"sensor": str(sensor), "profile": "homestretch", "placement": placement, "name": name}
            for placement, sensor in wearing.sensors.items()
            for name in (NAME if len(wearing.sensors) == 1 else f"{NAME}-{placement}",)
        ]
        environment = {
            "RTM_TENANT": str(wearing.tenant),
            "RTM_GATEWAY": str(wearing.gateway),
            "RTM_DATA_DIR": str(folder),
            "RTM_RADIO": f"bumble:tcp-client:127.0.0.1:{self.port}",
            "RTM_SENSORS": json.dumps(sensors),
            "RTM_OPEN_ON_MOTION": "false",
        }
        self._standing.children.start(self.gateway_process, ["gateway"], environment)

    @property
    def gateway_process(self) -> str:
        """The name of the gateway's process among the demo's children."""
        return f"{self._name}-gateway"


class Remote:
    """What the pages' Start and Stop buttons do, and what the gateway says of itself."""

    def __init__(self, mqtt_url: str, gateway: UUID) -> None:
        self._gateway = gateway
        self._changed = threading.Condition()
        self._heard_of: dict[str, dict[str, object]] = {"status": {}, "live": {}}
        self._subscribed = threading.Event()
        self._client = mqtt.connect(
            mqtt_url, f"demo-{gateway}", on_connect=self._subscribe, on_message=self._heard
        )
        self._client.loop_start()

    def _subscribe(self, client: Client) -> None:
        client.subscribe([(wire.status_topic(self._gateway), 1), (wire.live_topic(self._gateway), 0)])
        self._subscribed.set()

    def _heard(self, client: Client, message: MQTTMessage) -> None:
        client.ack(message.mid, message.qos)
        what = message.topic.rpartition("/")[2]
        with self._changed:
            self._heard_of[what] = json.loads(message.payload)
            self._changed.notify_all()

    def wait_online(self, timeout_s: float) -> bool:
        """Wait until the gateway says that it is connected to the broker."""
        with self._changed:
            return self._changed.wait_for(lambda: self._heard_of["status"].get("online") is True, timeout_s)

    def command(self, do: str, **arguments: str) -> None:
        """Send a command and wait until the broker has it."""
        self._subscribed.wait(10)
        message = wire.Command(do, arguments).to_json()
        self._client.publish(wire.cmd_topic(self._gateway), message, qos=1).wait_for_publish(10)

    @property
    def live_count(self) -> object:
        """The last live count, once none has come for a while; None when none ever came.

        The gateway counts beside its other work: a recording that is delivered faster than it was made is counted
        a moment after it is stored.
        """
        deadline = time.monotonic() + SETTLE_S
        with self._changed:
            while time.monotonic() < deadline:
                before = self._heard_of["live"]
                if not self._changed.wait_for(lambda: self._heard_of["live"] is not before, QUIET_S):  # noqa: B023
                    break
            return self._heard_of["live"].get("count")

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()
