"""Opening what the server's commands share: the database (embedded where none is named) and the broker."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from homestretch.command import CommandError, say
from rtm_server import migrate
from rtm_server.crypto import MasterKey
from rtm_server.embedded_broker import EmbeddedBroker
from rtm_server.embedded_postgres import EmbeddedPostgres
from rtm_server.errors import DatabaseError, WrongAddress
from rtm_server.settings import Settings
from rtm_server.store import Store

PATIENCE_S = 60.0
RETRY_S = 0.5


@dataclass(frozen=True, slots=True)
class Databases:
    """Sign-ins: the application's, and the one that owns the tables (migrations only)."""

    dsn: str
    owner_dsn: str
    embedded: EmbeddedPostgres | None = None


@contextmanager
def databases(settings: Settings) -> Iterator[Databases]:
    """The database that the settings name, or the embedded one, started and stopped with the block."""
    if settings.database_url is not None:
        yield Databases(settings.database_url, settings.database_owner_url or settings.database_url)
        return
    with EmbeddedPostgres(settings.data_dir / "postgres", pgbin=settings.pgbin) as server:
        yield Databases(server.dsn, server.owner_dsn, server)


@contextmanager
def store(settings: Settings, name: str) -> Iterator[Store]:
    """The store of a long-running process; refuses a database whose schema is not this version's."""
    url = database_url(settings)
    _wait_for_database(url)
    migrate.check(url)
    with Store(url, MasterKey.from_file(settings.master_key_path), name=f"homestretch {name}") as opened:
        yield opened


def _wait_for_database(url: str) -> None:
    """A database that is just recovering is waited for; one that stays away is a failure."""
    deadline = time.monotonic() + PATIENCE_S
    told = False
    while True:
        try:
            migrate.current(url)
        except WrongAddress:
            raise
        except DatabaseError:
            if time.monotonic() > deadline:
                raise
            if not told:
                say("rtm: the database does not answer yet; waiting for it.")
                told = True
            time.sleep(RETRY_S)
        else:
            return


def database_url(settings: Settings) -> str:
    """The database of a long-running process."""
    if settings.database_url is None:
        raise CommandError(
            "RTM_DATABASE_URL names no database. `rtm demo` brings one; for patients' data run a real server."
        )
    return settings.database_url


def broker_url(settings: Settings) -> str:
    """The broker of a long-running process."""
    if settings.mqtt_url is None:
        raise CommandError("RTM_MQTT_URL names no broker. `rtm demo` brings one along.")
    return settings.mqtt_url


@contextmanager
def broker(settings: Settings) -> Iterator[str]:
    """The broker that the settings name, or the embedded one."""
    with ExitStack() as stack:
        yield settings.mqtt_url or stack.enter_context(EmbeddedBroker()).url
