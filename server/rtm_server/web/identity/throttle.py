"""Failed sign-ins per account and per address: the wait grows, but nobody is locked out for good."""

import math
import threading
from collections import OrderedDict
from dataclasses import dataclass

FREE_TRIES = 5
LONGEST_WAIT_S = 15 * 60.0
FORGET_AFTER_S = 60 * 60.0
ADDRESS_FACTOR = 10  # an address may belong to a whole clinic: it gets ten times the tries of an account
REMEMBERED = 20_000  # keys kept in memory; the oldest fall off first


@dataclass(slots=True)
class _Failures:
    count: float
    last: float


class Throttle:
    """Counts failures in this process. Times are monotonic seconds, handed in.

    The counts live in memory: two server processes allow twice the tries, and a restart forgets. That bounds
    guessing (a try every 15 minutes once the free ones are gone) without a write for every wrong password.
    """

    def __init__(self) -> None:
        self._failures: OrderedDict[str, _Failures] = OrderedDict()
        self._lock = threading.Lock()

    def wait_s(self, account: str, address: str, now: float) -> int:
        """Whole seconds to wait before the next try; 0 means go on."""
        with self._lock:
            return max(
                self._wait(f"account:{account}", 1, now),
                self._wait(f"address:{address}", ADDRESS_FACTOR, now),
            )

    def failed(self, account: str, address: str, now: float) -> None:
        """Remember one failure for both keys."""
        with self._lock:
            for key in (f"account:{account}", f"address:{address}"):
                entry = self._failures.pop(key, None)
                if entry is None or now - entry.last > FORGET_AFTER_S:
                    entry = _Failures(0, now)
                self._failures[key] = _Failures(entry.count + 1, now)
            while len(self._failures) > REMEMBERED:
                self._failures.popitem(last=False)

    def succeeded(self, account: str) -> None:
        """A right password clears the account, never the address (else one own account would clean it)."""
        with self._lock:
            self._failures.pop(f"account:{account}", None)

    def _wait(self, key: str, factor: int, now: float) -> int:
        entry = self._failures.get(key)
        if entry is None or now - entry.last > FORGET_AFTER_S:
            return 0
        over = entry.count / factor - FREE_TRIES
        if over < 0:
            return 0
        wait = min(math.exp2(over + 1), LONGEST_WAIT_S)
        return max(math.ceil(entry.last + wait - now), 0)
