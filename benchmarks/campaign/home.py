"""The gateway of a campaign: a process of its own, killed and started again with the same outbox."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from uuid import UUID, uuid4

from homestretch import parent


class GatewayProcess:
    """`rtm gateway`, or with `mistake` a negative control (gateway_child.py).

    sensors: (id, Bluetooth address, placement).
    """

    def __init__(
        self,
        folder: Path,
        *,
        tenant: UUID,
        gateway: UUID,
        mqtt_url: str,
        radio: str,
        sensors: Sequence[tuple[UUID, str, str]],
        mistake: str | None = None,
    ) -> None:
        self.data_dir = folder / "gateway"
        self.log = folder / "gateway.log"
        self.recording = uuid4()
        self._mistake = mistake
        self._process: subprocess.Popen[bytes] | None = None
        told = [
            {"sensor": str(sensor), "address": address, "placement": placement}
            for sensor, address, placement in sensors
        ]
        self._environment = os.environ | {
            "RTM_TENANT": str(tenant),
            "RTM_GATEWAY": str(gateway),
            "RTM_MQTT_URL": mqtt_url,
            "RTM_DATA_DIR": str(self.data_dir),
            "RTM_RADIO": radio,
            "RTM_SENSORS": json.dumps(told),
            "RTM_OPEN_ON_MOTION": "false",
            parent.VARIABLE: "1",
        }

    def start(self) -> None:
        """Start; a moment later it goes on where it was killed."""
        own = ["-m", "homestretch", "gateway"]
        wrong = [str(Path(__file__).with_name("gateway_child.py")), str(self._mistake)]
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, *(own if self._mistake is None else wrong)],
                stdin=subprocess.PIPE,  # it ends when this process does
                stdout=output,
                stderr=output,
                env=self._environment,
                cwd=self.log.parent,
            )

    @property
    def running(self) -> bool:
        """Not killed, and not fallen."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """kill -9."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """SIGTERM, as a supervisor does."""
        self._end(signal.SIGTERM)

    def forget_bonds(self) -> None:
        """As after a new memory card: the sensors know the gateway, the gateway not them."""
        with contextlib.suppress(FileNotFoundError):
            (self.data_dir / "radio" / "bonds.json").unlink()

    def last_words(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _end(self, number: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is None:
            return
        process.send_signal(number)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()
