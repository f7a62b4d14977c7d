"""Bringing a database to the schema of this code: `rtm migrate`. Never done by the server itself in production."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import psycopg
from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import create_engine
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from rtm_server.errors import DatabaseError, WrongAddress

_LOCK = "SELECT pg_advisory_lock(hashtext('homestretch migrations'))"
_CONNECT_S = 10  # a host that answers nothing at all is silent for minutes otherwise
_LOCK_TIMEOUT = (
    "10s"  # a migration that waits longer for a table than this would stop the whole clinic behind it
)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    return config


def _engine(dsn: str) -> Engine:
    try:
        conninfo_to_dict(dsn)
    except psycopg.ProgrammingError:
        raise WrongAddress(
            "the database's address is not of the form postgresql://user:password@host:port/name"
        ) from None
    return create_engine(
        "postgresql+psycopg://",
        creator=lambda: psycopg.connect(
            dsn, connect_timeout=_CONNECT_S, application_name="homestretch migrate"
        ),
        poolclass=NullPool,
    )


def head() -> str:
    """The revision this code wants."""
    return cast(str, ScriptDirectory.from_config(_config()).get_current_head())


def current(dsn: str) -> str | None:
    """The revision a database has; None = empty."""
    try:
        with _engine(dsn).connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    except (psycopg.Error, SQLAlchemyError, OSError) as error:
        raise DatabaseError(f"the database cannot be asked for its version: {_first_line(error)}") from error


def upgrade(dsn: str, *, timescale: bool = False) -> None:
    """Run what is missing, one caller at a time. `timescale`: `chunk` as a hypertable if the extension is there."""
    try:
        with _engine(dsn).connect() as connection:
            connection.exec_driver_sql(_LOCK)
            connection.exec_driver_sql(f"SET lock_timeout = '{_LOCK_TIMEOUT}'")
            connection.commit()
            config = _config()
            config.attributes["connection"] = connection
            config.attributes["timescale"] = timescale and _has_timescale(connection)
            command.upgrade(config, "head")
            connection.commit()
    except (psycopg.Error, SQLAlchemyError, OSError) as error:
        raise DatabaseError(f"the migration did not succeed: {_first_line(error)}") from error


def check(dsn: str) -> None:
    """Raise unless the database has exactly the schema of this code."""
    have = current(dsn)
    if have != head():
        state = "empty" if have is None else f"at version {have}"
        raise DatabaseError(f"the database is {state}, this version needs {head()}: run `rtm migrate`")


def _has_timescale(connection: Connection) -> bool:
    found = connection.exec_driver_sql(
        "SELECT 1 FROM pg_available_extensions WHERE name = 'timescaledb'"
    ).first()
    connection.commit()
    return found is not None


def _first_line(error: Exception) -> str:
    cause = error.orig if isinstance(error, DBAPIError) and error.orig is not None else error
    return str(cause).strip().partition("\n")[0]
