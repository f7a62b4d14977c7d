"""An MQTT 5 broker as a child of ours (`iotcore`, which is rumqttd in a wheel): for the demo and the tests.

Loopback only, one random sign-in, nothing on disk: what it holds when it dies is sent again by the gateways, because
only the server's ack after COMMIT lets them delete. A real installation sets RTM_MQTT_URL (Mosquitto).
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

from rtm_server.errors import ServerError

# One batch is at most 16 MiB (rtm_signal.wire); the topic's length and the packet's header come on top.
_MAX_PAYLOAD = (16 << 20) + 4096
_TOML = """\
id = 0
[router]
id = 0
max_connections = 1000
max_outgoing_packet_count = 200
max_segment_size = {segment}
max_segment_count = 4
[v5.1]
name = "loopback"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
    [v5.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = {payload}
    max_inflight_count = 100
    dynamic_filters = true
    [v5.1.connections.auth]
    homestretch = "{password}"
"""


class EmbeddedBroker:
    """A broker on a free loopback port. `start()` returns its URL, sign-in included."""

    def __init__(self, *, port: int | None = None) -> None:
        """port: taken if given, else one that is free."""
        self._port = port
        self._password = secrets.token_hex(16)
        self._folder: tempfile.TemporaryDirectory[str] | None = None
        self._broker: object | None = None

    @property
    def url(self) -> str:
        """`mqtt://user:password@127.0.0.1:port`; the same after a restart."""
        if self._port is None:
            raise ServerError("the embedded broker has not been started")
        return f"mqtt://homestretch:{self._password}@127.0.0.1:{self._port}"

    def start(self) -> str:
        """Start and wait until it listens."""
        try:
            from iotcore import Broker  # noqa: PLC0415 - an optional extra, needed only here
        except ImportError:
            raise ServerError(
                "no embedded broker is installed: install homestretch[embedded] or set RTM_MQTT_URL"
            ) from None
        if self._broker is not None:
            return self.url
        chosen = self._port or free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="rtm-mqtt-")
        path = Path(self._folder.name) / "broker.toml"
        path.touch(mode=0o600)
        path.write_text(
            _TOML.format(port=chosen, password=self._password, payload=_MAX_PAYLOAD, segment=2 * _MAX_PAYLOAD)
        )
        broker = Broker(config_path=str(path))
        try:
            broker.start()
        except (OSError, RuntimeError) as error:
            self._folder.cleanup()
            raise ServerError(f"the embedded broker did not start on port {chosen}: {error}") from error
        self._port = chosen
        self._broker = broker
        return self.url

    @property
    def running(self) -> bool:
        """Whether the child lives."""
        return bool(getattr(self._broker, "is_running", False))

    def stop(self) -> None:
        """End the child; does nothing when nothing runs."""
        broker, self._broker = self._broker, None
        if broker is not None:
            with contextlib.suppress(ProcessLookupError):
                broker.stop()  # type: ignore[attr-defined]  # iotcore has no types for its facade
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def free_port() -> int:
    """A loopback port nobody listens on now; the caller binds it at once and says so if somebody was faster."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
