"""The server's end of the broker: addresses it cannot read, a broker that is away, a queue that nobody empties."""

from __future__ import annotations

import threading
import time
from uuid import uuid4

import pytest
from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion
from prometheus_client import REGISTRY

from rtm_server.embedded_broker import free_port
from rtm_server.errors import ServerError
from rtm_server.ingest import Ingest
from rtm_server.mqtt import RECEIVE_MAXIMUM, connect
from rtm_server.settings import Settings
from rtm_server.store import Store
from rtm_signal import wire


@pytest.mark.parametrize(
    "url", ["", "host:1883", "http://host", "mqtt://", "mqtt://host:99999", "mqtt://[::1"]
)
def test_an_address_that_is_none_is_said_so(url: str) -> None:
    with pytest.raises(ServerError, match="not of the form"):
        connect(url, "nobody")


def test_a_broker_that_is_away_is_counted() -> None:
    def away() -> float:
        return REGISTRY.get_sample_value("rtm_broker_away_total") or 0.0

    before = away()
    client = connect(f"mqtt://127.0.0.1:{free_port()}", "nobody")
    client.loop_start()
    try:
        while away() == before:  # the run's own time limit is the only one
            time.sleep(0.02)
    finally:
        client.disconnect()
        client.loop_stop()


def test_a_full_queue_does_not_keep_a_stopped_worker(store: Store, settings: Settings) -> None:
    worker = Ingest(settings, store, "mqtt://127.0.0.1:1")
    client = Client(CallbackAPIVersion.VERSION2)
    message = MQTTMessage(mid=1, topic=wire.up_topic(uuid4()).encode())
    message.payload = b""

    def deliver() -> None:
        for _ in range(2 * RECEIVE_MAXIMUM + 1):
            worker._arrived(client, message)

    network = threading.Thread(target=deliver)
    network.start()
    while not worker._arrivals.full():
        time.sleep(0.01)
    worker.stop()
    network.join()
