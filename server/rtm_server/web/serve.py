"""`rtm serve`: uvicorn around the application, a clean end on SIGTERM."""

from __future__ import annotations

from contextlib import ExitStack

import uvicorn

from rtm_server.crypto import MasterKey
from rtm_server.errors import ServerError
from rtm_server.settings import Settings
from rtm_server.store import Store
from rtm_server.web.app import create_app
from rtm_server.web.live import LiveHub, MqttLive
from rtm_server.web.settings import WebSettings

DRAIN_S = 5  # live streams are cut after so long; browsers come back by themselves


def run(settings: Settings) -> None:
    """Serve until SIGTERM or Ctrl-C. `database_url` must be set: an embedded server is the command's job."""
    web = WebSettings.of(settings)
    if web.database_url is None:
        raise ServerError("RTM_DATABASE_URL is not set: the pages have no database")
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
        server(create_app(web, store, hub=hub, commands=commands), web).run()


def server(app: object, settings: WebSettings) -> uvicorn.Server:
    """A uvicorn server that tells nobody its name and writes no access log (addresses hold ids)."""
    config = uvicorn.Config(
        app,  # type: ignore[arg-type]  # any ASGI application
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
    return uvicorn.Server(config)
