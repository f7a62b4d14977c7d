"""One thread for work that may be lost: in order, and never more of it waiting than can still be of use."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

_log = logging.getLogger(__name__)


class Background:
    """Runs what it is given, one after the other. Of more than `limit` that wait the oldest is dropped.

    Work must not raise; who gives it decides what to do with its errors.
    """

    def __init__(self, name: str, *, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Callable[[], None]] = deque()
        self._lock = threading.Lock()
        self._working = False
        self._pool = ThreadPoolExecutor(1, name)
        self.dropped = 0

    def submit(self, work: Callable[[], None]) -> None:
        """Do this when everything before it is done."""
        with self._lock:
            self._waiting.append(work)
            if len(self._waiting) > self._limit:
                self._waiting.popleft()
                self.dropped += 1
                if self.dropped == 1:
                    _log.warning(
                        "this machine is too slow for the live count; it may be wrong, nothing is lost"
                    )
            if not self._working:
                self._working = True
                self._pool.submit(self._work)

    def close(self) -> None:
        """Finish what is being done, drop the rest."""
        with self._lock:
            self._waiting.clear()
        self._pool.shutdown(cancel_futures=True)

    def _work(self) -> None:
        while True:
            with self._lock:
                if not self._waiting:
                    self._working = False
                    return
                work = self._waiting.popleft()
            work()
