"""The demo's processes: each is an `rtm` command as a clinic would run it, set up by its environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from homestretch import parent

GRACE_S = 10.0


@dataclass(slots=True)
class Child:
    """One running process and the file that holds what it said."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def last_words(self, lines: int = 5) -> str:
        """The end of its log, for the sentence that says why it stopped."""
        text = self.log.read_text(encoding="utf-8", errors="replace").strip()
        return "\n".join(text.splitlines()[-lines:])


@dataclass(slots=True)
class Children:
    """Starts processes in order and stops them in reverse."""

    folder: Path
    environment: Mapping[str, str]
    running: dict[str, Child] = field(default_factory=dict)

    def start(self, name: str, arguments: Sequence[str], extra: Mapping[str, str] | None = None) -> Child:
        """Start `rtm ARGUMENTS` as `name`; it ends with us, whatever ends us."""
        log = self.folder / f"{name}.log"
        environment = os.environ | dict(self.environment) | dict(extra or {}) | {parent.VARIABLE: "1"}
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603 - our own command
                [sys.executable, "-m", "homestretch", *arguments],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env=environment,
                cwd=self.folder,
                start_new_session=True,
            )
        child = Child(name, process, log)
        self.running[name] = child
        return child

    def kill(self, name: str) -> None:
        """Kill without a chance to clean up, as a power cut would."""
        child = self.running.pop(name)
        child.process.send_signal(signal.SIGKILL)
        self._reap(child)

    def stop(self, name: str) -> None:
        """Ask to finish, then insist."""
        child = self.running.pop(name)
        if child.process.poll() is None:
            child.process.terminate()
            try:
                child.process.wait(GRACE_S)
            except subprocess.TimeoutExpired:
                child.process.kill()
        self._reap(child)

    def _reap(self, child: Child) -> None:
        if child.process.stdin is not None:
            child.process.stdin.close()
        child.process.wait()

    def fallen(self) -> Child | None:
        """A process that stopped by itself, if any."""
        return next((child for child in self.running.values() if child.process.poll() is not None), None)

    def wait_for_line(self, name: str, text: str, timeout_s: float) -> bool:
        """Wait until the process says `text` in its log."""
        child = self.running[name]
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if text in child.log.read_text(encoding="utf-8", errors="replace"):
                return True
            if child.process.poll() is not None:
                return False
            time.sleep(0.05)
        return False

    def __enter__(self) -> Children:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for name in reversed(list(self.running)):
            self.stop(name)
