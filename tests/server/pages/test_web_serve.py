"""`serve.run` as a process: it listens, and SIGTERM ends it cleanly, a live stream or not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import httpx

from rtm_server.embedded_broker import free_port
from rtm_server.testing import Database

PROGRAM = "from rtm_server.settings import Settings; from rtm_server.web import serve; serve.run(Settings())"


def test_sigterm_ends_it_cleanly(database: Database, tmp_path: Path) -> None:
    (tmp_path / "master.key").write_text("ab" * 32)
    (tmp_path / "master.key").chmod(0o600)
    port = free_port()
    environment = {
        **os.environ,
        "RTM_DATABASE_URL": database.dsn,
        "RTM_DATA_DIR": str(tmp_path),
        "RTM_HTTP_PORT": str(port),
        "RTM_MQTT_URL": f"mqtt://127.0.0.1:{free_port()}",  # a broker that is down does not stop the pages
    }
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM], env=environment, stderr=subprocess.PIPE, text=True
    )
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", trust_env=False) as client:
            deadline = time.monotonic() + 60
            while True:
                try:
                    answer = client.get("/readyz")
                    break
                except httpx.TransportError:
                    assert process.poll() is None
                    assert time.monotonic() < deadline
                    time.sleep(0.05)
            assert answer.text == "ok\n"
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, said
    assert "Traceback" not in said
