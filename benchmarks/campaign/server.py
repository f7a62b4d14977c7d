"""The other end: stores every item in a synced SQLite transaction, then acknowledges it. And dies as told."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
import time
from pathlib import Path
from typing import Protocol
from uuid import UUID

from benchmarks.campaign.line import connect
from paho.mqtt.client import Client, MQTTMessage

from rtm_signal.chunk import peek
from rtm_signal.wire import CHUNK, INGEST_FILTER, Ack, Manifest, ack_topic, gateway_of, unpack_batch

_HIT_S = 20.0
"""A server that dies stays dead until a batch has met it, but no longer than this."""


class Server(Protocol):
    """Who stores what the gateway sends. tenant, gateway, sensors: the ids that it knows them by.

    news_at: when it was last seen to hold an item that it had not held before, s, monotonic.
    """

    tenant: UUID
    gateway: UUID
    sensors: list[UUID]
    news_at: float

    def close(self) -> None:
        """Everything down."""

    def committed_keys(self) -> list[str]:
        """The keys of everything committed."""
        ...

    def items(self) -> dict[str, bytes]:
        """Everything committed, by key."""
        ...

    async def die(self, before: str, seconds: float) -> None:
        """Die before `commit` or `ack`, and live again after some seconds."""

    def told(self) -> dict[str, object]:
        """What it says of itself at the end; a key `ok` of False is a fault."""
        ...


class VerifyingServer:
    """One ingest worker. ack_first is a negative control: it acknowledges before its commit."""

    def __init__(self, port: int, path: Path, *, sensors: int, ack_first: bool = False) -> None:
        self.tenant, self.gateway = UUID(int=41), UUID(int=42)
        self.sensors = [UUID(int=100 + number) for number in range(sensors)]
        self.news_at = time.monotonic()
        self._batches = self._resent = self._died = 0
        self._die_before: str | None = None
        self._ack_first = ack_first
        self._lock = threading.Lock()
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("pragma journal_mode = wal")
        self._db.execute("pragma synchronous = full")
        self._db.execute("create table item (key text primary key, data blob not null)")
        self._client = connect(port, "campaign-server", [(INGEST_FILTER, 1)], self._message)

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

    async def die(self, before: str, seconds: float) -> None:
        """The next batches, at least one, get as far as `before` and no further."""
        met, self._die_before = self._died, before
        began = time.monotonic()
        while time.monotonic() - began < seconds or (self._died == met and time.monotonic() - began < _HIT_S):
            await asyncio.sleep(0.05)
        self._die_before = None

    def told(self) -> dict[str, object]:
        """Batches, and items that came again."""
        return {"batches": self._batches, "items sent again": self._resent}

    def _message(self, _client: Client, _: object, message: MQTTMessage) -> None:
        self._batches += 1
        items = {_key(kind, data): data for kind, data in unpack_batch(bytes(message.payload))}
        gateway = gateway_of(message.topic)
        if self._ack_first:
            self._ack(gateway, items)
        dying = self._die_before
        self._died += dying is not None
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
                new += added.rowcount
            self._db.execute("commit")
        self._resent += len(items) - new
        if new:
            self.news_at = time.monotonic()

    def _ack(self, gateway: UUID, items: dict[str, bytes]) -> None:
        self._client.publish(ack_topic(gateway), Ack(tuple(items), ()).to_json(), qos=1)


def _key(kind: int, data: bytes) -> str:
    return str(peek(data).key) if kind == CHUNK else Manifest.from_json(data).key
