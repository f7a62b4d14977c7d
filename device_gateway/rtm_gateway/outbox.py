"""The outbox: what was measured stays here, on disk and encrypted, until the server says it is committed.

When `put` returns True the items survive kill -9 and a power cut; nothing but the server's word removes
one. A full outbox refuses new items instead of dropping old ones: the old ones may exist nowhere else any
more (their sensor's flash was freed on the strength of `put`), the new ones still may. All methods may be
called from any thread; they block on the disk, so call them off the event loop.
"""

from __future__ import annotations

import itertools
import random
import sqlite3
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from rtm_gateway.outbox_database import SEAL_BYTES, OutboxDatabase, OutboxError, plain

__all__ = ["Entry", "Outbox", "OutboxError", "OutboxEvent", "OutboxStatus"]

RESEND_AFTER_S: Final = 30.0
"""What the server has not acknowledged by then is sent again; up to half as long again at random."""
FRESH_SHARE: Final = 0.5
"""Share of a batch for the newest items, so that live data flow while a backlog drains."""
_FRESH_ITEMS: Final = 512
_NEARLY_FULL: Final = 0.8
_RELIEVED: Final = 0.7


class Entry(NamedTuple):
    """An item: its key (as the server will acknowledge it), its kind (`rtm_signal.wire`) and its bytes."""

    key: str
    kind: int
    data: bytes


@dataclass(frozen=True, slots=True)
class OutboxEvent:
    """Something an operator should know. kind: nearly_full, full, disk, recovered, unreadable or replaced."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class OutboxStatus:
    """Counts for the heartbeat: what waits, is under way, was refused, committed, or could not be stored."""

    items: int
    bytes: int
    limit_bytes: int
    in_flight: int
    refused: int
    committed: int
    not_stored: int
    lag_s: float


class _Row(NamedTuple):
    number: int
    key: str
    kind: int
    sealed: bytes


class _Sent(NamedTuple):
    due: float  # when to send again, s, monotonic
    size: int


_SELECT: Final = "select id, key, kind, sealed from item"


class Outbox:
    """Items waiting for the server, in one SQLite file.

    path: the database; key: 32 bytes (`rtm_gateway.keys`); limit_bytes: most that waiting and refused items
    may hold; on_event: told of trouble, from whichever thread met it; jitter: numbers in [0, 1).
    """

    def __init__(
        self,
        path: Path,
        key: bytes,
        *,
        limit_bytes: int,
        on_event: Callable[[OutboxEvent], None] | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._limit = limit_bytes
        self._on_event = on_event
        self._jitter = jitter
        self._lock = threading.RLock()
        self._sent: dict[int, _Sent] = {}
        self._sent_bytes = 0
        self._fresh: deque[int] = deque(maxlen=_FRESH_ITEMS)  # put by this process, newest last
        self._cursor = 0  # every id up to here was taken once
        self._alarm = ""
        self._committed = 0
        self._not_stored = 0
        self._file = OutboxDatabase(path, key, self._replaced)
        self._db = self._file.connection
        self._items, self._bytes = self._count("item")
        last = self._db.execute("select coalesce(max(id), 0) from item").fetchone()[0]
        self._ids = itertools.count(last + 1)  # never a number twice in a process: `_cursor` only moves on
        self._refused, refused_bytes = self._count("refused")
        self._bytes += refused_bytes

    def put(self, entries: Sequence[Entry], state: Mapping[str, bytes | None] | None = None) -> bool:
        """Store entries and named states in one transaction: True once synced, False if nothing was stored.

        An entry whose key is already there is left as it is. A state of None is removed.
        """
        with self._lock:
            size = sum(len(entry.data) + SEAL_BYTES for entry in entries)
            if entries and self._bytes + size > self._limit:
                return self._not_put(len(entries), "full", "The outbox is full: new data are not stored.")
            now_us = time.time_ns() // 1000
            added: list[tuple[int, int]] = []
            try:
                with self._file.transaction():
                    for entry in entries:
                        sealed = self._file.seal(entry.data, entry.key)
                        added += self._db.execute(
                            "insert into item (id, key, kind, put_us, size, sealed) values (?, ?, ?, ?, ?, ?)"
                            " on conflict (key) do nothing returning id, size",
                            (next(self._ids), entry.key, entry.kind, now_us, len(sealed), sealed),
                        )
                    self._write_states(state or {})
            except sqlite3.Error as error:
                return self._not_put(len(entries), "disk", f"The outbox cannot write: {plain(error)}.")
            self._items += len(added)
            self._bytes += sum(size for _, size in added)
            self._fresh.extend(number for number, _ in added)
            self._watch_level()
            return True

    def take(self, max_bytes: int, now: float) -> list[Entry]:
        """Entries to send now, at most max_bytes of them (or a single larger one if nothing is under way).

        First what was not acknowledged in time, then half of the room to the newest, the rest to the oldest.
        now: s, monotonic.
        """
        with self._lock:
            taken: list[Entry] = []
            try:
                room = max_bytes - self._send(self._overdue(now), max_bytes, now, taken)
                room -= self._send(self._newest(), int(room * FRESH_SHARE), now, taken)
                self._send(self._oldest(), room, now, taken)
            except sqlite3.Error as error:
                self._raise_alarm("disk", f"The outbox cannot be read: {plain(error)}.")
            return taken

    def committed(self, keys: Iterable[str]) -> int:
        """The server's word that these keys are committed: they are deleted. Returns how many were here."""
        with self._lock:
            gone: list[tuple[int, int]] = []
            try:
                with self._file.transaction():
                    for key in keys:
                        gone += self._db.execute("delete from item where key = ? returning id, size", (key,))
            except sqlite3.Error as error:  # nothing is lost: it will be sent and acknowledged again
                self._raise_alarm("disk", f"The outbox cannot delete: {plain(error)}.")
                return 0
            for number, size in gone:
                self._landed(number)
                self._items -= 1
                self._bytes -= size
            self._committed += len(gone)
            self._watch_level()
            return len(gone)

    def refuse(self, key: str, why: str) -> bool:
        """The server refused this key: it is kept aside, with the reason, and never sent again."""
        with self._lock:
            try:
                return self._refuse(key, why)
            except sqlite3.Error as error:
                self._raise_alarm("disk", f"The outbox cannot write: {plain(error)}.")
                return False

    def refused(self) -> list[tuple[str, str]]:
        """(key, why) of the items kept aside, oldest first."""
        with self._lock:
            return list(self._db.execute("select key, why from refused order by at_us, key"))

    def rewind(self) -> None:
        """Forget what is under way: after a lost session everything that waits is sent again."""
        with self._lock:
            self._sent.clear()
            self._sent_bytes = 0
            self._cursor = 0

    def recall(self, name: str) -> bytes | None:
        """The state stored under this name by `put`."""
        with self._lock:
            row = self._db.execute("select sealed from state where name = ?", (name,)).fetchone()
            return None if row is None else self._file.unseal(row[0], f"state:{name}")

    def pending(self) -> int:
        """How many items wait for the server's word."""
        return self._items

    @property
    def in_flight_bytes(self) -> int:
        """Bytes of the items that were sent and not yet acknowledged."""
        return self._sent_bytes

    @property
    def lag(self) -> float:
        """Age of the oldest waiting item, s by the gateway's wall clock; 0 where nothing waits."""
        with self._lock:
            row = self._db.execute("select put_us from item order by id limit 1").fetchone()
            return 0.0 if row is None else max(0.0, time.time() - row[0] / 1e6)

    def status(self) -> OutboxStatus:
        """Counts for the heartbeat."""
        with self._lock:
            return OutboxStatus(
                self._items,
                self._bytes,
                self._limit,
                len(self._sent),
                self._refused,
                self._committed,
                self._not_stored,
                self.lag,
            )

    def close(self) -> None:
        """Fold the write-ahead log into the database and close it."""
        with self._lock:
            self._db.close()

    # --- which items are next ----------------------------------------------------------------------------

    def _send(self, rows: Iterator[_Row], room: int, now: float, taken: list[Entry]) -> int:
        """Move rows to `taken` while they fit; returns their bytes. A row not moved stays where it was."""
        used = 0
        for row in rows:
            size = len(row.sealed)
            if used + size > room and (taken or self._sent.keys() - {row.number}):
                break
            self._landed(row.number)
            data = self._file.unseal(row.sealed, row.key)
            if data is None:
                self._refuse(row.key, "It cannot be decrypted with the gateway's key.")
                self._tell("unreadable", "An item cannot be decrypted; it is kept aside.")
                continue
            due = now + RESEND_AFTER_S * (1 + self._jitter() / 2)
            self._sent[row.number] = _Sent(due, size)
            self._sent_bytes += size
            taken.append(Entry(row.key, row.kind, data))
            used += size
        return used

    def _overdue(self, now: float) -> Iterator[_Row]:
        for number in [number for number, sent in self._sent.items() if sent.due <= now]:
            yield from self._row(number)

    def _newest(self) -> Iterator[_Row]:
        while self._fresh:
            number = self._fresh[-1]
            if number > self._cursor and number not in self._sent:
                yield from self._row(number)
            self._fresh.pop()  # not reached when the row did not fit: it is the next one again

    def _oldest(self) -> Iterator[_Row]:
        next_row = f"{_SELECT} where id > ? order by id limit 1"
        while (found := self._db.execute(next_row, (self._cursor,)).fetchone()) is not None:
            row = _Row(*found)
            if row.number not in self._sent:
                yield row
            self._cursor = row.number  # not reached when the row did not fit

    def _row(self, number: int) -> Iterator[_Row]:
        found = self._db.execute(f"{_SELECT} where id = ?", (number,)).fetchone()
        if found is None:
            self._landed(number)
        else:
            yield _Row(*found)

    def _landed(self, number: int) -> None:
        sent = self._sent.pop(number, None)
        if sent is not None:
            self._sent_bytes -= sent.size

    # --- writing and counting ----------------------------------------------------------------------------

    def _refuse(self, key: str, why: str) -> bool:
        sql = "delete from item where key = ? returning id, kind, size, sealed"
        with self._file.transaction():
            found = self._db.execute(sql, (key,)).fetchall()
            for _, kind, size, sealed in found:
                self._db.execute(
                    "insert or replace into refused (key, kind, at_us, why, size, sealed)"
                    " values (?, ?, ?, ?, ?, ?)",
                    (key, kind, time.time_ns() // 1000, why[:300], size, sealed),
                )
        for number, *_ in found:
            self._landed(number)
        self._items -= len(found)
        self._refused += len(found)
        return bool(found)

    def _write_states(self, state: Mapping[str, bytes | None]) -> None:
        for name, value in state.items():
            if value is None:
                self._db.execute("delete from state where name = ?", (name,))
            else:
                sealed = self._file.seal(value, f"state:{name}")
                self._db.execute("insert or replace into state values (?, ?)", (name, sealed))

    def _count(self, table: str) -> tuple[int, int]:
        sql = f"select count(*), coalesce(sum(size), 0) from {table}"  # noqa: S608  # a name from this file
        items, size = self._db.execute(sql).fetchone()
        return items, size

    def _not_put(self, count: int, kind: str, detail: str) -> bool:
        self._not_stored += count
        self._raise_alarm(kind, detail)
        return False

    # --- alarms ------------------------------------------------------------------------------------------

    def _raise_alarm(self, kind: str, detail: str) -> None:
        """Say it once, not with every notification."""
        if self._alarm != kind:
            self._alarm = kind
            self._tell(kind, detail)

    def _watch_level(self) -> None:
        level = self._bytes / self._limit
        if level >= _NEARLY_FULL:
            if self._alarm != "full":
                self._raise_alarm("nearly_full", f"The outbox is {level:.0%} full.")
        elif self._alarm and (self._alarm == "disk" or level <= _RELIEVED):
            self._alarm = ""
            self._tell("recovered", f"The outbox is {level:.0%} full and writable.")

    def _replaced(self, aside: str) -> None:
        self._tell("replaced", f"The outbox was damaged: it is kept as {aside}, a new one begins.")

    def _tell(self, kind: str, detail: str) -> None:
        if self._on_event is not None:
            self._on_event(OutboxEvent(kind, detail))
