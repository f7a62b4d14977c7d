"""Clears up after a demo, even one that was killed: stops its database and deletes its folders.

`python -m homestretch.demo.sweeper PID FOLDER...` waits until its standard input closes, which is when the
demo is gone, and then does what is left to do. After a clean end nothing is left.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

GIVE_UP_S = 30.0


def start(pid: int, folders: list[Path]) -> subprocess.Popen[bytes]:
    """Watch over us from a process of its own."""
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "homestretch.demo.sweeper", str(pid), *map(str, folders)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def sweep(pid: int, folders: list[Path]) -> None:
    """Stop the process if it still runs, then delete the folders."""
    deadline = time.monotonic() + GIVE_UP_S
    while _signal(pid) and time.monotonic() < deadline:
        time.sleep(0.1)
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _signal(pid: int) -> bool:
    try:
        os.kill(pid, signal.SIGINT)  # PostgreSQL: roll back, checkpoint, leave
    except ProcessLookupError:
        return False
    return True


def main() -> None:
    """Wait for the end of standard input, then sweep."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C in the demo's terminal is not for us
    pid, *folders = sys.argv[1:]
    while sys.stdin.buffer.read(4096):
        pass
    sweep(int(pid), [Path(folder) for folder in folders])


if __name__ == "__main__":
    main()
