"""The furnished clinic over a real PostgreSQL, the application over it, and a browser before it."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import psycopg
import pytest
from argon2 import PasswordHasher
from fastapi import FastAPI
from psycopg import sql
from psycopg.conninfo import make_conninfo

from rtm_server import enrol
from rtm_server.crypto import MasterKey
from rtm_server.embedded_postgres import OWNER, EmbeddedPostgres
from rtm_server.store import Store
from rtm_server.web import serve
from rtm_server.web.app import create_app
from rtm_server.web.identity.passwords import Passwords
from rtm_server.web.live import LiveHub
from rtm_server.web.settings import WebSettings
from rtm_server.web.testing import NOW, PROFILES, House, RecordedCommands, furnish

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM = Path("/usr/bin/chromium")
# Quick parameters: the tests check what is done with a password, not how long argon2 takes.
QUICK_HASHER = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)
QUICK = Passwords(QUICK_HASHER)


@pytest.fixture(scope="session")
def pages_store(postgres: EmbeddedPostgres) -> Iterator[Store]:
    """One migrated database for all page tests: every house is a clinic of its own."""
    create = "CREATE DATABASE {} OWNER {} TEMPLATE rtm_template"
    with psycopg.connect(postgres.superuser_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL(create).format(sql.Identifier("pages"), sql.Identifier(OWNER)))
    with (
        Store(make_conninfo(postgres.dsn, dbname="pages"), MasterKey(bytes(range(32)))) as store,
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setattr(enrol, "password_hasher", lambda: QUICK_HASHER)
        yield store


@pytest.fixture(scope="session")
def house(pages_store: Store) -> House:
    """Read only: tests that write furnish one of their own."""
    return furnish(pages_store)


@pytest.fixture
def own_house(pages_store: Store) -> House:
    """A small clinic of its own, for tests that write."""
    return furnish(pages_store, PROFILES[:2])


@pytest.fixture
def hub() -> LiveHub:
    return LiveHub()


@pytest.fixture
def commands() -> RecordedCommands:
    return RecordedCommands()


@pytest.fixture
def settings(tmp_path: Path) -> WebSettings:
    return WebSettings(data_dir=tmp_path, allowed_hosts=("127.0.0.1", "localhost", "testserver"))


@pytest.fixture
def app(pages_store: Store, settings: WebSettings, hub: LiveHub, commands: RecordedCommands) -> FastAPI:
    return create_app(settings, pages_store, hub=hub, commands=commands, passwords=QUICK, now=lambda: NOW)


@contextmanager
def serving(app: FastAPI, settings: WebSettings) -> Iterator[str]:
    """The application on a real port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    server = serve.server(app, settings.model_copy(update={"http_port": port}))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(timeout=20)


@pytest.fixture
def address(app: FastAPI, settings: WebSettings) -> Iterator[str]:
    with serving(app, settings) as found:
        yield found


@pytest.fixture
def https_client(pages_store: Store, settings: WebSettings) -> Iterator[httpx.Client]:
    """As seen from the proxy that ends TLS."""
    secure = settings.model_copy(update={"https": True})
    app = create_app(secure, pages_store, passwords=QUICK, now=lambda: NOW)
    headers = {"sec-fetch-site": "same-origin"}
    with (
        serving(app, secure) as found,
        httpx.Client(base_url=found, headers=headers, timeout=30, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def client_now(
    pages_store: Store, settings: WebSettings, hub: LiveHub, commands: RecordedCommands
) -> Iterator[httpx.Client]:
    """By the real clock, for data that came through the real ingest."""
    app = create_app(settings, pages_store, hub=hub, commands=commands, passwords=QUICK)
    headers = {"sec-fetch-site": "same-origin"}
    with (
        serving(app, settings) as found,
        httpx.Client(base_url=found, headers=headers, timeout=60, trust_env=False) as client,
    ):
        yield client


@pytest.fixture
def client(address: str) -> Iterator[httpx.Client]:
    """A browser's manners without the browser."""
    headers = {"sec-fetch-site": "same-origin"}
    with httpx.Client(base_url=address, headers=headers, timeout=30, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Of a module, not of the session: Playwright keeps an event loop running, and no other test could start one."""
    if not CHROMIUM.exists():
        pytest.skip("Chromium is not installed at /usr/bin/chromium: page tests in a browser are left out")
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - only where a browser is

    arguments = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
    ]
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield chromium
        chromium.close()
