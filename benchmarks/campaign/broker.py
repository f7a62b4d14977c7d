"""A real MQTT broker that can be killed: it forgets its queues, sessions and retained messages."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

from benchmarks.campaign.room import free_port
from iotcore import Broker as Iotcore

MOSQUITTO = shutil.which("mosquitto") or shutil.which("mosquitto", path="/usr/sbin")
_TOML = """
id = 0
[router]
id = 0
max_connections = 50
max_outgoing_packet_count = 200
max_segment_size = 104857600
max_segment_count = 10
[v5.1]
name = "v5"
listen = "127.0.0.1:{port}"
next_connection_delay_ms = 1
    [v5.1.connections]
    connection_timeout_ms = 60000
    max_payload_size = 1048576
    max_inflight_count = 100
    dynamic_filters = true
"""
_READY_S = 120.0


class CampaignBroker:
    """kind: `iotcore` or `mosquitto`; always on the same port."""

    def __init__(self, kind: str, folder: Path) -> None:
        self.kind, self.port = kind, free_port()
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._folder = folder
        self._iotcore: Any = None
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it listens. Raises RuntimeError."""
        if self.kind == "iotcore":
            path = self._folder / "iotcore.toml"
            path.write_text(_TOML.format(port=self.port), encoding="utf-8")
            self._iotcore = Iotcore(config_path=str(path))
            self._iotcore.start()
        elif MOSQUITTO is not None:
            path = self._folder / "mosquitto.conf"
            path.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n", encoding="utf-8")
            self._process = subprocess.Popen(
                [MOSQUITTO, "-c", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
        else:
            raise RuntimeError("Mosquitto is not installed.")
        self._wait(listening=True)

    def kill(self) -> None:
        """kill -9."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
        if self._iotcore is not None:
            self._iotcore._process.kill()
            self._iotcore._process.wait()
            self._iotcore.stop()
        self._process = self._iotcore = None
        self._wait(listening=False)

    def _wait(self, *, listening: bool) -> None:
        deadline = time.monotonic() + _READY_S
        while self._listens() != listening:
            if time.monotonic() > deadline:
                raise RuntimeError(f"The broker {self.kind} did not {'start' if listening else 'stop'}.")
            time.sleep(0.02)

    def _listens(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 0.2):
            return True
        return False
