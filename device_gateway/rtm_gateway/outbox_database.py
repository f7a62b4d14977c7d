"""The outbox's file: SQLite in WAL mode with synchronous=FULL, every value sealed with AES-256-GCM.

The key of an item or state is the seal's associated data: a value moved to another key does not open.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE: Final = 12  # bytes, NIST SP 800-38D
SEAL_BYTES: Final = _NONCE + 16
"""What sealing adds to a value: nonce and tag."""
_KEY_CHECK: Final = b"homestretch outbox"
_PRAGMAS: Final = (
    "page_size = 8192",  # a chunk of 5 s is 4 to 5 kB: smaller pages would put each on two
    "journal_mode = wal",
    "synchronous = full",  # a commit is on the disk before it returns
    "journal_size_limit = 67108864",
    "temp_store = memory",
)
_SCHEMA: Final = """
create table if not exists item (
    id integer primary key,
    key text not null unique,
    kind integer not null,
    put_us integer not null,
    size integer not null,
    sealed blob not null
);
create table if not exists refused (
    key text primary key,
    kind integer not null,
    at_us integer not null,
    why text not null,
    size integer not null,
    sealed blob not null
);
create table if not exists state (name text primary key, sealed blob not null);
"""


class OutboxError(Exception):
    """The outbox cannot be opened; the message is one plain sentence."""


class OutboxDatabase:
    """One connection and one cipher. A damaged file is kept aside, a new one begun and `on_replaced` told."""

    def __init__(self, path: Path, key: bytes, on_replaced: Callable[[str], None]) -> None:
        self._path = path
        self._cipher = AESGCM(key)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self.connection = self._connect()
        except (sqlite3.OperationalError, OSError) as error:
            raise OutboxError(f"The outbox {path.name} cannot be opened: {plain(error)}.") from error
        except sqlite3.DatabaseError:
            on_replaced(self._set_aside())
            self.connection = self._connect()

    def seal(self, data: bytes, name: str) -> bytes:
        """nonce, ciphertext and tag of data, bound to its name."""
        nonce = os.urandom(_NONCE)
        return nonce + self._cipher.encrypt(nonce, data, name.encode())

    def unseal(self, sealed: bytes, name: str) -> bytes | None:
        """The data, or None where key, name or bytes are not those of the sealing."""
        try:
            return self._cipher.decrypt(sealed[:_NONCE], sealed[_NONCE:], name.encode())
        except (InvalidTag, ValueError):
            return None

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Everything or nothing; synced to the disk when it is left."""
        self.connection.execute("begin immediate")
        try:
            yield
            self.connection.execute("commit")
        except BaseException:
            if self.connection.in_transaction:
                self.connection.execute("rollback")
            raise

    def _connect(self) -> sqlite3.Connection:
        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))  # the mode from the first moment
        db = sqlite3.connect(self._path, check_same_thread=False, isolation_level=None, timeout=10.0)
        try:
            for pragma in _PRAGMAS:
                db.execute(f"pragma {pragma}")
            db.executescript(_SCHEMA)
            self._check_key(db)
        except BaseException:
            db.close()
            raise
        return db

    def _check_key(self, db: sqlite3.Connection) -> None:
        row = db.execute("select sealed from state where name = 'key'").fetchone()
        if row is None:
            db.execute("insert into state values ('key', ?)", (self.seal(_KEY_CHECK, "state:key"),))
        elif self.unseal(row[0], "state:key") != _KEY_CHECK:
            raise OutboxError(f"The key file does not belong to the outbox {self._path.name}.")

    def _set_aside(self) -> str:
        aside = f"{self._path.name}.damaged-{time.time_ns()}"
        for suffix in ("", "-wal", "-shm"):
            damaged = self._path.with_name(self._path.name + suffix)
            if damaged.exists():
                damaged.rename(self._path.with_name(aside + suffix))
        return aside


def plain(error: Exception) -> str:
    """What the error says, as the end of a sentence."""
    return str(error) or type(error).__name__
