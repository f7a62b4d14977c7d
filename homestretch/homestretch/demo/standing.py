"""The platform, standing: database, broker and server processes on one machine, with throw-away data."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from homestretch import platform
from homestretch.command import CommandError
from homestretch.demo import sweeper
from homestretch.demo.children import Children
from rtm_server import migrate
from rtm_server.crypto import MasterKey
from rtm_server.embedded_postgres import EmbeddedPostgres
from rtm_server.settings import Settings
from rtm_server.store import Store

READY_S = 60.0


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands. `environment` is what every process of the platform needs to find the others."""

    folder: Path
    store: Store
    mqtt_url: str
    environment: Mapping[str, str]
    settings: Settings
    children: Children
    embedded: EmbeddedPostgres | None

    @property
    def postgres(self) -> str:
        """Which database this is, in words."""
        return "your database" if self.embedded is None else f"PostgreSQL {self.embedded.version}"

    def start(self, *names: str) -> None:
        """Start server processes by the name of their command; `worker-2` is a second `worker`."""
        for name in names:
            self.children.start(name, [name.partition("-")[0]])

    def wait_for_ingest(self) -> None:
        """Until ingest has subscribed: a broker drops what is sent to nobody, and a gateway waits to resend."""
        must_say(self.children, "ingest", "Taking chunks.")


@contextmanager
def standing(*, http_port: int) -> Iterator[Standing]:
    """Bring up database and broker, migrate, and take everything down and away at the end."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="homestretch-demo-")))
        os.umask(0o077)
        folder.chmod(
            0o711
        )  # as root the database runs as somebody else, who must reach its own folder in here
        configured = Settings(data_dir=folder, master_key_file=folder / "master.key", http_port=http_port)
        database = stack.enter_context(platform.databases(configured))
        if database.embedded is not None and (pid := database.embedded.pid) is not None:
            guard = sweeper.start(pid, [folder, database.embedded.home])
            stack.callback(_dismiss, guard)
            stack.callback(database.embedded.destroy)
        mqtt_url = stack.enter_context(platform.broker(configured))
        migrate.upgrade(database.owner_dsn, timescale=configured.timescale)
        master = MasterKey.from_file(configured.master_key_path, create=True)
        store = stack.enter_context(Store(database.dsn, master, name="homestretch demo"))
        environment = {
            "RTM_DATABASE_URL": database.dsn,
            "RTM_MQTT_URL": mqtt_url,
            "RTM_DATA_DIR": str(folder),
            "RTM_MASTER_KEY_FILE": str(configured.master_key_path),
            "RTM_HTTP_PORT": str(http_port),
        }
        children = stack.enter_context(Children(folder, environment))
        settings = configured.model_copy(update={"database_url": database.dsn, "mqtt_url": mqtt_url})
        yield Standing(folder, store, mqtt_url, environment, settings, children, database.embedded)


def _dismiss(guard: subprocess.Popen[bytes]) -> None:
    """Nothing is left to sweep: let the sweeper see the end of its input and go."""
    if guard.stdin is not None:
        guard.stdin.close()
    guard.wait()


def must_say(children: Children, name: str, text: str) -> None:
    """Wait until a process is ready, or say why it is not."""
    if not children.wait_for_line(name, text, READY_S):
        child = children.running[name]
        raise CommandError(f"{name} did not start; its last words:\n{child.last_words()}")
