"""The other end as a clinic runs it: `rtm ingest` in a process of its own, and PostgreSQL. Both are killed."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from contextlib import ExitStack
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

from benchmarks.campaign.room import PLACEMENTS, free_port

from homestretch.demo.standing import standing
from rtm_server import enrol, verify
from rtm_server.crypto import patient_place
from rtm_server.store import Unavailable
from rtm_signal.chunk import ChunkKey
from rtm_signal.wire import Manifest

_LOOK_EVERY_S = 0.5
_CHUNK_KEYS = "SELECT stream_id, boot, first_index, n, t_key FROM chunk"
_CHUNKS = "SELECT stream_id, boot, first_index, n, t_key, patient_id, ciphertext FROM chunk"


class PlatformServer:
    """The whole server side with throw-away data; one patient who wears all sensors."""

    def __init__(self, mqtt_url: str, *, sensors: int) -> None:
        self.news_at = time.monotonic()
        self._stack = ExitStack()
        os.environ["RTM_MQTT_URL"] = mqtt_url  # the campaign's broker instead of an embedded one
        self._standing = self._stack.enter_context(standing(http_port=free_port()))
        self._store = self._standing.store
        self.tenant, self.gateway, self.sensors = self._enrol(sensors)
        self._keys: list[str] = []
        self._looked_at = 0.0
        self._standing.start("ingest")
        self._standing.wait_for_ingest()

    def close(self) -> None:
        """Everything down, its data away."""
        self._stack.close()

    def committed_keys(self) -> list[str]:
        """The keys of everything committed, half a second old at most; the last ones while the database is down."""
        now = time.monotonic()
        if now - self._looked_at >= _LOOK_EVERY_S:
            self._looked_at = now
            try:
                keys = self._look()
            except Unavailable:
                return self._keys
            if len(keys) > len(self._keys):
                self.news_at = time.monotonic()
            self._keys = keys
        return self._keys

    def items(self) -> dict[str, bytes]:
        """Everything committed, decrypted, by key."""
        found: dict[str, bytes] = {}
        with self._store.tenant_tx(self.tenant) as tx:
            for row in tx.execute(_CHUNKS).fetchall():
                patient, key = row["patient_id"], str(_key(row))
                opened = self._store.patient_key(tx, self.tenant, patient)
                found[key] = opened.open(row["ciphertext"], patient_place(self.tenant, patient, key))
            for row in tx.execute("SELECT manifest FROM recording").fetchall():
                manifest = {name: value for name, value in row["manifest"].items() if name != "sha256"}
                data = json.dumps(manifest).encode()
                found[Manifest.from_json(data).key] = data
        return found

    async def die(self, before: str, seconds: float) -> None:
        """kill -9: of ingest, which has perhaps not committed, or of the database, and start it again."""
        await asyncio.to_thread(self._kill_ingest if before == "commit" else self._kill_database, seconds)

    def told(self) -> dict[str, Any]:
        """`rtm verify`, and how many items ingest would not take."""
        document, _ = verify.check(self._store, self._standing.settings.data_dir)
        with self._store.tenant_tx(self.tenant) as tx:
            refused = tx.execute("SELECT count(*) AS n FROM quarantine").fetchone()
        count = None if refused is None else refused["n"]
        words = self._standing.children.running["ingest"].last_words(40)
        ok = document["ok"] and count == 0
        return {"rtm verify": document, "refused by ingest": count, "ok": ok, "log": words}

    def _enrol(self, sensors: int) -> tuple[UUID, UUID, list[UUID]]:
        since = datetime.now(UTC) - timedelta(days=1)
        tenant = enrol.create_tenant(self._store, "Campaign", "America/New_York")
        with self._store.tenant_tx(tenant) as tx:
            therapist = enrol.create_user(
                self._store, tx, tenant, "therapist", login="t@example.org", password="p" * 12, name="Thea"
            )
            who = {"name": "Pat Example", "birth_date": "1960-02-29", "record_number": "R1"}
            patient = enrol.create_patient(self._store, tx, tenant, who)
            episode = enrol.create_episode(
                self._store, tx, tenant, patient,
                timezone="America/New_York", started=since.date(), therapist=therapist, device_basis="test",
            )  # fmt: skip
            enrol.record_plan(
                tx, tenant, episode, therapist, valid_from=since.date(), valid_to=date(2099, 1, 1)
            )
            gateway = enrol.add_gateway(self._store, tx, tenant)
            ids = [enrol.add_sensor(tx, tenant, "homestretch", simulated=True) for _ in range(sensors)]
            for sensor, placement in zip(ids, PLACEMENTS, strict=False):
                enrol.assign(tx, tenant, sensor, episode, placement, assigned_from=since, gateway=gateway)
        return tenant, gateway, ids

    def _look(self) -> list[str]:
        with self._store.tenant_tx(self.tenant) as tx:
            keys = [str(_key(row)) for row in tx.execute(_CHUNK_KEYS)]
            manifests = tx.execute("SELECT recording_id, revision FROM recording")
            # A newer revision stands for those before it; each is news.
            return keys + [
                f"m:{row['recording_id']}:{n + 1}" for row in manifests for n in range(row["revision"])
            ]

    def _kill_ingest(self, seconds: float) -> None:
        self._standing.children.kill("ingest")
        time.sleep(seconds)
        self._standing.start("ingest")

    def _kill_database(self, seconds: float) -> None:
        embedded = self._standing.embedded
        if embedded is None or embedded.pid is None:
            raise RuntimeError("The campaign kills its own database only.")
        os.kill(embedded.pid, signal.SIGKILL)
        time.sleep(seconds)
        embedded.start()


def _key(row: dict[str, Any]) -> ChunkKey:
    return ChunkKey(row["stream_id"], row["boot"], row["first_index"], row["n"], row["t_key"])
