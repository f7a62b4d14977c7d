"""Sends the demo's history through the door that every gateway uses: outbox, broker, ingest, ack."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence

from homestretch.command import CommandError
from homestretch.demo import history
from homestretch.demo.clinic import DemoClinic
from homestretch.demo.cohort import PatientStory, Session
from homestretch.demo.standing import Standing
from homestretch.progress import Report
from rtm_gateway.keys import load_or_create_key
from rtm_gateway.outbox import Outbox
from rtm_gateway.uplink import Broker, Uplink

LIMIT_BYTES = 4 << 30
STALLED_S = 120.0

_WAITING = """
SELECT count(*) FILTER (WHERE state IN ('analysed', 'failed')) AS done, count(*) AS known
FROM recording WHERE tenant_id = %s
"""


class HistoryFeed:
    """One outbox and its uplink in a thread of its own; `send` returns when everything is analysed."""

    def __init__(
        self, standing: Standing, clinic: DemoClinic, stories: tuple[PatientStory, ...], seed: int
    ) -> None:
        self._standing = standing
        self._clinic = clinic
        self._stories = stories
        self._seed = seed
        folder = standing.folder / "history-gateway"
        folder.mkdir(mode=0o700)
        key = load_or_create_key(folder / "outbox.key")
        self._outbox = Outbox(folder / "outbox.db", key, limit_bytes=LIMIT_BYTES)
        self._uplink = Uplink(Broker.from_url(standing.mqtt_url), clinic.history_gateway, self._outbox)
        self._loop = asyncio.new_event_loop()
        self._task: asyncio.Task[None] | None = None
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._sent = 0

    def __enter__(self) -> HistoryFeed:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._task is not None:
            self._loop.call_soon_threadsafe(self._task.cancel)
        self._thread.join(10)
        self._outbox.close()

    def _run(self) -> None:
        async def uplink() -> None:
            self._task = asyncio.current_task()
            await self._uplink.run()

        try:
            self._loop.run_until_complete(uplink())
        except asyncio.CancelledError:
            pass
        finally:
            self._loop.close()

    def send(self, sessions: Sequence[tuple[int, int, Session]], report: Report) -> None:
        """Put the sessions into the outbox and wait until the server has analysed every one."""
        for done, (patient, number, session) in enumerate(sessions, start=1):
            seed = self._seed * 1_000_003 + patient * 1009 + number
            of = len(self._stories[patient].sessions)
            items = history.entries(self._clinic, self._clinic.homes[patient], number, of, session, seed)
            if not self._outbox.put(list(items)):
                raise CommandError("The demo's outbox cannot be written; is the disk full?")
            report("sent", done, len(sessions))
        self._sent += len(sessions)
        self._wait(report, len(sessions))

    def _wait(self, report: Report, of: int) -> None:
        before, since = -1, time.monotonic()
        while True:
            with self._standing.store.tenant_tx(self._clinic.tenant) as tx:
                row = tx.execute(_WAITING, (self._clinic.tenant,)).fetchone() or {"done": 0}
            done = int(row["done"])
            report("analysed", of - max(0, self._sent - done), of)
            if done >= self._sent:
                return
            if done != before:
                before, since = done, time.monotonic()
            if (fallen := self._standing.children.fallen()) is not None:
                raise CommandError(f"{fallen.name} stopped; its last words:\n{fallen.last_words()}")
            if time.monotonic() - since > STALLED_S:
                raise CommandError(f"The history stands still at {done} of {self._sent} recordings.")
            time.sleep(0.2)
