"""Is somebody moving? Enough to open a recording and to know that one has gone idle; not an estimator."""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from rtm_gateway.drivers.driver import SampleBlock, StreamSpec, Values
from rtm_signal.chunk import UNITS

ACC_STILL: Final = 0.5
"""m/s2, standard deviation of the specific force within a second: a worn sensor at rest stays below 0.2."""
GYR_STILL: Final = 0.35
"""rad/s (20 deg/s), root mean square within a second: breathing and a swaying trunk stay below 0.1."""
_WINDOWS: Final = 3


class MotionWatch:
    """One stream, judged once a second of samples: moving when two of the last three seconds moved."""

    def __init__(self, spec: StreamSpec) -> None:
        columns = list(enumerate(spec.channels))
        self._acc = [(i, c.scale * UNITS[c.unit]) for i, c in columns if c.name in ("ax", "ay", "az")]
        self._gyr = [(i, c.scale * UNITS[c.unit]) for i, c in columns if c.name in ("gx", "gy", "gz")]
        self._need = max(round(spec.rate_hz), 1)
        self._pieces: list[Values] = []
        self._count = 0
        self._recent: deque[bool] = deque(maxlen=_WINDOWS)

    @property
    def moving(self) -> bool:
        """Two of the last three seconds moved."""
        return sum(self._recent) >= 2

    def feed(self, block: SampleBlock) -> bool:
        """Add a block; True when a second is over in which it moved."""
        self._pieces.append(block.values)
        self._count += len(block.values)
        if self._count < self._need:
            return False
        second = np.concatenate(self._pieces).astype(np.float64)
        self._pieces.clear()
        self._count = 0
        moved = self._moved(second)
        self._recent.append(moved)
        return moved

    def _moved(self, second: np.ndarray) -> bool:
        acc = sum(float(np.var(second[:, i] * scale)) for i, scale in self._acc)
        gyr = sum(float(np.mean((second[:, i] * scale) ** 2)) for i, scale in self._gyr)
        return acc > ACC_STILL**2 or gyr > GYR_STILL**2
