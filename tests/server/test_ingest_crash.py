"""kill -9 of the ingest worker and of PostgreSQL while data come in: what was acknowledged is there, once.

The negative control acknowledges before it commits: the same test must catch it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from paho.mqtt.client import Client, MQTTMessage

from rtm_server import migrate, verify
from rtm_server.crypto import MasterKey
from rtm_server.embedded_broker import EmbeddedBroker
from rtm_server.embedded_postgres import EmbeddedPostgres
from rtm_server.mqtt import connect
from rtm_server.store import Store
from rtm_server.testing import Clinic, make_chunks, make_clinic, make_manifest, scratch_folder, squat_like
from rtm_signal import chunk as chunks
from rtm_signal import wire

WORKER = """
import sys
from pathlib import Path
from rtm_server.crypto import MasterKey
from rtm_server.ingest import Ingest
from rtm_server.settings import Settings
from rtm_server.store import Store

dsn, mqtt, folder, control = sys.argv[1:]
settings = Settings(data_dir=Path(folder), ingest_wait_s=0.01, ingest_batch=4)
worker = Ingest(settings, Store(dsn, MasterKey(bytes(32))), mqtt)
if control == "ack first":
    import time
    from rtm_server import ingest
    from rtm_signal import chunk as chunks, wire
    def too_early(store, messages, now):
        group = ingest.Group({}, [])
        for message in messages:
            owner = store.lookup("gateway", message.gateway.bytes)
            items = [item for item in wire.unpack_batch(message.payload) if item.kind == wire.CHUNK]
            keys = tuple(str(chunks.peek(item.data).key) for item in items)
            group.acks[message.gateway] = wire.Ack(keys)
            group.committed += [(owner[0], key) for key in keys]
        return group  # ... and it would commit some time later
    ingest.commit_group = too_early
worker.run()
"""

OPENED = datetime.now(UTC) - timedelta(hours=1)


class Gateway:
    """A gateway reduced to its promise: send again what is not acknowledged, forget what is."""

    def __init__(self, clinic: Clinic, url: str, items: dict[str, tuple[int, bytes]]) -> None:
        self.acknowledged: set[str] = set()
        self.refused: set[str] = set()
        self._clinic = clinic
        self._waiting = dict(items)
        self._lock = threading.Lock()
        self._client = connect(url, f"gateway-{uuid4()}", on_connect=self._subscribe, on_message=self._ack)
        self._client.loop_start()

    def _subscribe(self, client: Client) -> None:
        client.subscribe(wire.ack_topic(self._clinic.gateway), qos=1)

    def _ack(self, client: Client, message: MQTTMessage) -> None:
        ack = wire.Ack.from_json(bytes(message.payload))
        with self._lock:
            self.acknowledged |= set(ack.committed)
            self.refused |= {key for key, _ in ack.refused}
            for key in ack.committed:
                self._waiting.pop(key, None)
        client.ack(message.mid, message.qos)

    def send(self) -> int:
        """Send everything that waits, two items a batch; how many wait."""
        with self._lock:
            waiting = list(self._waiting.values())
        for at in range(0, len(waiting), 2):
            self._client.publish(
                wire.up_topic(self._clinic.gateway), wire.pack_batch(waiting[at : at + 2]), qos=1
            )
        return len(waiting)

    def stop(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def server() -> Iterator[EmbeddedPostgres]:
    """A PostgreSQL of the test's own, to be killed."""
    folder = scratch_folder("rtm-crash-")
    with EmbeddedPostgres(folder / "pg") as started:
        migrate.upgrade(started.owner_dsn)
        yield started
    shutil.rmtree(folder)


def kill(server: EmbeddedPostgres) -> None:
    pid = server.pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    while server.pid == pid:
        time.sleep(0.01)


def start_worker(
    server: EmbeddedPostgres, broker: EmbeddedBroker, folder: Path, control: str = "honest"
) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", WORKER, server.dsn, broker.url, str(folder), control])


def recording(clinic: Clinic, n: int) -> dict[str, tuple[int, bytes]]:
    """A recording of n chunks of one second, and its manifest."""
    values = squat_like(n * 50, 50.0)
    encoded = make_chunks(clinic, values, opened=OPENED, boot=1, chunk_s=1.0)
    manifest = make_manifest(clinic, opened=OPENED, boot=1, last=len(values) - 1)
    return {
        **{str(chunks.peek(each).key): (wire.CHUNK, each) for each in encoded},
        manifest.key: (wire.MANIFEST, manifest.to_json()),
    }


def wait_for(condition: Any, gateway: Gateway) -> None:
    """Until the condition holds, sending again every second as a gateway would (but sooner)."""
    due = 0.0
    while not condition():
        if time.monotonic() > due:
            gateway.send()
            due = time.monotonic() + 1.0
        time.sleep(0.02)


def test_kill_minus_nine_loses_and_doubles_nothing(
    server: EmbeddedPostgres, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with Store(server.dsn, MasterKey(bytes(32))) as store:
        clinic = make_clinic(store)
        items = recording(clinic, 200)
        gateway = Gateway(clinic, broker.url, items)
        worker = start_worker(server, broker, tmp_path)
        try:
            wait_for(lambda: len(gateway.acknowledged) > 10, gateway)
            worker.kill()
            worker.wait()
            worker = start_worker(server, broker, tmp_path)
            before = len(gateway.acknowledged)
            wait_for(lambda: len(gateway.acknowledged) > min(before + 10, 120), gateway)
            kill(server)
            gateway.send()
            server.start()
            wait_for(lambda: len(gateway.acknowledged) == len(items), gateway)
        finally:
            worker.kill()
            worker.wait()
            gateway.stop()
        assert not gateway.refused
        assert gateway.acknowledged == set(items)
        report = verify.run(store, tmp_path)
        assert report["chunks"] == {
            "acknowledged": 200,
            "stored": 200,
            "missing": 0,
            "duplicated": 0,
            "altered": 0,
        }
        assert report["gaps"] == {"reported": 0, "found": 0, "different": 0}
        with store.tenant_tx(clinic.tenant) as tx:
            assert tx.execute("SELECT state FROM recording").fetchall() == [{"state": "complete"}]
            waiting = tx.execute("SELECT count(*) AS n FROM procrastinate_jobs").fetchone()
        assert waiting == {"n": 1}


def test_the_negative_control_is_caught(
    server: EmbeddedPostgres, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with Store(server.dsn, MasterKey(bytes(32))) as store:
        clinic = make_clinic(store)
        gateway = Gateway(clinic, broker.url, recording(clinic, 10))
        worker = start_worker(server, broker, tmp_path, "ack first")
        try:
            wait_for(lambda: gateway.acknowledged, gateway)
        finally:
            worker.kill()
            worker.wait()
            gateway.stop()
        report, faults = verify.check(store, tmp_path)
    assert report["chunks"]["missing"] > 0
    assert not report["ok"]
    assert faults[0].endswith("acknowledged items are not stored")


def test_without_a_database_nothing_is_acknowledged_and_nothing_lost(
    server: EmbeddedPostgres, broker: EmbeddedBroker, tmp_path: Path
) -> None:
    with Store(server.dsn, MasterKey(bytes(32))) as store:
        clinic = make_clinic(store)
        items = recording(clinic, 10)
        gateway = Gateway(clinic, broker.url, items)
        kill(server)
        worker = start_worker(server, broker, tmp_path)
        try:
            until = time.monotonic() + 2.0
            wait_for(lambda: time.monotonic() > until, gateway)
            assert not gateway.acknowledged
            assert worker.poll() is None
            server.start()
            wait_for(lambda: len(gateway.acknowledged) == len(items), gateway)
        finally:
            worker.kill()
            worker.wait()
            gateway.stop()
        assert verify.run(store, tmp_path)["chunks"]["missing"] == 0
