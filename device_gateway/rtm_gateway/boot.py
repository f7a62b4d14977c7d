"""Which start of the machine this is: the monotonic clock counts from there."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Final
from uuid import UUID, uuid5

_LINUX: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = UUID("8a3f6f2e-2c0b-5d0e-9f3d-6e1b7c0a4d11")


def gateway_boot() -> UUID:
    """The kernel's boot id; elsewhere one made of the moment at which the monotonic clock was zero."""
    try:
        return UUID(_LINUX.read_text(encoding="ascii").strip())
    except (OSError, ValueError):
        started_min = round((time.time() - time.monotonic()) / 60)
        return uuid5(_NAMESPACE, str(started_min))
