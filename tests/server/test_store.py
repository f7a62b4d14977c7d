"""One tenant a transaction, and no other way in."""

from __future__ import annotations

import ast
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

import rtm_server
from rtm_server import enrol
from rtm_server.crypto import MasterKey
from rtm_server.errors import CryptoError, ErasedError
from rtm_server.store import Store, Unavailable
from rtm_server.testing import Clinic, Database, make_clinic

SOURCE = Path(rtm_server.__file__).parent


def test_a_tenant_sees_itself_only(store: Store) -> None:
    mine, theirs = make_clinic(store), make_clinic(store)
    with store.tenant_tx(mine.tenant) as tx:
        assert tx.execute("SELECT patient_id FROM patient").fetchall() == [{"patient_id": mine.patient}]
        assert tx.execute("SELECT tenant_id FROM directory GROUP BY 1").fetchall() == [
            {"tenant_id": mine.tenant}
        ]
        gone = tx.execute("UPDATE episode SET timezone = 'UTC' WHERE episode_id = %s", (theirs.episode,))
        assert gone.rowcount == 0
    with store.tenant_tx(uuid4()) as tx:
        assert tx.execute("SELECT 1 FROM tenant").fetchall() == []


def test_writing_for_another_tenant_is_refused(store: Store) -> None:
    mine, theirs = make_clinic(store), make_clinic(store)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), store.tenant_tx(mine.tenant) as tx:
        tx.execute("INSERT INTO gateway (tenant_id, gateway_id) VALUES (%s, %s)", (theirs.tenant, uuid4()))


def test_no_tenant_sees_nothing(clinic: Clinic, database: Database) -> None:
    """A forgotten tenant, as the application's role and even as the owner of the tables: no rows."""
    for dsn in (database.dsn, database.owner_dsn):
        with psycopg.connect(dsn) as connection:
            connection.execute("SET ROLE rtm_app")
            for table in ("tenant", "patient", "chunk", "audit", "directory"):
                query = sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(table))
                assert connection.execute(query).fetchone() == (0,)
    with psycopg.connect(database.owner_dsn) as connection:
        assert connection.execute("SELECT count(*) FROM patient").fetchone() == (0,)


def test_the_tenant_does_not_outlive_its_transaction(store: Store) -> None:
    """Pooled connections, errors on the way: no tenant leaks into the next transaction."""
    clinics = [make_clinic(store) for _ in range(3)]
    rng = random.Random(7)
    for _ in range(200):
        clinic = rng.choice(clinics)
        try:
            with store.tenant_tx(clinic.tenant) as tx:
                assert tx.execute("SELECT tenant_id FROM tenant").fetchall() == [{"tenant_id": clinic.tenant}]
                if rng.random() < 0.3:
                    tx.execute("SELECT 1/0")
        except psycopg.errors.DivisionByZero:
            pass
        assert clinic.tenant in store.tenants()  # this runs without a tenant
    with store.tenant_tx(uuid4()) as tx:
        assert tx.execute("SELECT 1 FROM patient").fetchall() == []


def test_a_superusers_dsn_still_acts_as_the_application(database: Database, master: MasterKey) -> None:
    with Store(database.superuser_dsn, master) as store, store.tenant_tx(uuid4()) as tx:
        assert tx.execute("SELECT current_user AS name").fetchone() == {"name": "rtm_app"}
        assert tx.execute("SELECT 1 FROM tenant").fetchall() == []


def test_lookups_need_the_key(clinic: Clinic, database: Database) -> None:
    assert clinic.store.lookup("gateway", clinic.gateway.bytes) == (clinic.tenant, clinic.gateway)
    assert clinic.store.lookup("gateway", uuid4().bytes) is None
    assert clinic.store.lookup("login", clinic.gateway.bytes) is None
    with Store(database.dsn, MasterKey(b"x" * 32)) as stranger:
        assert stranger.lookup("gateway", clinic.gateway.bytes) is None


def test_a_login_is_found_whatever_its_case_and_taken_once(clinic: Clinic) -> None:
    login = f"Ann{uuid4()}@Example.org"
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        user = enrol.create_user(
            clinic.store, tx, clinic.tenant, "billing", login=login, password="long enough", name="Ann"
        )
    assert clinic.store.lookup("login", f" {login.upper()} ") == (clinic.tenant, user)
    other = make_clinic(clinic.store)
    with pytest.raises(enrol.EnrolError, match="taken"), clinic.store.tenant_tx(other.tenant) as tx:
        enrol.create_user(
            clinic.store, tx, other.tenant, "billing", login=login, password="long enough", name="Ann"
        )


def test_identifiers_are_ciphertext_until_opened(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        row = tx.execute("SELECT identifiers_enc FROM patient").fetchone()
        assert row is not None
        assert b"Pat" not in row["identifiers_enc"]
        opened = enrol.identifiers(clinic.store, tx, clinic.tenant, clinic.patient, row["identifiers_enc"])
    assert opened["name"] == "Pat Example"


def test_an_episodes_title_is_ciphertext_until_opened(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        key = (clinic.tenant, clinic.patient)
        titles: list[str | None] = [None, "Rotator cuff repair, left"]
        for title in titles:
            episode = enrol.create_episode(
                clinic.store, tx, *key, timezone="UTC", started=clinic.since.date(), title=title
            )
            row = tx.execute(
                "SELECT title_enc FROM episode WHERE tenant_id = %s AND episode_id = %s", (key[0], episode)
            ).fetchone()
            assert row is not None
            if title is None:
                assert row["title_enc"] is None
            else:
                assert b"cuff" not in row["title_enc"]
                assert clinic.store.open_text(tx, *key, "title_enc", row["title_enc"]) == title


def test_an_erased_patient_cannot_be_read(clinic: Clinic) -> None:
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        box = clinic.store.seal_text(tx, clinic.tenant, clinic.patient, "note_enc", "hurts")
        assert clinic.store.open_text(tx, clinic.tenant, clinic.patient, "note_enc", box) == "hurts"
        with pytest.raises(CryptoError):
            clinic.store.open_text(tx, clinic.tenant, clinic.patient, "body_enc", box)
        tx.execute("UPDATE patient SET data_key = NULL, erased_at = now()")
        clinic.store.forget_keys()
        with pytest.raises(ErasedError):
            clinic.store.open_text(tx, clinic.tenant, clinic.patient, "note_enc", box)


@pytest.mark.parametrize(
    "statement", ["UPDATE {} SET tenant_id = tenant_id", "DELETE FROM {}", "TRUNCATE {}"]
)
@pytest.mark.parametrize(
    "table", ["audit", "time_entry", "analysis", "correction", "claim_line_event", "chunk"]
)
def test_what_must_not_change_cannot(clinic: Clinic, table: str, statement: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), clinic.store.tenant_tx(clinic.tenant) as tx:
        tx.execute(statement.format(table).encode())


def test_a_sensor_is_on_one_episode_at_a_time(clinic: Clinic) -> None:
    now = datetime.now(UTC)
    with clinic.store.tenant_tx(clinic.tenant) as tx:
        with pytest.raises(enrol.EnrolError, match="assigned already"):
            enrol.assign(tx, clinic.tenant, clinic.sensor, clinic.episode, "wrist", assigned_from=now)
        enrol.return_sensor(tx, clinic.tenant, clinic.sensor, now)
        enrol.assign(tx, clinic.tenant, clinic.sensor, clinic.episode, "thigh", assigned_from=now)
        enrol.return_sensor(tx, clinic.tenant, clinic.sensor, now + timedelta(days=1))


def test_a_database_that_is_not_there_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("rtm_server.store._CHECKOUT_S", 0.2)
    store = Store(f"host={tmp_path} dbname=none user=none", MasterKey(bytes(32)))
    with store, pytest.raises(Unavailable, match="does not answer"):
        store.tenants()


def test_nothing_else_opens_a_connection() -> None:
    """psycopg and its pool are opened in these modules only; everything else goes through the store."""
    allowed = {"store.py", "embedded_postgres.py", "migrate.py", "jobs.py"}
    opening = {"connect", "ConnectionPool", "AsyncConnectionPool", "AsyncConnection", "NullConnectionPool"}
    found = set()
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("psycopg"):
                names = {alias.name for alias in node.names}
                if names & opening:
                    found.add(path.name)
            if (
                isinstance(node, ast.Attribute)
                and isinstance(node.value, ast.Name)
                and node.value.id == "psycopg"
                and node.attr in opening
            ):
                found.add(path.name)
    assert found <= allowed


def test_a_session_is_in_utc_whatever_the_server_is_set_to(database: Database, master: MasterKey) -> None:
    with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {database.name} SET timezone = 'Pacific/Auckland'")
    try:
        with Store(database.dsn, master) as opened, opened.tenant_tx(uuid4()) as tx:
            row = tx.execute("SELECT current_setting('TimeZone') AS zone, now() AS now").fetchone()
    finally:
        with psycopg.connect(database.superuser_dsn, autocommit=True) as connection:
            connection.execute(f"ALTER DATABASE {database.name} RESET timezone")
    assert row is not None
    assert row["zone"] == "UTC"
    assert row["now"].utcoffset() == timedelta(0)
