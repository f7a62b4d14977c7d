"""`rtm serve`: uvicorn around the application, a clean end on SIGTERM."""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import uvicorn
from fastapi import FastAPI

from rtm_server.crypto import MasterKey
from rtm_server.errors import ServerError
from rtm_server.settings import Settings
from rtm_server.store import Store
from rtm_server.web.app import create_app
from rtm_server.web.live import LiveHub, MqttLive
from rtm_server.web.settings import WebSettings

DRAIN_S = 5  # requests still running are cut after so long
LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class PagesServer(uvicorn.Server):
    """Ends live streams first, so that a stop does not wait for them."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Called once when the server is told to stop."""
        app = self.config.app
        if isinstance(app, FastAPI):
            app.state.services.hub.end()
        await super().shutdown(sockets)


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. `database_url` must be set: an embedded server is the command's job."""
    web = WebSettings.of(settings)
    if web.database_url is None:
        raise ServerError("RTM_DATABASE_URL is not set: the pages have no database")
    if web.http_host not in LOOPBACK and not web.https:
        raise ServerError(
            f"the pages would listen on {web.http_host} without https: set RTM_HTTPS=true behind a proxy that ends TLS"
        )
    with ExitStack() as stack:
        store = stack.enter_context(
            Store(web.database_url, MasterKey.from_file(web.master_key_path), name="pages")
        )
        hub = LiveHub()
        commands = None
        if web.mqtt_url is not None:
            commands = MqttLive(web.mqtt_url, hub)
            commands.open()
            stack.callback(commands.close)
        stack.enter_context(_signal_taken())
        server(create_app(web, store, hub=hub, commands=commands), web).run()


@contextmanager
def _signal_taken() -> Iterator[None]:
    """uvicorn raises the signal that stopped it once more when it is done; by then there is nothing left to stop."""
    previous = signal.signal(signal.SIGTERM, lambda *_: None)
    try:
        yield
    except KeyboardInterrupt:
        pass
    finally:
        signal.signal(signal.SIGTERM, previous)


def server(app: FastAPI, settings: WebSettings) -> PagesServer:
    """A uvicorn server that tells nobody its name and writes no access log (addresses hold ids)."""
    config = uvicorn.Config(
        app,
        host=settings.http_host,
        port=settings.http_port,
        log_level="warning",
        access_log=False,
        server_header=False,
        date_header=True,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
        timeout_graceful_shutdown=DRAIN_S,
        timeout_keep_alive=15,
        limit_concurrency=500,
        lifespan="off",
    )
    return PagesServer(config)
