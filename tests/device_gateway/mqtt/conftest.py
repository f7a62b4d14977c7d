"""Real brokers, and the server's side of the wire: commit, then ack."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import UUID

import pytest
from iotcore import Broker as IotcoreBroker
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from rtm_gateway.app import Gateway
from rtm_gateway.settings import GatewaySettings
from rtm_signal.chunk import peek
from rtm_signal.wire import CHUNK, INGEST_FILTER, Ack, Manifest, ack_topic, gateway_of, unpack_batch

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")

TOML = """
id = 0
[router]
id = 0
max_connections = 50
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
    [v5.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 1048576
    max_inflight_count = 100
    dynamic_filters = true
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_until(condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not reached within {timeout_s} s")
        time.sleep(0.01)


async def eventually(condition: Callable[[], bool], timeout_s: float = 90.0) -> None:
    """The same without holding the event loop."""
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.01)


class RunningBroker:
    """A broker on a loopback port that can be killed (it forgets everything) and started again."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind = kind
        self.port = free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._iotcore: Any = None

    def start(self) -> None:
        if self.kind == "iotcore":
            path = self._folder / "broker.toml"
            path.write_text(TOML.format(port=self.port))
            self._iotcore = IotcoreBroker(config_path=str(path))
            self._iotcore.start()
        else:
            assert MOSQUITTO is not None
            path = self._folder / "mosquitto.conf"
            path.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\nuser root\n")
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        wait_until(self._listens)

    def kill(self) -> None:
        """kill -9: queues, sessions and retained messages are gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._iotcore is not None:
            self._iotcore._process.kill()
            self._iotcore._process.wait()
            self._iotcore.stop()
        self._process = self._iotcore = None
        wait_until(lambda: not self._listens())

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
            return True
        return False


class Server:
    """The other end: takes batches, commits them (to memory), then acknowledges.

    ack_first is the negative control: it acknowledges, and dies before the commit of its first batch.
    """

    def __init__(self, broker: RunningBroker, *, ack_first: bool = False, acks: bool = True) -> None:
        self.committed: dict[str, bytes] = {}
        self.doubled = 0
        self.received_bytes = 0
        self.refuse: set[str] = set()
        self.seen: list[tuple[str, bytes]] = []
        self.ready = threading.Event()
        self._ack_first = ack_first
        self._acks = acks
        self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="ingest-test", protocol=MQTTProtocolVersion.MQTTv5
        )
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe(
            [(INGEST_FILTER, 1), ("rtm/v1/+/status", 1), ("rtm/v1/+/live", 0)]
        )
        self._client.on_subscribe = lambda *_: self.ready.set()
        self._client.on_message = self._message
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        assert self.ready.wait(20)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, data: bytes) -> None:
        self._client.publish(topic, data, qos=1).wait_for_publish(10)

    def _message(self, _client: Client, _: object, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        if not message.topic.endswith("/up"):
            self.seen.append((message.topic.rsplit("/", 1)[1], payload))
            return
        self.received_bytes += len(payload)
        items = {_key(kind, data): data for kind, data in unpack_batch(payload)}
        gateway = gateway_of(message.topic)
        if self._ack_first:
            self._ack(gateway, items)
            self._ack_first = False
            return
        for key, data in items.items():
            if key not in self.refuse:
                self.doubled += key in self.committed
                self.committed[key] = data
        if self._acks:
            self._ack(gateway, items)

    def _ack(self, gateway: UUID, items: dict[str, bytes]) -> None:
        refused = tuple((key, "Not for this clinic.") for key in items if key in self.refuse)
        committed = tuple(key for key in items if key not in self.refuse)
        self._client.publish(ack_topic(gateway), Ack(committed, refused).to_json(), qos=1)


def _key(kind: int, data: bytes) -> str:
    return str(peek(data).key) if kind == CHUNK else Manifest.from_json(data).key


NEEDS_MOSQUITTO = pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed")


@pytest.fixture(params=["iotcore", pytest.param("mosquitto", marks=NEEDS_MOSQUITTO)])
def broker(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningBroker]:
    """Each of the two brokers."""
    running = RunningBroker(request.param, tmp_path)
    running.start()
    yield running
    running.kill()


@pytest.fixture
def iotcore_broker(tmp_path: Path) -> Iterator[RunningBroker]:
    """The embedded one."""
    running = RunningBroker("iotcore", tmp_path)
    running.start()
    yield running
    running.kill()


@contextlib.asynccontextmanager
async def running(settings: GatewaySettings) -> AsyncIterator[Gateway]:
    """A whole gateway, until the block ends."""
    gateway = Gateway(settings)
    task = asyncio.create_task(gateway.run())
    try:
        yield gateway
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        gateway.close()


@pytest.fixture
def kit() -> Iterator[SimpleNamespace]:
    """What the tests of this folder share."""
    servers: list[Server] = []

    def server(broker: RunningBroker, **options: bool) -> Server:
        servers.append(Server(broker, **options))
        return servers[-1]

    yield SimpleNamespace(
        server=server, running=running, eventually=eventually, wait_until=wait_until, mosquitto=MOSQUITTO
    )
    for each in servers:
        each.close()
