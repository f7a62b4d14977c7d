"""Numbers for the starts of sensors that do not count them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Container

from rtm_gateway.clock import TRUSTED_AFTER_NS


def boots_by_clock(taken: Container[int] = ()) -> Callable[[], int]:
    """Boot numbers from the wall clock in seconds, each higher; from chance while the clock was never set.

    taken: numbers of earlier starts, which a clock that was set back would give again.

    A machine without a battery clock boots in 1970 every time: its seconds would name two boots alike. Numbers
    by chance have the highest bit, which seconds do not reach before 2038.
    """
    last = 0

    def following() -> int:
        nonlocal last
        now = time.time_ns()
        fresh = now // 1_000_000_000 if now > TRUSTED_AFTER_NS else 1 << 31 | secrets.randbits(31)
        last = (max(last + 1, fresh) if last >> 31 == fresh >> 31 else fresh) & 0xFFFFFFFF
        while last in taken:
            last = (last + 1) & 0xFFFFFFFF
        return last

    return following
