"""A child of the demo ends when the demo does, even when the demo was killed.

The demo holds the other end of the child's standard input; when it reads end-of-file the parent is gone.
"""

from __future__ import annotations

import os
import signal
import threading

VARIABLE = "RTM_EXIT_WITH_PARENT"
STDIN = 0


def exit_with_parent() -> None:
    """Watch standard input where the parent asked for it, and finish as on SIGTERM when it closes."""
    if os.environ.get(VARIABLE) == "1":
        threading.Thread(target=_watch, name="parent-watch", daemon=True).start()


def _watch() -> None:
    while os.read(STDIN, 4096):  # not sys.stdin: its lock would be held when the interpreter ends
        pass
    os.kill(os.getpid(), signal.SIGTERM)
