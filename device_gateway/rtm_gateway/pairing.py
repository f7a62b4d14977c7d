"""Who may read the status page: a pairing code of eight digits, once a browser; then a cookie.

The code lies in the data directory (mode 600) and is shown in the gateway's terminal. The cookie is the HMAC of its
own issue time, so that it survives a restart and nothing has to be remembered; removing the file ends them all.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import json
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from time import monotonic, time
from typing import Final

DIGITS: Final = 8
FREE_ATTEMPTS: Final = 5
WAIT_S: Final = 30.0
"""Between two attempts once the free ones are used: half of all codes take 47 years. For all callers together,
since an address on the local network is whatever its owner says."""
COOKIE_S: Final = 180 * 86400


class PairingError(ValueError):
    """The file with the code cannot be used; the message is one plain sentence."""


class Pairing:
    """One gateway's code, throttle and cookies."""

    def __init__(
        self,
        code: str,
        secret: bytes,
        *,
        clock: Callable[[], float] = monotonic,
        wall: Callable[[], float] = time,
    ) -> None:
        self.code = code
        self._secret = secret
        self._clock = clock
        self._wall = wall
        self._attempts = float(FREE_ATTEMPTS)
        self._filled = clock()

    @staticmethod
    def kept(path: Path) -> Pairing:
        """The code in `path`, drawn where there is none. Raises PairingError."""
        with contextlib.suppress(FileExistsError):
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            drawn = {
                "code": f"{secrets.randbelow(10**DIGITS):0{DIGITS}d}",
                "secret": secrets.token_hex(32),
            }
            with os.fdopen(handle, "w", encoding="ascii") as file:
                json.dump(drawn, file)
        try:
            found = json.loads(path.read_text(encoding="ascii"))
            return Pairing(str(found["code"]), bytes.fromhex(found["secret"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise PairingError(
                f"The pairing code cannot be read; remove {path.name} to draw a new one."
            ) from error

    @property
    def shown(self) -> str:
        """The code as people read it: `1234 5678`."""
        return f"{self.code[:4]} {self.code[4:]}"

    def try_code(self, given: str) -> bool | None:
        """Whether it is the code; None when too many were tried lately."""
        now = self._clock()
        self._attempts = min(FREE_ATTEMPTS, self._attempts + (now - self._filled) / WAIT_S)
        self._filled = now
        if self._attempts < 1:
            return None
        self._attempts -= 1
        digits = "".join(given.split())
        if not hmac.compare_digest(digits.encode(), self.code.encode()):
            return False
        self._attempts = float(FREE_ATTEMPTS)
        return True

    def cookie(self) -> str:
        """A new cookie's value."""
        issued = str(int(self._wall()))
        return f"{issued}.{self._mark(issued)}"

    def knows(self, cookie: str) -> bool:
        """Whether this is a cookie of ours that has not run out."""
        issued, _, mark = cookie.partition(".")
        if not hmac.compare_digest(mark.encode(), self._mark(issued).encode()):
            return False
        return self._wall() - int(issued) < COOKIE_S

    def _mark(self, issued: str) -> str:
        return hmac.new(self._secret, f"status:{issued}".encode(), hashlib.sha256).hexdigest()
