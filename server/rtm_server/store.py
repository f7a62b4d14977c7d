"""The only way to the database: `store.tenant_tx(tenant)`, a transaction that sees one tenant and nothing else.

Two lookups come before a tenant is known (`lookup`, `tenants`); they return ids only.
Sync everywhere: pages run in FastAPI's thread pool, workers in threads.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Literal, Self
from uuid import UUID

import psycopg
from psycopg import Connection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import ConnectionPool, PoolTimeout

from rtm_server.crypto import DataKey, MasterKey, patient_place, tenant_place
from rtm_server.errors import CryptoError, DatabaseError, ErasedError, ServerError

Tx = Connection[DictRow]
DirectoryKind = Literal["login", "gateway", "session", "tenant"]

# How a transaction learns its tenant. On Citus `set_config` does not reach the workers and this becomes SET LOCAL
# with citus.propagate_set_commands; nothing else in the code knows the form.
_SET_TENANT = "SELECT set_config('app.tenant', %s, true)"
_CHECKOUT_S = 10.0
_KEY_LIFE_S = 60.0
"""A patient's key is asked for again after this long: another process may have erased the patient meanwhile."""

_KEYS_TO_OPEN = "SELECT patient_id, data_key FROM patient WHERE tenant_id = %s AND patient_id = ANY(%s)"
# Locked until the caller commits: an erasure waits for what is being sealed, and what comes after finds no key.
_KEYS_TO_SEAL = """
SELECT patient_id, data_key FROM patient WHERE tenant_id = %s AND patient_id = ANY(%s) ORDER BY patient_id FOR SHARE
"""


class Unavailable(DatabaseError):  # noqa: N818 - reads as a sentence where it is caught
    """The database does not answer now; try again later."""


class Store:
    """A pool of connections and the keys of what they read."""

    def __init__(self, dsn: str, master: MasterKey, *, max_size: int = 8, name: str = "homestretch") -> None:
        """dsn: any sign-in that may become `rtm_app`. Opens lazily: a database that is down does not stop the start."""
        self.master = master
        self._pool: ConnectionPool[Tx] = ConnectionPool(
            dsn,
            min_size=0,
            max_size=max_size,
            open=True,
            timeout=_CHECKOUT_S,
            reconnect_timeout=5.0,
            connection_class=Connection[DictRow],
            kwargs={"row_factory": dict_row, "application_name": name},
            configure=_become_app,
            check=ConnectionPool.check_connection,
            name=name,
        )
        self._keys: dict[tuple[UUID, UUID | None], tuple[DataKey, float]] = {}
        self._keys_lock = threading.Lock()

    @contextmanager
    def tenant_tx(self, tenant: UUID) -> Iterator[Tx]:
        """One transaction that sees `tenant` only; commits at the end, rolls back on an error. Rows are dicts."""
        with self._connection() as connection, connection.transaction():
            connection.execute(_SET_TENANT, (str(tenant),))
            yield connection

    def lookup(self, kind: DirectoryKind, key: str | bytes) -> tuple[UUID, UUID] | None:
        """(tenant, subject) of a login, gateway id or session token; None when unknown."""
        with self._connection() as connection, connection.transaction():
            row = connection.execute(
                "SELECT tenant_id, subject_id FROM directory_lookup(%s, %s)",
                (kind, self.master.index(kind, key)),
            ).fetchone()
        return None if row is None else (row["tenant_id"], row["subject_id"])

    def tenants(self) -> list[UUID]:
        """Ids of all tenants: for workers and `rtm verify`."""
        with self._connection() as connection, connection.transaction():
            return [row["tenant_id"] for row in connection.execute("SELECT tenant_ids() AS tenant_id")]

    def register(self, tx: Tx, tenant: UUID, kind: DirectoryKind, key: str | bytes, subject: UUID) -> None:
        """Make `lookup(kind, key)` find (tenant, subject), within the caller's transaction."""
        tx.execute(
            "INSERT INTO directory (tenant_id, kind, key_hash, subject_id) VALUES (%s, %s, %s, %s)",
            (tenant, kind, self.master.index(kind, key), subject),
        )

    def unregister(self, tx: Tx, tenant: UUID, kind: DirectoryKind, key: str | bytes) -> None:
        """Undo `register`."""
        tx.execute(
            "DELETE FROM directory WHERE tenant_id = %s AND kind = %s AND key_hash = %s",
            (tenant, kind, self.master.index(kind, key)),
        )

    def tenant_key(self, tx: Tx, tenant: UUID) -> DataKey:
        """The tenant's data key."""
        if (known := self._keys.get((tenant, None))) is not None:
            return known[0]
        row = tx.execute("SELECT data_key FROM tenant WHERE tenant_id = %s", (tenant,)).fetchone()
        if row is None:
            raise CryptoError("there is no such clinic")
        return self._remember(
            tenant, None, self.master.unwrap(row["data_key"], tenant_place(tenant, "data_key"))
        )

    def patient_key(self, tx: Tx, tenant: UUID, patient: UUID) -> DataKey:
        """The patient's data key, to open with; ErasedError once the patient is erased.

        Another process' erasure is noticed within a minute. To seal, `sealing_key` asks at once.
        """
        if (key := self._fresh(tenant, patient)) is not None:
            return key
        row = tx.execute(
            "SELECT data_key FROM patient WHERE tenant_id = %s AND patient_id = %s", (tenant, patient)
        ).fetchone()
        if row is None:
            raise CryptoError("there is no such patient")
        if row["data_key"] is None:
            self._keys.pop((tenant, patient), None)
            raise ErasedError("the patient's data were erased")
        return self._unwrapped(tx, tenant, patient, row["data_key"])

    def fetch_keys(self, tx: Tx, tenant: UUID, patients: Collection[UUID]) -> None:
        """Ask for many patients' keys at once, for whoever opens something of each: `patient_key` then asks nobody."""
        stale = [each for each in patients if self._fresh(tenant, each) is None]
        if not stale:
            return
        for row in tx.execute(_KEYS_TO_OPEN, (tenant, stale)).fetchall():
            if row["data_key"] is not None:
                self._unwrapped(tx, tenant, row["patient_id"], row["data_key"])

    def sealing_keys(self, tx: Tx, tenant: UUID, patients: Collection[UUID]) -> dict[UUID, DataKey]:
        """The data keys of patients, to seal with in this transaction; erased and unknown ones are not among them.

        Until the transaction ends no erasure can come between: nothing is sealed with a key that is gone.
        """
        return {
            row["patient_id"]: self._unwrapped(tx, tenant, row["patient_id"], row["data_key"])
            for row in tx.execute(_KEYS_TO_SEAL, (tenant, list(patients))).fetchall()
            if row["data_key"] is not None
        }

    def sealing_key(self, tx: Tx, tenant: UUID, patient: UUID) -> DataKey:
        """The same of one patient; ErasedError when there is none."""
        key = self.sealing_keys(tx, tenant, [patient]).get(patient)
        if key is None:
            raise ErasedError("the patient's data were erased")
        return key

    def seal_text(self, tx: Tx, tenant: UUID, patient: UUID, what: str, text: str) -> bytes:
        """Encrypt a patient's text for column `what` (the name of the column, `note_enc`)."""
        return self.sealing_key(tx, tenant, patient).seal(text.encode(), patient_place(tenant, patient, what))

    def open_text(self, tx: Tx, tenant: UUID, patient: UUID, what: str, box: bytes) -> str:
        """The inverse of seal_text."""
        return self.patient_key(tx, tenant, patient).open(box, patient_place(tenant, patient, what)).decode()

    def forget_keys(self) -> None:
        """Drop every key held in memory (after an erasure)."""
        with self._keys_lock:
            self._keys.clear()

    def close(self) -> None:
        """Close the pool."""
        self._pool.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _remember(self, tenant: UUID, patient: UUID | None, key: DataKey) -> DataKey:
        with self._keys_lock:
            self._keys[tenant, patient] = (key, time.monotonic())
        return key

    def _fresh(self, tenant: UUID, patient: UUID) -> DataKey | None:
        known = self._keys.get((tenant, patient))
        return known[0] if known is not None and time.monotonic() - known[1] < _KEY_LIFE_S else None

    def _unwrapped(self, tx: Tx, tenant: UUID, patient: UUID, wrapped: bytes) -> DataKey:
        outer = self.tenant_key(tx, tenant)
        key = outer.unwrap(wrapped, patient_place(tenant, patient, "data_key"))
        return self._remember(tenant, patient, key)

    @contextmanager
    def _connection(self) -> Iterator[Tx]:
        try:
            with self._pool.connection() as connection:
                yield connection
        except (PoolTimeout, psycopg.OperationalError) as error:
            raise Unavailable("the database does not answer") from error


def _become_app(connection: Connection[Any]) -> None:
    """Give up every right but the application's, whatever the DSN signed in as."""
    try:
        connection.execute("SET ROLE rtm_app")
        connection.execute("SET TIME ZONE 'UTC'")  # a date asked for without a zone is not the server's
        unsafe = connection.execute(
            "SELECT 1 FROM pg_roles WHERE rolname = current_user AND (rolsuper OR rolbypassrls)"
        ).fetchone()
    except psycopg.Error as error:
        raise DatabaseError(
            "the sign-in of the database may not act as rtm_app: run `rtm migrate`"
        ) from error
    if unsafe is not None:
        raise ServerError("the role rtm_app may bypass row-level security: refused")
    connection.commit()
