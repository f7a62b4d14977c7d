"""Real parts for the server's tests: a PostgreSQL for the session, a fresh database a module, a broker."""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from rtm_server import migrate
from rtm_server.crypto import MasterKey
from rtm_server.embedded_broker import EmbeddedBroker
from rtm_server.embedded_postgres import OWNER, EmbeddedPostgres
from rtm_server.settings import Settings
from rtm_server.store import Store
from rtm_server.testing import Clinic, Database, make_clinic, scratch_folder

TEMPLATE = "rtm_template"
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """One embedded PostgreSQL for the session, with a migrated template database."""
    folder = scratch_folder("rtm-test-")
    server = EmbeddedPostgres(folder / "pg")
    server.start()
    try:
        with psycopg.connect(server.superuser_dsn, autocommit=True) as connection:
            _create_database(connection, TEMPLATE)
        _own_public_schema(make_conninfo(server.superuser_dsn, dbname=TEMPLATE))
        migrate.upgrade(make_conninfo(server.owner_dsn, dbname=TEMPLATE))
        yield server
    finally:
        server.destroy()
        shutil.rmtree(folder)


@pytest.fixture(scope="module")
def database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """A fresh migrated database for the module."""
    name = f"test_{next(_numbers)}"
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as connection:
        _create_database(connection, name, template=TEMPLATE)
        yield Database(
            name,
            make_conninfo(postgres.dsn, dbname=name),
            make_conninfo(postgres.owner_dsn, dbname=name),
            make_conninfo(postgres.superuser_dsn, dbname=name),
        )
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def master() -> MasterKey:
    """A master key."""
    return MasterKey(bytes(range(32)))


@pytest.fixture(scope="module")
def store(database: Database, master: MasterKey) -> Iterator[Store]:
    """The store of the module's database."""
    with Store(database.dsn, master) as opened:
        yield opened


@pytest.fixture(scope="session")
def broker() -> Iterator[EmbeddedBroker]:
    """An MQTT 5 broker for the session; gateways have ids of their own, so tests do not meet."""
    with EmbeddedBroker() as started:
        yield started


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings with a data folder of their own."""
    return Settings(data_dir=tmp_path, ingest_wait_s=0.01)


@pytest.fixture
def clinic(store: Store) -> Clinic:
    """A clinic of its own for each test."""
    return make_clinic(store)


def _create_database(
    connection: psycopg.Connection[tuple[object, ...]], name: str, template: str = "template1"
) -> None:
    connection.execute(
        sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE {}").format(
            sql.Identifier(name), sql.Identifier(OWNER), sql.Identifier(template)
        )
    )


def _own_public_schema(dsn: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("GRANT ALL ON SCHEMA public TO {}").format(sql.Identifier(OWNER)))
