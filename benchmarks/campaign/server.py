"""The other end: stores every item in a synced SQLite transaction, then acknowledges it. And dies as told."""

from __future__ import annotations

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any
from uuid import UUID

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion, MQTTProtocolVersion

from rtm_signal.chunk import peek
from rtm_signal.wire import (
    CHUNK,
    INGEST_FILTER,
    Ack,
    Command,
    Manifest,
    ack_topic,
    cmd_topic,
    gateway_of,
    unpack_batch,
)


class VerifyingServer:
    """One ingest worker. ack_first is a negative control: it acknowledges before its commit.

    `die_before` may be set at any time to `commit` or `ack`: the next batches get so far and no further,
    until it is None again.
    """

    def __init__(self, port: int, path: Path, *, ack_first: bool = False) -> None:
        self.die_before: str | None = None
        self.status: dict[str, Any] = {}
        self.batches = self.resent = self.died = 0
        self.news_at = time.monotonic()
        """When an item came that had not been committed before."""
        self._status_at = 0.0
        self._ack_first = ack_first
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.execute("create table item (key text primary key, data blob not null)")
        client = self._client = Client(
            CallbackAPIVersion.VERSION2, client_id="campaign-server", protocol=MQTTProtocolVersion.MQTTv5
        )
        client.reconnect_delay_set(1, 1)
        client.on_connect = lambda client, *_: client.subscribe([(INGEST_FILTER, 1), ("rtm/v1/+/status", 1)])
        client.on_message = self._message
        client.connect("127.0.0.1", port)
        client.loop_start()

    def close(self) -> None:
        """Leave the broker."""
        self._client.disconnect()
        self._client.loop_stop()
        self._db.close()

    def items(self) -> dict[str, bytes]:
        """Everything committed, by key."""
        with self._lock:
            return dict(self._db.execute("select key, data from item"))

    def committed_keys(self) -> list[str]:
        """The keys of everything committed."""
        with self._lock:
            return [key for (key,) in self._db.execute("select key from item")]

    def hears_of_nothing_left(self) -> bool:
        """The gateway has said, since the last new item, that its outbox is empty and no sensor's memory unread."""
        told = self.status
        return (
            self._status_at > self.news_at
            and told.get("outbox", {}).get("items") == 0
            and not any(sensor["behind"] for sensor in told.get("sensors", []))
        )

    def command(self, gateway: UUID, do: str, **arguments: Any) -> None:
        """Send a command; it may be lost with the broker."""
        self._client.publish(cmd_topic(gateway), Command(do, arguments).to_json(), qos=1)

    def poison(self, gateway: UUID) -> None:
        """What no gateway should stumble over."""
        for topic in (ack_topic(gateway), cmd_topic(gateway)):
            for payload in (b"", b"\xff\x00{", b"[]", b'{"do": "dance"}', b'{"committed": [1]}'):
                self._client.publish(topic, payload, qos=1)
        self._client.publish(cmd_topic(gateway), b'{"do": "start", "recording": "not an id"}', qos=1)

    def _message(self, _client: Client, _: object, message: MQTTMessage) -> None:
        payload = bytes(message.payload)
        if message.topic.endswith("/status"):
            self.status = json.loads(payload)
            self._status_at = time.monotonic()
            return
        self.batches += 1
        items = {_key(kind, data): data for kind, data in unpack_batch(payload)}
        gateway = gateway_of(message.topic)
        if self._ack_first:
            self._ack(gateway, items)
        dying, self.died = self.die_before, self.died + (self.die_before is not None)
        if dying == "commit":
            return
        self._commit(items)
        if dying != "ack":
            self._ack(gateway, items)

    def _commit(self, items: dict[str, bytes]) -> None:
        new = 0
        with self._lock:
            self._db.execute("begin immediate")
            for key, data in items.items():
                added = self._db.execute("insert into item values (?, ?) on conflict do nothing", (key, data))
                self.resent += added.rowcount == 0
                new += added.rowcount
            self._db.execute("commit")
        if new:
            self.news_at = time.monotonic()

    def _ack(self, gateway: UUID, items: dict[str, bytes]) -> None:
        self._client.publish(ack_topic(gateway), Ack(tuple(items), ()).to_json(), qos=1)


def _key(kind: int, data: bytes) -> str:
    return str(peek(data).key) if kind == CHUNK else Manifest.from_json(data).key
